"""Which value of which message goes to which field: the mapping, its defaults and its arithmetic.

A *path* walks into a payload: ``counts.syn``, ``targets[].rtt_avg_ms`` (every item of a list),
``targets[state=up].#`` (how many items are like that). A counter is a path that begins with
``totals.``: its value in an interval is the difference of totals since their epoch began, so a
message that was lost on the way loses no count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from monitorpi_common.messages import OWNED, Health
from monitorpi_common.settings import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Aggregate = Literal["last", "sum", "mean", "min", "max", "rate"]
COUNTER: Final = "totals."
_SEGMENT: Final = re.compile(r"(?P<name>\w+|#)(\[(?P<filter>(\w+=[\w.-]+)?)\])?")
_MAX_VALUES: Final = 4096  # of one path in one message: no list of the contract is longer

MOST_VALUE: Final = 1e18
"""Beyond this, infinity included, a value is left out: no count is so high."""

DAY_S: Final = 86_400
YEAR_DAYS: Final = 365


class Entry(Section):
    """One field of one channel: where its value comes from."""

    topic: Annotated[str, Field(pattern=r"^[a-z-]+/[a-z]+/([a-z0-9-]+|\+)$")]
    """Topic below the site: `service/kind/id`, `+` for any id."""
    path: str | list[str]
    """Path into the payload; the values of several paths are added."""
    channel: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    """Name of the channel, as in `channels`."""
    field: Annotated[int, Field(ge=1, le=8)]
    """Number of the field."""
    scale: float = 1.0
    """The value is multiplied by this."""
    aggregate: Aggregate = "mean"
    """What becomes of several values of one interval; `rate` is the sum per second."""
    label: Annotated[str, Field(max_length=64)] = ""
    """What `./monitorpi thingspeak setup` calls the field."""

    @field_validator("path")
    @classmethod
    def _is_a_path(cls, path: str | list[str]) -> str | list[str]:
        for one in [path] if isinstance(path, str) else path:
            for segment in one.split("."):
                if not _SEGMENT.fullmatch(segment):
                    raise ValueError(f"{segment!r} in {one!r} is no step of a path")
        return path

    @property
    def paths(self) -> list[str]:
        """The paths, also where there is only one."""
        return [self.path] if isinstance(self.path, str) else list(self.path)

    @property
    def counts(self) -> bool:
        """The value is a counter's difference."""
        return all(path.startswith(COUNTER) for path in self.paths)


def _traffic(number: int, label: str, *classes: str) -> Entry:
    return Entry(
        topic="capture/traffic/+", path=[f"totals.{name}" for name in classes],
        channel="traffic", field=number, aggregate="sum", label=label,
    )  # fmt: skip


def _health(
    number: int, label: str, topic: str, path: str, how: Aggregate, scale: float = 1
) -> Entry:
    return Entry(
        topic=topic, path=path, channel="health", field=number, aggregate=how, scale=scale,
        label=label,
    )  # fmt: skip


DEFAULTS: Final[tuple[Entry, ...]] = (
    _traffic(1, "broadcast", "broadcast"),
    _traffic(2, "DHCP", "dhcp"),
    _traffic(3, "DNS", "dns"),
    _traffic(4, "ARP", "arp"),
    _traffic(5, "ICMP", "icmp"),
    _traffic(6, "IGMP", "igmp"),
    _traffic(7, "SYN", "syn"),
    _traffic(8, "HTTP and HTTPS", "http", "https"),
    _health(1, "reachable devices", "prober/probe/+", "targets[state=up].#", "last"),
    _health(2, "mean RTT in ms", "prober/probe/+", "targets[].rtt_avg_ms", "mean"),
    _health(3, "highest p95 RTT in ms", "prober/probe/+", "targets[].rtt_p95_ms", "max"),
    _health(4, "mean jitter in ms", "prober/probe/+", "targets[].jitter_ms", "mean"),
    _health(5, "loss in percent", "prober/probe/+", "targets[].loss_ratio", "mean", 100),
    _health(6, "link load in Mbit/s", "capture/traffic/+", "totals.bytes", "rate", 8e-6),
    _health(7, "frames lost by the sensor", "capture/traffic/+", "kernel_drops", "sum"),
    _health(8, "open alerts", "detector/health/+", "detail.open_alerts", "last"),
)
"""The channel "traffic" with the original's eight fields (80 and 443 counted together), and the
channel "health"."""


