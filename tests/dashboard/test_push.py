"""The dead man's switch, against a real HTTP server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr, ValidationError
from tests.conftest import wait_for

from monitorpi_common.log import Log
from monitorpi_dashboard.settings import DashboardSettings
from monitorpi_dashboard.sinks.push import Push

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import WatchLevel


class Receiver:
    """Counts calls and answers with a status."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                receiver.paths.append(self.path)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """An address with a key in it, as push monitors have."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/api/push/secret-key?status=up"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver for the time of one test."""
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_it_calls_only_while_somebody_watches(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blind: no call. Watching: one each period. A refusal is counted, and no key is logged."""
    level: list[WatchLevel] = ["blind"]
    asked: list[WatchLevel] = []

    def asks() -> WatchLevel:
        asked.append(level[0])
        return level[0]

    push = Push(receiver.url, asks, Log("push-test"), period_s=0.02)
    thread = threading.Thread(target=push.run, args=(lambda _: None,))
    thread.start()
    wait_for(lambda: len(asked) >= 5, what="some periods")
    assert receiver.paths == []

    level[0] = "watching"
    wait_for(lambda: push.done_total >= 2, what="two calls")
    receiver.status = 500
    wait_for(lambda: push.failed_total >= 1, what="a refusal to be counted")
    push.stop()
    thread.join(5)

    assert set(receiver.paths) == {"/api/push/secret-key?status=up"}
    assert "secret-key" not in capsys.readouterr().err


def test_a_receiver_that_is_away_is_counted_and_nothing_else() -> None:
    """The page runs on."""
    push = Push("http://127.0.0.1:9/", lambda: "watching", Log("push-test"), period_s=0.01)
    thread = threading.Thread(target=push.run, args=(lambda _: None,))
    thread.start()

    wait_for(lambda: push.failed_total >= 2, what="two failures")
    push.stop()
    thread.join(5)

    assert not thread.is_alive()


@pytest.mark.parametrize("url", ["ftp://x/y", "kuma.lan/push", "file:///etc/passwd", ""])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    """One line at the start, without the address: it may hold a key."""
    with pytest.raises(ValidationError, match="no http or https address"):
        DashboardSettings(watch_url=SecretStr(url))
