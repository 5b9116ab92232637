"""The page behind Debian's nginx as it comes, at its root and below a path."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.conftest import wait_for
from tests.dashboard.pageserver import complaints, text
from tests.dashboard.test_page_commands import Answering

from monitorpi_cli.stack.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page


@contextmanager
def nginx(folder: Path, page: Page, path: str) -> Iterator[str]:
    """Run nginx with nothing set but where the page is; gives its address."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("nginx is not installed: ./monitorpi test installs it")
    port, config = free_port(), folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events {}\nhttp {\n"
        f"  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"  server {{\n    listen 127.0.0.1:{port};\n"
        f"    location {path} {{ proxy_pass http://127.0.0.1:{page.port}/; }}\n  }}\n}}\n"
    )
    process = subprocess.Popen([program, "-c", str(config), "-e", str(folder / "error.log")])
    url = f"http://127.0.0.1:{port}{path}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}healthz", trust_env=False).status_code > 0
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, 20, "nginx")
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("path", ["/", "/lan/monitor/"])
def test_everything_works_behind_nginx(
    page: Callable[..., Page], browser: Chrome, tmp_path: Path, path: str
) -> None:
    """Changes come at once, not when a buffer is full; views, orders and the kiosk work."""
    one = page()
    one.publish()
    with nginx(tmp_path, one, path) as url:
        browser.get(url)
        wait_for(lambda: "SYN flood" in text(browser) and "printer" in text(browser), 20)
        one.publish("renamed")
        wait_for(lambda: "renamed" in text(browser), 5, "the change")

        browser.get(f"{url}#/alerts")
        wait_for(lambda: browser.find_elements("class name", "acknowledge"), 20, "the button")
        with Answering(one.broker.port, "detector", ""):
            browser.find_element("class name", "acknowledge").click()
            wait_for(lambda: "Marked as seen" in text(browser), 20, "the answer")

        browser.get(f"{url}kiosk")
        wait_for(lambda: "SYN flood" in text(browser), 20, "the kiosk")
        assert complaints(browser) == []


def test_a_path_without_its_last_slash_leads_there(
    page: Callable[..., Page], browser: Chrome, tmp_path: Path
) -> None:
    """As people type it."""
    one = page()
    one.publish()
    with nginx(tmp_path, one, "/monitor/") as url:
        browser.get(url.rstrip("/"))
        wait_for(lambda: "SYN flood" in text(browser), 20)
        assert browser.current_url.startswith(url)


def test_a_password_is_asked_for_through_nginx(page: Callable[..., Page], tmp_path: Path) -> None:
    """And a stream that begins is not held back, packed or not."""
    one = page(PASSWORD="of-a-test")
    one.publish()
    with nginx(tmp_path, one, "/monitor/") as url:
        assert httpx.get(url, trust_env=False).status_code == 401
        known = httpx.Client(auth=("monitorpi", "of-a-test"), trust_env=False)
        for packing in ("identity", "gzip"):
            headers = {"Accept-Encoding": packing}
            with known.stream("GET", f"{url}api/stream", headers=headers, timeout=5) as stream:
                assert next(stream.iter_text()).startswith("event: whole")
        known.close()
