"""The server of the page against clients who mean no good: a real socket, no browser."""

from __future__ import annotations

import json
import socket
import threading
import time
from base64 import b64encode
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitorpi_common.examples import AT
from monitorpi_common.messages import Result, Service
from monitorpi_common.service import ResourceError
from monitorpi_dashboard.items import CommandRequested
from monitorpi_dashboard.sinks import connections, door
from monitorpi_dashboard.sinks.board import Board
from monitorpi_dashboard.sinks.web import PageServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def serving(listen: str, emit: Callable[[object], None] = lambda _: None) -> Iterator[PageServer]:
    """Run a page that wants a password."""
    one = PageServer(Board(), listen, 0, "horse staple")
    one.open()
    thread = threading.Thread(target=one.run, args=(emit,))
    thread.start()
    try:
        yield one
    finally:
        one.stop()
        thread.join()


@pytest.fixture
def server() -> Iterator[PageServer]:
    """Run a page on loopback."""
    with serving("127.0.0.1") as one:
        yield one


def connect(server: PageServer, address: str = "127.0.0.1") -> socket.socket:
    """Open a connection from one of this machine's own addresses."""
    return socket.create_connection(("127.0.0.1", server.port), 10, (address, 0))


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
        for _ in range(connections.MAX_CONNECTIONS + 5):
            slow = clients.enter_context(connect(server))
            slow.sendall(b"GET / HTTP/1.1\r\nX-")

        for _ in range(3):
            assert ask(server, b"GET /healthz HTTP/1.0\r\n\r\n") == (
                b"HTTP/1.0 503 Service Unavailable"
            )


def test_guesses_are_slow_and_keep_nobody_out(server: PageServer) -> None:
    """With every place taken by wrong passwords the right one is answered at once."""
    request = b"GET / HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic %b\r\n\r\n"
    wrong = request % b64encode(b"monitorpi:horse")
    begun = time.monotonic()
    assert ask(server, wrong).startswith(b"HTTP/1.0 401")
    assert time.monotonic() - begun >= door.GUESS_S
    with ExitStack() as clients:
        guesses = [
            clients.enter_context(connect(server, "127.0.0.2"))
            for _ in range(connections.MAX_CONNECTIONS)
        ]
        for guess in guesses:
            guess.sendall(wrong)

        right = ask(server, request % b64encode(b"monitorpi:horse staple"))
        assert guesses[-1].recv(100).startswith(b"HTTP/1.0 4")

    assert right == b"HTTP/1.0 200 OK"


def test_after_some_guesses_an_address_is_not_listened_to() -> None:
    """Not even with the right password; others are, and so it is again when time has passed."""
    clock = 1000.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.time, "monotonic", lambda: clock)
        patch.setattr(door.time, "sleep", lambda _: None)
        one = door.Door("horse staple")
        right, wrong = (f"Basic {b64encode(f'monitorpi:{word}'.encode()).decode()}"
                        for word in ("horse staple", "horse"))  # fmt: skip

        def tries(word: str | None, address: str = "2001:db8::1") -> bool | None:
            return one.opens(word, address)

        assert tries(None) is False
        assert [tries(wrong) for _ in range(door.GUESSES)] == [False] * door.GUESSES
        assert tries(wrong) is None
        assert tries(right) is None
        assert tries(right, "2001:db8::2") is None  # the same subscriber
        assert tries(right, "2001:db8:1::1") is True
        assert tries(right, "192.0.2.1") is True
        clock += door.AGAIN_S
        assert tries(right) is True
        assert tries(wrong) is False
        assert tries(right) is None


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\n" + b"X: " + b"a" * connections.MAX_HEAD + b"\r\n\r\n",
        b"GET / HTTP/1.0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 20 + b"\r\n",
        b"GET /" + b"a" * connections.MAX_HEAD + b" HTTP/1.0\r\n\r\n",
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


# --- addresses ------------------------------------------------------------------------------------


def status(host: str, port: int) -> int:
    """Ask for the page as a browser does, with the password."""
    password = b64encode(b"monitorpi:horse staple").decode()
    client = HTTPConnection(host, port, timeout=10)
    try:
        client.request("GET", "/", headers={"Authorization": f"Basic {password}"})
        return client.getresponse().status
    finally:
        client.close()


@pytest.mark.parametrize(
    ("listen", "hosts", "url"),
    [
        ("127.0.0.1", ["127.0.0.1"], "http://127.0.0.1:{}/"),
        ("localhost", ["127.0.0.1"], "http://localhost:{}/"),
        ("0.0.0.0", ["127.0.0.1"], "http://127.0.0.1:{}/"),
        ("::1", ["::1"], "http://[::1]:{}/"),
        ("0:0:0:0:0:0:0:1", ["::1"], "http://[0:0:0:0:0:0:0:1]:{}/"),
        ("::", ["::1", "127.0.0.1"], "http://[::1]:{}/"),
    ],
)
def test_the_page_is_where_its_url_says(listen: str, hosts: list[str], url: str) -> None:
    """Either family, and with ``::`` both; an IPv6 address has its brackets."""
    if ":" in listen and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this kernel has no IPv6")
    with serving(listen) as server:
        assert server.url == url.format(server.port)
        assert [status(host, server.port) for host in hosts] == [HTTPStatus.OK] * len(hosts)


