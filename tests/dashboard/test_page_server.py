"""The page's server: names, passwords, ports, bounds."""

from __future__ import annotations

import http.client
import subprocess
import sys
from base64 import b64encode
from typing import TYPE_CHECKING

from monitorpi_dashboard.sinks import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Broker
    from tests.dashboard.pageserver import Page


def test_only_names_of_this_machine_are_served(page: Callable[..., Page]) -> None:
    """A web page on the Internet cannot read the LAN through a visitor's browser."""
    one = page(HOSTS='["Pi.Example"]')

    assert one.get("/api/state", Host="evil.example")[0] == 421
    assert one.get("/api/state", Host=f"localhost:{one.port}")[0] == 200
    assert one.get("/api/state", Host="192.168.1.2")[0] == 200
    assert one.get("/api/state", Host="pi.example")[0] == 200


def test_beyond_loopback_a_password_is_needed(page: Callable[..., Page], broker: Broker) -> None:
    """Without one the page refuses to start; with one it asks for it."""
    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_dashboard"],
        env=broker.environment(MONITORPI_DASHBOARD__LISTEN="0.0.0.0"),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "needs one (secret dashboard__password)" in done.stderr

    one = page(LISTEN="0.0.0.0", PASSWORD="horse staple")
    good = b64encode(b"monitorpi:horse staple").decode()
    bad = b64encode(b"monitorpi:horse").decode()

    assert one.get("/")[0] == 401
    assert one.get("/", Authorization=f"Basic {bad}")[0] == 401
    assert one.get("/", Authorization=f"Basic {good}")[0] == 200


def test_a_taken_port_is_one_clear_line(page: Callable[..., Page], broker: Broker) -> None:
    """Exit code 3 and the name of the setting."""
    first = page()

    done = subprocess.run(
        [sys.executable, "-m", "monitorpi_dashboard"],
        env=broker.environment(
            MONITORPI_INSTANCE="second", MONITORPI_DASHBOARD__PORT=str(first.port)
        ),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 3
    assert f"port {first.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_streams_are_bounded_and_nothing_else_is_served(page: Callable[..., Page]) -> None:
    """Enough open pages are enough; paths out of the page's folder do not exist."""
    one = page()
    streams = []
    for _ in range(web.MAX_STREAMS):
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
        connection.request("GET", "/api/stream")
        streams.append(connection.getresponse())  # dropped, it would hang up
        assert streams[-1].status == 200

    assert one.get("/api/stream")[0] == 503
    for path in ("/../settings.py", "/page/../../view.py", "/%2e%2e/view.py", "/nothing"):
        assert one.get(path)[0] == 404
    headers = one.get("/")[2]
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    for connection in streams:
        connection.close()
