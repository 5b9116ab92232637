"""What is kept of retained state: what a write is worth, what comes back, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.common.keptstate import MAC, NOON, WALL_S, WEEK_S, Kept, alert, device

from monitorpi_common.messages import DeviceTotals, Health, Load
from monitorpi_common.record import RetainedRecord
from monitorpi_common.retained import (
    BURST_BYTES,
    GATHER_S,
    MAX_NAMES,
    PATIENCE_S,
    PAUSE_S,
    REFILL_BYTES_PER_S,
    SLACK_BYTES,
    RetainedState,
)
from monitorpi_common.topics import Topic, mac_id


def test_a_new_device_is_written_within_seconds_and_comes_back() -> None:
    """The first write waits only for others to join it."""
    kept = Kept()
    kept.take(device(), 0)

    written = kept.run(0, 60)
    back = kept.restart(60).handed_on()

    assert written == [GATHER_S]
    assert list(back) == [mac_id(MAC)]
    assert back[mac_id(MAC)].message == device()
    assert back[mac_id(MAC)].left_s == pytest.approx(WEEK_S - 60, abs=3)
    assert GATHER_S == 5.0


def test_what_changes_all_the_time_is_worth_no_write() -> None:
    """Times, totals and load of 64 devices, each minute for four hours, cost nothing."""
    kept = Kept()
    macs = [f"02:00:00:00:00:{number:02x}" for number in range(64)]
    for mac in macs:
        kept.take(device(0, mac), 0)
    kept.run(0, 60)
    first = len(kept.writes)

    for minute in range(1, 4 * 60):
        for mac in macs:
            one = device(
                60 * minute, mac, load=Load(tx_bps=minute),
                totals=DeviceTotals(tx={"packets": minute}),
            )  # fmt: skip
            kept.take(one, 60 * minute)
        kept.tick(60 * minute)

    assert (first, len(kept.writes)) == (1, 1)


def test_two_writes_are_a_minute_apart() -> None:
    """A device a second makes a write a minute, with all of them."""
    kept = Kept()
    written = []
    for second in range(200):
        kept.take(device(second, f"02:00:00:00:01:{second:02x}"), second)
        if kept.tick(second):
            written.append(second)

    assert written == [GATHER_S, GATHER_S + PAUSE_S, GATHER_S + 2 * PAUSE_S, GATHER_S + 3 * PAUSE_S]
    assert len(kept.restart(200).handed_on()) == 186
    assert PAUSE_S == 60.0


def test_a_device_that_comes_and_goes_is_written_each_ten_minutes() -> None:
    """That it is here or away is known again soon after a start: no hurry."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 100)
    kept.take(device(100, present=False), 100)

    assert kept.run(100, 900) == [100 + PATIENCE_S]
    assert PATIENCE_S == 600.0


def test_an_alert_that_opens_or_closes_is_written_within_a_minute() -> None:
    """What is open after a power cut, and what was closed, is what people were shown."""
    kept = Kept("detector")
    kept.take(alert(), 0, 86400)
    kept.run(0, 10)
    for second in range(10, 30, 10):
        kept.take(alert(second), second, 86400)
    kept.take(alert(30, "closed", closed_at=NOON), 30, 86400)
    written = kept.run(30, 120)

    back = kept.restart(120).handed_on()["syn-flood-x"]

    assert written == [GATHER_S + PAUSE_S]
    assert (back.message.state, back.left_s) == ("closed", pytest.approx(86400 - 90, abs=2))


