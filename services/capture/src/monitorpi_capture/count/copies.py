"""How often the mirror port shows one frame: the share of copies, estimated from samples. Pure.

Theory of operation. A switch that mirrors both directions of its ports shows a frame once where it
came in and once where it went out; a loop of cables shows it again and again. Both are seen by
comparing frames: byte by byte from the addresses on, behind the VLAN tags, as far as the first
:data:`COMPARED` bytes go (a routed frame differs in its MAC addresses and TTL: no copy).

- Equal frames within :data:`GAP_S` are a *cluster*: one frame and its copies. Each cluster is one
  piece of evidence for its sender (and receiver): frames seen, and frames there were (one).
- A frame that comes again later than that is a *repeat*, not a copy, and no evidence: a flood of
  equal frames (a tool with constant fields) excuses nothing.
- Repeats of broadcasts and multicasts of several senders are what a loop looks like.
- An equal frame on another interface is the same frame seen *elsewhere*: where windows of several
  interfaces are added up, it counts 1/k on each of the k that show it.

Nobody is believed alone. How far a sender's own evidence is followed hangs on the others':
:meth:`Ledger.believed`. So who sends each of his frames several times where nothing is copied
lowers his own rate, nobody else's, by three at most, and only if another sender does the same or
nobody else sends at all; by eight, for broadcasts, if two others do.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median_low
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SNAPPED: Final = 128
"""Bytes of a frame that are sampled."""
COMPARED: Final = 104
"""Bytes behind the tags that are compared: two tags and these are sampled. They hold the checksum
of UDP or TCP, which tells payloads apart, and the number of an echo request."""
GAP_S: Final = 0.005
"""A mirror port's copies follow each other within microseconds to the length of its queue: 400
full frames at 1 Gb/s are 5 ms."""
MEMORY_S: Final = 2.0
"""A frame that comes again within so long is a repeat: two slots of a busy wire and some."""
_LATE_S: Final = 0.3
"""Samples of several interfaces come so far out of order."""
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
_MAX_SEEN: Final = 4096
_MAX_MACS: Final = 1024
_LARGE_TCP: Final = 1000
"""TCP segments from here on may have been merged by receive offload."""
_TCP: Final = 6
_ACK: Final = 0x10
_LARGEST: Final = 1518
_SMALLEST: Final = 60
"""Shorter frames are filled up to this; a tag may take the place of the filling."""
_GROUP: Final = 0x01
_TAGS: Final = frozenset({b"\x81\x00", b"\x88\xa8", b"\x91\x00"})
_TYPE: Final = 12
_MAX_TAGS: Final = 2


class Sampled(NamedTuple):
    """One frame that was looked at."""

    at_s: float
    port: int
    """Index of the interface in its sample."""
    length: int
    """Bytes on the wire, without a tag that was taken out."""
    data: bytes
    """The first :data:`SNAPPED` bytes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Frames of some interfaces, in the order of time."""

    interfaces: Sequence[str]
    frames: Sequence[Sampled]
    joint: tuple[float, float] = (0.0, float("inf"))
    """From when to when all interfaces were looked at: only then another one's silence counts."""


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


class Repeats(NamedTuple):
    """Broadcasts and multicasts that had been on the wire before."""

    ratio: float
    senders: int
    """As many senders with equal shares; one that sends most is one (the inverse of Simpson's
    index)."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What samples tell of one interface's window."""

    ratio: float | None = None
    """Share of copies among all frames; None: not known."""
    wire: CopyShares = _NONE
    """For frames of senders without evidence of their own."""
    devices: Mapping[bytes, CopyShares] = field(default_factory=dict)
    repeats: Repeats | None = None


def normalised(data: bytes, length: int) -> tuple[bytes, int]:
    """Return what is compared of a frame, and its length, both without VLAN tags."""
    at = _TYPE
    for _ in range(_MAX_TAGS):
        if data[at : at + 2] not in _TAGS:
            break
        at += 4
    if at > _TYPE:
        data, length = data[:_TYPE] + data[at:], length - (at - _TYPE)
    length = max(length, _SMALLEST)
    return data[: min(COMPARED, length)].ljust(min(COMPARED, length), b"\0"), length


def _tells(data: bytes, length: int) -> bool:
    """Tell whether a frame is evidence: as it was on the wire, and one that is not sent twice.

    Receive offload merges the middle of a TCP stream, each copy in another way; bare ACKs of a
    host that numbers no packets are equal by nature.
    """
    if length > _LARGEST:
        return False
    if data[_TYPE : _TYPE + 2] == b"\x08\x00" and data[23] == _TCP:
        flags = 14 + (data[14] & 15) * 4 + 13
    elif data[_TYPE : _TYPE + 2] == b"\x86\xdd" and data[20] == _TCP:
        flags = 14 + 40 + 13
    else:
        return True
    return length < _LARGE_TCP and flags < len(data) and data[flags] != _ACK


@dataclass(slots=True)
class _Cluster:
    """One frame and its copies."""

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


