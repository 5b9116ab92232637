"""The core and the clock: what it waits for, and what a clock that is set makes of rows."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from tests.cloud_bridge.corebridge import DESTINATION, ENTRIES, START, Bridge

from monitorpi_cloud_bridge.rows import MAX_OPEN, RowBuilder

if TYPE_CHECKING:
    from collections.abc import Callable


WRONG_S = 86_400.0
"""How far behind a clock without a battery wakes up."""


# --- the clock ----------------------------------------------------------------------------------


def test_nothing_is_written_before_the_clock_is_set(bridge: Callable[..., Bridge]) -> None:
    """While the clock cannot be trusted rows are held; health says so."""
    one = bridge()
    for n in range(60):
        one.window(START + n, 1, n + 1, clock_synced=False)
        one.tick(START + n, 100 + n, synced=False)

    assert one.rows() == {}
    assert one.core.detail()["waiting_for_clock"] is True


def test_held_counts_stand_at_their_true_time_once_the_clock_is_set(
    bridge: Callable[..., Bridge],
) -> None:
    """The step of the clock is added to what was said before it: nothing lost, nothing misdated."""
    one = bridge()
    for n in range(1, 41):
        one.window(START - WRONG_S + n, 1, n, clock_synced=False)
        one.tick(START - WRONG_S + n, n, synced=False)
    for n in range(41, 65):
        one.window(START + n, 1, n - 40, epoch="after-the-step")
        one.tick(START + n, n)

    assert one.syns() == {START + 20: 20, START + 40: 20, START + 60: 20}


def test_two_steps_before_the_clock_is_trusted_are_both_added(
    bridge: Callable[..., Bridge],
) -> None:
    """First the saved time of a shutdown, then the network's: held counts follow both."""
    one = bridge()
    for n in range(1, 11):
        one.window(n, 1, n, clock_synced=False)
        one.tick(n, n, synced=False)
    for n in range(11, 21):
        one.window(START - WRONG_S + n, 1, n, clock_synced=False)
        one.tick(START - WRONG_S + n, n, synced=False)
    one.tick(START + 21, 21)
    one.tick(START + 43, 43)

    assert one.syns() == {START + 20: 20}


def test_a_stop_before_the_clock_is_set_leaves_the_counting_to_the_totals(
    bridge: Callable[..., Bridge],
) -> None:
    """What was held when the bridge was stopped comes with the next window of the same epoch."""
    one = bridge()
    one.window(START + 1, 5, 5)
    one.tick(START + 23, 100)
    one.window(START + 24, 7, 12, clock_synced=False)
    list(one.core.close())
    two = bridge()
    two.window(START + 30, 1, 13)
    two.tick(START + 43, 120)

    assert two.syns() == {START + 20: 5, START + 40: 8}


def test_a_clock_that_was_ahead_does_not_hold_up_the_rows(bridge: Callable[..., Bridge]) -> None:
    """After a trusted clock was a year wrong, rows go on at the true time."""
    one = bridge()
    ahead = START + 365 * 86_400
    one.window(ahead, 1, 1)
    one.tick(ahead + 30, 100)
    one.window(ahead + 40, 2, 3)
    one.tick(START + 5, 110)
    one.window(START + 6, 4, 7)
    one.tick(START + 23, 130)

    assert one.syns()[START + 21] == 6  # one later: the second itself may be taken


