"""What comes back on the sockets: credited to its request, noted, or only counted. No wire."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest
from tests.prober.line import IP, OTHER, Rig, error, reply, stamp

from monitorpi_prober.flights import Note
from monitorpi_prober.items import ALTERED, NO_NEIGHBOUR, NO_REPLY, OTHER_ADDRESS, UNREACHABLE
from monitorpi_prober.sources import packets
from monitorpi_prober.sources.packets import V4, Format
from monitorpi_prober.sources.wire import plain

MS = 1_000_000
"""In nanoseconds."""


# --- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrived_ms", "took_ms"),
    [
        (4.0, 4.0), (0.0, 0.0), (10.0, 10.0), (11.0, 11.0), (11.1, 10.0), (-1.0, 0.0),
        (-1.1, 10.0), (None, 10.0), (3600_000.0, 10.0), (-3600_000.0, 10.0),
    ],
)  # fmt: skip
def test_a_time_is_the_kernels_unless_the_clock_was_stepped(
    arrived_ms: float | None, took_ms: float
) -> None:
    """It can be no longer than from handing over to reading, but for what slewing explains."""
    rig = Rig()
    request = rig.send()
    extra = [] if arrived_ms is None else [stamp(request.wall_ns + round(arrived_ms * MS))]

    data = reply(rig.line.sent[0][0])
    rig.wire._match(rig.link, data, extra, IP, request.before_ns + 10 * MS)

    assert rig.row.times == {request.number: pytest.approx(took_ms)}
    assert rig.row.has_answered
    assert rig.counted == {}


def test_the_drivers_stamp_takes_the_place_of_our_own() -> None:
    """Where it is read before the reply is; one of another's request, or none at all, does not."""
    rig = Rig(stamps=True)
    request = rig.send()
    packet = rig.line.sent[0][0]
    stamped = request.wall_ns + 3 * MS
    sending = packets.SO_TIMESTAMPING
    foreign = Format(V4, None, bytes(8)).request(request.number)
    rig.line.errors += [
        (bytes(14) + foreign, [stamp(stamped + MS, sending)], 0, None),
        (bytes(14) + packet, [stamp(0, sending)], 0, None),
    ]
    rig.wire.read_queue(rig.link)
    assert not request.stamped

    rig.line.errors.append((bytes(14) + packet, [stamp(stamped, sending)], 0, None))
    rig.wire._match(rig.link, reply(packet), [stamp(stamped + 2 * MS)], IP,
                    request.before_ns + 10 * MS)  # fmt: skip

    assert (request.stamped, request.wall_ns) == (True, stamped)
    assert rig.row.times == {request.number: pytest.approx(2.0)}


def test_a_stamp_is_read_as_soon_as_it_costs_little() -> None:
    """One after each request, where there are stamps; what is known already is not looked for."""
    rig = Rig(stamps=True)
    sending = packets.SO_TIMESTAMPING
    rig.line.errors = [(b"", [], 0, None)] * 3

    first = rig.send()
    assert len(rig.line.errors) == 2
    rig.line.errors = [(rig.line.sent[0][0], [stamp(5 * MS, sending)], 0, None)]
    rig.send()
    assert (first.stamped, first.wall_ns) == (True, 5 * MS)

    rig.line.errors = [(b"", [], 0, None)] * 3
    rig.hear(reply(rig.line.sent[0][0]))
    assert len(rig.line.errors) == 3
    rig.hear(reply(rig.line.sent[1][0]))
    assert len(rig.line.errors) == 0
    without = Rig()
    without.line.errors = [(b"", [], 0, None)]
    without.send()
    without.hear(reply(without.line.sent[0][0]))
    assert len(without.line.errors) == 1


# --- whose they are -------------------------------------------------------------------------------


def test_each_reply_counts_once() -> None:
    """Another one is a duplicate; what nobody asked for is foreign."""
    rig = Rig()
    rig.send()
    packet = rig.line.sent[0][0]

    rig.hear(reply(packet))
    assert rig.counted == {}
    rig.hear(reply(packet))
    rig.hear(b"\0" * 64)

    assert rig.counted == {"duplicate": 1, "foreign": 1}


