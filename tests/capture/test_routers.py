"""Who is a router: the evidence of others, for how long it counts, and its bounds."""

from __future__ import annotations

import pytest

from monitorpi_capture.inventory import routers as module
from monitorpi_capture.inventory.routers import (
    EVIDENCE_S,
    MAX_EVIDENCE,
    MAX_NAMED,
    MAX_VLANS,
    NAMED_S,
    RENEW_S,
    ROLE_S,
    SENDERS,
    TARGETS,
    Routers,
)

HERE, THERE = (), (7,)
ROUTER = b"\x02rrrrr"


def address(number: int) -> bytes:
    """Return an address beyond this wire."""
    return bytes([8, 8, 8, number])


def sender(number: int) -> bytes:
    """Return a device's MAC."""
    return b"\x02dddd" + bytes([number])


def passed(
    senders: int, targets: int, *, named: bool = False, each_s: float = 0.0, mac: bytes = ROUTER
) -> tuple[Routers, bool]:
    """Let devices send through a MAC to some addresses each; returns whether it has the role."""
    routers, found, now_s = Routers(), False, 0.0
    for number in range(senders):
        for target in range(targets):
            found = routers.see(mac, sender(number), address(target), now_s, named=named)
            now_s += each_s
    return routers, found


@pytest.mark.parametrize(
    ("senders", "targets", "named", "is_router"),
    [
        (SENDERS, TARGETS, False, True),
        (SENDERS - 1, TARGETS, False, False),
        (SENDERS, TARGETS - 1, False, False),
        (SENDERS - 1, TARGETS, True, True),
        (SENDERS - 1, TARGETS - 1, True, False),
        (SENDERS + 3, TARGETS + 9, False, True),
    ],
)
def test_several_send_to_several_addresses_through_it(
    senders: int, targets: int, named: bool, is_router: bool
) -> None:
    """One sender is enough where it was named."""
    routers, found = passed(senders, targets, named=named)

    assert found == is_router
    assert routers.is_shown(ROUTER, 0.0) == is_router
    assert (SENDERS, TARGETS) == (2, 4)


def test_addresses_of_one_v6_network_are_one() -> None:
    """A host has several."""
    routers = Routers()
    for network, expected in ((0, False), (1, False), (2, False), (3, True)):
        for host in range(5):
            target = bytes([0x26, 0, 0, 0, 0, 0, 0, network]) + bytes(7) + bytes([host])
            found = routers.see(ROUTER, sender(host), target, 0.0, named=False)
        assert found == expected


@pytest.mark.parametrize(("each_s", "is_router"), [(EVIDENCE_S / 8, True), (EVIDENCE_S / 3, False)])
def test_evidence_counts_for_an_hour(each_s: float, is_router: bool) -> None:
    """The last four targets and two senders must lie within it."""
    assert passed(SENDERS, TARGETS, each_s=each_s)[1] == is_router
    assert EVIDENCE_S == 3600.0


def test_the_role_ends_a_day_after_it_was_shown() -> None:
    """It is looked at once a minute, and goes on with new evidence."""
    routers, _ = passed(SENDERS, TARGETS)

    assert routers.is_shown(ROUTER, ROLE_S - 1)
    assert not routers.is_shown(ROUTER, ROLE_S)
    assert [routers.wants(ROUTER, at_s) for at_s in (0.0, RENEW_S - 1, RENEW_S)] == [
        False, False, True,
    ]  # fmt: skip
    assert routers.wants(b"other", 0.0)
    routers.see(ROUTER, sender(1), address(1), RENEW_S, named=False)
    assert routers.is_shown(ROUTER, ROLE_S + RENEW_S - 1)
    assert (RENEW_S, ROLE_S) == (60.0, 86_400.0)


def test_a_role_is_taken_back_after_a_restart_and_dropped() -> None:
    """A MAC that left has none."""
    routers = Routers()
    routers.restore(ROUTER, 100.0)
    assert routers.is_shown(ROUTER, 100.0 + ROLE_S - 1)

    routers.forget(ROUTER)
    routers.forget(ROUTER)

    assert not routers.is_shown(ROUTER, 100.0)


