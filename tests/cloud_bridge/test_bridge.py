"""The core: the clock it waits for, the alerts it tells once, the commands it obeys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from monitorpi_cloud_bridge.core import MEMORY, REPORTED, BridgeCore
from monitorpi_cloud_bridge.items import Called, OutboxRow
from monitorpi_cloud_bridge.mapping import DEFAULTS, MappingEntry
from monitorpi_cloud_bridge.rows import MAX_OPEN, RowBuilder
from monitorpi_cloud_bridge.settings import CloudBridgeSettings, ListedCommand
from monitorpi_cloud_bridge.sinks.guarded import GuardedRowOutbox
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Device, Evidence, Health, Target, Wire
from monitorpi_common.service import Received, Tick
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import JsonValue

    from monitorpi_common.messages import Message

START = 1_800_000_000
DESTINATION = "thingspeak/traffic"
ENTRIES = [entry for entry in DEFAULTS if entry.channel == "traffic"]
WRONG_S = 86_400.0
"""How far behind a clock without a battery wakes up."""


class Bridge:
    """A core on a real outbox, and the clocks it is shown."""

    def __init__(self, file: Path, interval_s: int = 20, **settings: Any) -> None:
        self.outbox = RowOutbox(file)
        builder = RowBuilder(ENTRIES, interval_s)
        builder.remember(self.outbox.recall(MEMORY))
        store = GuardedRowOutbox(self.outbox, interval_s, Log("test-bridge", "error"))
        self.core = BridgeCore(
            builder, store, {"traffic": (DESTINATION,)}, (DESTINATION,), **settings
        )
        self.core.recall(self.outbox.recall(REPORTED))

    def tick(self, at_s: float, boot_s: float, *, synced: bool = True) -> None:
        """Let a second pass."""
        list(self.core.handle(Tick(datetime.fromtimestamp(at_s, UTC), boot_s, synced)))

    def window(self, at_s: float, count: int, total: int, **more: Any) -> None:
        """Deliver a window of SYNs."""
        at = datetime.fromtimestamp(at_s, UTC)
        message = Wire.model_validate(
            {
                "epoch": "e", "seq": 0, "start": at, "end": at, "window_s": 1,
                "clock_synced": True, "interface": "eth0", "engine": "socket", "packets": count,
                "bytes": 0, "counts": {"syn": count}, "totals": {"syn": total}, **more,
            }
        )  # fmt: skip
        list(self.core.handle(Received(Topic("lab", "capture", "wire", "eth0"), message)))

    def alert(self, state: str, key: str = "syn-flood-x", number: int = 0) -> None:
        """Deliver an alert, as it stands retained."""
        at = datetime.fromtimestamp(START + 3, UTC)
        message = Alert.model_validate(
            {
                "id": f"00000000-0000-0000-0000-{number:012d}", "key": key, "rule": "syn-flood",
                "severity": "critical", "state": state, "subject": "x", "opened_at": at, "at": at,
                "summary": "SYN flood from x",
                "evidence": Evidence(value=1, threshold=1, window_s=1, peak=1),
            }
        )  # fmt: skip
        list(self.core.handle(Received(Topic("lab", "detector", "alert", key), message)))

    def rows(self) -> dict[int, Mapping[str, str]]:
        """Return what stands in the outbox."""
        rows = self.outbox.take(DESTINATION, 10_000)
        self.outbox.acknowledge(DESTINATION, [], [row.second for row in rows])
        return {row.second: row.fields for row in rows}

    def syns(self) -> dict[int, int]:
        """Return the SYNs of each row."""
        return {second: int(row["field7"]) for second, row in self.rows().items()}

    def texts(self) -> list[str]:
        """Return the status texts."""
        return [row["status"] for row in self.rows().values() if "status" in row]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    """Make bridges one after the other on one outbox; the one before dies as by kill -9."""
    made: list[Bridge] = []

    def make(**settings: Any) -> Bridge:
        if made:
            made[-1].outbox.close()
        made.append(Bridge(tmp_path / "outbox.sqlite", **settings))
        return made[-1]

    yield make
    made[-1].outbox.close()


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


@settings_of_hypothesis(max_examples=25, deadline=None)
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


# --- alerts -------------------------------------------------------------------------------------


def test_an_alert_is_told_once_also_after_a_kill(bridge: Callable[..., Bridge]) -> None:
    """Opening and closing are a text each; a retained copy after a restart is none."""
    one = bridge()
    one.alert("open")
    one.alert("open")
    two = bridge()
    two.alert("open")
    assert two.texts() == ["OPEN SYN flood from x"]

    three = bridge()
    three.alert("closed")
    four = bridge()
    four.alert("closed")

    assert sorted(four.texts()) == ["CLOSED SYN flood from x", "OPEN SYN flood from x"]


def test_an_alert_that_was_over_before_we_came_is_not_told(bridge: Callable[..., Bridge]) -> None:
    """What is found closed and was never reported open is history."""
    one = bridge()
    one.alert("closed")

    assert one.texts() == []


def test_whoever_sets_off_alerts_does_not_spend_the_quota(bridge: Callable[..., Bridge]) -> None:
    """Texts are rows of the year's quota: 64 at once, then one in five minutes; the rest counts."""
    one = bridge()
    one.tick(START, 100.0)

    for number in range(200):
        one.alert("open", f"syn-flood-{number}", number)
    first = one.texts()
    one.tick(START + 290, 390.0)
    one.alert("open", "syn-flood-x", 200)
    one.tick(START + 310, 410.0)
    one.alert("closed", "syn-flood-x", 200)
    one.alert("open", "syn-flood-y", 201)

    assert len(first) == 64
    assert set(one.texts()) - set(first) == {
        "CLOSED SYN flood from x (137 changes before it untold)"
    }
    assert one.core.detail()["alerts_passed_over_total"] == 138


