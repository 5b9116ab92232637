"""What the page's server hands the core. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageWanted:
    """Somebody who looks at the page wants a test message sent to those who get alerts."""

    destination: str | None
    """Its name; None: to every one."""