def test_who_answers_for_another_is_no_reply() -> None:
    """It is noted, and a reply of the right one still counts."""
    rig = Rig()
    first, second = rig.send(), rig.send()
    for packet, _, _ in rig.line.sent:
        rig.hear(reply(packet), OTHER)
    assert rig.row.times == {first.number: None, second.number: None}
    assert rig.counted == {"impostor": 2}

    rig.hear(reply(rig.line.sent[0][0]))
    rig.wire.expire(second.before_ns / 1e9 + 60)

    assert rig.row.times[first.number] is not None
    assert (rig.row.altered, rig.row.note) == (1, Note("answered by 192.0.2.2", OTHER_ADDRESS))
    assert plain("fe80::1%eth0") == "fe80::1"


def test_an_address_is_the_same_with_its_zone() -> None:
    """The kernel names the interface beside a link-local one."""
    rig = Rig(ip="fe80::1%1")
    request = rig.send()

    rig.hear(reply(rig.line.sent[0][0]), "fe80::1%lo")

    assert rig.row.times[request.number] is not None
    assert rig.counted == {}
    assert rig.line.sent[0][2] == ("fe80::1", 0, 0, 1)


@pytest.mark.parametrize(
    ("how", "sender", "counted", "flaw"),
    [
        ({"code": 3}, IP, {}, "answers with code 3 instead of 0"),
        ({"payload": b""}, IP, {}, "answers, but without the data that was sent"),
        ({"payload": b"x" * 56}, IP, {}, "answers, but not with what was sent"),
        ({"sequence": 7}, IP, {"foreign": 1}, "answers with another sequence number"),
        ({"payload": b"x" * 56}, OTHER, {"foreign": 1}, None),
        ({"code": 3}, OTHER, {"foreign": 1}, None),
    ],
)
def test_an_answer_that_is_no_reply_is_noted_with_its_request(
    how: dict[str, Any], sender: str, counted: dict[str, int], flaw: str | None
) -> None:
    """Whose it is says its number, else the newest request of its sequence number."""
    rig = Rig()
    rig.wire._number = 40_000
    rig.send()
    request = rig.send()

    rig.hear(reply(rig.line.sent[1][0], **how), sender)

    assert rig.counted == counted
    noted = {} if flaw is None else {request.number: Note(flaw, ALTERED)}
    assert rig.wire.flights.flaws == noted


def test_an_answer_after_the_end_is_only_counted() -> None:
    """Whatever is wrong with it: late where its request was lost."""
    rig = Rig()
    request = rig.send()
    rig.wire.expire(request.before_ns / 1e9 + 60)

    rig.hear(reply(rig.line.sent[0][0], code=3))
    rig.hear(reply(rig.line.sent[0][0], payload=b"x"))

    assert rig.counted == {"late": 1, "foreign": 1}
    assert rig.wire.flights.flaws == {}


def test_a_damaged_reply_is_none() -> None:
    """As an unprivileged socket never sees it; but the target is told of it."""
    rig = Rig(identifier=7)
    rig.send()
    good = b"\x45" + bytes(19) + reply(rig.line.sent[0][0])
    data = good[:60] + b"\1" + good[61:]

    rig.hear(data)

    assert rig.counted == {"damaged": 1}
    assert rig.row.note == Note("its replies have a wrong checksum", NO_REPLY)
    assert rig.wire.flights.flaws == {}


# --- the error queue ------------------------------------------------------------------------------


def test_what_a_router_says_is_noted_with_the_request_it_quotes() -> None:
    """A reply may still come."""
    rig = Rig()
    request = rig.send()

    rig.fail(rig.line.sent[0][0], 3, 1, (IP, 0), offender="10.0.0.1")

    assert rig.row.note == Note("no route to host, says 10.0.0.1", UNREACHABLE)
    assert rig.row.times == {request.number: None}
    assert rig.wire.unsent == 0


