"""Who takes line protocol, and how each answers: InfluxDB 1, 2 and 3, and VictoriaMetrics. Pure.

Sources, by their documented meaning, and tried on InfluxDB 1.6.7 and VictoriaMetrics 1.79.5:
https://docs.influxdata.com/influxdb/v1/tools/api/#write-http-endpoint
https://docs.influxdata.com/influxdb/v2/write-data/troubleshoot/
https://docs.influxdata.com/influxdb3/core/write-data/http-api/v3-write-lp/
https://docs.victoriametrics.com/#how-to-send-data-from-influxdb-compatible-agents-such-as-telegraf
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from monitorpi_cloud_bridge.sinks.sink import UploadOutcome, UploadVerdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitorpi_cloud_bridge.web import Answer

Version = Literal["v1", "v2", "v3", "victoriametrics"]
_MOST_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server wants a write."""

    path: str
    precision: str
    scheme: Literal["Basic", "Token", "Bearer"]
    health: str
    """Where it says that it is well, without a change."""
    takes_text: bool = True
    """VictoriaMetrics answers 204 to a text and keeps 0."""
    forgets: bool = False
    """It drops without a word what is older than its retention, or two days ahead."""


DIALECTS: Final[Mapping[Version, Dialect]] = {
    "v1": Dialect("/write", "s", "Basic", "/ping"),
    "v2": Dialect("/api/v2/write", "s", "Token", "/health"),
    "v3": Dialect("/api/v3/write_lp", "second", "Bearer", "/health"),
    "victoriametrics": Dialect(
        "/api/v2/write", "s", "Bearer", "/health", takes_text=False, forgets=True
    ),
}
"""Bearer at VictoriaMetrics: it has no access control of its own, vmauth reads both."""


def outcome(answer: Answer, lines: Sequence[str]) -> UploadOutcome:
    """Read an answer to some lines, which are in order of time.

    Only 204 says stored: 200 is what a portal answers, or another path of the same server.
    """
    message = _message(answer.body)
    refused = _refused(message, answer.body, lines) if answer.status in (400, 422) else {}
    verdict = _verdict(answer.status)
    if refused and len(refused) < len(lines):
        verdict = UploadVerdict.STORED  # a partial write: all but these
    text = f"HTTP {answer.status}"
    if verdict is not UploadVerdict.STORED and message:
        text = f"{text}: {message[:_MOST_WORDS]}"
    elif refused:
        text = f"{text}: {len(refused)} rows refused"
    return UploadOutcome(verdict, text, refused, answer.retry_after_s)


def _verdict(status: int) -> UploadVerdict:
    match status:
        case 204:
            return UploadVerdict.STORED
        case 401 | 403 | 404 | 405 | 410:
            return UploadVerdict.FORBIDDEN
        case 402:
            return UploadVerdict.QUOTA
        case 407 | 408 | 425 | 429 | 503 | 511:
            return UploadVerdict.LATER
        case _ if status < 400:  # noqa: PLR2004 - a redirect, or somebody else's page
            return UploadVerdict.LATER
        case _ if status < 500:  # noqa: PLR2004 - about what was sent
            return UploadVerdict.REFUSED
        case _:
            return UploadVerdict.UNKNOWN


def _message(body: bytes) -> str:
    """Return what a server says of an error; nothing where it is another's page."""
    record = _record(body)
    words = record.get("error") or record.get("message")
    return " ".join(words.split()) if isinstance(words, str) else ""


def _record(body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


# --- which rows an answer names -------------------------------------------------------------------

_RETENTION: Final = re.compile(
    r"partial write: (?:points beyond retention policy dropped=(?P<v1>\d+)"
    r"|dropped (?P<v2>\d+) points outside retention policy of duration)"
)
_AHEAD: Final = "Upper Bound"
"""With this word rows of the future are among those that were dropped: the oldest they are not."""
_UNPARSED: Final = "unable to parse '"


def _refused(message: str, body: bytes, lines: Sequence[str]) -> dict[int, str]:
    """Return the lines an answer names as refused, all others being stored."""
    if (found := _RETENTION.search(message)) and _AHEAD not in message:
        dropped = int(found["v1"] or found["v2"])
        if dropped <= len(lines):  # what is too old is the oldest
            return dict.fromkeys(range(dropped), "older than the retention there")
    if message.startswith("partial write: unable to parse") and message.endswith("dropped=0"):
        places = {line: place for place, line in enumerate(lines)}
        # no pattern: one of a hostile answer would look for its end again and again
        after = _raw(body).split(_UNPARSED)[1:]
        named = [places.get(text.partition("': ")[0]) for text in after]
        if None not in named:
            return {place: "unable to parse" for place in named if place is not None}
    return _by_number(_record(body), len(lines))


def _raw(body: bytes) -> str:
    return str(_record(body).get("error"))


def _by_number(record: dict[str, Any], lines: int) -> dict[int, str]:
    """Read the answer of version 3: a list of line numbers, each with its reason."""
    data = record.get("data")
    if record.get("error") != "partial write of line protocol occurred" or not isinstance(
        data, list
    ):
        return {}
    refused = {}
    for one in data:
        number = one.get("line_number") if isinstance(one, dict) else None
        if not isinstance(number, int) or not 1 <= number <= lines:
            return {}
        refused[number - 1] = str(one.get("error_message"))[:_MOST_WORDS]
    return refused
