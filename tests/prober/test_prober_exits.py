"""Where requests leave this machine: as the settings say, else as the routing table does."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.prober.partsmade import target

from monitorpi_common.service import ResourceError
from monitorpi_host.interfaces import Interface
from monitorpi_prober.items import Exit
from monitorpi_prober.schedule import ProbePlan
from monitorpi_prober.sources import exits
from monitorpi_prober.sources.exits import Place, destination, exits_of, leaves_from, place

WIRED, WIRELESS = "02:00:00:00:00:01", "02:00:00:00:00:02"
NEAR = (
    Interface("lo", None, "198.18.0.2", 8, True, True, False),
    Interface("eth0", WIRED, "198.18.0.1", 24, True, False, True),
    Interface("wlan0", WIRELESS, "198.18.0.2", 24, True, False, True),
)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a wired and a wireless interface."""
    monkeypatch.setattr(exits, "attached", lambda: iter(NEAR))
    monkeypatch.setattr(exits, "names", lambda: [one.name for one in NEAR])
    monkeypatch.setattr(exits, "v6_interfaces", lambda: {"fd00::2": "wlan0"})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (None, Place()),
        ("eth0", Place(None, "eth0")),
        ("198.18.0.1", Place("198.18.0.1", "eth0")),
        ("198.18.0.2", Place("198.18.0.2", "wlan0")),
        ("198.18.0.3", Place("198.18.0.3", None)),
        ("fd00::2", Place("fd00::2", None)),
    ],
)
def test_a_source_is_an_address_or_an_interface(source: str | None, found: Place) -> None:
    """An address means its interface too: the routing table alone might choose another."""
    assert place(source) == found


def test_an_interface_that_is_none_is_refused_with_those_there_are() -> None:
    """So that a typing mistake shows."""
    with pytest.raises(ResourceError, match=r"no interface 'eth7'.* one of lo, eth0, wlan0"):
        place("eth7")


def test_an_address_is_sent_from_to_those_of_its_version() -> None:
    """To others as routed."""
    assert [Place("198.18.0.1").ip(version) for version in (4, 6)] == ["198.18.0.1", None]
    assert [Place("fd00::2").ip(version) for version in (4, 6)] == [None, "fd00::2"]
    assert Place(interface="eth0").ip(4) is None


def test_a_zone_is_the_number_of_an_interface() -> None:
    """By its name, or as the number it is; others have none."""
    index = socket.if_nametoindex("lo")

    assert destination("192.0.2.1") == ("192.0.2.1", 0)
    assert destination("192.0.2.1", 9) == ("192.0.2.1", 9)
    assert destination("fe80::1%lo", 9) == ("fe80::1", 9, 0, index)
    assert destination("fe80::1%7") == ("fe80::1", 0, 0, 7)
    with pytest.raises(OSError, match=r"."):
        destination("fe80::1%nosuch0")


@pytest.mark.parametrize(
    ("ip", "pinned", "own"),
    [
        ("127.0.0.1", Place(), "127.0.0.1"),
        ("127.0.0.1", Place("127.0.0.5"), "127.0.0.5"),
        ("127.0.0.1", Place("fd00::2"), "127.0.0.1"),
        ("127.0.0.1", Place(interface="lo"), "127.0.0.1"),
        ("127.0.0.1", Place(interface="nosuch0"), None),
        ("127.0.0.1", Place("192.0.2.77"), None),
        ("fe80::1%nosuch0", Place(), None),
        ("255.255.255.255", Place(), None),
    ],
)
def test_which_own_address_a_packet_would_carry(ip: str, pinned: Place, own: str | None) -> None:
    """As the routing table says, within what is pinned; None where no packet would leave."""
    assert leaves_from(ip, pinned) == own


def test_an_address_of_ipv6_leaves_by_ipv6() -> None:
    """Where this machine has it."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        assert leaves_from("::1", Place()) is None
    else:
        assert leaves_from("::1", Place()) == "::1"
        assert leaves_from("::1", Place("127.0.0.5")) == "::1"


def test_where_the_requests_of_a_plan_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the MAC of the interface; who has no address or no way has no exit."""
    ways = {"192.0.2.1": "198.18.0.1", "192.0.2.2": "198.18.0.1", "fd00::9": "fd00::2",
            "127.0.0.1": "127.0.0.1", "fd00::8": "fd00::77"}  # fmt: skip
    asked: list[tuple[str, Any]] = []

    def leaves(ip: str, pinned: Place) -> str | None:
        asked.append((ip, pinned))
        return ways.get(ip)

    monkeypatch.setattr(exits, "leaves_from", leaves)
    plan = ProbePlan(quiet=(
        target("a", ip="192.0.2.1"), target("none", ip=None), target("far", ip="203.0.113.9"),
        target("b", ip="192.0.2.2"), target("c", ip="fd00::9"), target("d", ip="127.0.0.1"),
        target("e", ip="fd00::8"), target("again", ip="192.0.2.1"),
    ))  # fmt: skip
    known: dict[str, Exit] = {}

    found = exits_of(plan, "wlan0", known)

    assert found == {
        "a": Exit("198.18.0.1", WIRED), "b": Exit("198.18.0.1", WIRED),
        "c": Exit("fd00::2", WIRELESS), "d": Exit("127.0.0.1", None),
        "e": Exit("fd00::77", None), "again": Exit("198.18.0.1", WIRED),
    }  # fmt: skip
    assert found["a"] is found["b"]
    assert [ip for ip, _ in asked] == ["192.0.2.1", "203.0.113.9", "192.0.2.2", "fd00::9",
                                       "127.0.0.1", "fd00::8"]  # fmt: skip
    assert {pinned for _, pinned in asked} == {Place(interface="wlan0")}
    assert set(known) == set(ways)

    asked.clear()
    assert exits_of(plan, None, known) == found
    assert [ip for ip, _ in asked] == ["203.0.113.9"]
    known["192.0.2.1"] = Exit("198.18.0.9", WIRED)
    assert exits_of(plan, None, known)["a"] == Exit("198.18.0.9", WIRED)
    assert exits_of(plan, None)["a"] == Exit("198.18.0.1", WIRED)