@pytest.mark.parametrize("listen", ["192.0.2.1", "2001:db8::1", "[::1]", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_one_line(listen: str) -> None:
    """What cannot be listened on is said with the setting that names it."""
    with pytest.raises(ResourceError, match=r"cannot listen on .* \(dashboard.listen"):
        PageServer(Board(), listen, 0, None).open()


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("[::1]:8080", True),
        ("[::1]", True),
        ("[2001:DB8::1]:8080", True),
        ("192.0.2.1:8080", True),
        ("192.0.2.1", True),
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("attic.example:8080", True),
        ("rebound.example:8080", False),
        ("[rebound.example]:8080", False),
        ("[::1].rebound.example:8080", False),
        ("::1.rebound.example", False),
        ("[]", False),
        (":8080", False),
        ("", False),
    ],
)
def test_a_host_header_names_us_or_is_refused(host: str, answer: bool) -> None:
    """Addresses in either family and names we know; a name that was rebound to us is neither."""
    assert door.Door(None, ("attic.example",)).knows(host) is answer


# --- commands ------------------------------------------------------------------------------------

PASSWORD = {"Authorization": "Basic " + b64encode(b"monitorpi:horse staple").decode()}
JSON = {"Content-Type": "application/json"}
SILENCE = '{"key":"loop-wire-eth0","minutes":60}'


def post(server: PageServer, path: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
    """Post to the page; returns the status and what it says."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextmanager
def answering(error: str | None = None) -> Iterator[tuple[PageServer, list[CommandRequested]]]:
    """Run a page whose commands are answered at once."""
    commands: list[CommandRequested] = []

    def emit(item: object) -> None:
        assert isinstance(item, CommandRequested)
        commands.append(item)
        result = Result(name=item.name, at=AT, ok=error is None, error=error)
        server.commands.answered("page-of-somebody-else", result)
        server.commands.answered(item.id, result)

    with serving("127.0.0.1", emit) as server:
        yield server, commands


def test_an_order_is_given_and_its_result_told() -> None:
    """With the password, as JSON, in the form of the contract."""
    with answering() as (server, commands):
        assert post(server, "/api/order/detector/silence", SILENCE, PASSWORD | JSON) == (200, "{}")
    with answering("no open alert has that key") as (server, refused):
        status, said = post(server, "/api/order/notifier/test", "{}", PASSWORD | JSON)

    assert (commands[0].service, commands[0].name) == (Service.DETECTOR, "silence")
    assert commands[0].args == {"key": "loop-wire-eth0", "minutes": 60}
    assert (status, said) == (409, '{"error": "no open alert has that key"}')
    assert refused[0].args == {}


def test_a_floor_is_set_and_taken_back() -> None:
    """For all or for one device, and nothing else of a rule."""
    given = [
        {"rule": "loop", "floor": 9.5},
        {"rule": "loop", "mac": "04:00:00:00:00:0a", "reset": True},
    ]
    with answering() as (server, commands):
        for args in given:
            path = "/api/order/detector/set_threshold"
            assert post(server, path, json.dumps(args), PASSWORD | JSON) == (200, "{}")

    assert [one.args for one in commands] == [given[0] | {"reset": False}, given[1]]


def test_enough_orders_are_enough() -> None:
    """A person who clicks again and again sends no more than a few test messages."""
    with answering() as (server, commands):
        codes = [post(server, "/api/order/notifier/test", "{}", PASSWORD | JSON)[0]
                 for _ in range(5)]  # fmt: skip

    assert codes == [200, 200, 200, 429, 429]
    assert len(commands) == 3


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("detector/silence", SILENCE, JSON, HTTPStatus.UNAUTHORIZED),
        ("detector/silence", SILENCE, PASSWORD, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("detector/silence", SILENCE, PASSWORD | JSON | {"Content-Length": "9" * 5000},
         HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("detector/silence", SILENCE, PASSWORD | {"Content-Type": "text/plain"},
         HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("detector/silence", SILENCE, PASSWORD | JSON | {"Sec-Fetch-Site": "cross-site"},
         HTTPStatus.FORBIDDEN),
        ("detector/silence", SILENCE, PASSWORD | JSON | {"Sec-Fetch-Site": "same-site"},
         HTTPStatus.FORBIDDEN),
        ("detector/silence", "x" * 2000, PASSWORD | JSON, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("detector/silence", "no json", PASSWORD | JSON, HTTPStatus.BAD_REQUEST),
        ("detector/silence", '{"key":"loop-wire-eth0"}', PASSWORD | JSON, HTTPStatus.BAD_REQUEST),
        ("notifier/test", '{"url":"http://elsewhere"}', PASSWORD | JSON, HTTPStatus.BAD_REQUEST),
        ("detector/set_threshold", '{"rule":"loop","enabled":false}', PASSWORD | JSON,
         HTTPStatus.BAD_REQUEST),
        ("detector/set_threshold", '{"rule":"loop","quiet_s":9}', PASSWORD | JSON,
         HTTPStatus.BAD_REQUEST),
        ("capture/reset", "{}", PASSWORD | JSON, HTTPStatus.NOT_FOUND),
        ("../state", "{}", PASSWORD | JSON, HTTPStatus.NOT_FOUND),
        ("notifier/test", "{}", PASSWORD | JSON | {"Host": "evil.example"},
         HTTPStatus.MISDIRECTED_REQUEST),
    ],
)  # fmt: skip
def test_nothing_else_may_be_ordered(
    path: str, body: str, headers: dict[str, str], status: HTTPStatus
) -> None:
    """What another page could make a browser send is refused, and nothing is sent."""
    with answering() as (server, commands):
        assert post(server, f"/api/order/{path}", body, headers)[0] == status

    assert commands == []
