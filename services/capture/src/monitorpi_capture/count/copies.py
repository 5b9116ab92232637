"""How often the mirror port shows one frame: the share of copies, estimated from samples. Pure.

Theory of operation. A switch that mirrors both directions of its ports shows a frame once where it
came in and once where it went out; a loop of cables shows it again and again. Both are seen by
comparing frames: byte by byte from the addresses on, behind the VLAN tags, as far as the first
:data:`COMPARED` bytes go (a routed frame differs in its MAC addresses and TTL: no copy).

- Equal frames within :data:`GAP_S` are a *cluster*: one frame and its copies. Each cluster is one
  piece of evidence for its sender (and receiver): frames seen, and frames there were (one).
- A frame that comes again later than that is a *repeat*, not a copy, and no evidence: a flood of
  equal frames (a tool with constant fields) excuses nothing.
- RepeatedFrames of broadcasts and multicasts of several senders are what a loop looks like.
- An equal frame on another interface is the same frame seen *elsewhere*: where windows of several
  interfaces are added up, it counts 1/k on each of the k that show it.

What the evidence comes to, and whose is believed, is decided in :mod:`.copyevidence`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.copyevidence import Cluster, CopyEvidence, CopyReport

if TYPE_CHECKING:
    from monitorpi_capture.items import FrameSample, SampledFrame

COMPARED: Final = 104
"""Bytes behind the tags that are compared: two tags and these are sampled. They hold the checksum
of UDP or TCP, by which payloads differ, and the number of an echo request."""
GAP_S: Final = 0.005
"""A mirror port's copies follow each other within microseconds to the length of its queue: 400
full frames at 1 Gb/s are 5 ms."""
MEMORY_S: Final = 2.0
"""A frame that comes again within so long is a repeat: two slots of a busy wire and some."""
_LATE_S: Final = 0.3
"""Samples of several interfaces come so far out of order."""
_MAX_SEEN: Final = 4096
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


def _is_evidence(data: bytes, length: int) -> bool:
    """Return whether a frame is evidence: as it was on the wire, and one that is not sent twice.

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


class CopyMeter:
    """Takes samples of all interfaces and reports on each, once a window."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, Cluster] = OrderedDict()
        self._open: deque[Cluster] = deque()
        self._evidence: dict[str, CopyEvidence] = {}
        self._newest_s = 0.0

    def take(self, sample: FrameSample) -> None:
        """Compare frames with those of the last moments."""
        names = sample.interfaces
        for name in names:
            self._evidence.setdefault(name, CopyEvidence())
        for frame in sample.frames:
            if len(frame.data) > _TYPE:
                self._compare(frame, sample)
        self._close(self._newest_s - _LATE_S)

    def _compare(self, frame: SampledFrame, sample: FrameSample) -> None:
        """Find out whether a frame is a first one, a copy or a repeat."""
        at_s, port, length, data = frame
        key, size = normalised(data, length)
        if not _is_evidence(key, size):
            return
        name = sample.interfaces[port]
        evidence = self._evidence[name]
        is_group = key[0] & _GROUP
        if is_group:
            evidence.group_frames += 1
        if not self._newest_s - MEMORY_S <= at_s <= self._newest_s:
            self._newest_s = at_s
        named = key + size.to_bytes(2, "big")
        cluster = self._seen.get(named)
        if cluster is None or not at_s - MEMORY_S <= cluster.last_s <= at_s + MEMORY_S:
            joint = len(sample.interfaces) > 1 and sample.joint[0] <= at_s < sample.joint[1]
            self._begin(named, Cluster(key, at_s, at_s, {name: 1}, joint))
            return
        cluster.last_s = max(cluster.last_s, at_s)
        if abs(at_s - cluster.first_s) > GAP_S:
            if is_group:
                evidence.repeats[key[6:12]] += 1
        elif not cluster.is_closed:
            cluster.counts[name] = cluster.counts.get(name, 0) + 1

    def _begin(self, named: bytes, cluster: Cluster) -> None:
        self._seen[named] = cluster
        self._seen.move_to_end(named)
        if len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)
        self._open.append(cluster)

    def _close(self, before_s: float) -> None:
        """Take every cluster that began before a time as complete."""
        while self._open and self._open[0].first_s < before_s:
            cluster = self._open.popleft()
            cluster.is_closed = True
            for name, frames in cluster.counts.items():
                self._evidence[name].close(cluster, frames)

    def report(self, interface: str) -> CopyReport:
        """Return what the samples of a window show, and let it pass."""
        evidence = self._evidence.get(interface)
        if evidence is None:
            return CopyReport()
        self._close(self._newest_s - GAP_S)
        report = evidence.report()
        evidence.fade()
        return report
