"""The loop of the postbox and what it makes of outcomes, by a clock of its own; nobody posts."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_common.backoff import BackOff
from monitorpi_common.log import Log
from monitorpi_notifier.directory import Directory
from monitorpi_notifier.folding import Folding
from monitorpi_notifier.items import NoticeChange
from monitorpi_notifier.sinks import postbox as module
from monitorpi_notifier.sinks.postbox import Postbox, PostedDestination, check, open_lock
from monitorpi_notifier.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = 1_800_000_000.0


class Letters:
    """An outbox of which nothing is on a disk."""

    def __init__(self) -> None:
        self.dropped_total = 7
        self.queue: list[NoticeChange] = []
        self.left: list[int] = []
        self.notes: dict[int, tuple[bool | None, str | None]] = {}
        self.sealed: list[tuple[int, float]] = []
        self.closed: list[tuple[int, bool, bool]] = []
        self.is_broken = False

    def _look(self) -> None:
        if self.is_broken:
            raise sqlite3.DatabaseError("malformed")

    def waiting(self, name: str) -> list[NoticeChange]:
        """Return what waits."""
        self._look()
        return [one for one in self.queue if one.destination == name]

    def open_letters(self, _: str) -> list[int]:
        """Return what a notifier before us left."""
        return self.left

    def noted(self, number: int) -> tuple[bool | None, str | None]:
        """Return what was noted."""
        return self.notes.get(number, (None, None))

    def seal(self, _: Any, tries: int, at_s: float) -> int:
        """Put into a letter."""
        self.sealed.append((tries, at_s))
        return len(self.sealed)

    def close_letter(self, number: int, *, is_delivered: bool, is_doubtful: bool) -> None:
        """Note the outcome."""
        self.closed.append((number, is_delivered, is_doubtful))
        if is_delivered:
            self.queue = self.queue[1:]

    def counts(self) -> dict[str, int]:
        """Return what waits for each."""
        self._look()
        return {"desk": len(self.queue)}


class Program:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, if it has ended."""
        return self.returncode


class Rig:
    """A postbox, its outbox and its clocks."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_s, self.boot_s = T, 1000.0
        self.outbox = Letters()
        self.program = Program()
        self.attempts: list[Any] = []
        self.desk = PostedDestination("desk", "json://x", "m:c", open_lock(folder, "desk"))
        self.postbox = Postbox(
            self.outbox, [self.desk], Folding(6), Wording(Directory(), UTC, None),  # type: ignore[arg-type]
            BackOff(5.0, 60.0), Log("notifier"), wall=lambda: self.wall_s,
            boot=lambda: self.boot_s,
        )  # fmt: skip
        monkeypatch.setattr(Postbox, "_start", lambda *_: self.program)

    def add(self, number: int = 1) -> None:
        """Let an alert wait."""
        self.outbox.queue.append(NoticeChange(
            "desk", "opened", f"k{number}", f"id{number}", "syn-flood", "critical", T, T, T,
            f"CRITICAL {number}", "b", "l",
        ))  # fmt: skip

    def step(self) -> bool:
        """Look after everything once."""
        return self.postbox.step(self.attempts.append)

    def end(self, code: int, note: tuple[bool | None, str | None] | None = None) -> None:
        """Let the program end."""
        if note is not None:
            self.outbox.notes[len(self.outbox.sealed)] = note
        self.program.returncode = code


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Return a postbox."""
    one = Rig(tmp_path, monkeypatch)
    yield one
    one.postbox.close()


@pytest.mark.parametrize(
    ("code", "note", "is_delivered", "is_doubtful", "error"),
    [
        (0, (True, None), True, False, None),
        (3, (False, "refused"), False, False, "refused"),
        (0, (False, "refused"), False, False, "refused"),
        (0, None, True, False, None),
        (3, None, False, False, "not delivered"),
        (-14, None, False, True, "no outcome: whoever sent it was stopped"),
        (1, (None, None), False, True, "no outcome: whoever sent it was stopped"),
    ],
)
def test_what_became_of_a_letter(
    rig: Rig, code: int, note: Any, is_delivered: bool, is_doubtful: bool, error: str | None
) -> None:
    """By the note, else by the exit code; what nobody knows is doubtful, and tried again."""
    rig.add()
    assert rig.step()
    assert rig.desk.is_posting
    assert rig.outbox.sealed == [(1, T)]

    rig.end(code, note)
    rig.wall_s += 3.0
    rig.boot_s += 2.0
    assert not rig.desk.is_posting
    rig.step()

    assert rig.outbox.closed == [(1, is_delivered, is_doubtful)]
    (attempt,) = rig.attempts
    assert (attempt.is_delivered, attempt.tries, attempt.error) == (is_delivered, 1, error)
    assert (attempt.at_s, attempt.waited_s) == (T + 3.0, 2.0)
    assert (rig.desk.delivered_total, rig.desk.failed_total) == (is_delivered, not is_delivered)
    assert rig.desk.tries == (0 if is_delivered else 1)
    assert rig.desk.next_s == (0.0 if is_delivered else 1002.0 + 5.0)
    rig.boot_s += 4.4
    told = rig.postbox.state()["destinations"]
    assert told == {"desk": {
        "waiting": 0 if is_delivered else 1, "delivered_total": int(is_delivered),
        "failed_total": int(not is_delivered), "failing_tries": 0 if is_delivered else 1,
        "delivered_s_ago": 4 if is_delivered else None, "error": error,
    }}  # fmt: skip