def test_what_was_taken_back_stays_away() -> None:
    """A device that was evicted does not come back."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 100)
    kept.forget(MAC, 100)
    kept.run(100, 200)

    assert kept.restart(200).handed_on() == {}


def test_a_lasting_alert_outlives_its_first_day() -> None:
    """Published each ten seconds, written twice a day: it is there after 30 hours."""
    kept = Kept("detector")
    for now_s in range(0, 30 * 3600, 10):
        kept.take(alert(now_s), now_s, 86400)
        kept.tick(now_s)

    assert len(kept.writes) <= 4
    assert list(kept.restart(30 * 3600).handed_on()) == ["syn-flood-x"]


def test_what_is_over_does_not_come_back() -> None:
    """A closed alert of yesterday, by a clock that is set."""
    kept = Kept("detector")
    kept.take(alert(0, "closed"), 0, 86400)
    kept.run(0, 10)

    assert kept.restart(86400 + 60).handed_on() == {}
    assert list(kept.restart(86400 - 60).handed_on()) == ["syn-flood-x"]


@pytest.mark.parametrize("wall_s", [0.0, WALL_S - 3600, WALL_S + 3600, WALL_S + 10 * 365 * 86400])
def test_a_clock_that_is_not_set_takes_nothing_away(wall_s: float) -> None:
    """1970, an hour behind, ten years ahead: after one power cut everything is there."""
    kept = Kept("detector")
    kept.take(alert(0, "closed"), 0, 86400)
    kept.run(0, 10)

    back = kept.restart(wall_s=wall_s, is_set=False).handed_on()["syn-flood-x"]

    assert 86400 / 2 - 10 <= back.left_s <= 86400 * 7 / 8


@pytest.mark.parametrize("wall_s", [0.0, WALL_S, WALL_S + 10 * 365 * 86400])
def test_nothing_lives_for_ever_by_a_clock_that_is_never_set(wall_s: float) -> None:
    """Started again and again at the same wrong time, for 15 minutes each, it ends."""
    kept = Kept("detector")
    kept.take(alert(0, "closed"), 0, 86400)
    kept.run(0, 10)
    starts = 0
    while kept.restart(wall_s=wall_s, is_set=False).handed_on() and starts < 200:
        starts += 1
        kept = kept.restart(wall_s=wall_s, is_set=False)
        kept.handed_on()
        for now_s in range(0, 900, 5):
            kept.tick(now_s, is_set=False)

    assert 5 < starts < 100


def test_the_brokers_own_is_taken_where_it_is_newer() -> None:
    """A service that was killed alone finds what it published last; only the rest is handed on."""
    kept = Kept()
    other = "02:00:00:00:00:01"
    for mac in (MAC, other):
        kept.take(device(50, mac), 0)
    kept.run(0, 10)
    again = kept.restart(60)
    topic = Topic("lab", "capture", "device", mac_id(MAC))

    older, newer = again.state.is_newer(topic, device(40)), again.state.is_newer(topic, device(60))
    again.take(device(60), 0)

    assert (older, newer) == (True, False)
    assert list(again.handed_on()) == [mac_id(other)]
    assert again.handed_on() == {}


def test_a_service_that_ends_writes_the_latest_times() -> None:
    """An orderly stop loses nothing, not even when a device was seen last."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 10)
    kept.take(device(3000), 3000)
    kept.tick(3000, everything=True)

    back = kept.restart(3000).handed_on()[mac_id(MAC)]

    assert back.message.last_seen == NOON + timedelta(seconds=3000)


def test_the_file_stays_small() -> None:
    """A thousand changes of one device leave a file of some twice its size, and room."""
    kept = Kept()
    for number in range(1000):
        kept.take(device(present=number % 2 == 0), 700 * number)
        kept.tick(700 * number)
        kept.tick(700 * number + 600)

    appended = sum(len(one.data) for one in kept.writes if not one.whole)
    assert len(kept.file) < 80_000
    assert sum(one.whole for one in kept.writes) <= appended / SLACK_BYTES + 1
    assert SLACK_BYTES == 65_536


