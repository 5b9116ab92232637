"""TalkBack: a queue of commands at ThingSpeak, asked for every few seconds.

``execute`` takes the first command off the queue, so a lost answer is a lost command: after a
failed call the last executed one is looked up, before anything else is taken, and obeyed if it is
new. Only commands whose exact text the configuration lists do anything; what is older than two
minutes is dropped. The number of the last command is kept over restarts, so what was on its way
when the process was killed is looked up, too.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cloud_bridge.items import Called
from monitorpi_cloud_bridge.web import SHORT_BYTES, Answer, NoAnswerError, NotSentError, ask
from monitorpi_common.backoff import CLOUD_MOST_S, BackOff

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from monitorpi_common.log import Log

OLDEST_S: Final = 120.0
MOST_TEXT: Final = 255
"""Bytes of a command at the service."""
REFUSED_MOST_S: Final = 3600.0
"""Between two looks at a TalkBack that refuses its key."""
_OK: Final = 200
_NOT_FOUND: Final = 404
_FORBIDDING: Final = (401, 403, 404)
_BROKEN: Final = 500
"""From here on nobody knows whether the call was served."""


@dataclass(slots=True)
class TalkBack:
    """The source thread that asks for commands."""

    url: str
    number: int
    key: str
    poll_s: float
    log: Log
    client: httpx.Client
    wall: Callable[[], float] = time.time
    last: int | None = None
    """The command handed on last. Positions can be changed by people, so numbers need not rise."""
    remember: Callable[[int], None] = lambda _: None
    """Keeps that number for the process after us."""
    answers_total: int = 0
    old_total: int = 0
    _in_doubt: bool = False
    _pause_s: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._in_doubt = self.last is not None

    def run(self, emit: Callable[[object], None]) -> None:
        """Ask until stopped."""
        while not self._stopped.wait(self.pause_s):
            self.poll(emit)
        self.client.close()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()

    @property
    def pause_s(self) -> float:
        """Seconds until the next look."""
        return max(self.poll_s, self._pause_s)

    def poll(self, emit: Callable[[object], None]) -> None:
        """Ask once."""
        if self._in_doubt:
            self._look_up(emit)
        if not self._in_doubt:
            self._execute(emit)

    def _execute(self, emit: Callable[[object], None]) -> None:
        """Take the first command off the queue."""
        try:
            answer = self._ask("POST", "execute.json")
            record = self._read(answer)
        except NotSentError as error:
            self.log.warning("TalkBack is not reached", what=error)
            return
        except NoAnswerError as error:
            self._in_doubt = True
            self.log.warning("TalkBack did not answer", what=error)
            return
        self._take(record, emit)

    def _look_up(self, emit: Callable[[object], None]) -> None:
        """Find out which command an answer was lost of; stays in doubt where that fails too."""
        try:
            answer = self._ask("GET", "last.json")
            record = {} if answer.status == _NOT_FOUND else self._read(answer)
        except NoAnswerError as error:
            self.log.warning("TalkBack did not answer", what=error)
            return
        if answer.status not in (_OK, _NOT_FOUND):
            return  # a refusal, or a portal, says nothing about the last command
        self._in_doubt = False
        if _number(record) != self.last:
            self._take(record, emit)

    def _ask(self, method: str, what: str) -> Answer:
        url = f"{self.url.rstrip('/')}/talkbacks/{self.number}/commands/{what}"
        headers = {"THINGSPEAKAPIKEY": self.key}
        answer = ask(self.client, method, url, headers=headers, most=SHORT_BYTES)
        if answer.status >= _BROKEN:
            raise NoAnswerError(f"HTTP {answer.status}")
        return answer

    def _back_off(self, answer: Answer) -> None:
        """Ask a TalkBack that refuses us ever more seldom."""
        most_s = REFUSED_MOST_S if answer.status in _FORBIDDING else CLOUD_MOST_S
        longer_s = BackOff(self.poll_s, most_s).longer(self._pause_s)
        self._pause_s = max(longer_s, answer.retry_after_s or 0.0)

    def _read(self, answer: Answer) -> dict[str, Any]:
        """Return the command of an answer; nothing where there is none, or where we are refused.

        Raises:
            NoAnswerError: it cannot be read.

        """
        if answer.status != _OK:
            self.log.warning("TalkBack refused", status=answer.status)
            self._back_off(answer)
            return {}
        self._pause_s = 0.0
        try:
            record = answer.json() if answer.body.strip() else {}
        except ValueError:
            raise NoAnswerError("not JSON") from None
        self.answers_total += 1
        return record if isinstance(record, dict) else {}

    def _take(self, record: dict[str, Any], emit: Callable[[object], None]) -> None:
        """Hand on a command that is young.

        One of the future is not: our clock is wrong then, and the command may be of any age.
        """
        number, made = _number(record), _made_s(record)
        if number is None or made is None:
            return
        self.last = number
        if abs(self.wall() - made) > OLDEST_S:
            self.old_total += 1
            age_s = round(self.wall() - made)
            self.log.warning("dropped a command that is not of now", age_s=age_s)
        else:
            emit(Called(str(record.get("command_string"))[:MOST_TEXT]))
        self.remember(number)


def _number(record: dict[str, Any]) -> int | None:
    number = record.get("id")
    return number if isinstance(number, int) else None


def _made_s(record: dict[str, Any]) -> float | None:
    """Return when a command was made, in Unix time; None: it does not say."""
    try:
        at = datetime.fromisoformat(record["created_at"])
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
