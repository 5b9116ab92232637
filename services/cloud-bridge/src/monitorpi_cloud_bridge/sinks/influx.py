"""Line protocol over HTTP: InfluxDB 1, 2 and 3, and VictoriaMetrics, each in its own dialect.

Writing a point twice changes nothing there (same measurement, tags and time), so an answer of
success is proof enough and a doubt is settled by sending again.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from monitorpi_cloud_bridge.sinks.dialects import DIALECTS, Version, outcome
from monitorpi_cloud_bridge.sinks.sink import CallLimits, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.web import SHORT_BYTES, NoAnswerError, NotSentError, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from monitorpi_cloud_bridge.items import OutboxRow

BATCH_ROWS: Final = 5000  # what InfluxData recommends for one request
MEASUREMENT: Final = "monitorpi"
DAY_S: Final = 86_400.0
RETENTION_DAYS: Final = 31.0
"""What VictoriaMetrics keeps where nobody said otherwise (`-retentionPeriod=1`, a month)."""
AHEAD_S: Final = 2 * DAY_S
"""So far ahead of its clock VictoriaMetrics takes rows."""
LOOK_S: Final = 3600.0
"""How often VictoriaMetrics is asked for its retention."""
_RETENTION: Final = re.compile(rb'-retentionPeriod="?(\d+(?:\.\d+)?)([hdwy]?)')
_UNITS_DAYS: Final = {b"h": 1 / 24, b"d": 1.0, b"w": 7.0, b"y": 365.0, b"": 31.0}
_RESERVED: Final = ("time", "_field", "_measurement")
"""Names that InfluxDB keeps for itself."""


class Influx:
    """One mapping channel as one measurement, tagged with site and channel."""

    def __init__(
        self,
        url: str,
        version: Version,
        target: dict[str, str],
        token: str | None,
        tags: dict[str, str],
        labels: dict[str, str],
        pacing_s: float,
        web: httpx.Client,
        *,
        retention_days: float | None = None,
    ) -> None:
        """Prepare a writer.

        ``target`` are the query parameters that say where to write: ``db`` for versions 1 and 3,
        ``org`` and ``bucket`` for version 2. ``token`` is ``user:password`` for version 1.
        ``labels`` names the fields (``field1`` -> ``syn``). ``retention_days`` is how long
        VictoriaMetrics keeps rows; None: it is asked.
        """
        self.limits = CallLimits(BATCH_ROWS, pacing_s)
        self._dialect = DIALECTS[version]
        self._server = url.rstrip("/")
        self._query = {**target, "precision": self._dialect.precision}
        self._headers = authorisation(version, token)
        self._tags = "".join(f",{_escape(k)}={_escape(v)}" for k, v in sorted(tags.items()))
        self._labels = labels
        self._web = web
        self._retention_days = retention_days
        self._is_configured = retention_days is not None
        self._looked_s = float("-inf")

    def unfit(self, row: OutboxRow, now_s: float) -> str | None:
        """Return why VictoriaMetrics would answer 204 and keep nothing of a row."""
        if not self._dialect.takes_text and set(row.fields) == {"status"}:
            return "a text: VictoriaMetrics keeps numbers only"
        if not self._dialect.forgets:
            return None
        days = self._retention(now_s)
        if row.second < now_s - days * DAY_S:
            return f"older than the retention there, {days:g} days"
        if row.second > now_s + AHEAD_S:
            return "more than two days ahead of the clock"
        return None

    def _retention(self, now_s: float) -> float:
        """Return how many days the server keeps rows; asked for now and then."""
        if not self._is_configured and abs(now_s - self._looked_s) >= LOOK_S:
            self._looked_s = now_s
            self._retention_days = self._ask_retention() or self._retention_days
        return self._retention_days or RETENTION_DAYS

    def _ask_retention(self) -> float | None:
        try:
            answer = ask(
                self._web, "GET", f"{self._server}/flags", headers=self._headers, most=SHORT_BYTES
            )
        except NoAnswerError:
            return None
        found = _RETENTION.search(answer.body) if answer.status == 200 else None  # noqa: PLR2004 - HTTP's OK
        return float(found[1]) * _UNITS_DAYS[found[2]] if found else None

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return the rows as lines."""
        return "\n".join(self._line(row) for row in rows).encode()

    def _line(self, row: OutboxRow) -> str:
        fields = []
        for name, text in row.fields.items():
            if name == "status":
                if self._dialect.takes_text:
                    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
                    fields.append(f'status="{quoted}"')
            else:
                label = self._labels.get(name, name)
                label = f"{label}_" if label in _RESERVED else label
                fields.append(f"{_escape(label)}={float(text)}")
        return f"{MEASUREMENT}{self._tags} {','.join(fields)} {row.second}"

    def send(self, body: bytes) -> UploadOutcome:
        """Write lines."""
        try:
            answer = ask(
                self._web, "POST", f"{self._server}{self._dialect.path}",
                params=self._query, content=body, headers=self._headers, most=SHORT_BYTES,
            )  # fmt: skip
        except NotSentError as error:
            return UploadOutcome(UploadVerdict.UNREACHED, str(error))
        except NoAnswerError as error:
            return UploadOutcome(UploadVerdict.UNKNOWN, str(error))
        return outcome(answer, body.decode().split("\n"))

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Say that nothing is there: what is in doubt is simply sent again."""
        del seconds
        return set()

    def close(self) -> None:
        """Close the connections."""
        self._web.close()


def authorisation(version: Version, token: str | None) -> dict[str, str]:
    """Return the header that carries the token, as the server wants it.

    It is ``user:password`` for version 1.
    """
    if token is None:
        return {}
    scheme = DIALECTS[version].scheme
    shown = base64.b64encode(token.encode()).decode() if scheme == "Basic" else token
    return {"Authorization": f"{scheme} {shown}"}


def _escape(text: str) -> str:
    """Escape a tag or field key as the line protocol wants it."""
    for char in ("\\", ",", "=", " "):
        text = text.replace(char, f"\\{char}")
    return text.replace("\n", "")