@pytest.mark.parametrize(("opened_s", "waited_s"), [(T - 60, 62.0), (T, 2.0), (T + 60, 2.0)])
def test_how_long_a_letter_waited(rig: Rig, opened_s: float, waited_s: float) -> None:
    """Since its alert opened, whatever the clock was set to since it left."""
    rig.add()
    rig.outbox.queue = [replace(rig.outbox.queue[0], opened_s=opened_s)]
    rig.step()
    rig.wall_s -= 3600.0
    rig.boot_s += 2.0
    rig.end(0)
    rig.step()

    assert [one.waited_s for one in rig.attempts] == [waited_s]


def test_pauses_grow_until_one_is_taken(rig: Rig) -> None:
    """By the boot-time clock; each try says which it is."""
    rig.add()
    for tries, pause_s in ((1, 5.0), (2, 10.0), (3, 20.0)):
        rig.step()
        assert rig.outbox.sealed[-1] == (tries, T)
        rig.end(3)
        rig.step()
        assert rig.desk.next_s == rig.boot_s + pause_s
        rig.program.returncode = None
        rig.boot_s += pause_s - 0.1
        assert not rig.step()
        rig.boot_s += 0.1
    assert rig.step()
    rig.end(0)
    rig.step()
    assert [one.tries for one in rig.attempts] == [1, 2, 3, 4]
    assert (rig.desk.tries, rig.desk.error) == (0, None)
    rig.add(2)
    rig.program.returncode = None
    rig.step()
    assert rig.outbox.sealed[-1] == (1, T)


def test_a_minute_is_forgotten_after_a_minute(rig: Rig) -> None:
    """Only what was taken counts for it."""
    rig.desk.sent_s = [940.0, 940.1, 1000.0]
    rig.add()

    rig.step()
    assert rig.desk.sent_s == [940.1, 1000.0]
    rig.end(3)
    rig.step()
    assert rig.desk.sent_s == [940.1, 1000.0]
    rig.boot_s += 5.0
    rig.program.returncode = None
    rig.step()
    rig.end(0)
    rig.step()
    assert rig.desk.sent_s[-1] == 1005.0


def test_what_a_notifier_before_us_left_is_closed_first(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once its sender has ended; what is not known is doubtful."""
    rig.outbox.left = [1, 2, 3]
    rig.outbox.notes = {1: (True, None), 2: (False, "refused")}
    rig.add(1)
    rig.add(2)
    with open_lock(tmp_path, "desk") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert not rig.step()
        assert (rig.outbox.closed, rig.outbox.sealed) == ([], [])

    assert rig.step()

    assert rig.outbox.closed == [(1, True, False), (2, False, False), (3, False, True)]
    assert rig.attempts == []
    assert "a message was left by a notifier before us" in caplog.text
    rig.end(0)
    rig.step()
    assert len(rig.outbox.closed) == 4


def test_an_outbox_that_cannot_be_used_is_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Health tells of none that waits then, and of what was dropped."""
    rig.outbox.is_broken = True

    assert not rig.step()

    assert "the outbox cannot be used" in caplog.text
    state = rig.postbox.state()
    assert state["dropped_total"] == 7
    assert state["destinations"]["desk"]["waiting"] == 0  # type: ignore[index,call-overload]


class Wake(threading.Event):
    """An event that notes how long it was waited for."""

    def __init__(self, postbox: Postbox, times: int) -> None:
        super().__init__()
        self.pauses: list[float | None] = []
        self._postbox, self._times = postbox, times

    def wait(self, timeout: float | None = None) -> bool:
        """Let no time pass; after some times, stop."""
        self.pauses.append(timeout)
        if len(self.pauses) >= self._times:
            self._postbox.stop()
        return True


@pytest.mark.parametrize(("is_busy", "pause_s"), [(False, 1.0), (True, 0.05)])
def test_the_loop_looks_each_second_or_while_somebody_posts_often(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, is_busy: bool, pause_s: float
) -> None:
    """It ends when it is stopped; what is on its way is waited for four seconds."""
    now, slept = [500.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.time, "sleep", sleep)
    wake = rig.postbox._wake = Wake(rig.postbox, 3)
    if is_busy:
        rig.add()

    rig.postbox.run(rig.attempts.append)

    assert wake.pauses == [pause_s] * 3
    assert not wake.is_set()
    assert sum(slept) == pytest.approx(4.0 if is_busy else 0.0, abs=0.06)


def test_what_ends_while_we_end_is_noted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not waited for any longer."""
    rig.postbox._wake = Wake(rig.postbox, 1)
    rig.add()
    monkeypatch.setattr(module.time, "sleep", lambda _: rig.end(0))

    rig.postbox.run(rig.attempts.append)

    assert [one.is_delivered for one in rig.attempts] == [True]


def test_news_wakes_the_loop(rig: Rig) -> None:
    """So does its end."""
    rig.postbox.post_soon()
    assert rig.postbox._wake.is_set()
    rig.postbox._wake.clear()
    rig.postbox.stop()
    assert rig.postbox._wake.is_set()
    rig.postbox.run(rig.attempts.append)
    rig.postbox.close()
    assert rig.desk.lock.closed


@pytest.mark.parametrize(("now_s", "at_s", "ago"), [(10.0, None, None), (10.0, 5.6, 4),
                                                    (10.0, 12.0, 0)])  # fmt: skip
def test_how_long_ago(now_s: float, at_s: float | None, ago: int | None) -> None:
    """Never less than nothing."""
    assert module._ago(now_s, at_s) == ago


def test_a_check_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its exit code."""
    monkeypatch.setattr(module, "POST", "no_such_module")

    with pytest.raises(OSError, match="Apprise failed with exit code 1"):
        check({"desk": "json://x"})
