"""Who is probed: what is configured, announced, discovered, and how many."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any

import pytest
from tests.drive import drive, messages, received
from tests.prober.corebench import ADDRESS, MAC, OTHER, OWN, T0, Prober, device, latched

from monitorpi_common.messages import (
    HeldAddress,
    Probe,
    Target,
    Tombstone,
)
from monitorpi_common.service import (
    Tick,
    TombstoneReceived,
)
from monitorpi_common.topics import Topic, mac_from_id, mac_id
from monitorpi_prober.items import (
    Found,
    KnownAddress,
    Resolution,
)

# --- targets --------------------------------------------------------------------------------


def test_sources_are_merged_by_address() -> None:
    """A configured target takes MAC and vendor from what was seen; its name stays."""
    prober = Prober(targets=[{"address": ADDRESS, "name": "printer"}])
    drive(prober.core, [received(device(ADDRESS, OTHER), "b827eb000007")])

    first, second = prober.plan.targets

    assert (first.name, first.mac, first.vendor) == ("printer", MAC, "Raspberry Pi")
    assert (second.name, second.address) == ("Raspberry Pi 00:00:07", OTHER)


def test_a_duplicate_is_told_and_not_probed_twice() -> None:
    """The same address twice, or a host name of it, is one target and a clear line."""
    prober = Prober(ADDRESS, ADDRESS, "printer.test")
    drive(prober.core, [Resolution("printer.test", ADDRESS)])

    assert [one.ip for one in prober.plan.targets] == [ADDRESS, None, None]
    assert "same target as 192.0.2.1" in str(prober.plan.targets[2].error)


def test_a_host_name_that_does_not_resolve_is_a_state() -> None:
    """It stands in the message with its reason, and costs the others nothing."""
    prober = Prober("nowhere.test", ADDRESS)
    drive(prober.core, [Resolution("nowhere.test", None, "does not resolve")])

    rows = next(m for m in messages(prober.round(1.0)) if isinstance(m, Probe)).targets

    assert (rows[0].sent, rows[0].state, rows[1].state) == (0, "unknown", "up")
    assert prober.plan.rate == 1.0


@pytest.mark.parametrize(("settings", "more"), [({}, set()), ({"pin": [OWN.mac]}, {OWN.ip})])
def test_this_machine_is_no_target_of_its_own(settings: dict[str, Any], more: set[str]) -> None:
    """A round trip that never leaves the machine says nothing of the LAN, unless it is wanted."""
    prober = Prober(ADDRESS, **settings)

    drive(prober.core, [received(device(OWN.ip, mac=OWN.mac), "b827eb000063")])

    assert {one.ip for one in prober.plan.targets} == {ADDRESS} | more


def test_ignored_devices_are_left_alone() -> None:
    """Neither an ignored address nor an ignored MAC is probed; its retained state is taken back."""
    prober = Prober(ADDRESS, ignore=[MAC, OTHER])

    said = drive(
        prober.core,
        [
            received(device("192.0.2.9"), "b827eb000007"),
            received(
                latched("up").model_copy(update={"address": OTHER}), "192-0-2-2", retained=True
            ),
        ],
    )

    assert [one.address for one in prober.plan.targets] == [ADDRESS]
    assert said == [Tombstone("192-0-2-2", Target)]


def test_pinned_devices_stay() -> None:
    """A pinned device remains a target when capture forgets it; another one goes."""
    prober = Prober(pin=[MAC])
    drive(prober.core, [received(device(ADDRESS), "b827eb000007")])
    drive(prober.core, [received(device(OTHER, mac="b8:27:eb:00:00:08"), "b827eb000008")])

    gone = drive(
        prober.core,
        [
            TombstoneReceived(Topic("lab", "capture", "device", id_))
            for id_ in ("b827eb000007", "b827eb000008")
        ],
    )

    assert [one.address for one in prober.plan.targets] == [ADDRESS]
    assert gone == [Tombstone("192-0-2-2", Target)]


def test_an_address_that_ended_is_no_target() -> None:
    """A new lease: the old address goes at once, a sweep that found it or not."""
    prober = Prober()
    drive(
        prober.core,
        [
            received(device(ADDRESS), "b827eb000007"),
            Found("eth0", (KnownAddress(ADDRESS, MAC, interface="eth0"),)),
        ],
    )

    said = drive(prober.core, [received(device(OTHER), "b827eb000007")])

    assert [one.address for one in prober.plan.targets] == [OTHER]
    assert said == [Tombstone("192-0-2-1", Target)]


@pytest.mark.parametrize("newcomer_first", [True, False])
def test_an_address_that_moved_stays_a_target(newcomer_first: bool) -> None:
    """Whichever device's message comes first, the next holder is probed there."""
    prober = Prober()
    other = "b8:27:eb:00:00:08"
    told = [
        received(device(ADDRESS, mac=other), "b827eb000008"), received(device(), "b827eb000007"),
    ]  # fmt: skip
    drive(prober.core, [received(device(ADDRESS), "b827eb000007")])

    drive(prober.core, told if newcomer_first else told[::-1])

    assert [(one.address, one.mac) for one in prober.plan.targets] == [(ADDRESS, other)]


