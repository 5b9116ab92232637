"""What passes between the notifier's core and its sinks. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from monitorpi_common.messages import Severity  # noqa: TC001 - what is read back is held against it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import JsonValue

Happening = Literal["opened", "raised", "closed", "digest", "test"]


@dataclass(frozen=True, slots=True)
class NoticeChange:
    """One thing to tell one destination, worded when it happened."""

    destination: str
    what: Happening
    key: str
    """Of the alert; the same key in one summary is one matter."""
    alert_id: str
    rule: str
    severity: Severity
    at_s: float
    """When it happened, seconds since 1970."""
    opened_s: float
    due_s: float
    """Not to be sent before."""
    title: str
    body: str
    line: str
    """The same in one line, for a summary."""
    id: int = 0
    """Of the row in the outbox; 0: not yet there."""
    doubtful: bool = False
    """It may have been sent before: whoever sent it died."""
    held: bool = False
    """It waited for the end of quiet hours."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way to one destination."""

    destination: str
    title: str
    body: str
    changes: tuple[NoticeChange, ...]

    @property
    def what(self) -> str:
        """``opened``, ``closed`` ..., or ``summary`` of several."""
        return self.changes[0].what if len(self.changes) == 1 else "summary"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one try to deliver a letter."""

    letter: Letter
    at_s: float
    waited_s: float
    """From the opening of the first of its alerts to the answer; whatever the clock was set to on
    the way."""
    is_delivered: bool
    tries: int
    error: str | None = None
    """Why not; no secret is in it."""


@dataclass(frozen=True, slots=True)
class ReportedAlert:
    """What is known to be told of one alert."""

    key: str
    alert_id: str
    state: Literal["open", "closed"]
    severity: Severity
    at_s: float
    destinations: frozenset[str] = field(default_factory=frozenset)


class ChangeStore(Protocol):
    """Where changes are kept until they are delivered."""

    def add(self, changes: Iterable[NoticeChange], reported: Iterable[ReportedAlert]) -> bool:
        """Keep changes and what they make known, in one transaction; False: not now."""
        ...

    def withdraw(self, key: str, destinations: Iterable[str]) -> bool:
        """Forget the changes of an alert that were not sent yet; False: it cannot be done now."""
        ...

    def amend(self, how: Callable[[NoticeChange], NoticeChange]) -> bool:
        """Put others in the place of all changes; False: not now."""
        ...

    def expire(self, destinations: Iterable[str], before_s: float) -> None:
        """Drop what was due before a time, and what is for nobody any more."""
        ...

    def remember(self, memory: Mapping[str, JsonValue]) -> None:
        """Keep values over restarts, if there is room."""
        ...
