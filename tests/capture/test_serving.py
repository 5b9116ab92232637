"""What a DHCP server sends its clients to: each VLAN apart, the latest first, so much of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.capture.windows import mac

from monitorpi_capture.inventory.serving import Directions, Serving
from monitorpi_capture.items import Sighting
from monitorpi_common.messages import Device, DhcpNetwork

AT = datetime(2026, 1, 2, tzinfo=UTC)


def answer(
    *routers: str, vlan: tuple[int, ...] = (), options: tuple[tuple[str, str], ...] = ()
) -> Sighting:
    """Return what a server answered a client."""
    return Sighting(mac(1), 1.0, "eth0", vlan=vlan, router_ips=routers, directions=options)


def device(**facts: Any) -> Device:
    """Return a device as it was published."""
    return Device(mac="02:00:00:00:00:01", first_seen=AT, last_seen=AT, present=True, **facts)


def test_an_answer_that_says_nothing_new_is_no_news() -> None:
    """In any order; what is new goes first, and of both so much is kept."""
    one = Serving()
    first = answer("a", "b", options=(("dns", "x"), ("dns", "y"), ("name", "n")))

    assert [one.take(first), one.take(first)] == [True, False]
    assert one.take(answer("b", "a", options=(("dns", "y"), ("dns", "x")))) is False
    assert one.take(answer("c", options=(("dns", "z"),))) is True
    assert one.all() == Directions(("c", "a", "b"), {"dns": ("z", "x", "y"), "name": ("n",)})
    one.take(answer("d", "e", options=tuple(("dns", str(n)) for n in range(9))))
    assert one.all().routers == ("d", "e", "c", "a")
    assert one.all().options["dns"] == tuple(map(str, range(8)))


def test_each_vlan_has_its_own_and_the_latest_is_first() -> None:
    """Of eight; the one that was longest silent goes."""
    one = Serving()
    for vlan in range(1, 10):
        one.take(answer(f"fd::{vlan}", vlan=(vlan,), options=(("dns", f"d{vlan}"),)))
    one.take(answer("fd::2", vlan=(2,)))

    assert [network.vlan for network in one.networks()] == [[v] for v in (2, 9, 8, 7, 6, 5, 4, 3)]
    assert one.networks()[0] == DhcpNetwork(vlan=[2], routers=["fd::2"], options={"dns": ["d2"]})
    assert one.all().routers == ("fd::2", "fd::9", "fd::8", "fd::7")
    assert one.all().options == {"dns": ("d2", "d9", "d8", "d7", "d6", "d5", "d4", "d3")}


def test_what_was_said_before_a_restart_comes_back_behind_what_is_said_since() -> None:
    """As far as there is room; what an earlier version published counts for each of its VLANs."""
    one = Serving()
    one.take(answer("fd::99", vlan=(2,)))
    old = [
        DhcpNetwork(vlan=[vlan], routers=[f"fd::{vlan}"], options={"dns": [f"d{vlan}"]})
        for vlan in range(1, 9)
    ]
    one.restore(device(dhcp_networks=old))

    assert [network.vlan for network in one.networks()] == [[v] for v in (2, 1, 3, 4, 5, 6, 7, 8)]
    assert [network.routers for network in one.networks()][:2] == [["fd::99"], ["fd::1"]]
    assert one.take(answer("fd::1", vlan=(1,), options=(("dns", "d1"),))) is False

    for vlans, found in (([[7], [8, 9]], [[7], [8, 9]]), ([], [[]])):
        earlier = Serving()
        earlier.restore(
            device(dhcp_routers=["192.0.2.1"], dhcp_options={"dns": ["x"]}, dhcp_vlans=vlans)
        )
        assert earlier.networks() == [
            DhcpNetwork(vlan=vlan, routers=["192.0.2.1"], options={"dns": ["x"]}) for vlan in found
        ]