class PlanError(ValueError):
    """A mapping that cannot work; the text shows the arithmetic."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What a licence of the service allows."""

    name: str
    channels: int
    messages_per_year: int
    least_interval_s: int


FREE: Final = Licence("free", 4, 3_000_000, 15)
PAID: Final = Licence("paid", 250, 33_000_000, 1)
"""Standard licence, one unit."""


def check_mapping(entries: Sequence[Entry], channels: Iterable[str]) -> None:
    """Refuse a mapping that cannot work.

    Raises:
        PlanError: a field has two values, a path is unknown, or a channel is not configured.

    """
    names = list(channels)
    seen: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        place = (entry.channel, entry.field)
        if entry.channel not in names:
            known = ", ".join(names) or "none"
            raise PlanError(f"channel {entry.channel!r} is not configured; there are: {known}")
        if place in seen:
            raise PlanError(f"field {entry.field} of channel {entry.channel!r} is mapped twice")
        seen[place] = entry
        check_path(entry)


def check_quota(channels: int, interval_s: int, licence: Licence) -> None:
    """Refuse more than a licence of ThingSpeak allows.

    Raises:
        PlanError: too many channels, or too many rows a year; the text shows the arithmetic.

    """
    if channels > licence.channels:
        raise PlanError(
            f"{channels} channels are configured, a {licence.name} licence has {licence.channels}"
        )
    per_year = channels * DAY_S // interval_s * YEAR_DAYS
    if per_year > licence.messages_per_year:
        fits = least_interval_s(channels, licence)
        raise PlanError(
            f"{channels} channels x {DAY_S} s / {interval_s} s x {YEAR_DAYS} days = "
            f"{per_year:,} rows a year; a {licence.name} licence takes "
            f"{licence.messages_per_year:,}: set interval_s to {fits} or more"
        )


def least_interval_s(channels: int, licence: Licence) -> int:
    """Return the shortest whole interval whose rows fit into the licence's year."""
    fits = -(-channels * DAY_S * YEAR_DAYS // licence.messages_per_year)
    return max(fits, licence.least_interval_s)


def check_path(entry: Entry) -> None:
    """Refuse a path whose first step no message of that topic has.

    Raises:
        PlanError: says which steps there are.

    """
    service, kind, _ = entry.topic.split("/")
    message = next((m for m in OWNED if (service, kind) == (m.SERVICE, m.KIND)), None)
    if message is None and kind == Health.KIND:
        message = Health
    if message is None:
        raise PlanError(f"no message is published on {entry.topic!r}")
    for path in entry.paths:
        first = path.split(".", 1)[0].split("[", 1)[0]
        if first not in message.model_fields:
            known = ", ".join(message.model_fields)
            raise PlanError(f"{path!r}: {entry.topic} has no {first!r}; it has {known}")


def values(payload: Any, path: str) -> list[float]:
    """Return every number a path leads to; what is missing or no number is left out."""
    found: list[Any] = [payload]
    for step in path.split("."):
        segment = _SEGMENT.fullmatch(step)
        if segment is None:
            return []
        if segment["name"] == "#":
            return [float(len(found))]
        found = [one[segment["name"]] for one in found if _has(one, segment["name"])]
        if segment["filter"] is not None:
            found = [item for one in found if isinstance(one, list) for item in one]
            found = [item for item in found if _passes(item, segment["filter"])][:_MAX_VALUES]
    return [float(one) for one in found if isinstance(one, int | float) and abs(one) <= MOST_VALUE]


def _has(value: Any, name: str) -> bool:
    return isinstance(value, dict) and value.get(name) is not None


def _passes(item: Any, filter_: str) -> bool:
    """Tell whether a list's item has the wanted value; an empty filter takes every item."""
    if not filter_:
        return True
    name, wanted = filter_.split("=", 1)
    return isinstance(item, dict) and str(item.get(name)) == wanted


def counter(totals: Mapping[str, int], paths: Iterable[str]) -> int:
    """Return the sum of some counters."""
    return sum(totals.get(path.removeprefix(COUNTER), 0) for path in paths)
