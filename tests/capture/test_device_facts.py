"""What is known of a device: addresses, role, maker, name."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from tests.capture.inventories import inventory, known, report, window
from tests.capture.windows import mac

from monitorpi_capture.inventory.devices import clean_name
from monitorpi_capture.items import (
    Sighting,
    TopPeer,
)


def test_addresses_come_from_sightings_only() -> None:
    """ARP, NDP and DHCP give addresses; the first and the newest of sixteen are kept, in order."""
    one = known(mac(1))
    for number in range(1, 21):
        one.learn(Sighting(mac(1), 12 + number, "eth0", ips=(f"192.0.2.{number}",)))

    (device,) = report(one, 40)

    assert device.ips == [f"192.0.2.{number}" for number in (1, *range(6, 21))]
    assert [held.ip for held in device.addresses] == device.ips
    assert device.role == "host"


def test_an_address_moves_with_the_first_claim() -> None:
    """Nobody shows what another one claims by now; both tell of it at once, whoever is a device."""
    one = known(mac(0x10), mac(0x20))
    one.learn(Sighting(mac(0x10), 12, "eth0", ips=("192.0.2.1", "192.0.2.7")))
    report(one, 12)
    one.learn(Sighting(mac(0x20), 13, "eth0", ips=("192.0.2.1",)))
    one.learn(Sighting(mac(0x99), 13, "eth0", ips=("192.0.2.7",)))

    devices = {device.mac[-2:]: device for device in report(one, 13)}

    assert {name: device.ips for name, device in devices.items()} == {
        "10": [], "20": ["192.0.2.1"], "99": ["192.0.2.7"],
    }  # fmt: skip
    claims = {(taken.ip, taken.claimant[-2:]) for taken in devices["10"].conflicts}
    assert claims == {("192.0.2.1", "20"), ("192.0.2.7", "99")}


def test_what_a_server_says_makes_nobody_present() -> None:
    """A client that is not on this wire becomes no device, however often its lease is renewed."""
    one = known(mac(1))
    for second in range(20, 200, 20):
        one.learn(Sighting(mac(2), second, "eth0", "dhcp", (), mac(1), named=("192.0.2.9",)))

    assert report(one, 200) == []
    assert (len(one), one.candidates) == (1, 0)


def test_addresses_say_how_they_are_known() -> None:
    """VLAN, times, protocol, and whether it is a router's or may end any day."""
    one = known(mac(1), mac(2))
    one.learn(Sighting(mac(1), 12, "eth0", vlan=(10,), ips=("192.0.2.1",)))
    one.learn(Sighting(mac(1), 15, "eth0", vlan=(10,), ips=("192.0.2.1",)))
    one.learn(Sighting(mac(1), 15, "eth0", "nd", ips=("2001:db8::a1b2:c3d4:e5f6:a7b8",)))
    one.learn(
        Sighting(mac(2), 16, "eth0", "dhcp", (10,), mac(9), named=("192.0.2.2",),
                 router_ips=("192.0.2.1",))
    )  # fmt: skip

    first, second = report(one, 20)

    assert [
        (held.ip, held.vlan, held.how, held.router, held.temporary) for held in first.addresses
    ] == [
        ("192.0.2.1", [10], "arp", True, False),
        ("2001:db8::a1b2:c3d4:e5f6:a7b8", [], "nd", False, True),
    ]
    assert first.addresses[0].since == datetime.fromtimestamp(12, UTC)
    assert first.addresses[0].claimed_at == datetime.fromtimestamp(15, UTC)
    assert [(held.ip, held.how) for held in second.addresses] == [("192.0.2.2", "dhcp")]


