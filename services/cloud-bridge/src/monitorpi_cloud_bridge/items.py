"""What TalkBack hands the core, and what the core hands the outbox. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Called:
    """A command text that TalkBack handed out."""

    text: str


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One row of one destination."""

    destination: str
    second: int
    fields: Mapping[str, str]
