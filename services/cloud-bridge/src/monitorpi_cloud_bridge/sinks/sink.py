"""What a cloud must offer to stand behind the outbox: one file per cloud."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitorpi_cloud_bridge.items import OutboxRow


class RefusedError(Exception):
    """A cloud does not let us look; the text is its answer, without a key."""


class UploadVerdict(Enum):
    """What an answer means for what comes next: by its documented meaning, not by its class."""

    STORED = "stored"
    """The answer itself proves that the rows are there, but for those it names as refused."""
    ACCEPTED = "accepted"
    """A promise: whether they are there must be looked up."""
    UNKNOWN = "unknown"
    """Nobody knows whether the rows were taken: look before sending again."""
    UNREACHED = "not reached"
    """Nothing was sent: no address, no connection, no TLS."""
    LATER = "later"
    """Not taken; the cloud, or who stands in its place, asks for patience."""
    QUOTA = "quota spent"
    """Not taken, and not soon."""
    REFUSED = "refused"
    """Not taken, for what was sent: a row of it, so many rows, or the call as such."""
    FORBIDDEN = "wrong key or channel"
    """Not taken, and never until somebody changes something."""


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """The outcome of one call, with a text that never holds a key."""

    verdict: UploadVerdict
    text: str
    refused: Mapping[int, str] = field(default_factory=dict)
    """Rows that the answer itself names as refused, by their place in the call, and why."""
    retry_after_s: float | None = None
    """So long the cloud asks us to wait."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What a cloud takes at once, and how often."""

    rows: int
    pacing_s: float
    """Seconds from an answer to the next call."""


class Sink(Protocol):
    """One channel of one cloud."""

    limits: CallLimits

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Return why the cloud would drop a row without a word; None: it would not."""
        ...

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
            RefusedError: the cloud does not let us look, until somebody changes something.

        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
