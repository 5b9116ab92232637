"""InfluxDB line protocol: version 2 and 3 write endpoints; VictoriaMetrics takes version 2's too.

Writing a point twice changes nothing there (same measurement, tags and time), so an answer of
success is proof enough and a doubt is settled by sending again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from monitorpi_cloud_bridge.sinks.sink import CallLimits, UploadOutcome, UploadVerdict
from monitorpi_cloud_bridge.web import SHORT_BYTES, NoAnswerError, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from monitorpi_cloud_bridge.items import OutboxRow

BATCH_ROWS: Final = 5000  # what InfluxData recommends for one request
MEASUREMENT: Final = "monitorpi"


class Influx:
    """One mapping channel as one measurement, tagged with site and channel."""

    def __init__(
        self,
        url: str,
        version: Literal["v2", "v3"],
        target: dict[str, str],
        token: str | None,
        tags: dict[str, str],
        labels: dict[str, str],
        pacing_s: float,
        web: httpx.Client,
    ) -> None:
        """Prepare a writer.

        ``target`` are the query parameters that say where to write: ``org`` and ``bucket`` for
        version 2, ``db`` for version 3. ``labels`` names the fields (``field1`` -> ``syn``).
        """
        self.limits = CallLimits(BATCH_ROWS, pacing_s)
        path = "/api/v2/write" if version == "v2" else "/api/v3/write_lp"
        precision = "s" if version == "v2" else "second"
        self._url = url.rstrip("/") + path
        self._query = {**target, "precision": precision}
        self._headers = authorisation(version, token)
        self._tags = "".join(f",{_escape(k)}={_escape(v)}" for k, v in sorted(tags.items()))
        self._labels = labels
        self._web = web

    def prepare(self, rows: Sequence[OutboxRow]) -> bytes:
        """Return the rows as lines."""
        return "\n".join(self._line(row) for row in rows).encode()

    def _line(self, row: OutboxRow) -> str:
        fields = []
        for name, text in row.fields.items():
            if name == "status":
                quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
                fields.append(f'status="{quoted}"')
            else:
                fields.append(f"{_escape(self._labels.get(name, name))}={float(text)}")
        return f"{MEASUREMENT}{self._tags} {','.join(fields)} {row.second}"

    def send(self, body: bytes) -> UploadOutcome:
        """Write lines."""
        try:
            answer = ask(
                self._web, "POST", self._url,
                params=self._query, content=body, headers=self._headers, most=SHORT_BYTES,
            )  # fmt: skip
        except NoAnswerError as error:
            return UploadOutcome(UploadVerdict.TOO_EARLY, str(error))
        return UploadOutcome(_verdict(answer.status), f"HTTP {answer.status}")

    def verify(self, seconds: Sequence[int]) -> set[int] | None:
        """Nothing is ever in doubt: rows in flight are simply sent again."""
        del seconds
        return set()

    def close(self) -> None:
        """Close the connections."""
        self._web.close()


def authorisation(version: Literal["v2", "v3"], token: str | None) -> dict[str, str]:
    """Return the header that carries the token, named as the version of the server wants it."""
    return {"Authorization": f"{'Token' if version == 'v2' else 'Bearer'} {token}"} if token else {}


def _escape(text: str) -> str:
    """Escape a tag or field key as the line protocol wants it."""
    for char in ("\\", ",", "=", " "):
        text = text.replace(char, f"\\{char}")
    return text.replace("\n", "")


def _verdict(status: int) -> UploadVerdict:
    match status:
        case 200 | 204:
            return UploadVerdict.STORED
        case 401 | 403 | 404:
            return UploadVerdict.FORBIDDEN
        case 400 | 413 | 422:
            return UploadVerdict.TOO_MUCH
        case _:
            return UploadVerdict.TOO_EARLY
