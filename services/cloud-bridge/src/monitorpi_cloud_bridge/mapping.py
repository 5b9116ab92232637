"""Which value of which message goes to which field: the mapping, its defaults and its arithmetic.

A counter is a path of a traffic window that begins with ``totals.``: its value in an interval is
the difference of totals since their epoch began, so a message that was lost on the way loses no
count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator

from monitorpi_cloud_bridge.paths import STEP, PathError, check
from monitorpi_common.messages import (
    Alert,
    Device,
    Health,
    Message,
    Probe,
    Service,
    Target,
    Traffic,
    Wire,
)
from monitorpi_common.settings import Section
from monitorpi_common.written import either

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Aggregate = Literal["last", "sum", "mean", "min", "max", "rate"]
COUNTER: Final = "totals."
_WINDOWS: Final = ("capture/wire/", "capture/traffic/")
READABLE: Final[dict[str, type[Message]]] = {
    f"{message.SERVICE}/{message.KIND}": message
    for message in (Wire, Traffic, Device, Probe, Target, Alert)
} | {
    f"{service}/{Health.KIND}": Health
    for service in (Service.CAPTURE, Service.PROBER, Service.DETECTOR)
}
"""What may be relayed, by service and kind. Lines about single frames never leave the machine."""

DAY_S: Final = 86_400
YEAR_DAYS: Final = 365


class MappingEntry(Section):
    """One field of one channel: where its value comes from."""

    topic: Annotated[str, Field(pattern=r"^[a-z-]+/[a-z]+/([a-z0-9-]+|\+)$")]
    """Topic below the site: `service/kind/id`, `+` for any id."""
    path: Annotated[
        str | Annotated[list[str], Field(min_length=1)],
        either("a path such as 'counts.syn', or a list of paths"),
    ]
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
                if not STEP.fullmatch(segment):
                    raise ValueError(f"{segment!r} in {one!r} is no step of a path")
        return path

    @property
    def paths(self) -> list[str]:
        """The paths, also where there is only one."""
        return [self.path] if isinstance(self.path, str) else list(self.path)

    @property
    def counts(self) -> bool:
        """The value is a counter's difference."""
        return self.topic.startswith(_WINDOWS) and all(
            path.startswith(COUNTER) for path in self.paths
        )

    def covers(self, topic: str) -> bool:
        """Return whether a topic below the site is one of ours."""
        return self.topic == topic or (
            self.topic.endswith("/+") and topic.startswith(self.topic[:-1])
        )


def _traffic(number: int, label: str, *classes: str) -> MappingEntry:
    return MappingEntry(
        topic="capture/wire/+", path=[f"totals.{name}" for name in classes],
        channel="traffic", field=number, aggregate="sum", label=label,
    )  # fmt: skip


def _health(
    number: int, label: str, topic: str, path: str, how: Aggregate, scale: float = 1
) -> MappingEntry:
    return MappingEntry(
        topic=topic, path=path, channel="health", field=number, aggregate=how, scale=scale,
        label=label,
    )  # fmt: skip


DEFAULTS: Final[tuple[MappingEntry, ...]] = (
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
    _health(5, "loss in percent", "prober/probe/+", "targets[state=up].loss_ratio", "mean", 100),
    _health(6, "link load in Mbit/s", "capture/wire/+", "totals.bytes", "rate", 8e-6),
    _health(7, "frames lost by the sensor", "capture/wire/+", "kernel_drops", "sum"),
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


def check_mapping(entries: Sequence[MappingEntry], channels: Iterable[str]) -> None:
    """Refuse a mapping that cannot work.

    Raises:
        PlanError: a field has two values, a path is unknown, or a channel is not configured.

    """
    names = list(channels)
    seen: dict[tuple[str, int], MappingEntry] = {}
    for entry in entries:
        place = (entry.channel, entry.field)
        if entry.channel not in names:
            known = ", ".join(names) or "none"
            raise PlanError(f"channel {entry.channel!r} is not configured; there are: {known}")
        if place in seen:
            raise PlanError(f"field {entry.field} of channel {entry.channel!r} is mapped twice")
        seen[place] = entry
        try:
            check_path(entry)
        except PlanError as error:
            raise PlanError(f"field {entry.field} of channel {entry.channel!r}: {error}") from None


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


def check_path(entry: MappingEntry) -> None:
    """Refuse a topic nothing is relayed from, and a path to what no message of it has.

    Raises:
        PlanError: says what there is.

    """
    place = entry.topic.rpartition("/")[0]
    message = READABLE.get(place)
    if message is None:
        known = ", ".join(READABLE)
        raise PlanError(f"topic {entry.topic!r}: nothing is relayed from it; there are: {known}")
    counters = [path.startswith(COUNTER) for path in entry.paths]
    if f"{place}/" in _WINDOWS and any(counters) and not all(counters):
        raise PlanError(f"path {entry.path}: counters (totals.) and values cannot be added")
    for path in entry.paths:
        try:
            check(message, path)
        except PathError as error:
            raise PlanError(f"path {path!r} of {place}: {error}") from None


def counter(totals: Mapping[str, int], paths: Iterable[str]) -> int:
    """Return the sum of some counters."""
    return sum(totals.get(path.removeprefix(COUNTER), 0) for path in paths)
