"""Empties the outbox: one message at a time per destination, all destinations at once.

Each message is posted by a process of its own (:mod:`.post`), which holds the destination's lock
until it ends. A notifier that was killed leaves it running; the next one waits for that lock before
it looks what became of the message, and before it sends anything else there.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from monitorpi_common import clock, plainfile
from monitorpi_common.database import remedied
from monitorpi_notifier.folding import MINUTE_S
from monitorpi_notifier.items import Attempt
from monitorpi_notifier.sinks.notes import NOT_DELIVERED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import JsonValue

    from monitorpi_common.backoff import BackOff
    from monitorpi_common.log import Log
    from monitorpi_notifier.folding import Folding
    from monitorpi_notifier.items import Letter
    from monitorpi_notifier.sinks.outbox import Outbox
    from monitorpi_notifier.wording import Wording

POST: Final = "monitorpi_notifier.sinks.post"
_TYPES: Final = {"CRITICAL": "failure", "NOW": "failure", "WARNING": "warning", "OVER": "success"}
_LOOK_S: Final = 1.0
_BUSY_LOOK_S: Final = 0.05
_STOP_S: Final = 4.0
_OUTCOMES: Final = {0: True, NOT_DELIVERED: False}
"""What the exit code of whoever posted a message says, where the disk was too full for a note."""


@dataclass(slots=True)
class _Posting:
    """A message that is on its way."""

    letter: Letter
    number: int
    tries: int
    opened_s: float
    """When its first alert opened, by the boot-time clock."""
    process: subprocess.Popen[bytes]


@dataclass(slots=True)
class PostedDestination:
    """One destination, and how it goes there."""

    name: str
    url: str
    plugin: str
    lock: IO[bytes]
    is_recovered: bool = False
    """What a notifier before us left was looked at."""
    posting: _Posting | None = None
    sent_s: list[float] = field(default_factory=list)
    """When messages of the last minute were sent; as all times here, of the boot-time clock: the
    other one may be set meanwhile."""
    tries: int = 0
    """Failed ones since one was taken."""
    next_s: float = 0.0
    delivered_total: int = 0
    failed_total: int = 0
    delivered_at_s: float | None = None
    error: str | None = None

    @property
    def is_posting(self) -> bool:
        """Whether somebody is posting a message, which has not ended yet."""
        return self.posting is not None and self.posting.process.poll() is None


@dataclass(slots=True)
class Postbox:
    """The source thread that posts what is due and emits what became of it."""

    outbox: Outbox
    destinations: list[PostedDestination]
    folding: Folding
    wording: Wording
    back_off: BackOff
    log: Log
    wall: Callable[[], float] = time.time
    boot: Callable[[], float] = clock.boot_s
    _stopped: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)

    def run(self, emit: Callable[[object], None]) -> None:
        """Post until stopped; a message on its way is waited for, for a moment."""
        while not self._stopped.is_set():
            is_busy = self.step(emit)
            self._wake.wait(_BUSY_LOOK_S if is_busy else _LOOK_S)
            self._wake.clear()
        deadline = time.monotonic() + _STOP_S
        while self._collect(emit) and time.monotonic() < deadline:
            time.sleep(_BUSY_LOOK_S)

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()
        self._wake.set()

    def post_soon(self) -> None:
        """Look at once whether something is due."""
        self._wake.set()

    def step(self, emit: Callable[[object], None]) -> bool:
        """Look after every destination; True: a message is on its way."""
        try:
            self._collect(emit)
            for one in self.destinations:
                if one.posting is None and self._is_recovered(one) and one.next_s <= self.boot():
                    self._post_next(one)
        except sqlite3.Error as error:
            self.log.warning("the outbox cannot be used", reason=remedied(error))
        return any(one.is_posting for one in self.destinations)

    # --- what a notifier before us left -----------------------------------------------------

    def _is_recovered(self, one: PostedDestination) -> bool:
        """Look at messages whose notifier was killed; False: one is still being posted."""
        if one.is_recovered:
            return True
        try:
            fcntl.flock(one.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(one.lock, fcntl.LOCK_UN)
        for number in self.outbox.open_letters(one.name):
            is_delivered, text = self.outbox.noted(number)
            self.outbox.close_letter(
                number, is_delivered=bool(is_delivered), is_doubtful=is_delivered is None
            )
            self.log.info(
                "a message was left by a notifier before us", destination=one.name,
                outcome={None: "not known", True: "delivered", False: "failed"}[is_delivered],
                reason=text or "none",
            )  # fmt: skip
        one.is_recovered = True
        return True

    # --- one destination --------------------------------------------------------------------

    def _post_next(self, one: PostedDestination) -> None:
        """Start to post the next message, if one is due."""
        now_s, boot_s = self.wall(), self.boot()
        one.sent_s = [at_s for at_s in one.sent_s if boot_s - at_s < MINUTE_S]
        ago_s = [boot_s - at_s for at_s in one.sent_s]
        letter = self.folding.next(self.outbox.waiting(one.name), ago_s, now_s, self.wording)
        if letter is None:
            return
        number = self.outbox.seal(letter, one.tries + 1, now_s)
        opened_s = boot_s - max(0.0, now_s - letter.changes[0].opened_s)
        process = self._start(one, letter, number)
        one.posting = _Posting(letter, number, one.tries + 1, opened_s, process)

    def _start(
        self, one: PostedDestination, letter: Letter, number: int
    ) -> subprocess.Popen[bytes]:
        """Start the process that posts a message; it holds the destination's lock."""
        fcntl.flock(one.lock, fcntl.LOCK_EX)
        order = {
            "url": one.url, "plugin": one.plugin, "title": letter.title, "body": letter.body,
            "type": _TYPES.get(letter.title.partition(" ")[0], "info"), "letter": number,
            "outbox": str(self.outbox.file),
        }  # fmt: skip
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", POST], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=[one.lock.fileno()], start_new_session=True,
        )  # fmt: skip
        # the description of the lock is shared: it is held until its last holder closes it
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin as stream:  # it has died already
                stream.write(json.dumps(order).encode())
        return process

    def _collect(self, emit: Callable[[object], None]) -> bool:
        """Take in what has been posted; True: some is still on its way."""
        for one in self.destinations:
            if one.posting is not None and one.posting.process.poll() is not None:
                self._judge(one, one.posting, emit)
        return any(one.posting is not None for one in self.destinations)

    def _judge(
        self, one: PostedDestination, done: _Posting, emit: Callable[[object], None]
    ) -> None:
        """Close a letter; where the disk is too full for that, it is tried again."""
        boot_s = self.boot()
        fcntl.flock(one.lock, fcntl.LOCK_UN)
        is_delivered, text = self.outbox.noted(done.number)
        if is_delivered is None:
            is_delivered = _OUTCOMES.get(done.process.returncode)
            text = "not delivered" if is_delivered is False else None
        self.outbox.close_letter(
            done.number, is_delivered=bool(is_delivered), is_doubtful=is_delivered is None
        )
        one.posting = None
        if is_delivered:
            one.tries, one.error = 0, None
            one.sent_s.append(boot_s)
            one.delivered_total += 1
            one.delivered_at_s = boot_s
        else:
            one.tries += 1
            one.failed_total += 1
            one.error = text or "no outcome: whoever sent it was stopped"
            pause_s = self.back_off.after(one.tries)
            one.next_s = boot_s + pause_s
            self.log.warning(
                "a message could not be delivered", destination=one.name, reason=one.error,
                again_in_s=round(pause_s),
            )  # fmt: skip
        waited_s = boot_s - done.opened_s
        emit(Attempt(done.letter, self.wall(), waited_s, bool(is_delivered), done.tries, one.error))

    # --- reporting --------------------------------------------------------------------------

    def state(self) -> dict[str, JsonValue]:
        """Return what health tells."""
        try:
            waiting = self.outbox.counts()
        except sqlite3.Error:
            waiting = {}
        return {
            "destinations": {
                one.name: {
                    "waiting": waiting.get(one.name, 0),
                    "delivered_total": one.delivered_total,
                    "failed_total": one.failed_total,
                    "failing_tries": one.tries,
                    "delivered_s_ago": _ago(self.boot(), one.delivered_at_s),
                    "error": one.error,
                }
                for one in self.destinations
            },
            "dropped_total": self.outbox.dropped_total,
        }

    def close(self) -> None:
        """Let go of what is held; a message on its way keeps its own hold."""
        for one in self.destinations:
            one.lock.close()


def _ago(now_s: float, at_s: float | None) -> int | None:
    return None if at_s is None else max(0, round(now_s - at_s))


def check(urls: dict[str, str]) -> dict[str, str | None]:
    """Return the plugin that takes each URL, None where none does; in a process of its own.

    Raises:
        OSError: the process failed.

    """
    asked = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", POST, "--check"], input=json.dumps(urls).encode(),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=120,
    )  # fmt: skip
    if asked.returncode != 0:
        raise OSError(f"Apprise failed with exit code {asked.returncode}")
    found: dict[str, str | None] = json.loads(asked.stdout)
    return found


def open_lock(folder: Path, name: str) -> IO[bytes]:
    """Open the lock of a destination."""
    return plainfile.open_lock(folder / f"posting-{name}.lock")
