"""Windows and rounds become slots: nothing is lost, nothing counted twice, all of it bounded."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.history.world import NOON, mac, probe, window

from monitorpi_common.messages import DeviceWindow, Omitted
from monitorpi_history import gathering as module
from monitorpi_history.gathering import UNTIMELY_S, Gathering
from monitorpi_history.items import COVERED, DROPS, HOUR_S, LOST, OMITTED, UNSET, Series, Stretch

NOBODY: frozenset[str] = frozenset()
WIRE = Series("wire", "eth0")


def at(seconds: float) -> int:
    """Return which slot of its hour a moment after noon is in."""
    return int(seconds) % HOUR_S // 10


def whole(gathering: Gathering) -> dict[tuple[int, Series, str], int]:
    """Return each value that is not 0, by slot since noon, series and column."""
    hour = int(NOON.timestamp()) // HOUR_S
    return {
        (360 * (stretch.hour - hour) + stretch.first + number, series, name): value
        for stretch in gathering.stretches()
        for series, columns in stretch.series.items()
        for name, values in columns.items()
        for number, value in enumerate(values)
        if value
    }


@given(st.lists(st.integers(0, 3 * HOUR_S), max_size=40, unique=True))
def test_each_window_counts_once_in_the_slot_it_began_in(seconds: list[int]) -> None:
    """In whatever order they come; twice sent is once counted."""
    gathering = Gathering()
    for number, second in enumerate(seconds):
        for _ in range(2):
            gathering.window(window(NOON + timedelta(seconds=second), number), NOBODY, None)

    found = whole(gathering)

    for slot in {second // 10 for second in seconds}:
        times = sum(second // 10 == slot for second in seconds)
        assert found[slot, WIRE, COVERED] == 1000 * times
        assert found[slot, WIRE, "packets"] == 5 * times
        assert found[slot, Series("device", "eth0", mac(1)), "tx_syn"] == 2 * times
        assert found[slot, Series("device", "eth0", mac(1)), "rx_bytes"] == 60 * times
    assert len({slot for slot, *_ in found}) == len({second // 10 for second in seconds})
    assert gathering.repeated == len(seconds)


def test_what_was_lost_and_by_which_clock_stands_beside() -> None:
    """Drops in the sensor, windows that never came, windows without a set clock."""
    gathering = Gathering()
    gathering.window(window(NOON, 1, kernel_drops=7), NOBODY, NOON)
    gathering.window(window(NOON, 5, clock_synced=False, window_s=2.5), NOBODY, NOON)

    found = whole(gathering)

    assert [found[0, WIRE, name] for name in (DROPS, LOST, UNSET, COVERED)] == [7, 3, 1, 3500]
    assert gathering.lost_windows == 3


@pytest.mark.parametrize(
    ("epoch", "seq", "lost", "is_counted"),
    [
        ("one", 11, 0, True),
        ("one", 12, 1, True),
        ("one", 10, 0, False),
        ("one", 10 - 999, 0, False),
        ("one", 10 + 3600, 3599, True),
        ("one", 10 + 3601, 0, True),  # from nowhere: no hour was lost
        ("two", 99, 0, True),
        ("two", 10, 0, True),
    ],
)
def test_the_number_of_a_window_tells_what_was_lost(
    epoch: str, seq: int, lost: int, is_counted: bool
) -> None:
    """A new epoch begins anew; a number a little behind is a copy."""
    gathering = Gathering()
    gathering.window(window(NOON, 10), NOBODY, NOON)
    seq = max(seq, 0)

    gathering.window(window(NOON, seq, epoch=epoch), NOBODY, NOON)

    found = whole(gathering)
    assert (found.get((0, WIRE, LOST), 0), found[0, WIRE, COVERED]) == (
        lost,
        1000 + 1000 * is_counted,
    )
    assert gathering.repeated == (not is_counted)


@pytest.mark.parametrize(("away_s", "is_taken"), [(UNTIMELY_S, True), (UNTIMELY_S + 1, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_stamped_by_a_wrong_clock_is_not_taken(
    away_s: float, is_taken: bool, sign: int
) -> None:
    """An hour from its arrival at most, either way; in a pipe there is no now."""
    gathering, when = Gathering(), NOON + timedelta(seconds=sign * away_s)
    gathering.window(window(when, 1), NOBODY, NOON)
    gathering.round(probe(when, 1), "main", NOON)

    assert (bool(len(gathering)), gathering.untimely) == (is_taken, 0 if is_taken else 2)
    gathering.window(window(when, 2), NOBODY, None)
    assert len(gathering) == 1


def test_who_is_not_kept_apart_is_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound for those who are no devices, one for all; an hour later it begins anew."""
    monkeypatch.setattr(module, "MAX_UNKNOWN", 1)
    monkeypatch.setattr(module, "MAX_SERIES", 2)
    gathering = Gathering()
    known = {mac(3), mac(4)}
    gathering.window(window(NOON, 1, devices=5), known, NOON)
    gathering.window(window(NOON, 2, devices=5, omitted=Omitted(devices=9, packets=4, bytes=400,
                     classes={"syn": 4})), known, NOON)  # fmt: skip
    found = whole(gathering)

    apart = {series.subject for _, series, _ in found if series.kind == "device"}
    omitted = Series("omitted", "eth0")
    assert apart == {mac(0), mac(3)}
    alone = Gathering()
    alone.window(window(NOON, 1, devices=3), NOBODY, NOON)
    assert whole(alone)[0, Series("omitted", "eth0"), OMITTED] == 1
    assert found[0, omitted, "tx_syn"] == 2 * (2 + 3 + 5) + 4
    assert found[0, omitted, OMITTED] == 9

    gathering.window(window(NOON + timedelta(hours=1), 3, devices=5), NOBODY, None)
    assert (360, Series("device", "eth0", mac(0)), "tx_syn") in whole(gathering)


