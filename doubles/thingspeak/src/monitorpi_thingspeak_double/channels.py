"""What the cloud keeps: channels with their rows, queues of commands. No I/O, no clock."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Literal

BULK_ROWS: Final = 960
"""Rows of one bulk call on a free licence."""
BULK_INTERVAL_S: Final = 15.0
"""Seconds between bulk calls to one channel, on every licence."""
UPDATE_INTERVAL_S: Final = 15.0
"""Seconds between single updates of one channel on a free licence."""
_KEY_LENGTH: Final = 16

DuplicateRows = Literal["drop_row", "reject_409", "lost_after_202", "insert"]


@dataclass(slots=True)
class Switches:
    """How the double behaves where the real service is undocumented or slow."""

    dup_bulk: DuplicateRows = "drop_row"
    bulk_rows: int = BULK_ROWS
    bulk_interval_s: float = BULK_INTERVAL_S
    update_interval_s: float = UPDATE_INTERVAL_S
    commit_delay_s: float = 0.0
    """A 202 is a promise: rows are visible this much later."""
    cache_s: float = 0.0
    """Answers of more than 100 rows are repeated this long to the same query (the service: 300)."""
    read_key_only: bool = False
    """Let a channel be read with its read key alone, not with its write key too."""
    quota_spent: bool = False
    """Answer every write with 402."""
    update_429: bool = False
    """Answer a too early update with 429 instead of 200 and ``0``."""
    too_many: Literal[400, 413, 429] = 413
    """Answer more rows than ``bulk_rows`` with this."""


def new_key() -> str:
    """Make a key as the service does."""
    return secrets.token_hex(_KEY_LENGTH // 2).upper()


@dataclass(slots=True)
class Channel:
    """One channel with its keys and rows, by the second they were created at."""

    id: int
    name: str
    labels: dict[str, str]
    write_key: str = field(default_factory=new_key)
    read_key: str = field(default_factory=new_key)
    rows: list[dict[str, Any]] = field(default_factory=list)
    last_entry_id: int = 0
    last_bulk_s: float = float("-inf")
    last_update_s: float = float("-inf")
    waiting: list[tuple[float, list[dict[str, Any]]]] = field(default_factory=list)
    tags: tuple[str, ...] = ()
    cached: dict[tuple[tuple[str, str], ...], tuple[float, Answer]] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return the channel as its owner sees it, keys included."""
        keys = [(self.write_key, True), (self.read_key, False)]
        return {
            "id": self.id,
            "name": self.name,
            "tags": [{"id": number, "name": tag} for number, tag in enumerate(self.tags, 1)],
            "api_keys": [{"api_key": key, "write_flag": write} for key, write in keys],
            **self.labels,
        }


@dataclass(slots=True)
class TalkBack:
    """A queue of commands."""

    id: int
    key: str = field(default_factory=new_key)
    queue: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, Any] | None = None
    made: int = 0

    def number(self) -> None:
        """Number the positions anew."""
        for position, command in enumerate(self.queue, 1):
            command["position"] = position


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of a response."""

    status: int
    body: Any


def error(status: int, code: str, message: str) -> Answer:
    """Build an error as the service words it; the status in the body is a string."""
    details = {"error_code": code, "message": message, "details": message}
    return Answer(status, {"status": str(status), "error": details})