def test_temporary_addresses_are_probed_where_there_are_no_others() -> None:
    """They end any day, and the device answers elsewhere all the time."""
    ips = ["192.0.2.1", "2001:db8::1:2:3:4", "2001:db8::5:6:7:8"]
    held = [
        HeldAddress(ip=ip, since=T0, claimed_at=T0 + timedelta(seconds=n), temporary=":" in ip)
        for n, ip in enumerate(ips)
    ]
    all_of_them, temporary = Prober(), Prober()
    attached = [ipaddress.ip_network("2001:db8::/32")]
    for one in (all_of_them, temporary):
        one.core.targets.attached = lambda: attached

    drive(all_of_them.core, [received(device(*ips, addresses=held), "b827eb000007")])
    drive(temporary.core, [received(device(*ips[1:], addresses=held[1:]), "b827eb000007")])

    assert [one.address for one in all_of_them.plan.targets] == ips[:1]
    assert [one.address for one in temporary.plan.targets] == ips[2:]


def test_made_up_addresses_are_marked() -> None:
    """A randomised MAC has no vendor, and the target says so."""
    prober = Prober()
    drive(prober.core, [Found("eth0", (KnownAddress(ADDRESS, "02:11:22:33:44:55"),))])

    target = next(m for m in messages(prober.round(1.0)) if isinstance(m, Target))

    assert target.randomised
    assert target.name == "private address 33:44:55"


def test_the_number_of_targets_is_bounded() -> None:
    """Beyond the limit the newest devices are probed, and the rest is counted."""
    prober = Prober(max_targets=10)
    drive(
        prober.core,
        [
            received(device(f"198.18.0.{n}", mac=f"b8:27:eb:00:01:{n:02x}"), f"b827eb0001{n:02x}")
            for n in range(1, 31)
        ],
    )

    assert len(prober.plan.targets) == 10
    assert prober.plan.targets[0].address == "198.18.0.30"
    assert prober.core.detail()["omitted"] == 20


def claims(first: int, count: int) -> list[Any]:
    """Build announcements of devices nobody has seen before, each with an address of its own."""
    ids = [f"b827eb01{n:04x}" for n in range(first, first + count)]
    return [
        received(
            device(f"198.18.{int(id_[8:10], 16)}.{int(id_[10:], 16)}", mac=mac_from_id(id_)), id_
        )
        for id_ in ids
    ]


@pytest.mark.parametrize("live", [True, False])
def test_devices_by_the_hundred_displace_none_that_answers(live: bool) -> None:
    """Whoever invents devices does not make the prober forget the real ones."""
    prober = Prober(max_targets=10)
    drive(prober.core, claims(1, 8))
    prober.round(1.0)
    prober.core.live = live

    drive(prober.core, [*claims(1000, 500), Tick(T0, 100.0, clock_synced=True)])

    probed = [one.address for one in prober.plan.targets]
    assert {f"198.18.0.{n}" for n in range(1, 9)} <= set(probed)
    assert probed[8:] == ["198.18.5.219", "198.18.5.218"]


