"""A bridge that finds its outbox held waits for it, and leaves when it is asked to."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks import guarded
from monitorpi_cloud_bridge.sinks.guarded import GuardedRowOutbox, open_outbox
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HANDLED = (signal.SIGTERM, signal.SIGINT)


class Held:
    """An outbox that another bridge holds, and what is done while we stand by."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.other = RowOutbox(file)
        self.other.add([OutboxRow("cloud/traffic", 20, {"field1": "1"})], {})
        self.said: list[tuple[str, dict[str, object]]] = []
        self.log = Log("test")
        self.log.info = lambda event, **more: self.said.append((event, more))  # type: ignore[method-assign]

    def open(self, meanwhile: Callable[[], object]) -> RowOutbox:
        """Open it; something happens once we stand by."""
        timer = threading.Timer(0.1, meanwhile)
        timer.start()
        try:
            return open_outbox(self.file, self.log)
        finally:
            timer.join()


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Return one that is looked at often."""
    monkeypatch.setattr(guarded, "_STANDBY_LOOK_S", 0.02)
    return Held(tmp_path / "outbox.sqlite")


def test_what_nobody_holds_is_opened_at_once(tmp_path: Path) -> None:
    """Its folder may be missing, and theirs."""
    for _ in range(2):
        open_outbox(tmp_path / "a" / "b" / "outbox.sqlite", Log("test")).close()


def test_a_full_disk_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do against it is said."""
    box = RowOutbox(tmp_path / "outbox.sqlite")
    log, said = Log("test"), list[tuple[str, dict[str, object]]]()
    for level in ("warning", "error"):
        monkeypatch.setattr(log, level, lambda event, **more: said.append((event, more)))
    one = GuardedRowOutbox(box, 1, log)
    rows = [OutboxRow("cloud/traffic", 20, {"field1": "1"})]
    assert one.add(rows, {"a": 1}) is True
    assert one.add(rows, {"a": 2}) is True
    assert GuardedRowOutbox(box, 20, log).add_urgent(rows, {"b": 1}) is True
    one.remember({"c": 1})
    assert [box.recall(name) for name in "abc"] == [2, 1, 1]
    assert said == [("rows were dropped: their seconds are taken", {"rows": 1})]
    said.clear()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("it is full")

    for name in ("add", "add_urgent", "remember"):
        monkeypatch.setattr(box, name, full)
    assert one.add(rows, {}) is False
    assert one.add_urgent(rows, {}) is False
    one.remember({})

    assert said == [
        ("the outbox cannot be written: rows are kept in memory", {"reason": "it is full"}),
        ("an alert could not be written to the outbox", {"reason": "it is full"}),
        ("the outbox cannot be written", {"reason": "it is full"}),
    ]
    box.close()


def test_who_stands_by_goes_on_with_the_rows_of_the_one_before(held: Held) -> None:
    """It is said once, and signals do what they did before."""
    before = [signal.getsignal(number) for number in HANDLED]

    box = held.open(held.other.close)

    assert box.counts("cloud/traffic")["waiting"] == 1
    assert held.said == [("standing by: another bridge holds the outbox", {"file": held.file})]
    assert [signal.getsignal(number) for number in HANDLED] == before
    box.close()


@pytest.mark.parametrize("number", HANDLED)
def test_who_stands_by_leaves_when_asked(held: Held, number: signal.Signals) -> None:
    """There is nothing to close: a success, and the outbox stays with the other one."""
    with pytest.raises(SystemExit) as left:
        held.open(lambda: os.kill(os.getpid(), number))

    assert left.value.code == 0
    assert held.other.counts("cloud/traffic")["waiting"] == 1
    held.other.close()
