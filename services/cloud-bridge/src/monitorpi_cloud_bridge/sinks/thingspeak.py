"""ThingSpeak: bulk writes over HTTPS, and a look at what is there.

Keys travel in a body or a header, never in a URL, and stand in no text that is logged.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.sinks.sink import CallLimits, RefusedError, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.web import SHORT_BYTES, Answer, NoAnswerError, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from monitorpi_cloud_bridge.items import OutboxRow

BULK_ROWS: Final = 960  # of one call on a free licence
KEY_HEADER: Final = "THINGSPEAKAPIKEY"
MAX_RESULTS: Final = 8000
_QUERIES: Final = 1000
"""Different queries before one repeats: the service repeats its answers for minutes."""
LEAST_RESULTS: Final = MAX_RESULTS - _QUERIES + 1
"""So many rows in an answer can hide others."""
_OK: Final = 200


class ThingSpeak:
    """One channel of the service."""

    def __init__(
        self,
        url: str,
        channel: int,
        write_key: str,
        read_key: str | None,
        pacing_s: float,
        web: httpx.Client,
    ) -> None:
        self.limits = CallLimits(BULK_ROWS, pacing_s)
        self._url = f"{url.rstrip('/')}/channels/{channel}"
        self._write_key = write_key
        self._read_key = read_key or write_key
        self._web = web
        self._asked = secrets.randbelow(_QUERIES)  # not where the process before us began

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return the bulk update of these rows."""
        updates = [{"created_at": stamp(row.second), **row.fields} for row in rows]
        return json.dumps({"write_api_key": self._write_key, "updates": updates}).encode()

    def send(self, body: bytes) -> UploadOutcome:
        """Send a bulk update."""
        headers = {"Content-Type": "application/json"}
        try:
            url = f"{self._url}/bulk_update.json"
            answer = ask(self._web, "POST", url, content=body, headers=headers, most=SHORT_BYTES)
        except NoAnswerError as error:
            return UploadOutcome(UploadVerdict.UNKNOWN, str(error))
        return UploadOutcome(_verdict(answer), f"HTTP {answer.status}")

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Return the seconds of the rows the channel has.

        A stretch with more rows than one answer shows is asked for in two halves.

        Raises:
            RefusedError: the key does not open this channel.

        """
        there: set[int] = set()
        stretches = [seconds]
        while stretches:
            stretch = stretches.pop()
            seen = self._look(stretch[0], stretch[-1])
            if seen is None:
                return None
            there |= seen
            if len(seen) >= LEAST_RESULTS and len(stretch) > 1:
                middle = len(stretch) // 2
                stretches += [stretch[:middle], stretch[middle:]]
        return there

    def _look(self, first: int, last: int) -> set[int] | None:
        """Return the seconds of the newest rows between two; None: it is not known."""
        self._asked += 1
        query = {
            "start": stamp(first),
            "end": stamp(last),
            "results": str(MAX_RESULTS - self._asked % _QUERIES),
        }
        headers = {KEY_HEADER: self._read_key}
        try:
            answer = ask(self._web, "GET", f"{self._url}/feeds.json", params=query, headers=headers)
            if answer.status in (400, 401, 403, 404):
                raise RefusedError(f"HTTP {answer.status}")
            if answer.status != _OK:
                return None
            return {_second(feed["created_at"]) for feed in answer.json()["feeds"]}
        except (NoAnswerError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def close(self) -> None:
        """Close the connections."""
        self._web.close()


def stamp(second: int) -> str:
    """Write a second as the service wants it: whole seconds, UTC, ``Z``."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _verdict(answer: Answer) -> UploadVerdict:
    """Read the outcome of a bulk call; a body of ``0`` is how single updates are refused."""
    zero = answer.body.strip() == b"0"
    match answer.status:
        case 202 | 200:
            return UploadVerdict.TOO_EARLY if zero else UploadVerdict.ACCEPTED
        case 401 | 403 | 404:
            return UploadVerdict.FORBIDDEN
        case 400 if zero:
            return UploadVerdict.FORBIDDEN
        case 402:
            return UploadVerdict.QUOTA
        case 429:
            return UploadVerdict.TOO_EARLY
        case 400 | 413 | 422:
            return UploadVerdict.TOO_MUCH
        case _:
            return UploadVerdict.UNKNOWN
