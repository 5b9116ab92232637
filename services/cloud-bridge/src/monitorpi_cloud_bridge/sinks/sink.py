"""What a cloud must offer to stand behind the outbox: one file per cloud."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cloud_bridge.items import OutboxRow


class RefusedError(Exception):
    """A cloud does not let us look; the text is its answer, without a key."""


class UploadVerdict(Enum):
    """What an answer means for what comes next."""

    STORED = "stored"
    """The answer itself proves that the rows are there."""
    ACCEPTED = "accepted"
    """A promise: whether they are there must be looked up."""
    UNKNOWN = "unknown"
    """Nobody knows whether the rows were taken: look before sending again."""
    TOO_EARLY = "too early"
    """Not taken; the same again later."""
    FORBIDDEN = "wrong key or channel"
    QUOTA = "quota spent"
    TOO_MUCH = "bad or too many rows"


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """The outcome of one call, with a text that never holds a key."""

    verdict: UploadVerdict
    text: str


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What a cloud takes at once, and how often."""

    rows: int
    pacing_s: float
    """Seconds from an answer to the next call."""


class Sink(Protocol):
    """One channel of one cloud."""

    limits: CallLimits

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return the body of a call for these rows."""
        ...

    def send(self, body: bytes) -> UploadOutcome:
        """Make one call."""
        ...

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Return which rows are there, by second, of those asked for; None: it is not known.

        ``seconds`` come in order and are never empty; rows nobody asked for may be among the
        answer.

        Raises:
            RefusedError: the cloud does not let us look, and will not later.

        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
