"""Requests that are handed over, refused or given up. No wire."""

from __future__ import annotations

import errno

import pytest
from tests.prober.line import IP, NEAR, OTHER, Rig, error, reply

from monitorpi_prober.flights import GRACE_S, Note
from monitorpi_prober.items import NO_NETWORK, UNREACHABLE, UNSENT
from monitorpi_prober.sources import wire
from monitorpi_prober.sources.wire import EchoWire

CONFIRM = 0x800
"""MSG_CONFIRM (send(2))."""


# --- sending --------------------------------------------------------------------------------------


def test_a_request_is_under_way_from_when_it_was_handed_over() -> None:
    """Each has the next number, and ends when its limit and the grace have passed."""
    rig = Rig()
    rig.row.limit_s = 3.0
    assert not rig.link.is_used

    first, second = rig.send(), rig.send()

    assert second.number == first.number + 1
    assert rig.link.is_used
    assert [to for _, _, to in rig.line.sent] == [(IP, 0)] * 2
    assert rig.wire.flights.next_expiry() == pytest.approx(first.before_ns / 1e9 + 3.0 + GRACE_S)
    assert (first.row, first.ip, first.stamped) == (rig.row, IP, False)


def test_a_reply_confirms_the_neighbour_with_the_next_request() -> None:
    """With the next alone: the kernel need not ask by ARP meanwhile."""
    rig = Rig()
    rig.send()
    rig.hear(reply(rig.line.sent[0][0]))
    rig.send()
    rig.send()

    assert [flags for _, flags, _ in rig.line.sent] == [0, CONFIRM, 0]


def test_what_is_refused_because_of_another_is_sent_again() -> None:
    """An ICMP error that waited on the socket is read first; refused twice it is not sent."""
    rig = Rig()
    rig.send()
    rig.line.errors = [(rig.line.sent[0][0], [error(3, 1, "10.0.0.1")], 0, (IP, 0))]
    rig.line.refusals = [errno.EHOSTUNREACH]
    request = rig.send()
    assert rig.row.note is not None
    assert (len(rig.line.sent), rig.wire.unsent, rig.row.unsent) == (2, 0, 0)
    assert rig.line.errors == []
    assert request.number in rig.wire.flights.requests

    for number, tries in ((errno.ECONNREFUSED, 2), (errno.ENETUNREACH, 2), (errno.EACCES, 1)):
        rig.line.refusals = [number] * 2
        assert rig.wire.send(rig.link, rig.row, IP) is None
        assert len(rig.line.refusals) == 2 - tries
    assert (rig.wire.unsent, rig.row.unsent) == (3, 3)
    assert len(rig.row.times) == 2


def test_a_request_that_was_sent_again_left_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the wall clock, which its time is reckoned from until the driver says more."""
    rig, clock = Rig(), iter([5, 7])
    rig.line.refusals = [errno.EHOSTUNREACH]
    monkeypatch.setattr(wire.time, "time_ns", lambda: next(clock))

    assert rig.send().wall_ns == 7


@pytest.mark.parametrize(
    ("number", "ip", "text", "cause"),
    [
        (errno.ENETUNREACH, IP, "network is unreachable", NO_NETWORK),
        (errno.EADDRNOTAVAIL, IP, "cannot assign requested address", NO_NETWORK),
        (errno.ENODEV, IP, "no such device", NO_NETWORK),
        (errno.ENETDOWN, IP, "network is down", NO_NETWORK),
        (errno.EHOSTUNREACH, IP, "no route to host", UNREACHABLE),
        (errno.ECONNREFUSED, IP, "connection refused", UNREACHABLE),
        (errno.EPERM, IP, "operation not permitted", UNSENT),
        (errno.ENOBUFS, IP, "no buffer space available", UNSENT),
        (errno.EAGAIN, IP, "the send buffer is full: the link is too slow for prober.max_rate",
         UNSENT),
        (errno.EINVAL, IP, "invalid argument", UNSENT),
        (errno.EINVAL, "fe80::1", "say on which interface it is: fe80::1%eth0, for example",
         NO_NETWORK),
        (errno.EINVAL, "fe80::1%1", "invalid argument", UNSENT),
        (errno.EINVAL, "fe80::1%lo", "invalid argument", UNSENT),
        (errno.EINVAL, "fd00::1", "invalid argument", UNSENT),
        (errno.EPERM, "fe80::1", "operation not permitted", UNSENT),
        (errno.ENODEV, "fe80::1%nosuch0", "this machine has no interface nosuch0", NO_NETWORK),
    ],
)  # fmt: skip
def test_why_the_kernel_did_not_take_a_request(number: int, ip: str, text: str, cause: str) -> None:
    """In words, and whether it says something of the target."""
    rig = Rig(ip=ip)
    rig.line.refusals = [number] * 2

    assert rig.wire.send(rig.link, rig.row, ip) is None

    assert rig.row.note == Note(text, cause)
    assert (rig.row.unsent, rig.wire.unsent, rig.row.times) == (1, 1, {})


def test_an_error_without_a_number_is_told_as_it_is() -> None:
    """Such as one of Python's own."""
    assert wire._refusal(OSError("odd"), IP) == Note("odd", UNSENT)


# --- the end --------------------------------------------------------------------------------------


def test_replies_are_given_up_a_quarter_of_a_second_late_at_most() -> None:
    """Several at a time; what has come is read first, and is none of them."""
    rig = Rig()
    assert rig.wire.expire(1e12) is None
    first, second = rig.send(), rig.send()
    over = first.before_ns / 1e9 + 1.0 + GRACE_S

    assert rig.wire.expire(over) == pytest.approx(over + 0.25)
    assert rig.wire.expire(over + 0.24) == pytest.approx(over + 0.25)
    assert len(rig.wire.flights) == 2
    rig.line.heard = [(reply(rig.line.sent[1][0]), [], 0, (IP, 0))]
    assert rig.wire.expire(over + 0.3) == pytest.approx(over + 0.55)

    assert len(rig.wire.flights) == 0
    assert rig.row.times[first.number] is None
    assert rig.row.times[second.number] is not None
    assert rig.wire.expire(over + 0.6) is None


@pytest.mark.parametrize(
    ("is_usable", "is_stamped", "unsent"),
    [(False, False, 1), (False, True, 0), (True, False, 0), (True, True, 0)],
)
def test_what_waited_for_a_neighbour_in_vain_was_never_sent(
    is_usable: bool, is_stamped: bool, unsent: int
) -> None:
    """Unless the driver took it."""
    rig = Rig()
    rig.wire.hops = {IP: NEAR}
    rig.wire.neighbours.usable = {NEAR.neighbour} if is_usable else set()
    request = rig.send()
    request.stamped = is_stamped

    rig.wire.expire(request.before_ns / 1e9 + 60)

    assert rig.row.unsent == rig.wire.unsent == unsent
    assert rig.wire.lacks_neighbour(IP) is not is_usable
    assert not rig.wire.lacks_neighbour(OTHER)


def test_an_address_of_a_version_we_have_not() -> None:
    """Says so."""
    one = EchoWire()

    assert one.no_family("fd00::1") == Note("this machine has no IPv6", NO_NETWORK)
    assert one.no_family(IP) == Note("this machine has no IPv4", NO_NETWORK)
