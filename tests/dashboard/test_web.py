"""The server of the page against clients who mean no good: a real socket, no browser."""

from __future__ import annotations

import socket
import threading
import time
from base64 import b64encode
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from monitorpi_dashboard import web
from monitorpi_dashboard.web import Board, PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[PageServer]:
    """Run a page that wants a password."""
    one = PageServer(Board(), "127.0.0.1", 0, "horse staple")
    one.open()
    thread = threading.Thread(target=one.run, args=(lambda _: None,))
    thread.start()
    yield one
    one.stop()
    thread.join()


def connect(server: PageServer) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def ask(server: PageServer, request: bytes) -> bytes:
    """Send a request and return the first line of the answer; empty: it was cut off."""
    with connect(server) as client:
        try:
            client.sendall(request)
            return client.recv(4096).partition(b"\r\n")[0]
        except ConnectionError:
            return b""


def test_whoever_says_nothing_keeps_nobody_out(server: PageServer) -> None:
    """With every place taken by clients that drip their request, a browser is still served."""
    with ExitStack() as clients:
        for _ in range(web.MAX_CONNECTIONS + 5):
            slow = clients.enter_context(connect(server))
            slow.sendall(b"GET / HTTP/1.1\r\nX-")

        for _ in range(3):
            assert ask(server, b"GET /healthz HTTP/1.0\r\n\r\n") == b"HTTP/1.0 200 OK"


def test_guesses_are_slow_and_keep_nobody_out(server: PageServer) -> None:
    """With every place taken by wrong passwords the right one is answered at once."""
    request = b"GET / HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic %b\r\n\r\n"
    with ExitStack() as clients:
        guesses = [clients.enter_context(connect(server)) for _ in range(web.MAX_CONNECTIONS)]
        begun = time.monotonic()
        for guess in guesses:
            guess.sendall(request % b64encode(b"monitorpi:horse"))

        right = ask(server, request % b64encode(b"monitorpi:horse staple"))
        assert guesses[-1].recv(100).startswith(b"HTTP/1.0 401")

    assert right == b"HTTP/1.0 200 OK"
    assert time.monotonic() - begun >= web._GUESS_S


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\n" + b"X: " + b"a" * web.MAX_HEAD + b"\r\n\r\n",
        b"GET / HTTP/1.0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 20 + b"\r\n",
        b"GET /" + b"a" * web.MAX_HEAD + b" HTTP/1.0\r\n\r\n",
    ],
    ids=["one line", "many lines", "the path"],
)
def test_a_long_head_is_not_kept(server: PageServer, head: bytes) -> None:
    """Before any password a client could fill 6 MB of memory, on each of 64 connections."""
    assert b"431" in (line := ask(server, head)) or line == b""
    assert ask(server, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.0 401")


def test_a_usual_head_is_long_enough(server: PageServer) -> None:
    """Browsers with many cookies for the host are served."""
    cookies = b"Cookie: " + b"a" * 8000 + b"\r\n"

    assert b"401" in ask(server, b"GET / HTTP/1.0\r\nHost: localhost\r\n" + cookies + b"\r\n")


def test_all_streams_share_one_event() -> None:
    """A document of thousands of devices is megabytes: slow readers hold it, not copies of it."""
    board = Board()
    board.put(b'{"site":"lab"}')

    events = [board.after(0, 0.0)[1] for _ in range(2)]

    assert events[0] == b'data: {"site":"lab"}\n\n'
    assert events[0] is events[1]
    assert board.newest() == b'{"site":"lab"}'
