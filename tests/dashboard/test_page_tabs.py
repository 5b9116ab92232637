"""The page in many tabs, and below a path of somebody's proxy."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.conftest import wait_for
from tests.dashboard.pageserver import complaints, look, text

from monitorpi_host.children import cpu_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page


TABS = 20
BUSY = 0.5
"""Of a core: with twenty tabs, of which nineteen are hidden, on a machine that does other work."""


@pytest.mark.timeout(240)
def test_twenty_tabs_are_all_served(page: Callable[..., Page], browser: Chrome) -> None:
    """A browser gives one server six connections: a tab that is hidden needs none.

    Whichever is looked at is live, none complains, and the server has little to do.
    """
    one = page()
    one.publish()
    views = ("now", "devices", "alerts", "services")
    for number in range(TABS):
        if number:
            browser.switch_to.new_window("tab")
        look(browser, one, views[number % len(views)])
        wait_for(lambda: "BLIND" in browser.title, 20, f"{number}")
    begin, since = cpu_s(one.process.pid), time.monotonic()

    one.publish("renamed")
    for number, handle in enumerate(browser.window_handles):
        browser.switch_to.window(handle)
        word = "renamed" if views[number % len(views)] == "devices" else "SYN flood"
        word = "capture" if views[number % len(views)] == "services" else word
        wait_for(lambda word=word: word in text(browser), 30, f"tab {number}")
        live = browser.find_element("id", "live")
        wait_for(lambda live=live: live.text == "blind", 10, f"tab {number}")
        assert complaints(browser) == []

    used = cpu_s(one.process.pid) - begin
    assert used / (time.monotonic() - since) < BUSY
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
