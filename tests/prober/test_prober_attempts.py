"""Single requests and rounds by the prober's own clock: no wire but loopback, no waiting."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import Any, cast

import pytest
from tests.prober.partsmade import target

from monitorpi_common.service import ResourceError
from monitorpi_prober.flights import GRACE_S, Flights, Request, TargetRow
from monitorpi_prober.items import NO_NEIGHBOUR, ProbeAttempt, Resolution, RoundDone, Wanted
from monitorpi_prober.schedule import ProbeGroup, ProbePlan
from monitorpi_prober.sources import names, neighbours
from monitorpi_prober.sources.attempts import Attempts
from monitorpi_prober.sources.names import GIVE_UP_S, LEAVE_ALONE_S, REFRESH_S, DeviceNames
from monitorpi_prober.sources.neighbours import Hop, Neighbours
from monitorpi_prober.sources.packets import V4, V6, Format
from monitorpi_prober.sources.pinger import Pinger
from monitorpi_prober.sources.sockets import Link
from monitorpi_prober.sources.wire import EchoWire

NEAR = Hop((2, bytes((192, 0, 2, 1))))
BEHIND = Hop((2, bytes((192, 0, 2, 254))), "192.0.2.254")
SEEN = 0x02
"""NUD_REACHABLE (linux/neighbour.h)."""
FAILED = 0x20
"""NUD_FAILED."""


class Silent:
    """A socket from which nobody ever hears."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def sendto(self, packet: bytes, *to: Any) -> int:
        """Take a packet."""
        self.sent.append(to[-1][0])
        return len(packet)

    def recvmsg(self, *_: int) -> Any:
        """Have nothing."""
        raise BlockingIOError


def wire(hops: dict[str, Hop]) -> tuple[EchoWire, Silent]:
    """Return sockets without a wire, by which some next hops are known."""
    one, sock = EchoWire(hops=hops), Silent()
    one.neighbours.sock = cast("socket.socket", sock)
    for version, family in ((4, V4), (6, V6)):
        link = Link(cast("socket.socket", sock), Format(family, 7, bytes(8)), stamps=False)
        one.links[version] = one.quiet_links[version] = link
    return one, sock


def finished(attempts: Attempts, now: float) -> list[ProbeAttempt]:
    """Return the outcomes that are known."""
    found: list[Any] = []
    attempts.finish(now, found.append)
    return found


def test_a_contact_that_is_there_already_is_reported_without_a_request() -> None:
    """Whom the kernel knows need not be asked for; the report is due at once, and says so once."""
    one, sock = wire({"192.0.2.1": NEAR})
    one.neighbours.usable.add(NEAR.neighbour)
    attempts = Attempts(one)
    now = time.monotonic()

    attempts.contact(target("a"))
    due = attempts.ask(now)

    (found,) = finished(attempts, now)
    assert due == now
    assert (found.echoes.key, found.has_neighbour, found.echoes.times_ms) == ("a", True, ())
    assert (sock.sent, finished(attempts, now), attempts.ask(now)) == ([], [], None)
    attempts.ask_for(target("a"))
    attempts.ask(now)
    assert finished(attempts, now) == []


@pytest.mark.parametrize(
    ("ip", "hop", "text"),
    [
        ("192.0.2.1", NEAR, "nobody answers ARP for this address"),
        ("192.0.2.1", BEHIND, "the router to it, 192.0.2.254, does not answer ARP"),
        ("2001:db8::1", NEAR, "nobody answers neighbour discovery for this address"),
        (
            "2001:db8::1", Hop((2, bytes(16)), "fe80::1"),
            "the router to it, fe80::1, does not answer neighbour discovery",
        ),
    ],
)  # fmt: skip
def test_a_contact_that_never_comes_about_says_who_is_silent(ip: str, hop: Hop, text: str) -> None:
    """The request never left: it counts as unsent, and the reason names the protocol."""
    one, sock = wire({ip: hop})
    one._all.append(one.links[4])
    attempts = Attempts(one)
    now = time.monotonic()

    attempts.contact(target("a", ip=ip))
    attempts.ask(now)
    early = (one.expire(now + 1), finished(attempts, now + 1))
    one.expire(now + 60)

    (found,) = finished(attempts, now + 60)
    assert (sock.sent, early[1]) == ([ip], [])
    assert (found.has_neighbour, found.echoes.unsent, found.echoes.times_ms) == (False, 1, ())
    assert (found.echoes.error, found.echoes.cause) == (text, NO_NEIGHBOUR)
    assert (one.unsent, one.expire(now + 61)) == (1, None)