class Clock:
    """A sensor that counts a SYN a second, and a wall clock that can be set."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.wall_s, self.boot_s, self.total = float(START), 0.0, 0

    def run(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.wall_s, self.boot_s, self.total = self.wall_s + 1, self.boot_s + 1, self.total + 1
            self.bridge.window(self.wall_s, 1, self.total)
            self.bridge.tick(self.wall_s, self.boot_s)


def test_a_clock_set_back_by_an_hour_makes_no_silence(bridge: Callable[..., Bridge]) -> None:
    """Rows go on at the true time, between those that stand there already; reported once."""
    reported: list[int] = []
    one = bridge(set_back=reported.append)
    clock = Clock(one)
    clock.wall_s += 3600
    clock.run(3700)
    before = one.syns()

    clock.wall_s -= 3600
    clock.run(3600)
    clock.run(120)

    after = {second: syns for second, syns in one.syns().items() if second not in before}
    back = START + 3700
    assert {second: one.syns()[second] for second in before} == before
    assert sorted(after) == [
        *range(back, START + 3600, 20),
        *(second + (second <= max(before)) for second in range(back, START + 7401, 20)),
    ]
    assert list(after.values())[2:] == [20] * (len(after) - 2)
    assert sum(one.syns().values()) == 7400
    assert reported == [max(before) - START - 3699]  # two seconds are left to what comes late
    assert one.core.detail()["clock_set_back_total"] == 1


def test_a_step_of_a_second_changes_nothing(bridge: Callable[..., Bridge]) -> None:
    """A clock that is trimmed makes no rows of its own."""
    one = bridge()
    clock = Clock(one)
    clock.run(103)

    clock.wall_s -= 1
    clock.run(40)

    assert one.syns() == {START + n * 20: 20 for n in range(1, 6)} | {
        START + 120: 21,
        START + 140: 20,
    }


def test_what_was_held_while_the_clock_was_set_back_stands_at_its_time(
    bridge: Callable[..., Bridge],
) -> None:
    """A kernel calls a clock that was just set not synchronised for a while."""
    one = bridge()
    clock = Clock(one)
    clock.wall_s += 3600
    clock.run(103)
    clock.wall_s -= 3600
    for n in range(104, 165):
        one.window(START + n, 1, n, clock_synced=False)
        one.tick(START + n, n, synced=False)

    one.tick(START + 165, 165)

    late = {second: syns for second, syns in one.syns().items() if second < START + 3600}
    assert late == {START + 121: 17, START + 141: 20, START + 161: 20}


@settings_of_hypothesis(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(60, 200), st.integers(-400, 400)), min_size=1, max_size=6),
    st.sampled_from([2, 20, 60]),
)
@example([(60, -207), (194, -207), (180, -125), (60, -207)], 2)
def test_however_the_clock_is_set_no_count_is_lost_and_no_row_late(
    steps: list[tuple[int, int]], interval: int
) -> None:
    """Every SYN stands in one row, near the time the clock then showed, and none waits for it.

    Where the same time is lived through a third time, rows of two seconds find no room there: they
    stand behind all that is taken.
    """
    ahead = 400 if interval > 2 else sum(abs(step) for _, step in steps)
    with TemporaryDirectory() as folder:
        one = Bridge(Path(folder) / "outbox.sqlite", interval)
        clock, seen, last_s = Clock(one), set[int](), 0.0
        for seconds, step in [*steps, (200, 0)]:
            for _ in range(seconds):
                clock.run(1)
                if one.outbox.counts(DESTINATION)["waiting"] > len(seen):
                    new = set(one.rows()) - seen
                    assert all(abs(second - clock.wall_s) <= 3 * interval + ahead for second in new)
                    seen, last_s = seen | new, clock.boot_s
                assert clock.boot_s - last_s <= 2.5 * interval + 4
            clock.wall_s += step
        clock.run(2 * interval + 3)

        syns = sum(one.syns().values())
        one.outbox.close()
    assert clock.total - 2 * interval - 3 <= syns <= clock.total


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.booleans()), max_size=40))
def test_wild_times_lose_no_count_and_open_few_intervals(times: list[tuple[int, bool]]) -> None:
    """Whatever the stamps say, every frame stands in one row, and memory is bounded."""
    builder = RowBuilder(ENTRIES, 20)
    rows = []
    for number, (offset, synced) in enumerate(times, start=1):
        window: dict[str, Any] = {
            "epoch": "e", "counts": {"syn": 1}, "totals": {"syn": number},
        }  # fmt: skip
        builder.add("capture/wire/eth0", START + offset, window, synced=synced)
        if number % 5 == 0:
            builder.release(float(offset))
            rows += builder.finished(START)
    builder.release(0)
    rows += builder.finished(START)
    rows += builder.finished(START + 10_000)

    assert sum(row.values[7] for row in rows) == len(times)


def test_open_intervals_are_bounded() -> None:
    """A forger of times cannot fill the memory."""
    builder = RowBuilder(ENTRIES, 20)
    for number in range(MAX_OPEN + 100):
        for synced in (True, False):
            builder.add(
                "capture/wire/eth0", START + 20.0 * number,
                {"epoch": "e", "totals": {"syn": 1}}, synced=synced,
            )  # fmt: skip

    assert len(builder._samples) == len(builder._held) == MAX_OPEN
