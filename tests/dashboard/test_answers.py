"""What the page's server answers to whom: each path, its head, and who is let in."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_dashboard.core import Sight
from monitorpi_dashboard.sinks import connections, door, web
from monitorpi_dashboard.sinks.board import Board
from monitorpi_dashboard.sinks.web import PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_common.messages import WatchLevel

PASSWORD = "horse staple"
RIGHT = {"Authorization": "Basic " + b64encode(b"monitorpi:horse staple").decode()}


def sight(picture: dict[str, Any], level: WatchLevel = "blind") -> Sight:
    """Return what the core would hand out."""
    return Sight(level, 0, None, {}, picture)


@contextmanager
def serving(password: str | None = PASSWORD) -> Iterator[PageServer]:
    """Run a page on loopback."""
    with running(PageServer(Board(), "127.0.0.1", 0, password)) as one:
        yield one


@contextmanager
def running(one: PageServer) -> Iterator[PageServer]:
    """Run a page."""
    one.open()
    thread = threading.Thread(target=one.run, args=(lambda _: None,))
    thread.start()
    try:
        yield one
    finally:
        one.stop()
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    """Run one page for all questions that change nothing."""
    with serving() as one:
        one.board.put(sight({"site": "lab"}, "partly"))
        yield one


@contextmanager
def asked(
    server: PageServer, path: str, headers: dict[str, str], method: str = "GET"
) -> Iterator[HTTPResponse]:
    """Ask for a path and give the answer."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        with connection.getresponse() as answer:  # it holds the connection too
            yield answer
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind", "begins"),
    [
        ("/", "text/html; charset=utf-8", b"<!"),
        ("/?query", "text/html; charset=utf-8", b"<!"),
        ("/page.css", "text/css; charset=utf-8", b""),
        *((f"/{name}.js", "text/javascript; charset=utf-8", b"") for name in (
            "alert", "chart", "device", "now", "numbers", "page", "past", "preact", "store")),
        ("/icon.svg", "image/svg+xml", b"<svg"),
        ("/api/state", "application/json", b'{"site":"lab"}'),
    ],
)  # fmt: skip
def test_each_path_has_its_file_and_kind(
    server: PageServer, path: str, kind: str, begins: bytes
) -> None:
    """A browser that may not guess kinds shows nothing of a wrong one."""
    with asked(server, path, RIGHT) as answer:
        body = answer.read()

        assert answer.status == 200
        assert answer.getheader("Content-Type") == kind
        assert answer.getheader("Content-Length") == str(len(body))
        assert body.startswith(begins)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", RIGHT, 200),
        ("/", {}, 401),
        ("/", {"Authorization": "Basic bm9ib2R5"}, 401),
        ("/", RIGHT | {"Host": "rebound.example"}, 421),
        ("/nowhere", RIGHT, 404),
        ("/page", RIGHT, 404),
        ("/nowhere", {}, 401),
        ("/metrics", {}, 401),
        ("/api/state", {}, 401),
        ("/api/stream", {}, 401),
        ("/api/history/wire", {}, 401),
        ("/api/history/wire", RIGHT, 503),
        ("/healthz", {}, 503),
    ],
)
def test_every_answer_forbids_what_a_page_of_ours_never_needs(
    server: PageServer, path: str, headers: dict[str, str], status: int
) -> None:
    """No guessing of kinds, no frame, no script from elsewhere, no copy kept, also in refusals."""
    with asked(server, path, headers) as answer:
        assert answer.status == status
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        cache = "no-cache" if path == "/" and status == 200 else "no-store"
        assert answer.getheader("Cache-Control") == cache
        assert answer.getheader("Referrer-Policy") == "no-referrer"
        assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
        policy = (answer.getheader("Content-Security-Policy") or "").split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert "unsafe" not in " ".join(policy)
        assert (answer.getheader("WWW-Authenticate") is not None) is (status == 401)
        assert (answer.getheader("Server") or "").strip() == "MonitorPi"


