"""ThingSpeak: bulk writes over HTTPS, and a look at what is there.

Keys travel in a body or a header, never in a URL, and stand in no text that is logged.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitorpi_cloud_bridge.sinks.sink import CallLimits, RefusedError, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.web import SHORT_BYTES, Answer, NoAnswerError, NotSentError, ask

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

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Return None: nothing is dropped without a word, every row is looked up."""
        del row, now_s
        return None

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
        except NotSentError as error:
            return UploadOutcome(UploadVerdict.UNREACHED, str(error))
        except NoAnswerError as error:
            return UploadOutcome(UploadVerdict.UNKNOWN, str(error))
        return UploadOutcome(_verdict(answer), _words(answer), retry_after_s=answer.retry_after_s)

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
            within = sum(stretch[0] <= second <= stretch[-1] for second in seen)
            if within >= LEAST_RESULTS and len(stretch) > 1:
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
        except NoAnswerError:
            return None
        if answer.status in (400, 401, 403, 404):
            raise RefusedError(f"HTTP {answer.status}")
        return _seconds(answer) if answer.status == _OK else None

    def close(self) -> None:
        """Close the connections."""
        self._web.close()


def stamp(second: int) -> str:
    """Write a second as the service wants it: whole seconds, UTC, ``Z``."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(answer: Answer) -> set[int] | None:
    """Return the seconds of the rows of an answer; None: it is none of the service's."""
    try:
        feeds = answer.json()["feeds"]
        seen = {second for feed in list(feeds) if (second := _second(feed)) is not None}
    except (ValueError, KeyError, TypeError):
        return None
    return seen if seen or feeds == [] else None


def _second(feed: Any) -> int | None:
    """Return the second of a row; None: no row of ours looks like this."""
    try:
        at = datetime.fromisoformat(feed["created_at"])
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _verdict(answer: Answer) -> UploadVerdict:
    """Read the outcome of a bulk call by the service's table of error codes.

    A body of ``0`` is how it refuses single updates. What no table of its has is of somebody on the
    way, such as a gateway or a portal: nobody knows what became of the call.
    https://www.mathworks.com/help/thingspeak/error-codes.html
    """
    zero = answer.body.strip() == b"0"
    match answer.status:
        case 200 | 202 if zero:
            return UploadVerdict.LATER
        case 202 if _promises(answer):
            return UploadVerdict.ACCEPTED
        case 401 | 403 | 404 | 405:
            return UploadVerdict.FORBIDDEN
        case 400 if zero:
            return UploadVerdict.FORBIDDEN
        case 402:
            return UploadVerdict.QUOTA
        case 425 | 429:
            return UploadVerdict.LATER
        case 400 | 411 | 413 | 414 | 415 | 417 | 421 | 422 | 431:
            return UploadVerdict.REFUSED
        case _:
            return UploadVerdict.UNKNOWN


def _promises(answer: Answer) -> bool:
    """Tell whether the body is the documented one, and not somebody else's page."""
    try:
        body = answer.json()
    except ValueError:
        return False
    return isinstance(body, dict) and "error" not in body


def _words(answer: Answer) -> str:
    """Return what the service says, with its own code for it."""
    with suppress(ValueError, KeyError, TypeError):
        code = answer.json()["error"]["error_code"]
        if isinstance(code, str) and code.isascii() and code.isidentifier():
            return f"HTTP {answer.status} {code[:40]}"
    return f"HTTP {answer.status}"