def test_a_reply_after_the_end_is_late_once_and_a_second_one_foreign_to_nobody() -> None:
    """Each packet that counts for nothing is counted as what it is, and once."""
    one, _ = wire({})
    row = TargetRow("a")
    request = one.send(one.links[4], row, "192.0.2.1")
    assert request is not None
    assert one.flights.next_expiry() == pytest.approx(
        request.before_ns / 1e9 + row.limit_s + GRACE_S
    )

    one.expire(request.before_ns / 1e9 + 60)
    for number in (request.number, request.number, request.number + 5):
        one.flights.after_the_end(number)

    tally = one.flights.tally
    assert (tally.late, tally.duplicate, tally.foreign) == (2, 0, 1)


def test_what_ended_is_remembered_for_a_while() -> None:
    """The last 2,048 requests at least, and no more than twice as many."""
    flights = Flights()
    for number in range(10_000):
        request = Request(TargetRow("a"), number, "192.0.2.1", 0, 0)
        flights.depart(request, 1.0)
        flights.receive(request, 1.0)

    tally = flights.tally
    for number in range(10_000 - 2048, 10_000):
        flights.after_the_end(number)
    assert (tally.duplicate, tally.foreign) == (2048, 0)
    for number in range(10_000 - 4096):
        flights.after_the_end(number)
    assert (tally.duplicate, tally.foreign) == (2048, 10_000 - 4096)


# --- rounds ---------------------------------------------------------------------------------------


def test_a_round_ends_when_all_is_sent_and_answered_and_knows_the_noise_floor() -> None:
    """On loopback: each request of the round is in its report, and times of our own stack."""
    plan_of = ProbeGroup(0.2, 8, tuple(target(f"127.0.0.{n}", ip=f"127.0.0.{n}") for n in (1, 2)),
                         0.2)  # fmt: skip
    pinger, found = Pinger(), list[Any]()

    def emit(item: object) -> None:
        if isinstance(item, RoundDone):
            found.append(item)
            pinger.stop()

    pinger.follow(ProbePlan())
    pinger.hurry(plan_of)
    try:
        pinger.run(emit)
    except ResourceError as error:
        pytest.skip(str(error))

    (done,) = found
    assert [len(one.times_ms) for one in done.echoes] == [8, 8]
    assert all(time is not None for one in done.echoes for time in one.times_ms)
    assert len(done.noise_ms) == 10
    assert all(0 < time < 1000 for time in done.noise_ms)


# --- neighbours -----------------------------------------------------------------------------------


def neighbour(kind: int, address: bytes, state: int, family: int = socket.AF_INET) -> bytes:
    """Write what the kernel says of a neighbour on interface 2 (rtnetlink(7))."""
    body = struct.pack("=BxxxiHBB", family, 2, state, 0, 1)
    body += struct.pack("=HH", 4 + len(address), 1) + address
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


class Told:
    """A routing socket that has some packets."""

    def __init__(self, *packets: bytes) -> None:
        self._packets = [*packets]

    def recv(self, _: int) -> bytes:
        """Return the next one."""
        if not self._packets:
            raise BlockingIOError
        return self._packets.pop(0)


NEW, DELETED = 28, 29
V4_ADDRESS, V6_ADDRESS = bytes((192, 0, 2, 1)), socket.inet_pton(socket.AF_INET6, "fe80::1")


@pytest.mark.parametrize(
    ("packets", "usable"),
    [
        ([neighbour(NEW, V4_ADDRESS, SEEN)], {(2, V4_ADDRESS)}),
        ([neighbour(NEW, V6_ADDRESS, SEEN, socket.AF_INET6)], {(2, V6_ADDRESS)}),
        ([neighbour(NEW, b"\1\2\3\4\5\6", SEEN, socket.AF_BRIDGE)], set()),
        ([neighbour(NEW, V4_ADDRESS, FAILED)], set()),
        ([neighbour(NEW, V4_ADDRESS, SEEN), neighbour(NEW, V4_ADDRESS, FAILED)], set()),
        ([neighbour(NEW, V4_ADDRESS, SEEN), neighbour(DELETED, V4_ADDRESS, SEEN)], set()),
        ([neighbour(NEW, V4_ADDRESS, SEEN) + neighbour(NEW, V6_ADDRESS, SEEN, socket.AF_INET6)],
         {(2, V4_ADDRESS), (2, V6_ADDRESS)}),
    ],
)  # fmt: skip
def test_the_kernels_neighbours_are_followed(packets: list[bytes], usable: set[Any]) -> None:
    """Of both families and no other; who failed or was deleted is usable no more."""
    one = Neighbours(cast("socket.socket", Told(*packets)))

    assert one.poll() is True
    assert one.usable == usable
    assert one.poll() is False