def test_a_name_of_a_dhcp_server_counts_for_two_days() -> None:
    """In its VLAN; the latest stay."""
    routers = Routers()
    routers.name(HERE, ["192.168.1.1"], 0.0)

    assert routers.is_named(HERE, "192.168.1.1", NAMED_S - 1)
    assert not routers.is_named(HERE, "192.168.1.1", NAMED_S)
    assert not routers.is_named(THERE, "192.168.1.1", 0.0)
    for number in range(MAX_NAMED):
        routers.name(HERE, ["192.168.1.1", f"10.0.0.{number}"], 1.0)
    assert routers.is_named(HERE, "192.168.1.1", NAMED_S)
    assert not routers.is_named(HERE, "10.0.0.0", 1.0)
    assert routers.is_named(HERE, "10.0.0.1", 1.0)
    assert (MAX_NAMED, NAMED_S) == (64, 172_800.0)


def test_an_advertisement_counts_by_vlan_until_it_is_withdrawn() -> None:
    """For nine thousand seconds at most (RFC 4861); the latest first."""
    routers = Routers()
    routers.advertise(ROUTER, HERE, 0.0)
    routers.advertise(ROUTER, THERE, 10.0)
    routers.advertise(ROUTER, HERE, 20.0)

    assert list(routers.advertised(ROUTER, 20.0).items()) == [(HERE, 20.0), (THERE, 10.0)]
    assert routers.advertised(ROUTER, 9010.0) == {HERE: 20.0}
    assert routers.advertised(ROUTER, 9020.0) == {}
    routers.withdraw(ROUTER, HERE)
    routers.withdraw(b"other", HERE)
    assert routers.advertised(ROUTER, 20.0) == {THERE: 10.0}
    assert routers.advertised(b"other", 0.0) == {}


def test_what_is_remembered_is_bounded() -> None:
    """The oldest leave: VLANs of a router, routers, and MACs with evidence."""
    routers = Routers()
    for number in range(MAX_VLANS + 1):
        routers.advertise(ROUTER, (number,), 0.0)
    assert set(routers.advertised(ROUTER, 0.0)) == {(n,) for n in range(1, MAX_VLANS + 1)}

    for number in range(MAX_NAMED):
        routers.advertise(b"mac%d" % number, HERE, 0.0)
    assert (routers.advertised(ROUTER, 0.0), routers.advertised(b"mac0", 0.0)) == ({}, {HERE: 0.0})

    for number in range(MAX_EVIDENCE + 1):
        routers.see(b"mac%d" % number, sender(0), address(0), 0.0, named=False)
    assert len(routers._evidence) == MAX_EVIDENCE
    assert (MAX_EVIDENCE, MAX_VLANS) == (1024, 64)


def test_networks_of_ipv6_count_and_not_their_hosts() -> None:
    """A host has several addresses, of few networks: a /64 is one."""
    routers = Routers()
    networks = [bytes([0x20, 1, 0xD, 0xB8, 0, 0, 0, number]) for number in range(TARGETS)]
    for network in networks[:-1]:
        for host in (bytes(8), bytes([1] * 8), bytes([0] * 7 + [1])):
            for number in range(SENDERS):
                assert not routers.see(ROUTER, sender(number), network + host, 0.0, named=False)

    assert routers.see(ROUTER, sender(0), networks[-1] + bytes(8), 0.0, named=False)


def test_of_what_others_sent_the_newest_few_are_remembered() -> None:
    """More than are needed say no more."""
    routers, _ = passed(SENDERS + 3, TARGETS + 3, each_s=1.0)

    evidence = routers._evidence[ROUTER]
    assert list(evidence.senders) == [sender(number) for number in (SENDERS + 1, SENDERS + 2)]
    assert list(evidence.targets) == [address(3 + number) for number in range(TARGETS)]


def test_a_clock_that_is_set_moves_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was an hour ago is an hour ago."""
    monkeypatch.setattr(module, "EVIDENCE_S", 10.0)
    routers, _ = passed(SENDERS, TARGETS)
    routers.name(HERE, ["192.168.1.1"], 0.0)
    routers.advertise(ROUTER, HERE, 0.0)
    routers.see(b"half", sender(0), address(0), 0.0, named=True)

    routers.shift(1e9)

    assert routers.is_shown(ROUTER, 1e9 + ROLE_S - 1)
    assert not routers.is_shown(ROUTER, 1e9 + ROLE_S)
    assert routers.is_named(HERE, "192.168.1.1", 1e9)
    assert routers.advertised(ROUTER, 1e9) == {HERE: 1e9}
    found = [
        routers.see(b"half", sender(0), address(n), 1e9 + 9.0, named=True) for n in range(1, 4)
    ]
    assert found == [False, False, True]
