"""Stories of a LAN, live: what moves, ends, shares and is forged, each with its alert or silence.

One stack watches one lab in which all stories happen at once, each on hosts of its own; the last,
the Pi's own cable, takes them all.
"""

from __future__ import annotations

import asyncio
import os

import pytest
from tests.system.stories import PREFIX, VIRTUAL, Told, second_card, tell_all

from monitorpi_common.topics import mac_id

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def told() -> Told:
    """Let all stories happen once."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab makes network namespaces")
    return asyncio.run(tell_all())


# --- what is told of them -------------------------------------------------------------------------


def test_a_lease_that_changes_is_no_failure(told: Told) -> None:
    """The old address is nobody's any more: no alert, and no target."""
    host = told.hosts[6]

    assert set() == told.about(mac_id(host.mac), host.ip, "198.18.1.77")
    assert [host.ip] == told.gone


def test_a_temporary_address_ends_in_silence(told: Told) -> None:
    """Its device is there under its other addresses."""
    host = told.hosts[7]

    assert set() == told.about(mac_id(host.mac), f"{PREFIX}7", f"{PREFIX}a:1", f"{PREFIX}a:2")


def test_a_phone_that_roams_is_told_of_once_at_most(told: Told) -> None:
    """And nothing of it stays open."""
    phone, repeater = told.hosts[8], told.hosts[9]

    assert told.about(mac_id(phone.mac), mac_id(repeater.mac), phone.ip) <= {
        ("arp-spoof", "warning")
    }


def test_cards_that_share_an_address_call_nobody(told: Told) -> None:
    """Bonding is no forgery."""
    nas = told.hosts[-1]

    assert set() == told.about(mac_id(nas.mac), mac_id(second_card(nas)), nas.ip)


def test_a_virtual_router_may_move(told: Told) -> None:
    """That is what it is for."""
    mac, address = VIRTUAL["good"]

    assert set() == told.about(mac_id(mac), address)


def test_a_stranger_that_claims_a_virtual_routers_address_is_critical(told: Told) -> None:
    """It names the stranger."""
    stranger = told.hosts[13]

    assert ("arp-spoof", "critical") in told.about(mac_id(stranger.mac))


def test_who_denies_newcomers_their_addresses_is_critical(told: Told) -> None:
    """One alert, which names it."""
    assert {("address-denial", "critical")} == told.about(mac_id(told.hosts[17].mac))


def test_a_slow_arp_sweep_is_told(told: Told) -> None:
    """By the addresses that nobody has."""
    assert {("host-sweep", "warning")} == told.about(mac_id(told.hosts[18].mac))


def test_a_rogue_router_is_told_and_no_excuse_for_its_scan(told: Told) -> None:
    """Both alerts name it."""
    rules = {rule for rule, _ in told.about(mac_id(told.hosts[14].mac))}

    assert {"rogue-ra", "rogue-dhcp", "host-sweep"} <= rules


def test_a_host_of_four_addresses_that_scans_is_told(told: Told) -> None:
    """Its own addresses make it no router."""
    assert "host-sweep" in {rule for rule, _ in told.about(mac_id(told.hosts[15].mac))}


def test_the_pis_own_cable_is_one_story(told: Told) -> None:
    """Twenty devices that do not answer have one cause."""
    assert len(told.cable) <= 1, [alert.summary for alert in told.cable]