def route(kind: int, *attributes: tuple[int, bytes]) -> list[tuple[int, bytes]]:
    """Write the kernel's answer which way packets to an address go (rtnetlink(7))."""
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 0, 0, 0, kind, 0)
    for name, value in attributes:
        body += struct.pack("=HH", 4 + len(value), name) + value
    return [(24, body)]


OUT = (4, struct.pack("=i", 2))
"""RTA_OIF: through interface 2."""
VIA = (18, struct.pack("=H", socket.AF_INET6) + V6_ADDRESS)
"""RTA_VIA: an IPv4 route through an IPv6 neighbour (RFC 5549)."""


@pytest.mark.parametrize(
    ("answer", "has_no_arp", "hop"),
    [
        (route(1, OUT), False, Hop((2, V4_ADDRESS))),
        (route(1, OUT), True, None),
        (route(2, OUT), False, None),
        (route(1), False, None),
        (route(1, OUT, (5, b"\xc0\0\2\xfe")), False, Hop((2, b"\xc0\0\2\xfe"), "192.0.2.254")),
        (route(1, OUT, VIA), False, Hop((2, V6_ADDRESS), "fe80::1")),
        ([(24, b"short")], False, None),
        ([(2, b"")], False, None),
    ],
)
def test_whom_requests_are_handed_to(
    monkeypatch: pytest.MonkeyPatch, answer: list[tuple[int, bytes]], has_no_arp: bool,
    hop: Hop | None,
) -> None:  # fmt: skip
    """The address itself or its router; nobody on links without ARP, nor for our own address."""
    monkeypatch.setattr(neighbours, "_ask", lambda *_: answer)
    monkeypatch.setattr(neighbours, "has_no_arp", lambda _: has_no_arp)

    one = Neighbours(cast("socket.socket", Told()))
    assert one.hops(["192.0.2.1"]) == ({} if hop is None else {"192.0.2.1": hop})


# --- names ----------------------------------------------------------------------------------------


class OnlyWoken(threading.Event):
    """Wakes nobody by time alone; tells when somebody waits who has looked at everything."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.looked = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until somebody sets it; a test that would hang fails by then."""
        del timeout
        self.waits += 1
        if self.waits == 2:
            self.looked.set()
        return super().wait(20)


def test_a_host_name_that_waits_for_a_place_is_looked_up_as_soon_as_one_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not at the next look at the clock."""
    source, found, all_found = names.HostNames(), list[str](), threading.Event()
    woken = source._wake = OnlyWoken()
    wanted = tuple(f"host{n}.example" for n in range(30))

    def look_up(name: str) -> Resolution:
        woken.looked.wait(10)
        return Resolution(name, "192.0.2.1")

    def emit(item: object) -> None:
        assert isinstance(item, Resolution)
        found.append(item.hostname)
        if len(found) == len(wanted):
            all_found.set()

    monkeypatch.setattr(names, "look_up", look_up)
    source.want(Wanted(wanted, ()))
    thread = threading.Thread(target=source.run, args=(emit,), daemon=True)
    thread.start()

    assert all_found.wait(10)
    source.stop()
    thread.join(10)
    assert sorted(found) == sorted(wanted)


def test_while_the_name_server_is_away_only_devices_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For a minute; whose name was not asked for by DNS then is asked for again in five."""
    now, slow_s = [1000.0], [3.0]
    asked: list[tuple[str, str]] = []

    def dns(address: str) -> None:
        asked.append(("dns", address))
        now[0] += slow_s[0]

    monkeypatch.setattr(names.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(names, "reverse_dns", dns)
    monkeypatch.setattr(names, "ask_device", lambda ip, _: asked.append(("device", ip)))
    source = DeviceNames()
    source.want(Wanted((), ("a", "b", "c")))

    def serve(address: str) -> None:
        assert source._next() == address
        source._name_of(address)

    serve("a")
    serve("b")
    assert asked == [("dns", "a"), ("device", "a"), ("device", "b")]

    now[0] += LEAVE_ALONE_S
    slow_s[0] = 0.0
    serve("c")
    assert asked[3:] == [("dns", "c"), ("device", "c")]
    assert source._next() is None

    now[0] = 1003.0 + REFRESH_S
    assert [source._next(), source._next(), source._next()] == ["a", "b", None]
    now[0] = 1063.0 + REFRESH_S
    assert source._next() is None
    now[0] = 1063.0 + GIVE_UP_S
    assert source._next() == "c"
