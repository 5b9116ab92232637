"""Whose evidence of copies is believed, and what it comes to for each sender. Pure.

Nobody is believed alone. How far a sender's own evidence is followed hangs on the others':
:meth:`CopyEvidence.believed`. So who sends each of his frames several times where nothing is copied
lowers his own rate, nobody else's, by three at most, and only if another sender does the same or
nobody else sends at all; by eight, for broadcasts, if two others do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median_low
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_HALF_LIFE_WINDOWS: Final = 5
MOST_UNICAST: Final = 3.0
"""A frame with one receiver is shown once where it came in, once where it went out; a third time
between two switches that both mirror."""
MOST_GROUP: Final = 8.0
"""A broadcast is shown at each mirrored port it went out by; of more than eight, eight are
believed: the busiest benign second stays under the floors three times over."""
_LEAST: Final = 4.0
"""Clusters (decayed) from which a sender's evidence counts."""
_SLACK: Final = 0.5
_LEAST_WIRE: Final = 12.0
_COPIES_FROM: Final = 1.3
"""Frames per cluster from which a sender's frames come in copies."""
_SINGLE_BELOW: Final = 1.1
"""Below it they come singly; what lies between is neither."""
_MAX_MACS: Final = 1024
_GROUP: Final = 0x01


class CopyShares(NamedTuple):
    """What share of the frames counted are copies, 0 to 1."""

    unicast: float = 0.0
    group: float = 0.0
    received: float = 0.0
    elsewhere: float = 0.0

    @property
    def any(self) -> bool:
        """There is something to take off."""
        return max(self) > 0


_NONE: Final = CopyShares()


