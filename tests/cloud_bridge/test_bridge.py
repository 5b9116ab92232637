"""The core: the alerts it tells once, the commands it obeys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.cloud_bridge.corebridge import DESTINATION, START, Bridge, an_alert, settings

from monitorpi_cloud_bridge.core import BridgeCore
from monitorpi_cloud_bridge.items import Called, OutboxRow
from monitorpi_cloud_bridge.mapping import DEFAULTS, MappingEntry
from monitorpi_cloud_bridge.rows import RowBuilder
from monitorpi_cloud_bridge.settings import ListedCommand
from monitorpi_cloud_bridge.sinks.guarded import GuardedRowOutbox
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Device, Health, Target
from monitorpi_common.service import Received, Tick
from monitorpi_common.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from monitorpi_common.messages import Message


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

    for number in (*range(200), *range(200)):  # each is published again
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
    before = one.texts()
    one.tick(START + 310 + 300, 710.0)
    one.alert("open", "syn-flood-z", 202)
    assert set(one.texts()) - set(before) == {"OPEN SYN flood from x (1 changes before it untold)"}
    before = one.texts()
    one.tick(START + 310 + 600, 1010.0)
    one.alert("closed", "syn-flood-z", 202)
    assert set(one.texts()) - set(before) == {"CLOSED SYN flood from x"}


def test_a_text_that_is_written_is_sent_at_once(bridge: Callable[..., Bridge]) -> None:
    """One that is not, or was, hurries nobody."""
    hurried: list[int] = []
    one = bridge(hurry=lambda: hurried.append(1))
    for state, seen in (("closed", 0), ("open", 1), ("open", 1), ("closed", 2)):
        one.alert(state)

        assert len(hurried) == seen


@pytest.mark.parametrize("length", [249, 250, 251, 300])
@pytest.mark.parametrize("passed_over", [0, 1, 10])
@pytest.mark.parametrize("letter", ["x", "\N{LATIN SMALL LETTER U WITH DIAERESIS}"])
def test_a_text_is_as_long_as_the_service_takes_it(
    bridge: Callable[..., Bridge], length: int, passed_over: int, letter: str
) -> None:
    """255 bytes, of whole letters; how many were passed over is never cut."""
    one = bridge()
    one.core._passed_over = passed_over
    after = f" ({passed_over} changes before it untold)" if passed_over else ""

    text = one.core._text(an_alert("open").model_copy(update={"summary": letter * length}))

    whole = f"OPEN {letter * length}{after}"
    size = len(text.encode())
    assert text.startswith(f"OPEN {letter}")
    assert text.endswith(letter + after)
    assert text == whole if len(whole.encode()) <= 255 else 255 - len(letter.encode()) < size <= 255


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
    (again,) = one.core.handle(Called("WATCH"))
    for text in ("watch", "WATCH ", "", "*", "RM -RF"):
        assert list(one.core.handle(Called(text))) == []

    assert (said.to, said.message.name, said.message.args) == (  # type: ignore[attr-defined] # a command, as asserted
        "capture",
        "watch",
        {"seconds": 60},
    )
    assert said.message.at == datetime.fromtimestamp(START, UTC)  # type: ignore[attr-defined] # as above
    assert [one.id for one in (said, again)] == ["talkback-1", "talkback-2"]
    detail = one.core.detail()
    assert (detail["talkback_obeyed_total"], detail["talkback_unknown_total"]) == (2, 5)


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
