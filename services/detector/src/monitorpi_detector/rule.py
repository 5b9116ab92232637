"""What a rule is: one function from what was seen to findings, and the limits it is judged by.

Theory of operation. A rule reads one view (a window, a device, a round of probes) and yields a
:class:`Finding` for every subject that is at or near its limit. It holds no state and knows
nothing of alerts: whether a finding raises, keeps or ends one is decided in one place for all
rules (:mod:`monitorpi_detector.alerts.raising` and :mod:`monitorpi_detector.alerts.table`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Final, Generic, Literal, TypeVar

from pydantic import Field

from monitorpi_common.settings import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitorpi_common.messages import Peer, Severity, Spread

RAISE_AT_ONCE: Final = 3.0
"""One window of so many times the threshold raises by itself; less needs m of n windows."""

FLOOD_AT_ONCE: Final = 1.75
"""The same for the floods that must be reported within two seconds. A flood of twice the threshold
that begins anywhere in a window then raises with the first window it fills, at most 2 - 1.75 / 2
windows after its first frame if its sender is even, and 12 % unevenness of the sender is borne. The
busiest benign second seen is a tenth of that."""

CRITICAL_AT: Final = 10.0
"""Severity rises to critical at so many times the threshold."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a rule raises and when its alert closes."""

    floor: float
    """In the rule's unit; below it nothing is raised whatever the baseline says."""
    factor: float = 4.0
    """The threshold is the floor or this many times the baseline, whichever is more."""
    raise_m: int = 2
    raise_n: int = 3
    raise_at_once: float = RAISE_AT_ONCE
    """One window of so many times the threshold raises by itself."""
    close_ratio: float = 0.5
    """An alert is kept while the value is at least this share of the threshold."""
    quiet_s: float = 15.0
    """Seconds below the close level after which an alert closes (pulses of 2 s in 10 s are one)."""
    enabled: bool = True
    usual_after_s: float | None = None
    """Seconds over its limit after which that is usual for a subject; None: it never is."""

    def changed(self, change: LimitsChange) -> Limits:
        """Return these limits with everything the change gives."""
        return replace(self, **{name: value for name, value in change if value is not None})


class LimitsChange(Section):
    """What can be set of a rule, for every device or for one. What is not given stays."""

    enabled: bool | None = None
    """Switch the rule on or off."""
    floor: Annotated[float | None, Field(gt=0, le=1e9)] = None
    """Least value that raises, in the rule's unit."""
    factor: Annotated[float | None, Field(ge=1, le=1e6)] = None
    """Times the baseline that raises, where that is more than the floor."""
    raise_m: Annotated[int | None, Field(ge=1, le=60)] = None
    """Windows over the threshold that raise ..."""
    raise_n: Annotated[int | None, Field(ge=1, le=60)] = None
    """... out of this many."""
    raise_at_once: Annotated[float | None, Field(ge=1, le=1e6)] = None
    """Times the threshold from which one window raises by itself."""
    close_ratio: Annotated[float | None, Field(ge=0, le=1)] = None
    """Share of the threshold under which a window is quiet."""
    quiet_s: Annotated[float | None, Field(gt=0, le=86400)] = None
    """Quiet seconds after which the alert closes."""
    usual_after_s: Annotated[float | None, Field(ge=60, le=30 * 86400)] = None
    """Seconds over the limit after which that is usual for a subject."""


@dataclass(frozen=True, slots=True)
class LimitsOf:
    """The limits of one rule, for each device."""

    of: Callable[[str | None], Limits]
    least: float
    """The lowest close level of any device: nobody below it is worth a look."""

    def __call__(self, mac: str | None) -> Limits:
        """Return the limits for a MAC address; None: for no one in particular."""
        return self.of(mac)


@dataclass(frozen=True, slots=True)
class Finding:
    """One subject at or near a rule's limit, with everything that speaks for it."""

    subject: str
    """Last part of the alert's key: a MAC as an id, ``victim-{mac}``, ``wire-{interface}``."""
    value: float
    threshold: float
    text: str
    """Who does what to whom: the beginning of the alert's sentence."""
    unit: str = "frames/s"
    scale: float = 1.0
    """People read so many times the value: 100 for a ratio, which is shown in per cent."""
    baseline: float | None = None
    sources: tuple[Peer, ...] = ()
    victims: tuple[Peer, ...] = ()
    spread: Spread | None = None
    answered_ratio: float | None = None
    spoofed: bool | None = None
    beyond_router: bool | None = None
    severity: Severity | None = None
    """Fixed by the rule; None: by the excess over the threshold."""
    cumulates: bool = False
    """Judge the sum over time too (CUSUM), not only each window."""
    must_last: bool = False
    """A short burst is benign: only three of four windows raise, however strong one is."""
    late: float = 0.0
    """Of the value, what came so late in the window that the next one may explain it."""
    decisive: bool = False
    """One observation is enough; there is nothing to count."""
    opens: bool = True
    """False: it keeps an alert that is open, and opens none."""
    story: str | None = None
    """What this is a chapter of, such as one target: a decisive finding ends the others' alerts."""
    a_night: int | None = None
    """So many alerts of its story open within twelve hours, unless something else causes them."""
    about: frozenset[str] = field(default_factory=frozenset)
    """MACs and addresses this is about beside sources and victims, to link side effects."""


ViewT = TypeVar("ViewT")
Kind = Literal["flood", "outage", "effect", "notice"]


@dataclass(frozen=True, slots=True)
class Rule(Generic[ViewT]):
    """A rule's name, its default limits and its one function."""

    name: str
    title: str
    unit: str
    defaults: Limits
    judge: Callable[[ViewT, LimitsOf], Iterator[Finding]]
    kind: Kind = "flood"
    """A flood or an outage can cause effects; a notice is neither cause nor effect."""