@pytest.mark.parametrize(
    ("offender", "code", "is_ours"),
    [("", 1, True), ("10.0.0.9", 1, True), ("", 0, False), ("10.0.0.1", 1, False)],
)
def test_what_our_own_kernel_gave_up_was_never_sent(
    offender: str, code: int, is_ours: bool
) -> None:
    """Nobody answered ARP: that is no loss."""
    rig = Rig()
    rig.wire.neighbours.own = frozenset({"10.0.0.9"})
    rig.send()

    rig.fail(rig.line.sent[0][0], 3, code, (IP, 0), offender=offender)

    assert rig.row.unsent == rig.wire.unsent == int(is_ours)
    assert len(rig.row.times) == 1 - is_ours
    assert rig.row.note is not None
    assert rig.row.note.cause == (NO_NEIGHBOUR if is_ours else UNREACHABLE)


@pytest.mark.parametrize(("code", "unsent"), [(3, 1), (4, 0), (1, 0)])
def test_neighbour_discovery_that_is_in_vain_was_never_sent_either(code: int, unsent: int) -> None:
    """Our own kernel says that the address is unreachable (RFC 4443, 3.1)."""
    rig = Rig(ip="fd00::1")
    rig.send()
    family = struct.pack("=HHI", socket.AF_INET6, 0, 0)
    body = struct.pack("@IBBBBII", errno.EHOSTUNREACH, 3, 1, code, 0, 0, 0) + family
    offender = socket.inet_pton(socket.AF_INET6, "fd00::9")
    rig.wire.neighbours.own = frozenset({"fd00::9"})
    extra = (socket.IPPROTO_IPV6, packets.IPV6_RECVERR, body + offender)

    rig.line.errors.append((rig.line.sent[0][0], [extra], 0, ("fd00::1", 0)))
    rig.wire.read_queue(rig.link)

    assert rig.row.unsent == unsent
    text = "nobody answers neighbour discovery for this address"
    assert rig.row.note is not None
    assert (rig.row.note.text == text) is bool(unsent)


@pytest.mark.parametrize(
    "case", ["another identifier", "to another", "to nobody", "too short", "not under way"]
)
def test_an_error_about_no_request_of_ours_is_left_aside(case: str) -> None:
    """Forged ones do not know identifiers, addresses and numbers."""
    rig = Rig(identifier=7)
    request = rig.send()
    packet = rig.line.sent[0][0]
    to: Any = (IP, 0)
    match case:
        case "another identifier":
            packet = packet[:4] + b"\0\x08" + packet[6:]
        case "to another":
            to = (OTHER, 0)
        case "to nobody":
            to = None
        case "too short":
            packet = packet[:7]
        case _:
            rig.wire.expire(request.before_ns / 1e9 + 60)
            rig.row.note = None

    rig.fail(packet, 3, 1, to, offender="10.0.0.1")

    assert rig.row.note is None
    fitting = Rig(identifier=7)
    fitting.send()
    fitting.fail(fitting.line.sent[0][0], 3, 1, (IP, 0), offender="10.0.0.1")
    assert fitting.row.note is not None


def test_an_error_wakes_a_socket_that_has_nothing_to_read() -> None:
    """What waits on the error queue is read then, at one awakening or among others."""
    for receive in (lambda rig: rig.wire.receive_one(rig.link), lambda rig: rig.wire.receive_all()):
        rig = Rig()
        rig.send()
        rig.line.heard = [OSError(errno.EHOSTUNREACH, "x")]
        rig.line.errors = [(rig.line.sent[0][0], [error(3, 1, "10.0.0.1")], 0, (IP, 0))]

        receive(rig)

        assert rig.row.note is not None
        assert rig.line.errors == []


def test_only_so_much_is_read_at_once() -> None:
    """So that something is sent again; a socket nothing was sent by is not looked at."""
    rig = Rig()
    rig.line.heard = [(b"", [], 0, (OTHER, 0))] * 1030
    rig.wire.receive_all()
    assert len(rig.line.heard) == 1030
    rig.send()

    rig.wire.receive_all()
    assert len(rig.line.heard) == 6
    rig.wire.receive_all()
    assert (rig.line.heard, rig.counted) == ([], {"foreign": 1030})

    rig.line.errors = [(b"", [], 0, None)] * 300
    rig.wire.read_queue(rig.link)
    assert len(rig.line.errors) == 44
