"""What the rules about devices call by its name, and what they leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.detector.windows import (
    ATTACKER,
    ID,
    ROUTER,
    VICTIM,
    Detector,
    device,
)

from monitorpi_detector.state import Kept

if TYPE_CHECKING:
    from monitorpi_common.messages import (
        Device,
    )

# --- devices -------------------------------------------------------------------------------------

LEARNED = 100.0


def watched(*known: Device) -> Detector:
    """Build a detector whose learning time has passed in sight of some devices."""
    detector = Detector(learning_s=LEARNED)
    detector.take(*known, device(known[0].mac, 60), device(known[0].mac, 120))
    return detector


def test_a_new_device_is_told_of_after_the_first_day() -> None:
    """In the learning time every device is known; later a new one is told of once."""
    detector = watched(device(ATTACKER, 0, "198.18.0.10"))

    said = detector.take(
        device(VICTIM, 121, "198.18.0.11", vendor="Acme", randomised=True),
        device(VICTIM, 180, "198.18.0.11"),
    )

    assert [(one.key, one.severity) for one in said] == [("new-device-04000000000b", "info")]
    assert "Acme, private address" in said[0].summary


def test_time_that_nobody_watched_teaches_nothing() -> None:
    """Two captures a month apart in one file are no month of learning."""
    detector = Detector()

    said = detector.take(device(ATTACKER, 0), device(VICTIM, 30 * 86400.0))

    assert said == []


def test_the_routers_address_at_another_mac_is_spoofing() -> None:
    """Who claims the address of a router that is here is told of at once, as critical."""
    detector = Detector()
    detector.take(device(ROUTER, 0, "198.18.0.1", role="router"))

    said = detector.take(device(ATTACKER, 5, "198.18.0.10", "198.18.0.1"))

    assert [(f"arp-spoof-{ID}", "critical")] == [(one.key, one.severity) for one in said]
    assert said[0].evidence.victims[0].mac == ROUTER


def test_a_lease_that_goes_to_another_device_is_no_spoofing() -> None:
    """An address whose holder has left moves once, and nobody is told."""
    detector = Detector()

    said = detector.take(
        device(VICTIM, 0, "198.18.0.50"),
        device(ATTACKER, 1000, "198.18.0.50"),
        device(VICTIM, 1001, "198.18.0.50", present=False),
        device(ATTACKER, 1060, "198.18.0.50"),
    )

    assert said == []


def test_an_address_that_two_present_devices_hold_on_to_is_spoofing() -> None:
    """The old holder is still here a minute later and still claims it: one of them lies."""
    detector = Detector()

    said = detector.take(
        device(VICTIM, 0, "198.18.0.50"),
        device(ATTACKER, 10, "198.18.0.10", "198.18.0.50"),
        device(VICTIM, 75, "198.18.0.50"),
    )

    assert [f"arp-spoof-{ID}"] == [one.key for one in said]


def test_virtual_router_addresses_pass_from_router_to_router() -> None:
    """An address that moves between a virtual router's MAC (VRRP) and its owner's is no forgery."""
    virtual = "00:00:5e:00:01:0a"
    detector = Detector()

    said = detector.take(
        device(virtual, 0, "198.18.0.1", role="router"),
        device(ROUTER, 1, "198.18.0.1", role="router"),
        device(virtual, 2, "198.18.0.1", role="router"),
        device(ROUTER, 3, "198.18.0.2"),
        device(virtual, 4, "198.18.0.1", "198.18.0.2"),
    )

    assert said == []


def test_an_unknown_dhcp_server_is_rogue() -> None:
    """Servers of the learning time, or the configured ones, are known; another one is told of."""
    detector = watched(device(ROUTER, 0, dhcp_server=True))

    said = detector.take(device(ATTACKER, 121, dhcp_server=True))

    assert f"rogue-dhcp-{ID}" in [one.key for one in said]
    configured = Detector(dhcp_servers=[ROUTER])
    assert [f"rogue-dhcp-{ID}"] == [
        one.key for one in configured.take(device(ATTACKER, 1, dhcp_server=True))
    ]


def test_configured_dhcp_servers_are_all_there_are() -> None:
    """What was learned before is not known any more once the configuration names the servers."""
    learned = Kept(dhcp_servers=[ATTACKER])

    said = Detector(kept=learned, dhcp_servers=[ROUTER]).take(device(ATTACKER, 1, dhcp_server=True))
    unsaid = Detector(kept=learned).take(device(ATTACKER, 1, dhcp_server=True))

    assert [one.key for one in said] == [f"rogue-dhcp-{ID}"]
    assert unsaid == []
