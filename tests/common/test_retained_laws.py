"""What holds of retained state whatever is published, taken back, refused or restarted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.common.keptstate import MAC, WALL_S, Kept, alert, device

from monitorpi_common.record import RetainedRecord
from monitorpi_common.retained import (
    GATHER_S,
    MAX_NAMES,
    PATIENCE_S,
    PAUSE_S,
    REFILL_BYTES_PER_S,
    RetainedState,
)
from monitorpi_common.topics import Topic, mac_id

MACS = [MAC, "02:00:00:00:00:01", "02:00:00:00:00:02"]
STEPS = st.tuples(
    st.integers(0, 400), st.sampled_from(MACS), st.sampled_from(["here", "away", "gone", "failed"])
)


@given(st.lists(STEPS, max_size=12))
def test_the_file_comes_to_hold_what_is_held(steps: list[tuple[int, str, str]]) -> None:
    """Ten minutes after the last change, whatever changed and failed; each write a minute apart."""
    kept, held, now_s = Kept(), dict[str, bool](), 0
    written = []
    for pause_s, mac, what in steps:
        written += kept.run(now_s, now_s + pause_s)
        now_s += pause_s
        match what:
            case "gone":
                kept.forget(mac, now_s)
                held.pop(mac, None)
            case "failed":
                kept.state.failed()
            case _:
                kept.take(device(now_s, mac, present=what == "here"), now_s)
                held[mac] = what == "here"
    written += kept.run(now_s, now_s + int(PATIENCE_S + PAUSE_S) + 2)

    back = kept.restart(now_s).handed_on().values()

    assert {one.message.mac: one.message.present for one in back} == held
    assert all(later - at >= PAUSE_S for at, later in pairwise(written))


def test_what_has_no_end_is_kept_without_one() -> None:
    """It comes back after a year."""
    kept = Kept()
    kept.take(device(), 0, None)
    kept.run(0, 10)

    back = kept.restart(365 * 86400).handed_on()

    assert [one.left_s for one in back.values()] == [None]


def test_what_is_taken_back_before_it_was_handed_on_is_not() -> None:
    """A core that forgets a device while the broker is away."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 10)
    again = kept.restart(20)
    again.forget(MAC, 0)

    assert not again.state.is_pending
    assert again.handed_on() == {}
    assert again.run(0, 100) == [GATHER_S]
    assert again.restart(120).handed_on() == {}


@pytest.mark.parametrize("away_s", [0, 500])
def test_each_small_change_waits_ten_minutes_of_its_own(away_s: int) -> None:
    """Not since the one before it."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 100)
    kept.take(device(100, present=False), 100)
    first = kept.run(100, 900 + away_s)
    kept.take(device(900 + away_s, present=True), 900 + away_s)

    assert first == [100 + PATIENCE_S]
    assert kept.run(900 + away_s, 2400) == [900 + away_s + PATIENCE_S]


def test_what_changes_back_in_time_is_worth_no_write() -> None:
    """A phone that was away for a minute."""
    kept = Kept()
    kept.take(device(), 0)
    kept.run(0, 100)
    kept.take(device(100, present=False), 100)
    kept.take(device(160, present=True), 160)

    assert kept.run(160, 3600) == []


def test_what_is_newer_in_the_file_is_so_by_its_own_time() -> None:
    """The same moment is no newer; nor is what was handed on, or what is not in the file."""
    kept = Kept()
    kept.take(device(50), 0)
    kept.run(0, 10)
    again = kept.restart(60)
    topic, other = (Topic("lab", "capture", "device", mac_id(mac)) for mac in MACS[:2])

    assert again.state.is_newer(topic, device(49))
    assert not again.state.is_newer(topic, device(50))
    assert not again.state.is_newer(other, device(0, MACS[1]))
    again.handed_on()
    assert not again.state.is_newer(topic, device(49))


def test_what_has_less_than_a_second_left_is_over() -> None:
    """It was in the file, and is not handed on; a whole second is."""
    kept = Kept("detector")
    kept.take(alert(0, "closed"), 0, 100)
    kept.run(0, 10)

    left = [kept.restart(after).handed_on() for after in (98, 99, 100)]

    assert [list(one) for one in left] == [["syn-flood-x"], [], []]


def test_a_clock_a_little_ahead_is_trusted_and_one_far_ahead_is_not() -> None:
    """A record of 59 seconds hence has all its life; one of a minute hence lost an eighth of it."""
    kept = Kept("detector")
    kept.take(alert(0, "closed"), 0, 8000)
    kept.run(0, 10)

    left = [kept.restart(5 - ahead).handed_on(0)["syn-flood-x"].left_s for ahead in (59, 60, 3600)]

    assert left == [7995, 6995, 6995]


def test_of_a_full_file_no_more_is_taken_than_there_may_be() -> None:
    """The rest is counted as of no use."""
    payload = device().encode()
    records = [
        RetainedRecord(f"device/{number:012x}", payload, 100.0, WALL_S)
        for number in range(MAX_NAMES + 3)
    ]
    state = RetainedState("lab", "capture")

    assert state.restore(records, 0, WALL_S, is_set=True) == 3
    assert len(state) == MAX_NAMES


def test_what_came_and_went_between_two_writes_is_worth_none() -> None:
    """A made-up device that is evicted at once."""
    kept = Kept()
    kept.take(device(), 0)
    kept.forget(MAC, 1)

    assert kept.run(1, 1000) == []
    assert kept.tick(1000, everything=True) is None


def test_what_is_written_has_a_budget_and_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever new names: a burst at first, then what the budget gives, and in the end all of it."""
    monkeypatch.setattr("monitorpi_common.retained.BURST_BYTES", burst := 50_000)
    kept = Kept()
    for serial in range(800):  # some 0.5 MB, ten times the burst
        kept.take(device(0, f"02:00:00:00:{serial >> 8:02x}:{serial & 255:02x}"), 4)
        if serial == 0:
            kept.run(0, 10)  # the first write is whole, and small

    spent = [0]
    for now_s in range(10, 400):
        write = kept.tick(now_s)
        spent.append(spent[-1] + (len(write.data) if write is not None else 0))
        assert spent[-1] <= burst + REFILL_BYTES_PER_S * now_s
    kept.run(400, 1000)

    assert spent[60] > 0.9 * burst
    assert len(kept.restart(1000).handed_on()) == 800
