"""What waits in the outbox, and what the core remembers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.drive import received
from tests.notifier.made import device
from tests.notifier.rig import Rig
from tests.notifier.test_folding import T, change

from monitorpi_notifier.items import Letter, ReportedAlert
from monitorpi_notifier.sinks.notes import note
from monitorpi_notifier.sinks.outbox import MOST_CHANGES, Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Open an outbox."""
    one = Outbox(tmp_path / "outbox.db")
    yield one
    one.close()


def waits(outbox: Outbox) -> list[str]:
    """Return which changes wait for the phone."""
    return [one.key.removeprefix("syn-flood-") for one in outbox.waiting("phone")]


def test_a_letter_takes_its_changes_along(outbox: Outbox) -> None:
    """Delivered they are done; else they wait again, and say so where nobody knows."""
    outbox.add([change(1), change(2), change(3, destination="mail")], [])
    first, second = outbox.waiting("phone")
    number = outbox.seal(Letter("phone", "t", "b", (first,)), 2, T)
    assert waits(outbox) == ["2"]
    assert outbox.open_letters("phone") == [number]
    assert outbox.open_letters("mail") == []
    assert outbox.noted(number) == (None, None)
    assert outbox.noted(99) == (None, None)
    assert outbox.counts() == {"phone": 2, "mail": 1}
    for is_delivered, text in ((False, "refused"), (True, None)):
        with closing(sqlite3.connect(outbox.file, isolation_level=None)) as db:
            note(db, number, is_delivered=is_delivered, text=text)
        assert outbox.noted(number) == (is_delivered, text)

    outbox.close_letter(number, is_delivered=False)
    assert waits(outbox) == ["1", "2"]
    assert not outbox.waiting("phone")[0].doubtful
    assert outbox.open_letters("phone") == []
    number = outbox.seal(Letter("phone", "t", "b", (first, second)), 1, T)
    outbox.close_letter(number, is_delivered=False, is_doubtful=True)
    assert [one.doubtful for one in outbox.waiting("phone")] == [True, True]
    number = outbox.seal(Letter("phone", "t", "b", (first,)), 1, T)
    outbox.close_letter(number, is_delivered=True)
    assert waits(outbox) == ["2"]
    assert outbox.counts() == {"phone": 1, "mail": 1}


def test_what_waits_can_be_withdrawn(outbox: Outbox) -> None:
    """Of one alert, for some; not what is in a letter."""
    outbox.add([change(1), change(2), change(1, destination="mail"), change(1)], [])
    outbox.seal(Letter("phone", "t", "b", (outbox.waiting("phone")[0],)), 1, T)

    outbox.withdraw("syn-flood-1", ["phone"])

    assert waits(outbox) == ["2"]
    assert outbox.counts() == {"phone": 2, "mail": 1}


def test_what_waits_can_be_dated_anew(outbox: Outbox) -> None:
    """All of it, in its order; what is on its way, too: it may have to go out again."""
    outbox.add([change(1), change(2), change(3)], [])
    outbox.seal(Letter("phone", "t", "b", (outbox.waiting("phone")[2],)), 1, T)

    outbox.amend(lambda one: replace(one, due_s=one.due_s + 5))

    assert [(one.id, one.due_s) for one in outbox.waiting("phone")] == [(1, T + 5), (2, T + 5)]
    outbox.expire(["phone"], T + 4)
    assert (waits(outbox), outbox.dropped_total) == (["1", "2"], 0)
    outbox.close_letter(1, is_delivered=False)
    assert outbox.waiting("phone")[2].due_s == T + 5


def test_what_is_old_or_for_nobody_expires(outbox: Outbox) -> None:
    """Counted; what is on its way stays, and what is known of open alerts."""
    reported = [
        ReportedAlert("a", "x", "open", "info", T - 9),
        ReportedAlert("b", "x", "closed", "info", T - 9),
        ReportedAlert("c", "x", "closed", "info", T),
    ]
    outbox.add([change(1, due_s=T - 1), change(2, due_s=T), change(3, destination="gone"),
                change(4, due_s=T - 1)], reported)  # fmt: skip
    outbox.seal(Letter("phone", "t", "b", (outbox.waiting("phone")[2],)), 1, T)

    outbox.expire(["phone"], T)

    assert waits(outbox) == ["2"]
    assert outbox.counts() == {"phone": 2}
    assert outbox.dropped_total == 2
    assert [one.key for one in outbox.reported()] == ["a", "c"]


