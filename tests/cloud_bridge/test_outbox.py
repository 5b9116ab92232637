"""The outbox as a state machine: every row in one state, whatever happens and whenever it dies."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox, RowState
from monitorpi_cloud_bridge.thinning import Thinned, Waiting
from monitorpi_common.database import snapshot

LANES = ("thingspeak/traffic", "influx/traffic")
INTERVAL_S = 20
SECONDS = st.integers(0, 400)
DESTINATION = st.sampled_from(LANES)


class OutboxMachine(RuleBasedStateMachine):
    """Two destinations; rows are written, taken, acknowledged, thinned; the process is killed."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._lives = 0
        self.box: RowOutbox
        self.rows: dict[str, dict[int, RowState]] = {destination: {} for destination in LANES}
        self.tried: dict[str, Counter[int]] = {destination: Counter() for destination in LANES}
        self.urgent: dict[str, set[int]] = {destination: set() for destination in LANES}
        self.remembered = 0
        self.patient: set[tuple[str, int]] = set()
        """Rows known to be stored, which is written with what comes next."""

    def _file(self) -> Path:
        return Path(self._folder.name) / str(self._lives) / "outbox.sqlite"

    def of(self, destination: str, state: RowState) -> set[int]:
        """Return the seconds of the rows in a state."""
        return {second for second, now in self.rows[destination].items() if now is state}

    def newest(self, destination: str) -> int:
        """Return the newest second that a row of counts has."""
        return max(self.rows[destination].keys() - self.urgent[destination], default=-1)

    @initialize()
    def begin(self) -> None:
        """Open it for the first time."""
        self._file().parent.mkdir()
        self.box = RowOutbox(self._file())

    @rule(destination=DESTINATION, seconds=st.lists(SECONDS, min_size=1, max_size=5))
    def add(self, destination: str, seconds: list[int]) -> None:
        """Write rows and a memory in one; each finds a second that was never given to another."""
        self.remembered += 1
        rows = []
        for wished in seconds:
            second = wished
            again = second <= self.newest(destination) or second in self.rows[destination]
            while again and (second in self.rows[destination] or second % INTERVAL_S == 0):
                second += 1
            rows.append(OutboxRow(destination, wished, {"field1": str(second)}))
            self.rows[destination][second] = RowState.WAITING

        self.box.add(rows, {"n": self.remembered}, INTERVAL_S)
        self.patient.clear()

    @rule(destination=DESTINATION, second=SECONDS)
    def add_urgent(self, destination: str, second: int) -> None:
        """Write a text; it finds a second of its own, never one of the rows of counts."""
        self.box.add_urgent([OutboxRow(destination, second, {"status": "x"})], INTERVAL_S, {})
        self.patient.clear()
        while second in self.rows[destination] or second % INTERVAL_S == 0:
            second += 1
        self.rows[destination][second] = RowState.WAITING
        self.urgent[destination].add(second)

    @rule(destination=DESTINATION, most=st.integers(1, 20))
    def take(self, destination: str, most: int) -> None:
        """Take rows: the newest, then texts, then the oldest; in order, as they were written."""
        waiting = self.of(destination, RowState.WAITING)
        plain = waiting - self.urgent[destination]
        live = [max(plain)] if plain else []
        rest = sorted(waiting - set(live), key=lambda s: (s not in self.urgent[destination], s))

        taken = self.box.take(destination, most)

        if taken:
            self.patient.clear()
        seconds = [row.second for row in taken]
        assert seconds == sorted((live + rest)[:most])
        for row in taken:
            text = row.second in self.urgent[destination]
            assert row.fields == ({"status": "x"} if text else {"field1": str(row.second)})
            self.rows[destination][row.second] = RowState.IN_FLIGHT
            self.tried[destination][row.second] += 1

    @precondition(
        lambda self: any(self.of(destination, RowState.IN_FLIGHT) for destination in LANES)
    )
    @rule(destination=DESTINATION, data=st.data())
    def acknowledge(self, destination: str, data: st.DataObject) -> None:
        """Learn what became of rows in flight."""
        flying = self.of(destination, RowState.IN_FLIGHT)
        some = st.sets(st.sampled_from(sorted(flying))) if flying else st.just(set[int]())
        there = data.draw(some)
        suspected = data.draw(some) - there

        self.box.acknowledge(destination, there, flying - there - suspected, suspected)

        self.patient |= {(destination, second) for second in there}
        if flying - there:
            self.patient.clear()
        for second in flying:
            self.rows[destination][second] = (
                RowState.STORED
                if second in there
                else RowState.SUSPECTED
                if second in suspected
                else RowState.WAITING
            )

    @rule(destination=DESTINATION, data=st.data())
    def put_back(self, destination: str, data: st.DataObject) -> None:
        """Learn that rows in flight were never sent; those that never were may be thinned again."""
        flying = sorted(self.of(destination, RowState.IN_FLIGHT))
        suspected = data.draw(st.sets(st.sampled_from(flying))) if flying else set()

        self.box.put_back(destination, flying, suspected)

        self.patient.clear()
        for second in flying:
            is_suspect = second in suspected
            self.rows[destination][second] = RowState.SUSPECTED if is_suspect else RowState.WAITING
            self.tried[destination][second] -= 1

    @rule(destination=DESTINATION, most=st.integers(1, 5))
    def take_suspects(self, destination: str, most: int) -> None:
        """Take some of the rows under suspicion, and one that is not there."""
        wanted = sorted(self.of(destination, RowState.SUSPECTED))[:most]

        taken = self.box.take_these(destination, [*wanted, 9999])

        assert [row.second for row in taken] == wanted
        self.patient.clear()
        for second in wanted:
            self.rows[destination][second] = RowState.IN_FLIGHT
            self.tried[destination][second] += 1

    @rule(destination=DESTINATION)
    def dead_letter(self, destination: str) -> None:
        """Give one up that the cloud will never take."""
        for second in sorted(self.of(destination, RowState.IN_FLIGHT))[:1]:
            self.box.dead_letter(destination, {second: f"refused {second}"})
            self.patient.clear()
            self.rows[destination][second] = RowState.SET_ASIDE

    @rule(destination=DESTINATION, first=SECONDS, length=st.integers(1, 200))
    def thin(self, destination: str, first: int, length: int) -> None:
        """Put one row in the place of several that were never sent; others are not even shown."""
        shown = self.box.untried(destination, before=first + length, after=first - 1, most=1000)
        free = (
            self.of(destination, RowState.WAITING)
            - set(+self.tried[destination])
            - self.urgent[destination]
        )
        assert [row.second for row in shown] == sorted(
            s for s in free if first <= s < first + length
        )
        if len(shown) < 2:
            return
        stays = shown[len(shown) // 2].second

        gone = self.box.replace(
            destination,
            [Thinned([row.second for row in shown], [Waiting(stays, {"field1": str(stays)})])],
        )

        assert gone == len(shown) - 1
        self.patient.clear()
        for row in shown:
            del self.rows[destination][row.second]
        self.rows[destination][stays] = RowState.WAITING

    @rule()
    def stop_and_start(self) -> None:
        """End in an orderly way: everything stands as it stood."""
        self.box.close()
        self.box = RowOutbox(self._file())
        self.patient.clear()

    @rule()
    def wait(self) -> None:
        """Let no rows come for long: what waited for them is written."""
        self.box.commit()
        self.patient.clear()

    @rule()
    def look(self) -> None:
        """Another process looks meanwhile: it sees what is written, all or nothing of each."""
        with snapshot(self._file()) as database:
            found = database.execute("SELECT lane, second, state FROM row").fetchall()
        written = {
            (lane, second): RowState.IN_FLIGHT if (lane, second) in self.patient else state
            for lane, rows in self.rows.items()
            for second, state in rows.items()
        }
        assert {(lane, second): state for lane, second, state in found} == written

    @rule()
    def be_killed(self) -> None:
        """Go on from the files as they lie there now, nothing closed: as after kill -9.

        Which rows are stored is looked up anew where it was not written yet.
        """
        before = self._file()
        self._lives += 1
        shutil.copytree(before.parent, self._file().parent)
        self.box.close()
        with closing(sqlite3.connect(self._file())) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        self.box = RowOutbox(self._file())
        for destination, second in self.patient:
            self.rows[destination][second] = RowState.IN_FLIGHT
        self.patient.clear()

    @invariant()
    def every_row_is_in_one_state(self) -> None:
        """Nothing is lost and nothing doubled in either; the memory goes with its rows."""
        for destination in LANES:
            counts = self.box.counts(destination)
            expected = {s.name.lower(): len(self.of(destination, s)) for s in RowState}
            expected["waiting"] += expected["suspected"]
            assert counts == expected
            assert self.box.suspected(destination) == sorted(
                self.of(destination, RowState.SUSPECTED)
            )
            aside = self.of(destination, RowState.SET_ASIDE)
            assert self.box.refusals(destination) == {s: f"refused {s}" for s in aside}
            assert self.box.in_flight(destination) == sorted(
                self.of(destination, RowState.IN_FLIGHT)
            )
            states = (RowState.WAITING, RowState.IN_FLIGHT, RowState.SUSPECTED)
            unsent = {second for state in states for second in self.of(destination, state)}
            assert self.box.oldest_unsent(destination) == min(unsent, default=None)
        assert (self.box.recall("n") or 0) == self.remembered

    def teardown(self) -> None:
        """Close the database."""
        self.box.close()
        self._folder.cleanup()


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=60, stateful_step_count=40)