def test_metrics_are_empty_before_the_first_picture() -> None:
    """And of the kind that Prometheus asks for."""
    with serving() as server, asked(server, "/metrics", RIGHT) as answer:
        assert answer.status == 200
        assert (answer.getheader("Content-Type") or "").startswith("text/plain; version=")


@pytest.mark.parametrize(("room", "status"), [(0, 200), (1, 431)])
def test_sixteen_kilobytes_of_head_are_read(room: int, status: int) -> None:
    """And not one byte more."""
    with serving(None) as server:
        begin = b"GET /healthz HTTP/1.0\r\nX: "
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            server.board.put(sight({}, "watching"))
            client.sendall(begin + b"a" * (16 * 1024 - len(begin) - 4 + room) + b"\r\n\r\n")
            assert client.recv(100).split()[1] == b"%d" % status


def test_a_page_that_was_restarted_has_its_port_again() -> None:
    """Though the last connections to it have ended just now."""
    with serving() as server, asked(server, "/", RIGHT) as answer:
        answer.read()
    again = PageServer(Board(), "127.0.0.1", server.port, PASSWORD)

    with running(again), asked(again, "/", RIGHT) as answer:
        assert answer.status == 200


class _History(BaseHTTPRequestHandler):
    """Answers each question with itself, in many pieces."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(206)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Disposition", 'attachment; filename="x.csv"')
        self.end_headers()
        self.wfile.write(self.path.encode() + b" " * 200_000)

    def log_message(self, *_: object) -> None:
        """Keep no log."""


@pytest.mark.parametrize(
    ("path", "asks"),
    [("/api/history/wire", b"/v1/wire"), ("/api/history/wire?a=1&b=2", b"/v1/wire?a=1&b=2")],
)
def test_the_history_answers_through_the_page(path: str, asks: bytes) -> None:
    """Whole, by its own name and kind, with the heads of every answer of ours."""
    history = HTTPServer(("127.0.0.1", 0), _History)
    thread = threading.Thread(target=history.serve_forever)
    thread.start()
    page = PageServer(Board(), "127.0.0.1", 0, None,
                      history_url=f"http://127.0.0.1:{history.server_port}")  # fmt: skip
    try:
        with running(page), asked(page, path, {}) as answer:
            assert answer.status == 206
            assert answer.getheader("Content-Type") == "text/csv"
            assert answer.getheader("Content-Disposition") == 'attachment; filename="x.csv"'
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
            assert answer.read() == asks + b" " * 200_000
    finally:
        history.shutdown()
        history.server_close()
        thread.join()


def test_a_refusal_says_what_to_do(server: PageServer) -> None:
    """In words, for whoever set it up."""
    with asked(server, "/", RIGHT | {"Host": "rebound.example"}) as answer:
        assert b"dashboard.hosts" in answer.read()
    with asked(server, "/nowhere", RIGHT) as answer:
        assert answer.read() == b"there is no such page\n"
        assert answer.getheader("Content-Type") == "text/plain"
    with asked(server, "/api/history/wire", RIGHT) as answer:
        assert json.loads(answer.read()) == {"error": "no history runs here"}
        assert answer.getheader("Content-Type") == "application/json"


def test_a_wrong_password_waits_and_none_does_not(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that has not asked its user yet is no guess."""
    waits: list[float] = []
    monkeypatch.setattr(door.time, "sleep", waits.append)

    for headers in ({}, {"Authorization": "Basic bm9ib2R5"}, RIGHT):
        with asked(server, "/", headers) as answer:
            answer.read()

    assert waits == [0.5]


def test_who_needs_no_password_is_let_in() -> None:
    """On this machine's own loopback."""
    with serving(None) as server, asked(server, "/api/state", {}) as answer:
        assert (answer.status, answer.read()) == (200, b"{}")