def test_what_one_says_of_itself_makes_no_router() -> None:
    """An advertisement, and an address that DHCP names: nobody is excused for it."""
    one = known(mac(1), mac(2), mac(3))
    one.learn(Sighting(mac(1), 12, "eth0", "ra", is_router=True))
    one.learn(Sighting(mac(2), 12, "eth0", ips=("192.0.2.1",)))
    one.learn(
        Sighting(mac(3), 13, "eth0", "dhcp", (), mac(9), named=("192.0.2.9",),
                 router_ips=("192.0.2.1",))
    )  # fmt: skip

    devices = {device.mac[-1]: device for device in report(one, 20)}

    assert {name: device.role for name, device in devices.items()} == {
        "1": "unknown", "2": "host", "3": "host",
    }  # fmt: skip
    assert devices["1"].advertised_at == datetime.fromtimestamp(12, UTC)
    one.learn(Sighting(mac(1), 30, "eth0", "ra", ends_router=True))
    assert {device.mac[-1]: device.advertised_at for device in report(one, 30)} == {"1": None}


def test_a_router_by_one_device_where_others_name_it() -> None:
    """One that advertises, or that DHCP names, is a router when one device reaches the world."""
    one = known(mac(1), mac(3))
    one.learn(Sighting(mac(3), 12, "eth0", "ra", is_router=True))
    for number in range(4):
        peer = TopPeer(mac(3), bytes([8, 8, 8, number]), 443, 5)
        one.count(window(20 + number, mac(1), peer=peer))

    assert one.role(mac(3)) == "router"


def test_what_is_on_this_wire_is_not_behind_a_router() -> None:
    """Addresses of a network that DHCP told of, own ones, and all of one /64 together."""
    one = known(mac(1), mac(2), mac(3))
    one.learn(Sighting(mac(3), 12, "eth0", "dhcp", named=("8.8.8.1",), subnets=("8.8.8.0/24",)))
    one.learn(Sighting(mac(3), 12, "eth0", ips=("9.9.9.9",)))
    for number in range(40):
        v4 = TopPeer(mac(3), bytes([8, 8, 8, number]) if number % 2 else bytes([9] * 4), 443, 5)
        v6 = TopPeer(mac(3), bytes.fromhex("2a02") + bytes(13) + bytes([number]), 443, 5)
        one.count(window(20 + number, mac(1), peer=v4))
        one.count(window(20 + number, mac(2), peer=v6))

    assert one.role(mac(3)) == "host"


def test_who_answers_dhcp_is_a_server() -> None:
    """The flag stands from the first answer on."""
    one = known(mac(1))
    one.learn(Sighting(mac(1), 12, "eth0", serves_dhcp=True))

    assert report(one, 20)[0].dhcp_server


def test_a_router_by_what_others_reach_through_it() -> None:
    """Two devices that reach four public addresses through a MAC show a router."""
    one = known(mac(1), mac(2), mac(3))
    for number in range(4):
        peer = TopPeer(mac(3), bytes([8, 8, 8, number]), 443, 5)
        one.count(window(20 + number, mac(1 + number % 2), peer=peer))

    assert one.role(mac(3)) == "router"
    assert one.role(mac(1)) == "unknown"


def test_nobody_becomes_a_router_by_forging_sources_or_alone() -> None:
    """One device that floods many public addresses makes no router of itself or its victim."""
    one = known(mac(1), mac(3))
    for number in range(50):
        peer = TopPeer(mac(3), bytes([8, 8, 8, number]), 443, 500)
        one.count(window(20 + number, mac(1), peer=peer))

    assert one.role(mac(1)) == "unknown"
    assert one.role(mac(3)) == "unknown"


def test_the_vendor_is_looked_up() -> None:
    """The registry is asked once, when a MAC becomes a device."""
    one = inventory(vendor=lambda address: f"maker of {address.hex()}")
    one.count(window(1, mac(1)))
    one.count(window(11, mac(1)))

    assert report(one, 11)[0].vendor == "maker of 020000000001"


@given(st.text(max_size=300))
def test_no_name_breaks_a_page_or_a_log(name: str) -> None:
    """Host names are foreign: printable, bounded, without quotes and brackets."""
    cleaned = clean_name(name)

    if cleaned is not None:
        assert cleaned.isprintable()
        assert 0 < len(cleaned) <= 63
        assert not set(cleaned) & set("<>&\"'\\")
