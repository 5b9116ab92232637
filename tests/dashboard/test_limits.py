"""Limits of the page, number by number: who is listened to, and how often."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

import pytest
from tests.conftest import wait_for
from tests.dashboard.test_packets import LINE, Watched

from monitorpi_common.examples import AT
from monitorpi_common.messages import Result, Service
from monitorpi_dashboard.items import CommandRequested
from monitorpi_dashboard.settings import DashboardSettings, page_url
from monitorpi_dashboard.sinks import commands as command_module
from monitorpi_dashboard.sinks import connections, door
from monitorpi_dashboard.sinks.commands import PageCommands
from monitorpi_dashboard.sinks.past import NoPastError, Past

# --- who is listened to ---------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr(door.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(door.time, "sleep", lambda _: None)
    return now


def said(word: str) -> str:
    """Return how a browser says a password."""
    return f"Basic {b64encode(f'monitorpi:{word}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("2001:db8::1", "2001:db8:0:0:ffff::9", "2001:db8:0:1::1"),
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("fe80::1%eth0", "fe80::2%eth1", "fe80:0:0:1::1"),
        ("nobody", "nobody", "somebody"),
    ],
)
def test_guesses_are_counted_by_subscriber(
    clock: list[float], address: str, same: str, other: str
) -> None:
    """Ten at once; one more each six seconds."""
    one = door.Door("right")
    assert [one.opens(said("wrong"), address) for _ in range(11)] == [False] * 10 + [None]
    assert one.opens(said("right"), same) is None
    assert one.opens(said("right"), other) is True

    clock[0] += 5.9
    assert one.opens(said("right"), same) is None
    clock[0] += 0.2
    assert one.opens(said("right"), same) is True


def test_guessers_are_bounded(clock: list[float]) -> None:
    """The one that guessed longest ago is forgotten: a thousand and some are remembered."""
    del clock
    one = door.Door("right")
    for _ in range(10):
        one.opens(said("wrong"), "192.0.2.1")
    for number in range(1023):
        one.opens(said("wrong"), f"10.0.{number >> 8}.{number & 255}")
    assert one.opens(said("right"), "192.0.2.1") is None  # and is the newest again
    for number in range(1023, 2047):
        one.opens(said("wrong"), f"10.0.{number >> 8}.{number & 255}")

    assert one.opens(said("right"), "192.0.2.1") is True


def test_where_all_places_are_taken_by_whom_was_let_in_the_next_one_is_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Soon, and without an answer; when one of them goes there is a place again."""
    monkeypatch.setattr(connections, "_LEAVING_S", 0.05)
    inside, ends = threading.Semaphore(0), threading.Semaphore(0)

    class Staying(BaseHTTPRequestHandler):
        def handle(self) -> None:
            assert isinstance(self.server, connections.Connections)
            self.server.has_asked(self.request)
            inside.release()
            ends.acquire()

    with connections.Connections(("127.0.0.1", 0), Staying) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

        def come() -> socket.socket:
            return socket.create_connection(server.server_address[:2], timeout=10)  # type: ignore[arg-type]

        here = [come() for _ in range(64)]
        assert all(inside.acquire(timeout=10) for _ in here)
        late = come()
        with suppress(ConnectionResetError):
            assert late.recv(1) == b""
        ends.release()
        wait_for(lambda: server._places.acquire(blocking=False) and not server._places.release())
        again = come()
        assert inside.acquire(timeout=10)
        ends.release(64)
        server.shutdown()
    for one in (*here, late, again):
        one.close()


def test_as_many_as_there_are_places_may_come_at_once() -> None:
    """Also while nobody is let in for a moment, as when the slowest one is cut."""
    with (
        connections.Connections(("127.0.0.1", 0), BaseHTTPRequestHandler) as server,
        ExitStack() as all_,
    ):
        address = server.server_address[:2]
        for _ in range(connections.MAX_CONNECTIONS):
            all_.enter_context(socket.create_connection(address, timeout=0.5))  # type: ignore[arg-type]


