"""ThingSpeak over HTTP: send many rows, and see which of them are there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_cloud_bridge.outbox import OutboxRow

BULK_ROWS: Final = 960  # of one call on a free licence
_TIMEOUT_S: Final = 20.0
_KEY_HEADER: Final = "THINGSPEAKAPIKEY"
_MAX_RESULTS: Final = 8000


class Verdict(Enum):
    """What an answer means for what comes next."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    """Nobody knows whether the rows were taken."""
    TOO_EARLY = "too early"
    FORBIDDEN = "wrong key or channel"
    QUOTA = "quota spent"
    TOO_MUCH = "bad or too many rows"


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome of one call, with a text that never holds a key."""

    verdict: Verdict
    text: str


class ThingSpeak:
    """One channel of the service."""

    def __init__(self, url: str, channel: int, write_key: str, read_key: str | None) -> None:
        self._url = url.rstrip("/")
        self._channel = channel
        self._write_key = write_key
        self._read_key = read_key or write_key
        self._client = httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)
        self._asked = 0

    def send(self, rows: Sequence[OutboxRow]) -> Sent:
        """Send rows in one call."""
        updates = [{"created_at": stamp(row.second), **row.fields} for row in rows]
        try:
            answer = self._client.post(
                f"{self._url}/channels/{self._channel}/bulk_update.json",
                json={"write_api_key": self._write_key, "updates": updates},
            )
        except httpx.HTTPError as error:
            return Sent(Verdict.UNKNOWN, type(error).__name__)
        return Sent(_verdict(answer), f"HTTP {answer.status_code}")

    def stored(self, first: int, last: int) -> set[int] | None:
        """Return the seconds of the rows the channel has between two; None: it did not say."""
        self._asked += 1
        query = {
            "start": stamp(first),
            "end": stamp(last),
            # answers are cached for minutes by their query: never ask the same twice
            "results": str(_MAX_RESULTS - self._asked % 1000),
        }
        try:
            answer = self._client.get(
                f"{self._url}/channels/{self._channel}/feeds.json",
                params=query,
                headers={_KEY_HEADER: self._read_key},
            )
            if answer.status_code != httpx.codes.OK:
                return None
            feeds = answer.json()["feeds"]
            return {_second(feed["created_at"]) for feed in feeds}
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def stamp(second: int) -> str:
    """Write a second as the service wants it: whole seconds, UTC, ``Z``."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _verdict(answer: httpx.Response) -> Verdict:
    """Read the outcome of a bulk call."""
    match answer.status_code:
        case 202 | 200:
            return Verdict.TOO_EARLY if answer.text.strip() == "0" else Verdict.ACCEPTED
        case 401 | 403 | 404:
            return Verdict.FORBIDDEN
        case 402:
            return Verdict.QUOTA
        case 429:
            return Verdict.TOO_EARLY
        case 400 | 413 | 422:
            return Verdict.TOO_MUCH
        case _:
            return Verdict.UNKNOWN