def test_an_alert_that_stays_open_beside_hundreds_is_told_once(
    bridge: Callable[..., Bridge],
) -> None:
    """It is published anew each ten seconds, however many others open and close meanwhile."""
    one = bridge()
    for number in range(600):
        one.tick(START + 600 * number, 100.0 + 600 * number)
        one.alert("open", "syn-flood-long", 9000)
        one.alert("open", f"syn-flood-{number}", number)
        one.alert("closed", f"syn-flood-{number}", number)

    assert len(one.texts()) == 1 + 2 * 600


def test_many_alerts_of_one_second_each_find_a_place(bridge: Callable[..., Bridge]) -> None:
    """Texts take seconds of their own, never that of a row of counts."""
    one = bridge()
    for number in range(64):
        one.alert("open", f"syn-flood-{number}", number)

    assert len(one.texts()) == 64
    assert all(second % 20 for second in one.rows())


class Full:
    """An outbox whose disk is full until it is not; it keeps what a real one was given."""

    def __init__(self) -> None:
        self.full = True
        self.rows: list[OutboxRow] = []

    def add(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Take rows, or not."""
        del memory
        self.rows += [] if self.full else rows
        return not self.full

    def add_urgent(self, rows: list[OutboxRow], memory: Mapping[str, JsonValue]) -> bool:
        """Take texts, or not."""
        return self.add(rows, memory)


def test_a_full_disk_keeps_rows_and_alerts_for_later(bridge: Callable[..., Bridge]) -> None:
    """What cannot be written waits in memory and is written once there is room."""
    one = bridge()
    store = Full()
    one.core.store = store
    one.window(START + 1, 5, 5)
    one.alert("open")
    one.tick(START + 23, 100)
    assert store.rows == []
    assert one.core.detail()["unwritten"] == 1

    store.full = False
    one.tick(START + 24, 101)

    assert [dict(row.fields).get("status", "counts") for row in store.rows] == [
        "counts",
        "OPEN SYN flood from x",
    ]
    one.tick(START + 25, 102)
    assert len(store.rows) == 2


# --- any message ---------------------------------------------------------------------------------


def test_any_number_of_any_message_can_stand_in_a_row(tmp_path: Path) -> None:
    """Devices, targets and alerts are relayed as windows and rounds are, each at its own time."""
    at = datetime.fromtimestamp(START + 3, UTC)
    last = {"name": "nas", "address": "198.18.0.2", "rtt_avg_ms": 0.25}
    device = {"mac": "00:00:5e:00:53:04", "first_seen": at, "last_seen": at, "present": True}
    messages: list[tuple[str, Message]] = [
        ("capture/device/00005e005304", Device.model_validate(
            device | {"load": {"tx_bps": 8000}, "totals": {"tx": {"syn": 7}}})),
        ("prober/target/198-18-0-2", Target.model_validate(
            {"name": "nas", "address": "198.18.0.2", "state": "up", "since": at, "at": at,
             "last": last})),
        ("detector/alert/syn-flood-x", Alert.model_validate(
            {"id": "00000000-0000-0000-0000-000000000001", "key": "k", "rule": "r",
             "severity": "critical", "state": "open", "subject": "x", "opened_at": at, "at": at,
             "summary": "s", "evidence": {"value": 320, "threshold": 1, "window_s": 1,
                                          "peak": 1}})),
    ]  # fmt: skip
    entries = [
        MappingEntry(topic=topic, path=path, channel="own", field=number, aggregate="last")
        for number, (topic, path) in enumerate(
            [
                ("capture/device/00005e005304", "load.tx_bps"),
                ("capture/device/+", "totals.tx.syn"),
                ("prober/target/198-18-0-2", "last.rtt_avg_ms"),
                ("detector/alert/+", "evidence.value"),
            ],
            start=1,
        )
    ]
    outbox = RowOutbox(tmp_path / "outbox.sqlite")
    store = GuardedRowOutbox(outbox, 20, Log("test-bridge", "error"))
    core = BridgeCore(RowBuilder(entries, 20), store, {"own": (DESTINATION,)})

    for place, message in messages:
        service, kind, name = place.split("/")
        list(core.handle(Received(Topic("lab", service, kind, name), message)))
    list(core.handle(Tick(datetime.fromtimestamp(START + 23, UTC), 100.0, clock_synced=True)))

    (row,) = outbox.take(DESTINATION, 10)
    outbox.close()
    assert row.second == START + 20
    assert row.fields == {"field1": "8000", "field2": "7", "field3": "0.25", "field4": "320"}


# --- commands and foreign values ----------------------------------------------------------------


def test_only_listed_texts_are_obeyed(bridge: Callable[..., Bridge]) -> None:
    """An exact match becomes a command of the contract; anything else is counted."""
    watch = ListedCommand(service="capture", name="watch", args={"seconds": 60})
    one = bridge(permitted={"WATCH": watch})
    one.tick(START, 100)

    (said,) = one.core.handle(Called("WATCH"))
    for text in ("watch", "WATCH ", "", "*", "RM -RF"):
        assert list(one.core.handle(Called(text))) == []

    assert (said.to, said.message.name, said.message.args) == (  # type: ignore[attr-defined] # a command, as asserted
        "capture",
        "watch",
        {"seconds": 60},
    )
    assert one.core.detail()["talkback_unknown_total"] == 5


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**400, -(10**400)])
def test_numbers_no_cloud_can_take_are_left_out(value: float) -> None:
    """Infinity, what is no number and what is beyond any count make no row and no crash."""
    builder = RowBuilder([entry for entry in DEFAULTS if entry.channel == "health"], 20)
    at = datetime.fromtimestamp(START + 1, UTC)
    health = Health.model_validate(
        {
            "at": at, "version": "1", "started_at": at, "uptime_s": 1, "published_total": 0,
            "received_total": 0, "rejected_total": 0, "refused_total": 0, "queue_depth": 0,
            "queue_dropped_total": 0, "rss_bytes": 0, "clock_synced": True,
            "detail": {"open_alerts": value},
        }
    )  # fmt: skip

    builder.add("detector/health/main", START + 1, health.model_dump())

    assert builder.finished(START + 40) == []


# --- settings -----------------------------------------------------------------------------------


def settings(**values: Any) -> CloudBridgeSettings:
    """Build settings."""
    return CloudBridgeSettings.model_validate(values)


def test_another_cloud_alone_needs_no_licence_of_thingspeak() -> None:
    """Rows that never go to ThingSpeak do not count for its quota."""
    assert settings(influx={"url": "https://influx.example:8086"}).destinations() == [
        "traffic",
        "health",
    ]


def test_plain_http_is_possible_on_request_and_on_this_machine() -> None:
    """Loopback needs no permission, another machine an explicit one."""
    settings(url="http://127.0.0.1:1", interval_s=1, pacing_s=0.1)
    settings(url="http://cloud.lan", allow_http=True)
