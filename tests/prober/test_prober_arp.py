"""The program that sweeps: what it asks, what counts as an answer, and what it prints."""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any, Self

import pytest
from scapy.layers.l2 import ARP, Ether

from monitorpi_prober.sources import sweep

OWN = "02:00:00:00:00:01"
NETWORK = ipaddress.IPv4Network("198.18.0.0/29")


def test_every_other_address_is_asked_for_once() -> None:
    """By broadcast, in our own name."""
    asked = dict(sweep.requests(NETWORK, OWN, "198.18.0.2"))

    assert list(asked) == [f"198.18.0.{n}" for n in (1, 3, 4, 5, 6)]
    frame = Ether(asked["198.18.0.3"])
    arp = frame[ARP]
    assert (frame.dst, frame.src, frame.type) == ("ff:ff:ff:ff:ff:ff", OWN, 0x0806)
    assert (arp.op, arp.hwsrc, arp.psrc, arp.pdst) == (1, OWN, "198.18.0.2", "198.18.0.3")


def answer(ip: str = "198.18.0.5", mac: str = "B8:27:EB:00:00:05", op: int = 2) -> bytes:
    """Write an ARP reply."""
    return bytes(Ether(src=mac, dst=OWN) / ARP(op=op, hwsrc=mac, psrc=ip, hwdst=OWN))


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (answer(), ("198.18.0.5", "b8:27:eb:00:00:05")),
        (answer(op=1), None),
        (answer("198.18.0.8"), None),
        (answer("198.18.0.7"), ("198.18.0.7", "b8:27:eb:00:00:05")),
        (answer(mac="01:00:5e:00:00:01"), None),
        (answer(mac="02:00:5e:00:00:01"), ("198.18.0.5", "02:00:5e:00:00:01")),
        (answer()[:20], None),
        (bytes(Ether(src=OWN, dst=OWN, type=0x0800)) + bytes(20), None),
        (b"", None),
        (b"\xff" * 60, None),
    ],
)  # fmt: skip
def test_what_counts_as_an_answer(frame: bytes, found: tuple[str, str] | None) -> None:
    """A reply from the subnet, by one device: neither a question nor a group."""
    assert sweep.reply(frame, NETWORK) == found


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return two sockets that hear each other, and let a sweep listen but for a moment."""
    monkeypatch.setattr(sweep, "LISTEN_S", 0.02)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        yield ours, theirs


def sent(theirs: socket.socket) -> list[str]:
    """Return the addresses that were asked for."""
    found = []
    while True:
        try:
            found.append(Ether(theirs.recv(2048))[ARP].pdst)
        except BlockingIOError:
            return found


def test_a_sweep_asks_and_listens(pair: Any) -> None:
    """Whoever answers first has an address; what is no answer ends nothing."""
    ours, theirs = pair
    for frame in (answer(op=1), answer(), answer(mac="02:00:00:00:00:99"), answer("198.18.0.6")):
        theirs.send(frame)

    found = sweep.sweep(ours, NETWORK, (OWN, "198.18.0.1"), 10_000.0)

    assert found == {"198.18.0.5": "b8:27:eb:00:00:05", "198.18.0.6": "b8:27:eb:00:00:05"}
    assert sent(theirs) == [f"198.18.0.{n}" for n in range(2, 7)]


def test_a_sweep_keeps_its_rate(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request at each step, also where one was late: what was missed is not made up for."""
    ours, _ = pair
    now, moments, ends = [100.0], list[float](), list[float]()
    late = iter([0.0, 5.0, 0.0, 0.0, 0.0])

    def listen(_sock: Any, _network: Any, until: float, _found: Any) -> None:
        ends.append(until)
        now[0] = max(now[0], until)

    class Sent:
        def send(self, _: bytes) -> None:
            now[0] += next(late)
            moments.append(now[0])

    monkeypatch.setattr(sweep, "_listen", listen)
    monkeypatch.setattr(sweep.time, "monotonic", lambda: now[0])

    assert sweep.sweep(Sent(), NETWORK, (OWN, "198.18.0.1"), 2.0) == {}

    assert moments == [100.0, 105.5, 105.5, 106.0, 106.5]
    assert ends[-1] == pytest.approx(106.5 + 0.02)
    del ours


def test_a_sleeping_phone_has_its_time_to_answer() -> None:
    """It takes about a second."""
    assert sweep.LISTEN_S == 1.5


def test_where_no_packet_socket_may_be_opened_the_program_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the code of a missing resource, and a line for the prober."""

    def refused(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refused)

    assert sweep.main(["eth9", "198.18.0.0/29", OWN, "198.18.0.1", "10"]) == 3

    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "no packet socket on eth9: Operation not permitted\n")


def test_the_program_prints_who_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line each, by a socket for ARP alone that is bound to the interface."""
    made: list[Any] = []

    class Sock:
        def __init__(self, *kind: int) -> None:
            made.append(kind)

        def bind(self, where: tuple[str, int]) -> None:
            made.append(where)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            made.append("closed")

    def swept(_sock: Any, *told: Any) -> dict[str, str]:
        made.append(told)
        return {"198.18.0.5": "b8:27:eb:00:00:05", "198.18.0.6": "b8:27:eb:00:00:06"}

    monkeypatch.setattr(sweep, "sweep", swept)
    monkeypatch.setattr(socket, "socket", Sock)

    assert sweep.main(["eth9", "198.18.0.0/29", OWN, "198.18.0.1", "10"]) == 0

    assert capsys.readouterr().out == "198.18.0.5 b8:27:eb:00:00:05\n198.18.0.6 b8:27:eb:00:00:06\n"
    arp = socket.htons(0x0806)
    assert made == [(socket.AF_PACKET, socket.SOCK_RAW, arp), ("eth9", 0x0806),
                    (NETWORK, (OWN, "198.18.0.1"), 10.0), "closed"]  # fmt: skip


def test_no_more_answers_than_addresses(pair: Any) -> None:
    """Whoever answers for everything fills no memory."""
    ours, theirs = pair
    small = ipaddress.IPv4Network("198.18.0.4/31")
    for ip in ("198.18.0.4", "198.18.0.5"):
        theirs.send(answer(ip))
    found: dict[str, str] = {"a": "b"}

    sweep._listen(ours, small, time.monotonic() + 0.05, found)

    assert list(found) == ["a", "198.18.0.4"]