def test_a_row_that_finds_no_second_is_counted(tmp_path: Path) -> None:
    """With a row each second there is none between: the second row of a second is dropped."""
    with closing(RowOutbox(tmp_path / "outbox.sqlite")) as box:
        row = OutboxRow(LANES[0], 100, {"field1": "1"})

        assert [box.add([row], {}, 1), box.add([row, row], {}, 1), box.add([row], {}, 20)] == [
            0,
            2,
            0,
        ]
        assert box.counts(LANES[0])["waiting"] == 2


def test_a_text_takes_the_first_free_second_where_rows_end_each(tmp_path: Path) -> None:
    """There is none between two rows: it stands where the next one would."""
    with closing(RowOutbox(tmp_path / "outbox.sqlite")) as box:
        box.add([OutboxRow(LANES[0], second, {"field1": "1"}) for second in (100, 101)], {}, 1)

        box.add_urgent([OutboxRow(LANES[0], 100, {"status": "x"})], 1, {})

        assert box.urgent(LANES[0], 5) == [102]


@pytest.mark.parametrize(
    ("stored", "missing", "suspected", "is_written"),
    [
        ((1,), (), (), False), ((1,), (2,), (), True), ((1,), (), (3,), True), ((), (2,), (), True),
        ((), (), (3,), True), ((1,), (2,), (3,), True),
    ],
)  # fmt: skip
def test_only_that_rows_are_stored_waits_for_the_next_ones(
    tmp_path: Path, stored: tuple[int, ...], missing: tuple[int, ...], suspected: tuple[int, ...],
    *, is_written: bool,
) -> None:  # fmt: skip
    """What is not there, or suspected, is on the disk at once: it is sent again."""
    file = tmp_path / "outbox.sqlite"
    with closing(RowOutbox(file)) as box:
        box.add([OutboxRow(LANES[0], second, {"field1": "1"}) for second in (1, 2, 3)], {})
        box.take(LANES[0], 3)

        box.acknowledge(LANES[0], stored, missing, suspected)

        with snapshot(file) as database:
            found = dict(database.execute("SELECT second, state FROM row").fetchall())
    changed = [second for second, state in found.items() if state != RowState.IN_FLIGHT]
    assert changed == (sorted((*stored, *missing, *suspected)) if is_written else [])