def test_slots_columns_and_senders_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest slot leaves, and is counted; names that are invented are not followed."""
    for name, most in (("MAX_SLOTS", 2), ("MAX_COLUMNS", 1), ("MAX_SENDERS", 1)):
        monkeypatch.setattr(module, name, most)
    gathering = Gathering()
    for second in (10, 0, 20, 25):
        gathering.window(
            window(NOON + timedelta(seconds=second), second + 1, devices=0, epoch=str(second),
                   counts={"syn": 1, "x": 1}),
            NOBODY, None,
        )  # fmt: skip
    gathering.window(window(NOON, 1, interface="eth1"), NOBODY, None)

    found = whole(gathering)

    assert {slot for slot, *_ in found} == {1, 2}
    assert not [name for _, _, name in found if name == "x"]
    assert found[2, WIRE, "syn"] == 2
    assert (gathering.lost_slots, gathering.refused_senders) == (1, 1)


def test_an_hour_is_a_stretch_from_its_first_slot_to_its_last() -> None:
    """With zeros between; it stays until it was written."""
    gathering = Gathering()
    for second in (3590, 3600, 3630):
        gathering.window(window(NOON + timedelta(seconds=second), second, devices=0), NOBODY, None)

    stretches = gathering.stretches()

    hour = int(NOON.timestamp()) // HOUR_S
    places = [(one.hour - hour, one.first, one.length) for one in stretches]
    assert places == [(0, 359, 1), (1, 0, 4)]
    assert "packets" not in stretches[1].series[WIRE]
    assert stretches[1].series[WIRE][COVERED] == [1000, 0, 0, 1000]
    assert gathering.stretches() == stretches
    gathering.clear()
    assert (gathering.stretches(), len(gathering)) == ([], 0)


def test_a_round_is_kept_as_sums_over_its_replies() -> None:
    """In the slot it ended in; of several, the least, the most and the sum."""
    gathering = Gathering()
    gathering.round(probe(NOON, 1, unsent=1, late=2, altered=3, pdv_p95_ms=0.2), "main", NOON)
    gathering.round(
        probe(NOON, 2, received=4, rtt_min_ms=0.2, rtt_avg_ms=1.0, rtt_p50_ms=0.5, rtt_p95_ms=0.8,
              rtt_max_ms=0.9, jitter_ms=None, mos=2.0), "main", NOON,
    )  # fmt: skip

    one = Series("target", "main", "192.168.1.10")
    assert {name: value for (_, series, name), value in whole(gathering).items()} == {
        "rounds": 2, "sent": 20, "received": 13, "unsent": 1, "late": 2, "altered": 3,
        "rounds_up": 2, "rtt_min_us": 200, "rtt_max_us": 1500, "rtt_p95_us": 900,
        "pdv_p95_us": 200, "rtt_avg_us_sum": 500 * 9 + 1000 * 4,
        "rtt_p50_us_sum": 450 * 9 + 500 * 4, "jitter_us_sum": 900, "jitter_received": 9,
        "mos_centi": 200,
    }  # fmt: skip
    assert {series for _, series, _ in whole(gathering)} == {one}


def test_a_round_without_replies_has_no_times() -> None:
    """Even where a prober sends some; a round-trip time that rounds to 0 is the least there is."""
    gathering = Gathering()
    gathering.round(probe(NOON, 1, received=0), "main", NOON)
    assert {name for _, _, name in whole(gathering)} == {"rounds", "sent"}

    gathering.round(probe(NOON, 2, rtt_min_ms=0.0001), "main", NOON)
    target = Series("target", "main", "192.168.1.10")
    assert whole(gathering)[0, target, "rtt_min_us"] == 1


def test_a_target_beyond_the_bound_does_not_hide_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was there goes on."""
    monkeypatch.setattr(module, "MAX_SERIES", 1)
    gathering = Gathering()
    known = probe(NOON, 1)
    other = known.targets[0].model_copy(update={"address": "192.168.1.9"})
    both = known.model_copy(update={"seq": 2, "targets": [other, *known.targets]})

    for published in (known, both):
        gathering.round(published, "main", NOON)

    assert {
        (series.subject, value) for (_, series, name), value in whole(gathering).items()
        if name == "rounds"
    } == {("192.168.1.10", 2)}  # fmt: skip