def test_while_there_is_room_nobody_is_cut() -> None:
    """However slowly one says what it wants."""

    class Echo(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.request.sendall(self.request.recv(1))

    with connections.Connections(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        slow, quick = (
            socket.create_connection(server.server_address[:2], timeout=10)  # type: ignore[arg-type]
            for _ in range(2)
        )
        for one in (quick, slow):
            one.sendall(b"x")
            assert one.recv(1) == b"x"
            one.close()
        server.shutdown()


# --- commands -------------------------------------------------------------------------------------

SILENCE = b'{"key":"loop-wire-eth0","minutes":60}'
BODIES: dict[tuple[str, str], bytes] = {
    ("capture", "watch"): b'{"seconds":5}',
    ("capture", "mark"): b'{"mac":"02:00:00:00:00:01","known":true}',
    ("detector", "acknowledge"): b'{"key":"loop-wire-eth0"}',
    ("detector", "silence"): SILENCE,
    ("detector", "set_threshold"): b'{"rule":"loop","floor":9.5}',
    ("notifier", "test"): b"{}",
}


def obeying(orders: PageCommands) -> None:
    """Let each order be obeyed at once."""

    def emit(item: object) -> None:
        assert isinstance(item, CommandRequested)
        orders.answered(item.id, Result(name=item.name, at=AT, ok=True))

    orders.emit = emit


@pytest.mark.parametrize(
    ("service", "name", "at_once", "again_s"),
    [
        ("capture", "watch", 10, 1.0), ("capture", "mark", 20, 0.5),
        ("detector", "acknowledge", 20, 0.5), ("detector", "silence", 20, 0.5),
        ("detector", "set_threshold", 10, 1.0), ("notifier", "test", 3, 10.0),
    ],
)  # fmt: skip
def test_so_many_orders_at_once_and_so_many_a_second(
    monkeypatch: pytest.MonkeyPatch, service: str, name: str, at_once: int, again_s: float
) -> None:
    """Of each kind by itself."""
    now = [1000.0]
    monkeypatch.setattr(command_module.time, "monotonic", lambda: now[0])
    orders = PageCommands()
    obeying(orders)

    def send() -> HTTPStatus:
        return orders.send(service, name, BODIES[service, name])[0]

    assert [send() for _ in range(at_once + 1)] == (
        [HTTPStatus.OK] * at_once + [HTTPStatus.TOO_MANY_REQUESTS]
    )
    now[0] += again_s * 0.9
    assert send() is HTTPStatus.TOO_MANY_REQUESTS
    now[0] += again_s * 0.2
    assert send() is HTTPStatus.OK


def test_eight_may_wait_for_a_result() -> None:
    """The ninth is told so; each has the result of its own order."""
    orders, sent_, found = PageCommands(), list[CommandRequested](), list[HTTPStatus]()
    orders.emit = sent_.append  # type: ignore[assignment]
    threads = [
        threading.Thread(
            target=lambda: found.append(orders.send("detector", "silence", SILENCE)[0])
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(sent_) == 8)

    ninth = orders.send("detector", "silence", SILENCE)
    orders.answered("page-nobody", Result(name="silence", at=AT, ok=False))
    assert set(orders._results) == {one.id for one in sent_}
    for one in sent_:
        orders.answered(one.id, Result(name="silence", at=AT, ok=True))
    for thread in threads:
        thread.join()

    assert ninth == (HTTPStatus.TOO_MANY_REQUESTS, {"error": "too many wait for an answer"})
    assert found == [HTTPStatus.OK] * 8
    assert len({one.id for one in sent_}) == 8


def test_what_nobody_answers_or_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words; and before the page is served nothing is sent."""
    monkeypatch.setattr(command_module, "RESULT_S", 0.05)
    orders = PageCommands()
    assert orders.send("detector", "silence", SILENCE)[0] is HTTPStatus.TOO_MANY_REQUESTS
    orders.emit = lambda _: None
    status, body = orders.send("detector", "silence", SILENCE)
    assert (status, "the detector has not answered" in body["error"]) == (
        HTTPStatus.GATEWAY_TIMEOUT, True,
    )  # fmt: skip

    def refuse(item: object) -> None:
        assert isinstance(item, CommandRequested)
        assert item.service is Service.DETECTOR
        orders.answered(item.id, Result(name=item.name, at=AT, ok=False))

    orders.emit = refuse
    assert orders.send("detector", "silence", SILENCE) == (
        HTTPStatus.CONFLICT, {"error": "it was refused"},
    )  # fmt: skip


# --- frames, the past, settings -------------------------------------------------------------------


def test_five_hundred_lines_are_kept() -> None:
    """The newest; they are read until ten seconds after the last question."""
    one = Watched()
    assert not one.lines.is_wanted()
    one.put(501)

    assert [one.after(0)["lines"][n]["number"] for n in (0, -1)] == [2, 501]
    assert (one.after(1)["missed"], one.after(500)["lines"][0]["line"]) == (0, LINE.line)
    one.now_s += 9.9
    assert one.lines.is_wanted()
    one.now_s += 0.1
    assert not one.lines.is_wanted()


def test_four_questions_to_the_past_at_once() -> None:
    """The fifth is told so; each place is given back."""
    past = Past(lambda: None, "http://127.0.0.1:9/")
    for _ in range(6):
        with pytest.raises(NoPastError, match="does not answer"), past.ask("wire", ""):
            pass
    for _ in range(4):
        past._places.acquire()
    with pytest.raises(NoPastError, match="too many ask at once"), past.ask("wire", ""):
        pass


@pytest.mark.parametrize(
    ("listen", "url"),
    [("127.0.0.1", "http://127.0.0.1:80/"), ("0.0.0.0", "http://127.0.0.1:80/"),
     ("::", "http://[::1]:80/"), ("", "http://127.0.0.1:80/"), ("192.0.2.1", "http://192.0.2.1:80/")],
)  # fmt: skip
def test_where_a_browser_of_this_machine_finds_it(listen: str, url: str) -> None:
    """What means every address has one of them."""
    assert page_url(listen, 80) == url


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "192.0.2.1", "pi.lan"])
def test_beyond_this_machine_a_password_is_needed(listen: str) -> None:
    """Or something in front that asks for one."""
    with pytest.raises(ValueError, match="password: missing"):
        DashboardSettings(listen=listen)
    assert DashboardSettings(listen=listen, trust_proxy=True).password is None
    assert DashboardSettings(listen=listen, password="x").listen == listen  # type: ignore[arg-type]
    for mine in ("127.0.0.1", "::1", "localhost"):
        assert DashboardSettings(listen=mine).port == 8080


def test_without_addresses_none_is_fetched() -> None:
    """Whether nothing is said of them, or that there is none."""
    said = DashboardSettings(history_url=None, watch_url=None)

    assert (said.history_url, said.watch_url) == (None, None)
    assert said == DashboardSettings()
