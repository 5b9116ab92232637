"""Whoever can reach the page may send it anything: it answers, bounded, and serves the others."""

from __future__ import annotations

import random
import re
import socket
import threading
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import pytest

from monitorpi_common.examples import example
from monitorpi_common.messages import Result, Service
from monitorpi_dashboard.core import Sight
from monitorpi_dashboard.items import CommandRequested
from monitorpi_dashboard.sinks.board import Board
from monitorpi_dashboard.sinks.web import PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS: Final = 5000
SLOW: Final = 200
FIRST_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
UNKNOWN_TO_HTTP: Final = (501, 505)
"""What the protocol itself wants for a method or a version that nobody has."""
HEAD: Final = b"Host: 127.0.0.1\r\nAuthorization: Basic bW9uaXRvcnBpOng=\r\n"
SEEDS: Final = (
    b"GET / HTTP/1.1\r\n" + HEAD + b"Accept-Encoding: gzip\r\n\r\n",
    b"GET /api/state HTTP/1.1\r\n" + HEAD + b'If-None-Match: "0"\r\n\r\n',
    b"GET /metrics HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /api/history/traffic?from=2026-11-29T00:00:00Z&mac=00:00:5e:00:53:01 HTTP/1.1\r\n"
    + HEAD + b"\r\n",
    b"GET /kiosk?view=%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"POST /api/order/detector/silence HTTP/1.1\r\n" + HEAD
    + b"Content-Type: application/json\r\nContent-Length: 36\r\n\r\n"
    + b'{"key":"loop-wire-eth0","minutes":1}',
)  # fmt: skip
PIECES: Final = (
    b"\r\n", b"\0", b"\xff\xfe", b"%00", b"%ff", b"../", b"?", b"&", b":", b" ", b"{", b'"',
    b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: x\r\n",
    b"\xc3\xa9", b"9" * 50, b"A" * 400,
)  # fmt: skip


SIGHT: Final = Sight("watching", 0, None, {}, {"site": "lab"})
RESULT: Final = example(Result)


class History(BaseHTTPRequestHandler):
    """A history that answers everything."""

    def do_GET(self) -> None:
        """Answer with nothing."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def serving(password: str | None = None) -> Iterator[PageServer]:
    """Run a page, a core that answers each order, and a history."""
    history = ThreadingHTTPServer(("127.0.0.1", 0), History)
    board = Board()
    url = f"http://127.0.0.1:{history.server_address[1]}"
    server = PageServer(board, "127.0.0.1", 0, password, history_url=url)

    def emit(item: object) -> None:
        if isinstance(item, CommandRequested):
            assert item.service is Service.DETECTOR
            server.commands.answered(item.id, RESULT)
        else:
            board.put(SIGHT)

    server.open()
    threads = [
        threading.Thread(target=history.serve_forever, args=(0.05,)),
        threading.Thread(target=server.run, args=(emit,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        server.stop()
        history.shutdown()
        for thread in threads:
            thread.join()
        history.server_close()


def mutated(rnd: random.Random) -> bytes:
    """Return a request with some of its bytes changed, cut, doubled or put in."""
    data = bytearray(rnd.choice(SEEDS))
    for _ in range(rnd.randint(1, 6)):
        at = rnd.randrange(len(data) + 1)
        match rnd.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rnd.randrange(256)])
            case 1:
                del data[at : at + rnd.randint(1, 20)]
            case 2:
                data[at:at] = data[at : at + rnd.randint(1, 60)]
            case _:
                data[at:at] = rnd.choice(PIECES)
    return bytes(data)


def answer_to(server: PageServer, request: bytes) -> bytes:
    """Send bytes, say that no more come, and return the first line of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), 15) as sock:
        try:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            return sock.recv(64)
        except ConnectionError:
            return b""  # cut for saying too much


def is_served(server: PageServer) -> bool:
    """Tell whether a browser gets the page."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Authorization": "Basic bW9uaXRvcnBpOng="})
        return connection.getresponse().status == 200
    finally:
        connection.close()


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_request_is_answered_by_a_failure_of_ours() -> None:
    """Whatever is changed in a request: a refusal at most, and a browser is served afterwards."""
    rnd = random.Random(20)  # noqa: S311 - of a test
    failures = {}
    with serving() as server:
        for _ in range(REQUESTS):
            request = mutated(rnd)
            line = FIRST_LINE.match(answer_to(server, request))
            code = int(line[1]) if line else 0
            if code >= 500 and code not in UNKNOWN_TO_HTTP:
                failures[request] = code

        assert failures == {}
        assert is_served(server)


def test_a_browser_is_served_among_slow_clients() -> None:
    """Two hundred who say a byte now and then, and one who wants to see the page."""
    with serving("x") as server, ExitStack() as stack:
        for _ in range(SLOW):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            slow.sendall(b"GET / HT")

        assert all(is_served(server) for _ in range(3))