class Ledger:
    """The evidence of one interface, fading over some windows."""

    def __init__(self) -> None:
        self.unicast: dict[bytes, _Share] = {}
        self.group: dict[bytes, _Share] = {}
        self.received: dict[bytes, _Share] = {}
        self.elsewhere: dict[bytes, _Share] = {}
        """Frames: the sum of 1/k."""
        self.group_frames = 0
        self.repeats: Counter[bytes] = Counter()

    def close(self, cluster: _Cluster, frames: int) -> None:
        """Take a cluster as evidence."""
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
        """Let a window pass."""
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
        """Tell whether a sender was sent about as many frames as it sent, copies left out.

        A host that really sends each request twice is answered twice.
        """
        back = self.received.get(mac)
        if table is not self.unicast or back is None:
            return False
        sent = table[mac].clusters
        return bool(sent / 2 <= back.clusters <= 1.25 * sent)

    def report(self) -> CopyReport:
        """Return what is known now."""
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

    def _repeated(self) -> Repeats | None:
        """Return the repeats of this window, and of how many senders with equal shares they are."""
        if not self.group_frames:
            return None
        total = self.repeats.total()
        squares = sum(count * count for count in self.repeats.values())
        even = round(total * total / squares) if squares else 0
        return Repeats(round(total / self.group_frames, 3), even)

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


class CopyMeter:
    """Takes samples of all interfaces and tells of each, once a window."""

    def __init__(self) -> None:
        self._seen: dict[bytes, _Cluster] = {}
        self._open: deque[_Cluster] = deque()
        self._ledgers: dict[str, Ledger] = {}
        self._newest_s = 0.0

    def take(self, sample: Sample) -> None:
        """Compare frames with those of the last moments."""
        names = sample.interfaces
        for name in names:
            self._ledgers.setdefault(name, Ledger())
        for frame in sample.frames:
            if len(frame.data) > _TYPE:
                self._compare(frame, sample)
        self._close(self._newest_s - _LATE_S)

    def _compare(self, frame: Sampled, sample: Sample) -> None:
        """Find out whether a frame is a first one, a copy or a repeat."""
        at_s, port, length, data = frame
        key, size = normalised(data, length)
        if not _tells(key, size):
            return
        name = sample.interfaces[port]
        ledger = self._ledgers[name]
        is_group = key[0] & _GROUP
        if is_group:
            ledger.group_frames += 1
        if not self._newest_s - MEMORY_S <= at_s <= self._newest_s:
            self._newest_s = at_s
        named = key + size.to_bytes(2, "big")
        cluster = self._seen.get(named)
        if cluster is None or not at_s - MEMORY_S <= cluster.last_s <= at_s + MEMORY_S:
            joint = len(sample.interfaces) > 1 and sample.joint[0] <= at_s < sample.joint[1]
            self._begin(named, _Cluster(key, at_s, at_s, {name: 1}, joint))
            return
        cluster.last_s = max(cluster.last_s, at_s)
        if abs(at_s - cluster.first_s) > GAP_S:
            if is_group:
                ledger.repeats[key[6:12]] += 1
        elif not cluster.is_closed:
            cluster.counts[name] = cluster.counts.get(name, 0) + 1

    def _begin(self, named: bytes, cluster: _Cluster) -> None:
        self._seen.pop(named, None)
        while len(self._seen) >= _MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[named] = cluster
        self._open.append(cluster)

    def _close(self, before_s: float) -> None:
        """Take every cluster that began before a time as complete."""
        while self._open and self._open[0].first_s < before_s:
            cluster = self._open.popleft()
            cluster.is_closed = True
            for name, frames in cluster.counts.items():
                self._ledgers[name].close(cluster, frames)

    def report(self, interface: str) -> CopyReport:
        """Return what the samples of a window tell, and let it pass."""
        ledger = self._ledgers.get(interface)
        if ledger is None:
            return CopyReport()
        self._close(self._newest_s - GAP_S)
        told = ledger.report()
        ledger.fade()
        return told


class SlotSampler:
    """Takes the first frames of each slot of time: what a file's reader hands on. Pure."""

    SLOT_S: Final = 0.25
    FRAMES: Final = 64

    def __init__(self, interface: str) -> None:
        self._interfaces = (interface,)
        self._frames: list[Sampled] = []
        self._left = 0
        self._slot_ends_s = float("-inf")
        self.until_s = float("-inf")
        """Frames before this time find no room."""

    def begin(self) -> None:
        """Forget the slot: time may have gone back."""
        self._slot_ends_s = self.until_s = float("-inf")

    def look(self, at_s: float, length: int, data: bytes) -> None:
        """Take a frame, if there is room in its slot."""
        if at_s >= self._slot_ends_s:
            self._left, self._slot_ends_s = self.FRAMES, at_s + self.SLOT_S
        if self._left:
            self._left -= 1
            self._frames.append(Sampled(at_s, 0, length, data[:SNAPPED]))
            self.until_s = float("-inf") if self._left else self._slot_ends_s

    def sample(self) -> Sample | None:
        """Return what was taken since the last call, None without any."""
        if not self._frames:
            return None
        frames, self._frames = self._frames, []
        return Sample(self._interfaces, frames)


def merged_in_time(frames: Iterable[Sampled]) -> list[Sampled]:
    """Return frames of several interfaces in the order of time."""
    return sorted(frames, key=lambda one: one.at_s)
