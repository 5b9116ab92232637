"""Answers from the network that are late, long, broken or made to harm."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitorpi_cloud_bridge import web as web_module
from monitorpi_cloud_bridge.influx import Influx
from monitorpi_cloud_bridge.sink import RefusedError, Verdict
from monitorpi_cloud_bridge.talkback import TalkBack
from monitorpi_cloud_bridge.thingspeak import ThingSpeak
from monitorpi_cloud_bridge.web import NoAnswerError, ask, client
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator


class Foreign:
    """A server that answers every call with what it is told, piece by piece."""

    def __init__(self) -> None:
        self.status = 200
        self.pieces: list[bytes] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                self.send_response(owner.status)
                self.send_header("Content-Length", str(sum(map(len, owner.pieces))))
                self.end_headers()
                for piece in owner.pieces:
                    self.wfile.write(piece)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's
                """Keep no log."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients hang up on answers that are too long: that is the point."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def foreign() -> Iterator[Foreign]:
    """Run such a server."""
    one = Foreign()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Foreign]:
    """Run one server for all examples of this file."""
    with foreign() as one:
        yield one


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "2027-01-15T08:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["feeds", "created_at", "id", "command_string", "executed_at", "success", "channel"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
HOSTILE = st.sampled_from(
    [
        b"", b"0", b"-1", b"[" * 100_000, b'{"feeds":' * 20_000, b"\xff\xfe", b"<html>",
        b"1" * 5000, b'{"feeds":[{"created_at":"0001-01-01T00:00:00"}]}',
        b'{"id":1e999,"created_at":"2027-01-15T08:00:00Z","command_string":"x"}',
        b'{"id":1,"created_at":"2027-01-15T08:00:00","executed_at":"2027-01-15T08:00:00Z"}',
    ]
)  # fmt: skip
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | HOSTILE | st.binary(max_size=50)
STATUSES = st.sampled_from([200, 202, 204, 301, 400, 401, 402, 404, 409, 413, 429, 500, 503])


@given(status=STATUSES, body=BODIES)
def test_no_answer_is_a_crash(cloud: Foreign, status: int, body: bytes) -> None:
    """Whatever a cloud says, every client reads it as one of the outcomes there are."""
    cloud.status, cloud.pieces = status, [b"" if status == 204 else body]
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0)
    influx = Influx(cloud.url, "v2", {}, None, {}, {}, 10.0)
    taken: list[object] = []
    asking = TalkBack(cloud.url, 1, "K", 20.0, Log("test-web", "error"), client())

    try:
        assert isinstance(sink.send(b"{}").verdict, Verdict)
        assert isinstance(influx.send(b"").verdict, Verdict)
        try:
            found = sink.verify([0, 10])
        except RefusedError:
            found = None
        assert found is None or all(isinstance(second, int) for second in found)
        asking.poll(taken.append)
        asking.poll(taken.append)
    finally:
        sink.close()
        influx.close()
        asking.client.close()


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (202, b'{"success": true}', Verdict.ACCEPTED),
        (200, b"0", Verdict.TOO_EARLY),
        (429, b"", Verdict.TOO_EARLY),
        (400, b"0", Verdict.FORBIDDEN),
        (400, b"{}", Verdict.TOO_MUCH),
        (413, b"", Verdict.TOO_MUCH),
        (422, b"", Verdict.TOO_MUCH),
        (401, b"", Verdict.FORBIDDEN),
        (404, b"", Verdict.FORBIDDEN),
        (402, b"", Verdict.QUOTA),
        (302, b"", Verdict.UNKNOWN),
        (409, b"", Verdict.UNKNOWN),
        (500, b"<html>", Verdict.UNKNOWN),
    ],
)
def test_what_each_answer_of_a_bulk_call_means(
    cloud: Foreign, status: int, body: bytes, verdict: Verdict
) -> None:
    """The error table, line by line."""
    cloud.status, cloud.pieces = status, [body]
    sink = ThingSpeak(cloud.url, 1, "W", None, 16.0)

    assert sink.send(b"{}").verdict is verdict
    sink.close()


def test_an_answer_without_end_is_cut_off(cloud: Foreign) -> None:
    """Memory is bounded whatever the server sends."""
    cloud.status, cloud.pieces = 200, [b"x" * 65536] * 200

    with client() as web, pytest.raises(NoAnswerError, match="the answer is too long"):
        ask(web, "GET", cloud.url)


def test_an_answer_that_trickles_is_cut_off(cloud: Foreign) -> None:
    """A byte now and then does not hold the courier for ever."""
    cloud.status, cloud.pieces = 200, [b"x"] * 50
    times = iter(range(0, 10_000, int(web_module.MOST_S) + 1))

    with client() as web, pytest.raises(NoAnswerError, match="the answer takes too long"):
        ask(web, "GET", cloud.url, clock=lambda: float(next(times)))


def test_a_server_that_speaks_no_tls_gets_no_key(cloud: Foreign) -> None:
    """An https address answered in plain text is no answer."""
    sink = ThingSpeak(cloud.url.replace("http://", "https://"), 1, "W", None, 16.0)

    assert sink.send(b"{}").verdict is Verdict.UNKNOWN
    sink.close()
