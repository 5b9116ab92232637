"""What may be asked, and in which words: the parameters of the queries. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from monitorpi_common.messages import Ip, Short, Slug, WrittenMac
from monitorpi_history.tiers import STEPS

MAX_POINTS: Final = 20_000
DEFAULT_POINTS: Final = 1000
"""A screen is as wide; thirty days are read by the hour."""
MAX_ROWS: Final = 10_000
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_AGO: Final = re.compile(r"(?:now)?-(\d{1,9})([smhdwy])")
_EARLIEST_S: Final = 0.0
_LATEST_S: Final = 253_402_300_799.0  # the last second of the year 9999


def moment_s(written: object, now_s: float) -> float:
    """Return a moment in seconds since 1970.

    ``2026-03-01T12:00:00Z`` (a date alone is its beginning; without a zone it is UTC), seconds
    since 1970, ``now``, or how long ago: ``-6h``, ``now-30d`` (s, m, h, d, w, y).

    Raises:
        ValueError: it is none of these.

    """
    text = str(written).strip()
    ago = _AGO.fullmatch(text)
    if text == "now":
        found = now_s
    elif ago is not None:
        found = now_s - int(ago[1]) * _UNITS[ago[2]]
    elif re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text):
        found = float(text)
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("write 2026-03-01T12:00:00Z, 1772366400, now or -6h") from None
        found = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return min(max(found, _EARLIEST_S), _LATEST_S)


def _moment(written: object, info: ValidationInfo) -> float:
    return moment_s(written, float((info.context or {}).get("now_s", 0.0)))


Moment = Annotated[
    float,
    BeforeValidator(_moment),
    Field(json_schema_extra={"type": "string", "examples": ["2026-03-01T12:00:00Z", "-6h", "now"]}),
]
Format = Literal["json", "jsonl", "csv"]


class Question(BaseModel):
    """A span of time, and how the answer is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    from_: Annotated[Moment, Field(alias="from", validate_default=True)] = "-24h"  # type: ignore[assignment]
    """Beginning of the span."""
    to: Annotated[Moment, Field(validate_default=True)] = "now"  # type: ignore[assignment]
    """End of the span; what begins then is not in it."""
    format: Format = "json"
    """`json`: one document; `jsonl`: an object a line; `csv`: a line each, with a head."""

    @model_validator(mode="after")
    def _goes_on(self) -> Self:
        if self.to <= self.from_:
            raise ValueError("to: not after from")
        return self


class SeriesQuestion(Question):
    """Counts over time."""

    step: Annotated[int | None, Field(json_schema_extra={"enum": [*STEPS, None]})] = None
    """Seconds a point stands for; by default as fine as `points` allow."""
    points: Annotated[int, Field(ge=1, le=MAX_POINTS)] = DEFAULT_POINTS
    """Points of each series at most, where no step is given."""
    columns: Annotated[str, Field(max_length=4000)] | None = None
    """Names of columns, with commas; by default all."""
    peaks: bool = False
    """Beside each count the most of it in ten seconds, as `peak_...`, where a step is longer."""

    @model_validator(mode="after")
    def _is_a_step(self) -> Self:
        if self.step is not None and self.step not in STEPS:
            raise ValueError(f"step: one of {', '.join(map(str, STEPS))}")
        if self.step is not None and self.format == "json":
            most = (self.to - self.from_) / self.step
            if most > MAX_POINTS:
                raise ValueError(f"step: more than {MAX_POINTS} points; ask for jsonl or csv")
        return self

    @property
    def wanted(self) -> frozenset[str] | None:
        """The columns asked for; None: all."""
        return None if self.columns is None else frozenset(filter(None, self.columns.split(",")))


class WireQuestion(SeriesQuestion):
    """What was on the wire, by class."""

    interface: Short | None = None
    """Only of this interface."""


class TrafficQuestion(WireQuestion):
    """What devices sent and were sent, by class."""

    mac: WrittenMac | None = None
    """Only of this device."""


class Probes(SeriesQuestion):
    """Round trips and losses of the prober's targets."""

    address: Ip | Short | None = None
    """Only of this target."""


class Alerts(Question):
    """Alerts that were open in the span, the newest first."""

    rule: Slug | None = None
    mac: WrittenMac | None = None
    """Alerts whose subject or source it is."""
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1000


class Changes(Question):
    """What changed about devices and targets, the newest first."""

    subject: Short | None = None
    """MAC address of a device, address of a target."""
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1000


class ExceedancesQuestion(Question):
    """When a count was, or may have been, at a level."""

    column: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,48}$")]
    """Which count: `syn` of the wire, `tx_syn` of what devices sent, `rx_syn` were sent."""
    level: Annotated[float, Field(gt=0, le=1e9)]
    """Per second."""
    mac: WrittenMac | None = None
    """Only of this device."""
    quiet_s: Annotated[float, Field(ge=0, le=86400)] = 15.0
    """What lies no further apart is one, as it would be one alert."""
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1000


class Devices(BaseModel):
    """Every device that is remembered."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: Format = "json"
    """`json`: one document; `jsonl`: an object a line; `csv`: a line each, with a head."""


Parameters = dict[str, Any]
