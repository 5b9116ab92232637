"""The networks of a wire: whose address is nobody's, and what lies beyond a router."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from monitorpi_capture.inventory import subnets as module
from monitorpi_capture.inventory.subnets import LONGEST, MAX_NETWORKS, Subnets

if TYPE_CHECKING:
    from monitorpi_capture.inventory.holding import Space

HERE: Space = ()
THERE: Space = (7,)


def named(*networks: str, space: Space = HERE) -> Subnets:
    """Learn networks of a VLAN."""
    one = Subnets()
    one.learn(space, networks)
    return one


def beyond(one: Subnets, address: str) -> bool:
    """Return whether an address is none of this wire's."""
    return one.is_beyond(ipaddress.ip_address(address).packed)


def test_a_network_is_new_once_and_by_vlan() -> None:
    """However its address is written; what is none, or holds everything, is passed over."""
    one = Subnets()

    assert one.learn(HERE, ["192.168.1.0/24"])
    assert not one.learn(HERE, ["192.168.1.77/24"])
    assert one.learn(THERE, ["192.168.1.0/24"])
    assert one.learn(HERE, ["192.168.1.0/24", "10.0.0.0/8"])
    assert not one.learn(HERE, ["nonsense", "0.0.0.0/0", "::/0", f"10.1.1.0/{LONGEST + 1}"])
    assert one.learn(HERE, [f"10.1.1.0/{LONGEST}"])
    assert one.learn(HERE, ["2001:db8::/127"])
    assert LONGEST == 29


@pytest.mark.parametrize(
    ("networks", "address", "is_nobodys"),
    [
        ([], "192.168.1.0", True),
        ([], "192.168.1.255", True),
        ([], "192.168.1.254", False),
        (["192.168.0.0/23"], "192.168.0.255", False),
        (["192.168.0.0/23"], "192.168.0.0", True),
        (["192.168.0.0/23"], "192.168.1.255", True),
        (["192.168.1.0/25"], "192.168.1.127", True),
        (["192.168.1.0/25"], "192.168.1.255", True),  # of no network that is known
        (["192.168.1.0/25", "192.168.1.0/24"], "192.168.1.127", False),  # the largest counts
        (["2001:db8::/64"], "2001:db8::", True),
        (["2001:db8::/64"], "2001:db8::ffff", False),
        (["2001:db8::/64", "2001:db8::/48"], "2001:db8::", True),
        ([], "2001:db8::", False),
    ],
)
def test_first_and_last_of_a_network_are_nobodys(
    networks: list[str], address: str, is_nobodys: bool
) -> None:
    """Of IPv6 the first alone; another VLAN's networks count for nothing."""
    assert named(*networks).is_nobodys(HERE, address) == is_nobodys
    there = named(*networks, space=THERE)
    assert there.is_nobodys(HERE, address) == Subnets().is_nobodys(HERE, address)


@pytest.mark.parametrize(
    ("networks", "address", "is_beyond"),
    [
        ([], "8.8.8.8", True),
        ([], "192.168.1.7", False),
        (["192.168.1.0/24"], "192.168.1.7", False),
        (["192.168.1.0/24"], "192.168.2.7", True),
        (["192.168.1.0/24"], "fd00::7", False),
        (["8.8.8.0/24"], "8.8.8.8", False),
        (["fd00::/64"], "fd00:0:0:1::7", True),
        ([], "2600::7", True),
        (["192.168.1.0/24"], "224.0.0.251", False),
        (["192.168.1.0/24"], "169.254.1.1", False),
        (["192.168.1.0/24"], "127.0.0.1", False),
        (["192.168.1.0/24"], "0.0.0.0", False),
        (["fd00::/64"], "fe80::1", False),
    ],
)
def test_what_is_in_no_network_of_ours_lies_beyond(
    networks: list[str], address: str, is_beyond: bool
) -> None:
    """Of the addresses that are somebody's; before a network is known, the Internet's alone."""
    assert beyond(named(*networks), address) == is_beyond


def test_what_was_answered_is_answered_anew_when_a_network_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers are kept for a while, and bounded."""
    monkeypatch.setattr(module, "MAX_ANSWERS", 2)
    one = named("192.168.1.0/24")
    assert [beyond(one, f"10.0.0.{n}") for n in range(5)] == [True] * 5
    assert len(one._beyond) <= 2

    one.learn(HERE, ["10.0.0.0/24"])

    assert not beyond(one, "10.0.0.4")


def test_a_device_shows_that_its_v6_network_is_on_this_link() -> None:
    """A /64, where nobody named one; addresses of the link and IPv4 show nothing."""
    one = Subnets()
    for address in ("192.168.1.7", "fe80::1"):
        one.learn_link(HERE, address)
    assert beyond(one, "2600::1")

    one.learn_link(HERE, "2600::7")
    assert (beyond(one, "2600::1"), beyond(one, "2600:0:0:1::1")) == (False, True)
    one.learn(HERE, ["2601::/48"])
    one.learn_link(HERE, "2601::7")
    assert not one.learn(HERE, ["2600::/64"])
    assert one.learn(HERE, ["2601::/64"])


def test_the_networks_named_last_stay() -> None:
    """Whoever names ever new ones pushes out what nobody names any more."""
    one = named("192.168.1.0/24", "192.168.2.0/24")
    for number in range(MAX_NETWORKS - 1):
        one.learn(HERE, ["192.168.1.0/24", f"10.{number}.0.0/16"])

    assert not one.learn(HERE, ["192.168.1.0/24"])
    assert one.learn(HERE, ["192.168.2.0/24"])
    assert len(one._known) == MAX_NETWORKS
    assert MAX_NETWORKS == 64
