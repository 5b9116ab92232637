"""From what a mirror port shows to the frames there were: the one place where copies are left out.

Theory of operation. Capture counts what it sees and says what share of it is copies, by kind of
frame and, where it can tell, by device. Everything behind this module (rules, baselines, who
forwards) sees windows whose counts are divided accordingly; nothing else knows of copies.

A class is made of frames to one receiver and of broadcasts and multicasts, whose shares differ: the
classes that are sent to groups by nature take the group frames of their sender first, the others
the rest. While a loop repeats the broadcasts of several devices, a repeat is a copy too; what is
left of them is judged, and the loop has a rule of its own. Repeats that are mostly one device's are
no loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Copies, DeviceWindow, Peer, Tally, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPS_FROM: Final = 0.5
"""Share of all broadcasts and multicasts that come again, from which it may be a loop."""
LOOPS_SENDERS: Final = 3
"""A broken device repeats its own frames; a loop those of whoever sent one."""
_MOST: Final = {"unicast": 2 / 3, "group": 7 / 8}
"""What is believed of any sensor: three and eight times (capture's own bounds)."""
_TO_GROUPS: Final = frozenset({"broadcast", "multicast", "arp", "dhcp", "igmp", "mdns"})
_ONLY_GROUPS: Final = frozenset({"broadcast", "multicast"})
_SIZES: Final = frozenset({"packets", "bytes"})
_NONE: Final = Copies()


def loops(traffic: Traffic) -> bool:
    """Return whether broadcasts and multicasts of several devices come again and again."""
    seen = traffic.repeats
    return seen is not None and seen.ratio >= LOOPS_FROM and seen.senders >= LOOPS_SENDERS


def group_frames(tally: Tally) -> int:
    """Return the broadcasts and multicasts of a tally."""
    return tally.get("broadcast", 0) + tally.get("multicast", 0)


def by_frames(traffic: Traffic) -> Traffic:
    """Return a window with each frame counted once."""
    looping = loops(traffic)
    wire = traffic.copies or _NONE
    if not looping and wire == _NONE and all(row.copies is None for row in traffic.devices):
        return traffic
    repeated = traffic.repeats.ratio if looping and traffic.repeats is not None else 0.0
    rows = [_row(row, row.copies or wire, repeated) for row in traffic.devices]
    whole = _tally(traffic.counts | {"packets": traffic.packets}, _mean(traffic, wire), repeated)
    packets = whole.pop("packets", 0)
    rest = traffic.omitted
    classes = _tally(rest.classes | {"packets": rest.packets}, wire, repeated)
    left = classes.pop("packets", 0)
    omitted = rest.model_copy(update={"classes": classes, "packets": left})
    return traffic.model_copy(
        update={"counts": whole, "packets": packets, "devices": rows, "omitted": omitted}
    )


def _row(row: DeviceWindow, own: Copies, again: float) -> DeviceWindow:
    if own == _NONE and not again:
        return row
    received = 1 - min(own.received, _MOST["unicast"])
    unicast = 1 - min(own.unicast, _MOST["unicast"])
    return DeviceWindow.model_construct(
        mac=row.mac,
        role=row.role,
        tx=_tally(row.tx, own, again),
        rx=row.rx if received == 1 else {n: _times(count, received) for n, count in row.rx.items()},
        spread=row.spread,
        top_peer={name: _peer(peer, unicast) for name, peer in row.top_peer.items()},
        copies=row.copies,
    )


def _mean(traffic: Traffic, wire: Copies) -> Copies:
    """Return the shares of all frames: each device's weighed by what it sent."""
    sums = {"unicast": [0.0, 0.0], "group": [0.0, 0.0]}
    rows: Iterable[tuple[Tally, Copies]] = [
        *((row.tx, row.copies or wire) for row in traffic.devices),
        ({"packets": traffic.omitted.packets, **traffic.omitted.classes}, wire),
    ]
    for tally, own in rows:
        group = group_frames(tally)
        for name, count, share in (
            ("unicast", max(0, tally.get("packets", 0) - group), own.unicast),
            ("group", group, own.group),
        ):
            sums[name][0] += count * share
            sums[name][1] += count
    return wire.model_copy(
        update={
            name: copies / count if count else getattr(wire, name)
            for name, (copies, count) in sums.items()
        }
    )


def _tally(tally: Tally, own: Copies, again: float) -> Tally:
    """Return a sender's counts without copies.

    A plain loop without calls, for it runs for each row: half the time.
    """
    to_one = 1 - min(own.unicast, _MOST["unicast"])
    to_group = (1 - min(own.group, _MOST["group"])) * (1 - again)
    group = group_frames(tally)
    unicast = max(0, tally.get("packets", group) - group)
    whole = group + unicast or 1
    counted = {}
    for name, count in tally.items():
        if name in _ONLY_GROUPS:
            grouped = count
        elif name in _TO_GROUPS:
            grouped = min(group, count)
        elif name in _SIZES:
            grouped = round(count * group / whole)
        else:
            grouped = count - unicast if count > unicast else 0
        rest = count - grouped
        if grouped:
            grouped = round(grouped * to_group) or 1
        if rest:
            rest = round(rest * to_one) or 1
        counted[name] = grouped + rest
    return counted


def _times(count: int, share: float) -> int:
    """Return a share of a count; what was seen is not lost in rounding."""
    return max(1, round(count * share)) if count else 0


def _peer(peer: Peer, share: float) -> Peer:
    if peer.packets is None:
        return peer
    return peer.model_copy(update={"packets": _times(peer.packets, share)})
