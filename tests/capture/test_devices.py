"""The inventory: who becomes a device, when it is reported, who leaves."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.capture.inventories import inventory, known, report, window
from tests.capture.windows import mac

from monitorpi_capture.frame.text import mac_text
from monitorpi_capture.items import (
    WIDTH,
    Instant,
    MacCounts,
    Sighting,
    WindowCounts,
)
from monitorpi_common.messages import Device, Tombstone

if TYPE_CHECKING:
    from monitorpi_capture.inventory.devices import Inventory


def test_a_mac_is_a_device_when_seen_twice_ten_seconds_apart() -> None:
    """A MAC of one burst, however long within ten seconds, leaves no retained topic."""
    one = inventory()
    for second in range(1, 11):
        one.count(window(second, mac(1)))
    before = report(one, 10)
    one.count(window(11, mac(1)))

    (device,) = report(one, 11)

    assert before == []
    assert device.mac == "02:00:00:00:00:01"
    assert device.first_seen == datetime.fromtimestamp(1, UTC)
    assert device.last_seen == datetime.fromtimestamp(11, UTC)
    assert device.randomised
    assert device.present
    assert device.totals.tx == {"packets": 11, "bytes": 11_000}


def test_who_never_sends_is_no_device() -> None:
    """Destinations may be made up by anybody; group and zero addresses are nobody."""
    sent = [1] * WIDTH
    one = inventory()
    for second in (1, 20):
        rows = [
            MacCounts(mac(1), (), sent),
            MacCounts(b"\xff" * 6, sent, ()),
            MacCounts(bytes(6), sent, ()),
        ]
        one.count(
            WindowCounts("eth0", "socket", Instant(0, 0), Instant(second, 0), 1.0, sent, rows)
        )

    assert report(one, 20) == []


def test_a_flood_of_random_macs_leaves_nothing() -> None:
    """A million made-up addresses are bounded and forgotten; who was known stays."""
    one = known(mac(0))
    for second in range(20, 60):
        made_up = [mac(second * 10_000 + number) for number in range(2000)]
        one.count(window(second, mac(0), *made_up))

    assert len(one) == 1
    assert one.candidates <= 8192


def test_a_full_inventory_under_a_lasting_flood_costs_little() -> None:
    """Strangers that stay long enough to be devices, but find no room, are turned away at once.

    They cost less than the devices did, on whatever machine.
    """
    macs = [mac(number) for number in range(1, 4097)]
    strangers = [mac(10_000 + number) for number in range(4096)]
    of_devices, of_strangers = [], []
    for _ in range(3):
        one = known(*macs)
        of_devices.append(_cost(one, macs, 20))
        of_strangers.append(_cost(one, strangers, 30))
        assert len(one) == 4096

    assert min(of_strangers) < 1.5 * min(of_devices)


def _cost(one: Inventory, macs: list[bytes], first: int) -> float:
    """Return the processor time of ten windows with these senders."""
    begun = time.process_time()
    for second in range(first, first + 10):
        one.count(window(second, *macs))
        list(one.publish(second))
    return time.process_time() - begun


def test_a_change_is_told_at_once_and_the_rest_once_a_minute() -> None:
    """Counters alone do not make messages; a new address does, at most every five seconds."""
    one = known(mac(1))
    times = []
    for second in range(12, 200):
        one.count(window(second, mac(1)))
        if second == 30:
            one.learn(Sighting(mac(1), second, "eth0", ips=("192.0.2.1",)))
        if second in (31, 32, 33):
            one.learn(Sighting(mac(1), second, "eth0", hostname=f"name{second}"))
        times += [second for _ in report(one, second)]

    assert times == [30, 35, 95, 155]


def test_absent_and_back() -> None:
    """A silent device is reported absent once, and present as soon as it sends."""
    one = known(mac(1))

    silent = [
        (second, device.present) for second in range(300, 400) for device in report(one, second)
    ]
    one.count(window(400, mac(1)))
    (back,) = report(one, 400)

    assert silent == [(312, False)]
    assert back.present
    assert back.first_seen == datetime.fromtimestamp(1, UTC)


def test_a_device_of_last_week_is_taken_back() -> None:
    """After seven days of silence the retained message goes."""
    one = known(mac(1))
    list(one.publish(500))

    gone = list(one.publish(12 + 7 * 86400))

    assert gone == [Tombstone("020000000001", Device)]
    assert len(one) == 0


def test_when_full_the_newest_without_an_address_leaves() -> None:
    """Who showed an address, is pinned or answers pings stays; a stranger does not enter."""
    one = inventory(max_devices=4, pinned=[mac(3)])
    for number in range(1, 5):
        one.count(window(number, mac(number)))
    for number in range(1, 5):
        one.count(window(20 + number, mac(number)))
    one.learn(Sighting(mac(1), 30, "eth0", ips=("192.0.2.1",)))
    one.pin(mac(4))
    list(one.publish(40))

    for second in (50, 61):
        one.count(window(second, mac(5)))
    stranger = list(one.publish(61))
    one.learn(Sighting(mac(6), 62, "eth0", ips=("192.0.2.6",)))
    one.learn(Sighting(mac(6), 73, "eth0", ips=("192.0.2.6",)))
    one.learn(Sighting(mac(6), 74, "eth0", ips=("192.0.2.6",)))
    newcomer = list(one.publish(74))

    assert [said for said in stranger if isinstance(said, Tombstone)] == []
    assert Tombstone("020000000002", Device) in newcomer
    assert {device.mac[-1] for device in report(one, 200, everything=True)} <= {"1", "3", "4", "6"}
    assert len(one) == 4


def test_when_full_of_invented_addresses_a_newcomer_enters_once_they_are_silent() -> None:
    """A minute of forged ARP frames does not close the inventory for a week."""
    one = inventory(max_devices=4, pinned=[mac(1)])
    for second in (10, 25):
        for number in range(1, 5):
            ips = (f"192.0.2.{number}",)
            one.learn(Sighting(mac(number), second + number, "eth0", ips=ips))
    list(one.publish(40))

    for second in (50, 61):
        one.learn(Sighting(mac(6), second, "eth0", ips=("192.0.2.6",)))
    while_they_last = list(one.publish(61))
    one.count(window(400, mac(2)))
    list(one.publish(400))
    one.learn(Sighting(mac(6), 401, "eth0", ips=("192.0.2.6",)))
    after = list(one.publish(401))

    assert [said for said in while_they_last if isinstance(said, Tombstone)] == []
    assert Tombstone("020000000004", Device) in after
    assert {device.mac[-1] for device in report(one, 500, everything=True)} <= {"1", "2", "3", "6"}
    assert len(one) == 4


def test_a_restart_keeps_what_was_known() -> None:
    """First time, addresses, name and role come back from our own retained message."""
    before = known(mac(1))
    before.learn(
        Sighting(mac(1), 12, "eth0", ips=("192.0.2.1",), hostname="printer", is_router=True)
    )
    before.learn(Sighting(mac(1), 12, "eth0", "dhcp", (7,), ips=("192.0.2.2",), serves_dhcp=True))
    (device,) = report(before, 20)
    after = inventory()

    after.restore(Device.model_validate_json(device.encode()))
    silent = report(after, 30)
    after.count(window(100, mac(1)))
    (again,) = report(after, 101)

    assert silent == []
    assert again.first_seen == device.first_seen
    assert (again.addresses, again.hostname) == (device.addresses, "printer")
    assert (again.dhcp_at, again.advertised_at) == (device.dhcp_at, device.advertised_at)
    assert again.totals.tx["packets"] == 1


def test_load_is_an_average_of_the_last_seconds() -> None:
    """A steady frame of 8,000 bits a second shows as such, and fades when the device is silent."""
    one = inventory()
    for second in range(1, 61):
        one.count(window(second, mac(1), size=1000, link_bps=1_000_000))
    (busy,) = report(one, 60)
    (still,) = report(one, 60 + 301)

    assert busy.load.tx_bps == pytest.approx(8000, rel=0.01)
    assert (busy.load.tx_frames_per_s, busy.load.rx_frames_per_s) == (1, 0)
    assert busy.load.utilisation_ratio == pytest.approx(0.008, rel=0.01)
    assert still.load.tx_bps < 1


def test_a_step_of_the_clock_moves_this_process_times() -> None:
    """A Pi that booted in 1970 shows right times once the clock is right, and nobody is absent."""
    one = known(mac(1))
    one.shift(1_000_000)

    one.count(window(1_000_012, mac(1)))
    (device,) = report(one, 1_000_072)

    assert device.first_seen == datetime.fromtimestamp(1_000_001, UTC)
    assert device.present


def test_a_device_from_the_future_is_absent_in_time() -> None:
    """A clock that was a year ahead and is right now: the device does not stay present for ever."""
    ahead = 365 * 86400.0
    before = known(mac(1))
    before.shift(ahead)
    before.count(window(ahead + 20, mac(1)))
    (device,) = report(before, ahead + 80)
    after = inventory()
    after.restore(device)

    said = [(second, one.present) for second in range(100, 500) for one in report(after, second)]

    assert said == [(401, False)]


def test_whoever_changes_is_told_of_in_turn() -> None:
    """Of eight hundred that change each second each one is reported of within eight turns."""
    macs = [mac(number) for number in range(1, 801)]
    one = inventory()
    one.count(window(1, *macs))
    one.count(window(11, *macs))
    seen: set[str] = set()
    for second in range(12, 12 + 16):
        for number, address in enumerate(macs):
            ip = f"10.{second}.{number // 250}.{number % 250 + 1}"
            one.learn(Sighting(address, second, "eth0", ips=(ip,)))
        seen |= {device.mac for device in report(one, second)}
        if second == 20:
            assert len(seen) == 800

    assert len(seen) == 800


def test_many_devices_are_told_a_hundred_at_a_time() -> None:
    """A start with many devices never bursts past what a broker queues."""
    macs = [mac(number) for number in range(1, 351)]
    one = inventory()
    one.count(window(1, *macs))
    one.count(window(11, *macs))

    assert [len(report(one, 11 + second)) for second in range(5)] == [100, 100, 100, 50, 0]


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["count", "learn", "pin", "tell"]),
        st.integers(1, 12),
        st.integers(-20, 400),
    ),
    max_size=80,
)


@given(ACTIONS)
def test_bounds_hold_whatever_happens(actions: list[tuple[str, int, int]]) -> None:
    """At most so many devices, every message valid, and a tombstone for each that leaves."""
    one = inventory(max_devices=5)
    now = 1000.0
    retained: set[str] = set()
    for what, number, later in actions:
        now += later
        match what:
            case "count":
                one.count(window(now, mac(number)))
            case "learn":
                one.learn(Sighting(mac(number), now, "eth0", ips=(f"192.0.2.{number}",)))
            case "pin":
                one.pin(mac(number))
            case _:
                for said in one.publish(now):
                    if isinstance(said, Tombstone):
                        retained.discard(said.id)
                    else:
                        retained.add(said.id)
                        Device.model_validate_json(said.message.encode())
        assert len(one) <= 5
    for said in one.publish(now):
        retained.discard(said.id) if isinstance(said, Tombstone) else retained.add(said.id)
    assert len(retained) <= 5


def test_what_is_restored_beyond_the_limit_is_refused_and_counted() -> None:
    """Into a smaller table than before: what fits stays, and nobody leaves for another."""
    one, seen = inventory(max_devices=5), datetime.fromtimestamp(60, UTC)

    for n in range(8):
        one.restore(
            Device(
                mac=mac_text(mac(n)), ips=[f"198.18.0.{n + 1}"], present=True, interface="eth0",
                first_seen=seen, last_seen=seen,
            )
        )  # fmt: skip

    assert (len(one), one.refused_total) == (5, 3)