class RepeatedFrames(NamedTuple):
    """Broadcasts and multicasts that had been on the wire before."""

    ratio: float
    senders: int
    """As many senders with equal shares; one that sends most is one (the inverse of Simpson's
    index)."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What samples show of one interface's window."""

    ratio: float | None = None
    """Share of copies among all frames; None: not known."""
    wire: CopyShares = _NONE
    """For frames of senders without evidence of their own."""
    devices: Mapping[bytes, CopyShares] = field(default_factory=dict)
    repeats: RepeatedFrames | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What a message of a window says of it."""
        return {
            "copies_ratio": self.ratio,
            "copies": self.wire._asdict() if self.wire.any else None,
            "repeats": self.repeats._asdict() if self.repeats else None,
        }


@dataclass(slots=True)
class Cluster:
    """One frame and its copies, by interface: equal bytes within ``copies.GAP_S``."""

    data: bytes
    first_s: float
    last_s: float
    counts: dict[str, int]
    is_joint: bool
    """It began while all of several interfaces were looked at."""
    is_closed: bool = False


@dataclass(slots=True)
class _Share:
    """Evidence of one MAC: frames seen over frames there were."""

    frames: float = 0.0
    clusters: float = 0.0

    @property
    def times(self) -> float | None:
        """Return how often each frame was seen, None without enough evidence."""
        return self.frames / self.clusters if self.clusters >= _LEAST else None


class CopyEvidence:
    """The evidence of one interface, fading over some windows."""

    def __init__(self) -> None:
        self.unicast: dict[bytes, _Share] = {}
        self.group: dict[bytes, _Share] = {}
        self.received: dict[bytes, _Share] = {}
        self.elsewhere: dict[bytes, _Share] = {}
        """Frames: the sum of 1/k."""
        self.group_frames = 0
        self.repeats: Counter[bytes] = Counter()

    def close(self, cluster: Cluster, frames: int) -> None:
        """Take a complete cluster as evidence: so many frames seen on this interface, one sent."""
        target, source = cluster.data[:6], cluster.data[6:12]
        if target[0] & _GROUP:
            _add(self.group, source, min(frames, MOST_GROUP))
        else:
            _add(self.unicast, source, min(frames, MOST_UNICAST))
            _add(self.received, target, min(frames, MOST_UNICAST))
        if cluster.is_joint:
            for mac in (source,) if target[0] & _GROUP else (source, target):
                _add(self.elsewhere, mac, 1 / len(cluster.counts))

    def fade(self) -> None:
        """Let a window pass: evidence halves in five, repeats count anew."""
        keep = 0.5 ** (1 / _HALF_LIFE_WINDOWS)
        for table in (self.unicast, self.group, self.received, self.elsewhere):
            for mac, share in list(table.items()):
                share.frames *= keep
                share.clusters *= keep
                if share.clusters < 0.5:  # noqa: PLR2004 - less than one frame
                    del table[mac]
        self.group_frames = 0
        self.repeats.clear()

    # --- belief -----------------------------------------------------------------------------

    def believed(self, table: Mapping[bytes, _Share], most: float) -> dict[bytes, float]:
        """Return how often each sender's frames are shown, as far as others bear it out.

        - As often as another sender's, three times at most.
        - More (broadcasts) as often as the second of two others'.
        - Alone: three times at most, if nobody else's come singly, or if what comes back answers
          each frame once (one direction of a conversation is mirrored twice).
        """
        times = {mac: shown for mac, share in table.items() if (shown := share.times) is not None}
        copying = sorted(
            ((shown, mac) for mac, shown in times.items() if shown >= _COPIES_FROM), reverse=True
        )
        single = sum(shown < _SINGLE_BELOW for shown in times.values())
        believed = {}
        for mac, shown in times.items():
            others = [one for one, other in copying[:3] if other != mac]
            limit = 1.0
            if others:
                limit = min(MOST_UNICAST, others[0] + _SLACK)
            elif shown >= _COPIES_FROM and (not single or self._answered_once(mac, table)):
                limit = MOST_UNICAST
            if len(others) >= 2:  # noqa: PLR2004 - two witnesses
                limit = max(limit, min(most, others[1] + _SLACK))
            believed[mac] = min(shown, limit) if shown >= _SINGLE_BELOW else 1.0
        return believed

    def _answered_once(self, mac: bytes, table: Mapping[bytes, _Share]) -> bool:
        """Return whether a sender was sent about as many frames as it sent, copies left out.

        A host that really sends each request twice is answered twice.
        """
        back = self.received.get(mac)
        if table is not self.unicast or back is None:
            return False
        sent = table[mac].clusters
        return bool(sent / 2 <= back.clusters <= 1.25 * sent)

    def report(self) -> CopyReport:
        """Return the shares of copies as far as they are believed now."""
        unicast = self.believed(self.unicast, MOST_UNICAST)
        group = self.believed(self.group, MOST_GROUP)
        wire = CopyShares(
            unicast=_part(_usual(unicast)),
            group=_part(_usual(group)),
            received=_part(_usual(unicast)),
            elsewhere=self._elsewhere_of_all(),
        )
        most = max(unicast.values(), default=1.0)
        devices = {}
        for mac in unicast.keys() | group.keys() | self.elsewhere.keys() | self.received.keys():
            shown = self.received.get(mac, _Share()).times
            seen = self.elsewhere.get(mac, _Share()).times
            shares = CopyShares(
                unicast=_part(unicast[mac]) if mac in unicast else wire.unicast,
                group=_part(group[mac]) if mac in group else wire.group,
                received=wire.received if shown is None else _part(min(shown, most)),
                elsewhere=wire.elsewhere if seen is None else round(1 - seen, 3),
            )
            if shares != wire:
                devices[mac] = shares
        return CopyReport(self._ratio(unicast, group), wire, devices, self._repeated())

    def _repeated(self) -> RepeatedFrames | None:
        """Return the repeats of this window, and of how many senders with equal shares they are."""
        if not self.group_frames:
            return None
        total = self.repeats.total()
        squares = sum(count * count for count in self.repeats.values())
        even = round(total * total / squares) if squares else 0
        return RepeatedFrames(round(total / self.group_frames, 3), even)

    def _elsewhere_of_all(self) -> float:
        clusters = sum(share.clusters for share in self.elsewhere.values())
        if clusters < _LEAST_WIRE:
            return 0.0
        return round(1 - sum(share.frames for share in self.elsewhere.values()) / clusters, 3)

    def _ratio(self, unicast: Mapping[bytes, float], group: Mapping[bytes, float]) -> float | None:
        """Return the share of copies among all frames sampled."""
        frames = copies = clusters = 0.0
        for table, times in ((self.unicast, unicast), (self.group, group)):
            for mac, share in table.items():
                frames += share.frames
                clusters += share.clusters
                copies += share.frames * (1 - 1 / times.get(mac, 1.0))
        return round(copies / frames, 3) if clusters >= _LEAST_WIRE else None


def _add(table: dict[bytes, _Share], mac: bytes, frames: float) -> None:
    """Take one cluster as evidence of a MAC."""
    share = table.get(mac)
    if share is None:
        if len(table) >= _MAX_MACS:
            return
        share = table[mac] = _Share()
    share.frames += frames
    share.clusters += 1


def _usual(times: Mapping[bytes, float]) -> float:
    """Return what holds for a sender without evidence: what at least half of the others show."""
    return median_low(times.values()) if len(times) > 1 else 1.0


def _part(times: float) -> float:
    """Return the share of copies where each frame is shown so many times."""
    return round(1 - 1 / times, 3)