def test_made_up_devices_cannot_wear_the_card() -> None:
    """Full of made-up names, 200 a minute for two hours: what is written has a budget."""
    kept = Kept()
    name = "n" * 60
    for minute in range(120):
        for serial in range(200 * minute, 200 * minute + 200):
            mac = f"02:00:00:00:{serial >> 8:02x}:{serial & 255:02x}"
            kept.take(device(0, mac, hostname=name), 60 * minute)
            if serial >= 1000:
                old = serial - 1000
                kept.forget(f"02:00:00:00:{old >> 8:02x}:{old & 255:02x}", 60 * minute)
        kept.tick(60 * minute + 30)

    assert sum(len(one.data) for one in kept.writes) < BURST_BYTES + 2 * 7200 * REFILL_BYTES_PER_S
    assert (BURST_BYTES, REFILL_BYTES_PER_S) == (16_777_216, 1024)


def test_what_a_write_of_the_whole_leaves_of_the_budget_is_still_there() -> None:
    """And a name that finds no room waits for it, with those behind it; of the payload too."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 10)
    assert kept.writes[-1].whole
    assert kept.state._room_bytes == BURST_BYTES - len(kept.writes[-1].data)

    macs = [f"02:00:00:00:00:{number:02x}" for number in range(3)]
    for mac in macs:
        kept.take(device(0, mac), 70)
    size = len("device/020000000000") + len(device(0, macs[0]).encode())
    kept.state._room_bytes, kept.state._room_s = 2.0 * size, 75.0
    kept.tick(75)
    assert kept.writes[-1].data.count(b"\n") == 2
    assert kept.state._room_bytes == 2 * size - len(kept.writes[-1].data)

    kept.state._room_bytes = size - 1 - 60.0 * REFILL_BYTES_PER_S
    assert kept.tick(135) is None
    kept.state._room_bytes += 1
    assert kept.tick(135) is not None


@pytest.mark.parametrize("over", [0, 1])
def test_when_a_file_is_written_anew(over: int) -> None:
    """Once it would be more than twice what it must hold, and 64 KiB."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 10)
    again = device(hostname="b")
    kept.take(again, 70)
    record = RetainedRecord(f"device/{mac_id(MAC)}", again.encode())
    most = 2 * len(again.encode()) + 65_536
    kept.state._file_bytes = most - record.size + over

    kept.tick(70 + PATIENCE_S)

    assert [one.whole for one in kept.writes] == [True, bool(over)]


def test_more_than_there_is_room_for_is_refused_and_counted() -> None:
    """Names are bounded, whatever a service publishes."""
    kept = Kept()
    for serial in range(MAX_NAMES + 5):
        kept.take(device(0, f"02:00:00:00:{serial >> 8:02x}:{serial & 255:02x}"), 0)

    assert (len(kept.state), kept.state.refused) == (MAX_NAMES, 5)
    assert MAX_NAMES == 8192


def test_a_write_that_failed_is_made_anew_as_a_whole() -> None:
    """A minute later, with everything: nobody knows what the disk holds."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 10)
    kept.take(device(0, "02:00:00:00:00:01"), 70)
    kept.run(70, 80)
    kept.file = b""
    kept.state.failed()

    assert kept.run(80, 200) == [75 + PAUSE_S]
    assert len(kept.restart(200).handed_on()) == 2


def test_health_and_watch_are_not_kept() -> None:
    """They say what is now."""
    kept = RetainedState("lab", "capture")
    health = Health.model_construct()
    kept.take(Topic("lab", "capture", "health", "main"), health, b"{}", 180, 0)

    assert len(kept) == 0


def test_a_record_of_another_service_is_not_ours() -> None:
    """Nor is one that is not of the contract."""
    kept = RetainedState("lab", "prober")
    records = [
        RetainedRecord("device/b827eb123456", device().encode(), 10, WALL_S),
        RetainedRecord("target/..", b"{}", 10, WALL_S),
        RetainedRecord("target/1", b"{}", 10, WALL_S),
        RetainedRecord("nothing", b"{}", 10, WALL_S),
    ]

    assert kept.restore(records, 0, WALL_S, is_set=True) == 4
    assert len(kept) == 0
