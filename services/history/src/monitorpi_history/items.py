"""What the core hands the store, and what both call things. Pure.

Counts are kept in *slots* of :data:`SLOT_S`, by *series*: the wire of an interface, one MAC address
on an interface, one target of the prober. A slot of a series is a row of named columns, whole
numbers that are not negative. A slot may be reported in parts, in any order:
:func:`combine` makes one of them, so nothing that comes late, twice written or under a clock that
was set needs a case of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from monitorpi_common.messages import Alert, Device

SLOT_S: Final = 10
"""Seconds of the finest slots: a round of the prober."""
HOUR_S: Final = 3600
DAY_S: Final = 86400
MAX_VALUE: Final = 2**63 - 1

SERIES_BITS: Final = 24
"""The key of a row is the number of its hour or day, and in the low bits that of its series."""
SERIES_MASK: Final = (1 << SERIES_BITS) - 1

Kind = Literal["wire", "device", "omitted", "target"]


class Series(NamedTuple):
    """Whose counts: a tuple, since it is the key of everything that is gathered."""

    kind: Kind
    place: str
    """The interface; of a target: the prober's instance."""
    subject: str = ""
    """The MAC address, or the target's address; the wire has none."""


# --- columns ------------------------------------------------------------------------------------

COVERED: Final = "_covered_ms"
"""Milliseconds of the slot that windows were reported: 0 is a gap."""
DROPS: Final = "_drops"
"""Frames lost in the sensor."""
LOST: Final = "_lost_windows"
"""Windows that never arrived."""
UNSET: Final = "_unset_windows"
"""Windows stamped by a clock that was not synchronised."""
OMITTED: Final = "_omitted_macs"
PEAK: Final = "peak_"
"""Before a column's name: the most of it in one slot of :data:`SLOT_S`."""

ROUNDS: Final = "rounds"
_LEAST: Final = frozenset({"rtt_min_us", "mos_centi"})
_MOST: Final = frozenset({"rtt_max_us", "rtt_p95_us", "pdv_p95_us", OMITTED})

PROBE_COLUMNS: Final = _LEAST | _MOST | {
    ROUNDS, "rounds_up", "sent", "received", "unsent", "late", "altered", "rtt_avg_us_sum",
    "rtt_p50_us_sum", "jitter_us_sum", "jitter_received",
}  # fmt: skip
"""Of a target; times of rounds and requests. Means are kept as sums over ``received`` replies."""

Rule = Literal["sum", "most", "least"]


def rule_of(column: str) -> Rule:
    """Return how two values of a column become one; of the least, 0 is no value."""
    if column.startswith(PEAK) or column in _MOST:
        return "most"
    return "least" if column in _LEAST else "sum"


def has_peak(column: str) -> bool:
    """Return whether the most of a column in one slot is worth keeping beside its sum."""
    return not column.startswith("_") and column not in PROBE_COLUMNS


def combine(rule: Rule, one: int, other: int) -> int:
    """Return what two parts of a value make; what would not fit is the largest that does."""
    match rule:
        case "sum":
            return min(one + other, MAX_VALUE)
        case "most":
            return max(one, other)
        case "least":
            return min(one, other) if one and other else one or other


# --- what is written ----------------------------------------------------------------------------

Columns = dict[str, list[int]]
"""By name: a value for each slot of a stretch."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Slots of one hour that are written together."""

    hour: int
    """Hours since 1970."""
    first: int
    """The first slot, counted from the hour's beginning."""
    length: int
    series: Mapping[Series, Columns]


ChangeWord = Literal[
    "new", "back", "gone", "forgotten", "moved", "renamed", "role", "vendor", "up", "down"
]


@dataclass(frozen=True, slots=True)
class Change:
    """Something about a device or target is not as it was."""

    at_ms: int
    """Milliseconds since 1970."""
    subject: str
    """MAC address of a device; address of a target."""
    what: ChangeWord
    before: str | None = None
    after: str | None = None


class Named(NamedTuple):
    """A target, as people call it, and its state."""

    name: str
    state: str


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    stretches: list[Stretch] = field(default_factory=list)
    alerts: Sequence[Alert] = ()
    devices: Sequence[Device] = ()
    """As they are now."""
    targets: Mapping[str, Named] = field(default_factory=dict)
    """By address."""
    changes: Sequence[Change] = ()

    def __bool__(self) -> bool:
        return bool(self.stretches or self.alerts or self.devices or self.targets or self.changes)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the store does not keep what it should, and what people can do."""

    state: str
    """A word: ``full``, ``read-only``, ``newer``, ``damaged``, ``busy``, ``failed``, ``clock``."""
    text: str
    remedy: str

    def published(self) -> dict[str, JsonValue]:
        """Return it as health says it."""
        return {"state": self.state, "text": self.text, "remedy": self.remedy}


class BatchStore(Protocol):
    """Where batches go."""

    def save(self, batch: Batch) -> Trouble | None:
        """Write all of it to the disk, or nothing and say why."""
        ...

    def work(self, now_s: float, *, is_set: bool) -> bool:
        """Do a little of what has to be done some time: pack an hour, make room.

        Returns: there is more to do.

        """
        ...

    def warning(self, now_s: float) -> Trouble | None:
        """Return what is not as it should be though everything is kept; None: all is well."""
        ...

    def state(self, now_s: float) -> dict[str, JsonValue]:
        """Return what health says of the store."""
        ...
