"""What a row is: its fields, its time, what of it comes back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from monitorpi_thingspeak_double.channels import Channel

FIELDS: Final = tuple(f"field{number}" for number in range(1, 9))
EXTRAS: Final = ("status", "latitude", "longitude", "elevation")
MAX_FIELD_BYTES: Final = 255
_YEAR_S: Final = 366 * 86_400.0


def stamp(at: datetime) -> str:
    """Write a time as the service does."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: Any, zone: str = "UTC") -> datetime | None:
    """Read a time: ISO 8601, MySQL's form of it, or seconds since 1970. None: it is none.

    One that names no zone is of the given one.
    """
    try:
        if isinstance(text, int | float) or str(text).isdecimal():
            return datetime.fromtimestamp(float(text), UTC)
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))
    except (TypeError, ValueError, KeyError, OverflowError, OSError):
        return None


def shown(channel: Channel, row: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Return what of a row comes back: labelled fields, and the rest on request."""
    names = ["created_at", "entry_id", *channel.labels]
    names += ["status"] if query.get("status") == "true" else []
    names += EXTRAS[1:] if query.get("location") == "true" else []
    return {name: row.get(name) for name in names}


def row_of(update: Any) -> dict[str, Any] | None:
    """Keep what a row may have; values become strings, as they come back."""
    if not isinstance(update, dict):
        return None
    at = instant(update.get("created_at"))
    if at is None:
        return None
    row: dict[str, Any] = {"created_at": stamp(at)}
    for name in (*FIELDS, *EXTRAS):
        if update.get(name) is not None:
            row[name] = str(update[name]).encode()[:MAX_FIELD_BYTES].decode(errors="ignore")
    return row


def dated(updates: list[Any], now: float) -> list[Any]:
    """Turn ``delta_t`` into times: seconds since the row before, the last row being now.

    It must not be 0 but in the first row: a time is unique. Such a row keeps no time.
    """
    if not all(isinstance(one, dict) and "delta_t" in one for one in updates):
        return updates
    if any(_seconds(one["delta_t"]) == 0 for one in updates[1:]):
        return updates
    dated: list[Any] = []
    at = now
    for one in reversed(updates):
        dated.append({**one, "created_at": stamp(datetime.fromtimestamp(at, UTC))})
        at -= _seconds(one["delta_t"])
    return dated[::-1]


def _seconds(text: Any) -> float:
    """Read a distance in time; what is none is nothing."""
    try:
        return min(max(float(text), 0.0), _YEAR_S)
    except (TypeError, ValueError):
        return 0.0