def test_the_newest_of_each_alert_stays(outbox: Outbox) -> None:
    """2,000 wait for one destination; first those go that a newer one of the alert follows."""
    outbox.add([change(number) for number in range(MOST_CHANGES)], [])
    assert (MOST_CHANGES, outbox.dropped_total) == (2000, 0)

    outbox.add([change(5, what="closed"), change(1, destination="mail")], [])
    assert outbox.dropped_total == 1
    assert [one.what for one in outbox.waiting("phone") if one.key == "syn-flood-5"] == ["closed"]
    outbox.add([change(9999)], [])
    assert outbox.dropped_total == 2
    assert waits(outbox)[:2] == ["1", "2"]
    assert len(outbox.waiting("phone")) == 2000


def test_what_was_told_outlives_a_restart(tmp_path: Path) -> None:
    """The oldest first, with whom; 4,096 of them, open ones before others."""
    file = tmp_path / "outbox.db"
    one = Outbox(file)
    reported = ReportedAlert("a", "id", "open", "warning", T, frozenset({"phone", "mail"}))
    one.add([], [ReportedAlert("b", "id", "closed", "info", T + 1), reported])
    one.remember({"alive_at": 7.5})
    one.close()

    again = Outbox(file)
    assert again.reported() == [reported, ReportedAlert("b", "id", "closed", "info", T + 1)]
    assert (again.recall("alive_at"), again.recall("x")) == (7.5, None)
    again.add([], [ReportedAlert(str(n), "id", "closed", "info", T + 2 + n) for n in range(4095)])
    assert len(again.reported()) == 4096
    assert {"a", "0"} <= {one.key for one in again.reported()}
    assert "b" not in {one.key for one in again.reported()}
    again.close()


def test_health_tells_what_is_known() -> None:
    """And when we were there last is remembered once a minute, and at the end."""
    rig = Rig()
    rig.core.handle(None)
    list(rig.core.handle(received(device(), "b827eb000001")))
    rig.box.memory.clear()
    for _ in range(59):
        rig.tick(1)
    assert rig.box.memory == {}
    rig.tick(1)
    assert rig.box.memory == {"alive_at": rig.at.timestamp()}
    assert rig.core.detail() == {"unwritten_total": 0, "folded_total": 0, "devices_known": 1}
    rig.box.memory.clear()
    list(rig.core.close())
    assert rig.box.memory == {"alive_at": rig.at.timestamp()}


def test_a_change_stands_at_the_time_it_happened() -> None:
    """An opening at the alert's, an end at its end; what waits goes on waiting."""
    rig = Rig()
    opened_at = rig.at
    rig.alert()
    rig.tick(30)
    rig.alert(state="closed")
    assert [one.at_s for one in rig.box.changes] == [opened_at.timestamp(), rig.at.timestamp()]
    assert {one.opened_s for one in rig.box.changes} == {opened_at.timestamp()}
    rig.box.changes.clear()

    cause = rig.alert("device-down-192-0-2-1", rule="device-down")
    (first,) = rig.box.changes
    rig.tick(5)
    rig.alert("high-loss-192-0-2-2", rule="high-loss", caused_by=cause.key)

    (again,) = rig.box.changes
    assert first.due_s == cause.opened_at.timestamp() + 12.0
    assert again.due_s == first.due_s
    assert "With it:" in again.body


def test_what_another_version_wrote_is_passed_over(outbox: Outbox) -> None:
    """A line that cannot be read is nobody's message, and hides no other."""
    reported = ReportedAlert("a", "id", "open", "warning", T)
    outbox.add([change(1), change(2)], [reported, replace(reported, key="b")])
    with closing(sqlite3.connect(outbox.file, isolation_level=None)) as db:
        db.execute("UPDATE change SET content = replace(content, 'warning', 'x') WHERE id = 1")
        db.execute("UPDATE told SET content = 'x' WHERE key = 'a'")

    assert waits(outbox) == ["2"]
    assert [one.key for one in outbox.reported()] == ["b"]
    outbox.amend(lambda one: replace(one, due_s=one.due_s + 5))
    assert [one.due_s for one in outbox.waiting("phone")] == [T + 5]