def test_a_stretch_is_not_shared() -> None:
    """What is gathered later does not change what is being written."""
    gathering = Gathering()
    gathering.window(window(NOON, 1), NOBODY, NOON)
    before: list[Stretch] = gathering.stretches()

    gathering.window(window(NOON, 2), NOBODY, NOON)

    assert before[0].series[WIRE][COVERED] == [1000]


@pytest.mark.parametrize(("behind", "is_counted"), [(0, False), (999, False), (1000, True)])
def test_a_number_far_behind_is_a_new_beginning(behind: int, is_counted: bool) -> None:
    """A copy is delivered soon: not a thousand windows later."""
    gathering = Gathering()
    gathering.window(window(NOON, 5000), NOBODY, NOON)

    gathering.window(window(NOON, 5000 - behind), NOBODY, NOON)

    assert whole(gathering)[0, WIRE, COVERED] == 1000 + 1000 * is_counted
    assert (gathering.repeated, gathering.lost_windows) == (not is_counted, 0)


@pytest.mark.parametrize(
    ("omitted", "columns"),
    [
        (Omitted(), None),
        (Omitted(devices=2), {OMITTED}),
        (Omitted(packets=3, bytes=180), {"tx_packets", "tx_bytes"}),
    ],
)
def test_nothing_is_kept_of_nobody(omitted: Omitted, columns: set[str] | None) -> None:
    """Where all were listed there is no row of those that were not."""
    gathering = Gathering()
    gathering.window(window(NOON, 1, omitted=omitted), {mac(0), mac(1)}, NOON)

    (stretch,) = gathering.stretches()
    kept = stretch.series.get(Series("omitted", "eth0"))
    assert (None if kept is None else {name for name, slots in kept.items() if any(slots)}) == (
        columns
    )


def test_what_is_omitted_is_the_most_of_a_slot_and_the_sum_of_its_frames() -> None:
    """The same devices are left out in each window."""
    gathering = Gathering()
    for seq, devices in enumerate((4, 9, 2)):
        omitted = Omitted(devices=devices, packets=5, bytes=300, classes={"arp": 2})
        gathering.window(window(NOON, seq, omitted=omitted), NOBODY, NOON)

    found = whole(gathering)
    series = Series("omitted", "eth0")
    assert (found[0, series, OMITTED], found[0, series, "tx_arp"]) == (9, 6)


def test_sums_stop_at_the_largest_number_there_is() -> None:
    """A sensor gone mad does not keep the others from being written."""
    gathering = Gathering()
    for seq in (1, 2):
        gathering.window(
            window(NOON, seq, bytes=2**62 + 5, counts={"syn": 2**62 + 5}), NOBODY, NOON
        )

    found = whole(gathering)
    assert (found[0, WIRE, "bytes"], found[0, WIRE, "syn"]) == (2**63 - 1, 2**63 - 1)


def test_with_each_hour_there_is_room_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever is there then, known or not; within an hour who had no place gets none."""
    monkeypatch.setattr(module, "MAX_SERIES", 3)
    monkeypatch.setattr(module, "MAX_UNKNOWN", 1)
    gathering = Gathering()
    apart = []
    for minutes, serials, known in (
        (0, "01", ""), (1, "2345", "345"), (59, "56", "5"), (60, "56", "")
    ):  # fmt: skip
        when = NOON + timedelta(minutes=minutes)
        rows = [DeviceWindow(mac=mac(int(serial)), tx={"packets": 1}) for serial in serials]
        gathering.window(window(when, minutes).model_copy(update={"devices": rows}),
                         {mac(int(serial)) for serial in known}, when)  # fmt: skip
        apart.append("".join(sorted(one.subject[-1] for one in gathering._apart)))

    assert apart == ["0", "034", "034", "5"]