@pytest.mark.parametrize(("level", "status"), [("watching", 200), ("partly", 503), ("blind", 503)])
def test_health_is_the_level_and_no_secret(level: WatchLevel, status: int) -> None:
    """Whoever checks from outside needs no password, and sees one word."""
    with serving() as server:
        server.board.put(sight({"secret": 1}, level))
        with asked(server, "/healthz", {}) as answer:
            assert (answer.status, answer.read()) == (status, f"{level}\n".encode())


def test_a_stream_sends_each_new_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and a comment where nothing is new, so that a dead line is noticed."""
    monkeypatch.setattr(web, "KEEP_ALIVE_S", 0.05)
    with serving() as server, asked(server, "/api/stream", RIGHT) as answer:
        assert answer.status == 200
        assert answer.getheader("Content-Type") == "text/event-stream"
        assert answer.getheader("Content-Length") is None
        assert answer.getheader("Content-Encoding") is None
        assert answer.read(3) == b":\n\n"

        server.board.put(sight({"number": 1}, "watching"))
        text = b""
        while b"number" not in text:
            text += answer.readline()
        assert text.replace(b":\n\n", b"") == b'event: whole\ndata: {"number":1}\n'


def test_thirty_two_streams_are_served_and_a_place_is_given_back() -> None:
    """One more is refused; who has gone makes room."""
    with serving() as server, ExitStack() as streams:
        server.board.put(sight({}))
        for _ in range(32):
            answer = streams.enter_context(asked(server, "/api/stream", RIGHT))
            assert answer.read(6) == b"event:"
        with asked(server, "/api/stream", RIGHT) as refused:
            assert (refused.status, refused.read()) == (503, b"too many pages are open\n")

        for _ in range(5):
            server.stream_ended()
        for _ in range(5):
            assert server.stream_begins()
        assert not server.stream_begins()


def test_a_stream_that_ends_gives_its_place_back() -> None:
    """Also when its reader only goes away."""
    with serving() as server:
        server.board.put(sight({}))
        with asked(server, "/api/stream", RIGHT) as answer:
            assert answer.read(6) == b"event:"
        for _ in range(31):
            assert server.stream_begins()

        def is_noticed() -> bool:
            server.board.put(sight({}))
            return server.stream_begins()

        assert wait_for(is_noticed, what="the place of a reader that went away")


def test_who_was_let_in_is_not_cut_for_newcomers() -> None:
    """However many come and say nothing, a page that is open stays so."""
    with serving() as server, ExitStack() as slow:
        server.board.put(sight({}))
        with asked(server, "/api/stream", RIGHT) as answer:
            assert answer.read(6) == b"event:"
            for _ in range(connections.MAX_CONNECTIONS + 5):
                one = slow.enter_context(_connection(server))
                one.sock.sendall(b"GET / HTTP/1.1\r\nX-")  # type: ignore[union-attr]
            with asked(server, "/healthz", {}) as health:
                assert health.status == 503

            server.board.put(sight({"still": "here"}))
            lines = [answer.readline() for _ in range(5)]
            assert lines[-2:] == [b"event: patch\n", b'data: {"still":"here"}\n']


@contextmanager
def _connection(server: PageServer) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    try:
        yield connection
    finally:
        connection.close()


def test_a_board_that_closes_lets_everybody_go() -> None:
    """No reader holds the end up."""
    board = Board()
    assert board.newest() == b"{}"
    assert (board.level, board.closed) == ("blind", False)
    board.put(sight({"n": 1}, "watching"))
    board.put(sight({"n": 2}, "partly"))
    assert (board.newest(), board.level) == (b'{"n":2}', "partly")
    whole = (2, b'event: whole\ndata: {"n":2}\n\n')
    assert board.after(0, 0.0) == whole
    assert board.after(1, 0.0) == whole  # nobody was there to make a patch for
    assert board.after(2, 0.0) == (2, None)

    board.close()

    assert board.closed
    assert board.after(0, 60.0) == (0, None)
