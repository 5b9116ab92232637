"""TalkBack: a queue of commands at ThingSpeak, asked for every few seconds.

``execute`` takes the first command off the queue, so a lost answer is a lost command: after a
failed call the last executed one is looked up and obeyed if it is new. Only commands whose exact
text the configuration lists do anything; what is older than two minutes is dropped.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitorpi_common.log import Log

OLDEST_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Called:
    """A command text that TalkBack handed out."""

    text: str


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
    answers_total: int = 0
    old_total: int = 0
    _newest: int = 0
    _in_doubt: bool = False
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, emit: Callable[[object], None]) -> None:
        """Ask until stopped."""
        while not self._stopped.wait(self.poll_s):
            self.poll(emit)
        self.client.close()

    def stop(self) -> None:
        """Make ``run`` return soon."""
        self._stopped.set()

    def poll(self, emit: Callable[[object], None]) -> None:
        """Ask once."""
        if self._in_doubt:
            self._take(self._ask("GET", "last.json"), emit)
        self._take(self._ask("POST", "execute.json"), emit)

    def _ask(self, method: str, what: str) -> dict[str, Any] | None:
        """Make one call; None: nothing came of it."""
        url = f"{self.url.rstrip('/')}/talkbacks/{self.number}/commands/{what}"
        headers = {"THINGSPEAKAPIKEY": self.key}
        try:
            answer = self.client.request(method, url, headers=headers)
            answer.raise_for_status()
            record = answer.json() if answer.content.strip() else {}
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND and what == "last.json":
                self._in_doubt = False
                return None
            self.log.warning("TalkBack refused", status=error.response.status_code)
            return None
        except (httpx.HTTPError, ValueError) as error:
            self._in_doubt = True
            self.log.warning("TalkBack did not answer", what=type(error).__name__)
            return None
        self._in_doubt = False
        self.answers_total += 1
        return record if isinstance(record, dict) else None

    def _take(self, record: dict[str, Any] | None, emit: Callable[[object], None]) -> None:
        """Hand on a command that is new and young."""
        if not record:
            return
        try:
            number, text = int(record["id"]), str(record["command_string"])
            at = datetime.fromisoformat(str(record.get("executed_at") or record["created_at"]))
            made = datetime.fromisoformat(str(record["created_at"]))
        except (KeyError, TypeError, ValueError):
            return
        if number <= self._newest:
            return
        self._newest = number
        if self.wall() - min(at, made).astimezone(UTC).timestamp() > OLDEST_S:
            self.old_total += 1
            self.log.warning("dropped an old command", age_over_s=OLDEST_S)
            return
        emit(Called(text))