@pytest.mark.parametrize(
    ("claimed", "settings", "probed"),
    [
        ("8.8.8.8", {}, False),
        ("2606:4700::1111", {}, False),
        ("9.9.9.9", {}, True),  # its subnet is ours
        ("2620:fe::9", {}, True),
        ("8.8.8.8", {"pin": ["8.8.8.8"]}, True),
        ("8.8.8.8", {"targets": [{"address": "8.8.8.8"}]}, True),
        ("10.20.30.40", {}, True),  # another subnet of the house, behind a router
        ("fd00::1", {}, True),
    ],
)
def test_nobody_makes_us_ping_the_internet(
    claimed: str, settings: dict[str, Any], probed: bool
) -> None:
    """An ARP frame claims any address; a public one is probed where it can be somebody near."""
    prober = Prober(**settings)
    near = [ipaddress.ip_network("9.9.9.0/24"), ipaddress.ip_network("2620:fe::/64")]
    prober.core.targets.attached = lambda: near

    drive(prober.core, [received(device(claimed), "b827eb000007")])

    assert [one.address for plan in prober.plans[-1:] for one in plan.targets] == [claimed] * probed
    assert probed or prober.core.detail()["omitted_public"] == 1


# --- discovery ------------------------------------------------------------------------------


def sweeps(prober: Prober, count: int, *found: KnownAddress) -> list[Any]:
    """Let so many sweeps of an interface find the same; returns what was said."""
    return drive(prober.core, [Found("eth0", found)] * count)


def test_a_discovered_device_that_moved_leaves_its_old_address() -> None:
    """A lease ended: two sweeps find the MAC elsewhere, and the old address is no target."""
    prober = Prober()
    sweeps(prober, 1, KnownAddress(ADDRESS, MAC, interface="eth0"))

    said = sweeps(prober, 2, KnownAddress(OTHER, MAC, interface="eth0"))

    assert [one.address for one in prober.plan.targets] == [OTHER]
    assert said == [Tombstone("192-0-2-1", Target)]


def test_a_discovered_device_that_is_silent_stays_for_a_day() -> None:
    """A missed sweep changes nothing; one of another interface says nothing; a day of them does."""
    prober = Prober()
    sweeps(prober, 1, KnownAddress(ADDRESS, MAC, interface="eth0"))

    drive(prober.core, [Found("wlan0", ())] * 100)
    sweeps(prober, 47)
    assert [one.address for one in prober.plan.targets] == [ADDRESS]

    sweeps(prober, 1)
    assert prober.plan.targets == ()


def test_a_pinned_device_that_is_silent_stays_for_ever() -> None:
    """A pinned address is kept whatever sweeps find."""
    prober = Prober(pin=[ADDRESS])
    sweeps(prober, 1, KnownAddress(ADDRESS, MAC, interface="eth0"))

    sweeps(prober, 100)

    assert [one.address for one in prober.plan.targets] == [ADDRESS]


def test_a_device_that_is_only_still_there_costs_no_plan() -> None:
    """Capture repeats each of them each minute; one that was silent is asked at once."""
    prober = Prober()
    wanted: list[Any] = []
    prober.core.look_up = wanted.append
    seen = device(ADDRESS).model_copy(update={"last_seen": T0 + timedelta(seconds=60)})
    moved = device(ADDRESS, OTHER)

    drive(prober.core, [received(device(ADDRESS), mac_id(MAC))])
    first, woken = len(wanted), list[list[str]]()
    prober.core.wake = woken.append
    drive(prober.core, [received(seen, mac_id(MAC)), received(seen, mac_id(MAC))])

    assert (first, [["192-0-2-1"]]) == (len(wanted), woken)  # the pinger is woken for somebody

    drive(prober.core, [received(moved, mac_id(MAC))])

    assert first < len(wanted)
    assert {"192-0-2-1", "192-0-2-2"} == {one.key for one in prober.plan.targets}


def test_beyond_the_limit_a_device_that_is_seen_again_takes_the_place_of_one_that_is_not() -> None:
    """The newest first: a message that says nothing new still says that."""
    prober = Prober(max_targets=1)
    macs = {"02:00:00:00:00:01": ADDRESS, "02:00:00:00:00:02": OTHER}
    for mac, ip in macs.items():
        drive(prober.core, [received(device(ip, mac=mac), mac_id(mac))])
    assert [one.key for one in prober.plan.targets] == ["192-0-2-2"]

    drive(prober.core, [received(device(ADDRESS, mac="02:00:00:00:00:01"), "020000000001")])

    assert [one.key for one in prober.plan.targets] == ["192-0-2-1"]
