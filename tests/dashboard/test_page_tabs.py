"""The page in many tabs, and below a path of somebody's proxy."""

from __future__ import annotations

import http.client
import http.server
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.conftest import wait_for
from tests.dashboard.pageserver import complaints, look, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page


def test_twenty_tabs_are_all_served(page: Callable[..., Page], browser: Chrome) -> None:
    """A browser gives one server six connections: a tab that is hidden needs none."""
    one = page()
    one.publish()
    for number in range(20):
        if number:
            browser.switch_to.new_window("tab")
        look(browser, one, "devices")
        wait_for(lambda: "workshop" in text(browser) or "printer" in text(browser), 20, f"{number}")

    browser.switch_to.window(browser.window_handles[0])
    one.publish("renamed")
    wait_for(lambda: "renamed" in text(browser), 30, "the first tab again")
    assert browser.title == "(1) MonitorPi is BLIND"


class Prefixed(http.server.BaseHTTPRequestHandler):
    """A proxy that serves the page below a path, and knows nothing else of it."""

    port: int
    path_seen: list[str]

    def do_GET(self) -> None:
        """Ask the page for what stands behind the prefix."""
        self.path_seen.append(self.path)
        if not self.path.startswith("/net/"):
            self.send_error(404)
            return
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        client.request("GET", self.path.removeprefix("/net"), headers=dict(self.headers.items()))
        answer = client.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("Server", "Date"):
                self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            while piece := answer.read1(65536):
                self.wfile.write(piece)
        client.close()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def test_it_works_below_a_path(page: Callable[..., Page], browser: Chrome) -> None:
    """All that the page asks for is relative to where it stands."""
    one = page()
    one.publish()
    seen: list[str] = []
    proxy = type("Proxy", (Prefixed,), {"port": one.port, "path_seen": seen})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        browser.get(f"http://127.0.0.1:{server.server_address[1]}/net/#/devices")
        wait_for(lambda: "printer" in text(browser), 20, "the page")
        one.publish("renamed")
        wait_for(lambda: "renamed" in text(browser), 20, "the change")
        assert [path for path in seen if not path.startswith("/net/")] == []
        assert complaints(browser) == []
    finally:
        one.process.kill()  # its streams end
        server.shutdown()
        server.server_close()
        thread.join()
