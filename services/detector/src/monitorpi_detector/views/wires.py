"""Several mirror ports of one site are one wire: what each shows of one moment is added up. Pure.

Theory of operation. A flood over a bundle of links (LACP), or one that two taps share, shows half
of its frames on each of two ports; each half alone may lie under a floor. So beside each port's own
windows, which are judged as they come, the windows of several ports that overlap in time are judged
together: once, when the last port has reported that moment. A port that has reported nothing for
:data:`LIVE_S` is waited for no more; one that is late joins what is kept of that moment when it
comes, so nobody holds another up: what one port shows alone was judged already.

A frame that k ports show counts 1/k on each (``copies.elsewhere``, from the sensor's sample). What
is added up is never judged instead of the ports, only beside them: no such share can hide what one
port shows.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import DeviceWindow, Omitted, Peer, Spread, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitorpi_common.messages import Tally

LIVE_S: Final = timedelta(seconds=3.5)
"""A port whose last window ended longer ago is not waited for: three windows and some."""
_KEPT: Final = 3
"""Windows kept of each port: a bus or another sensor may be a window or two late."""
_OVERLAP: Final = 0.5
"""Share of the shorter of two windows that must be common to both."""
_MAX_PORTS: Final = 16
_FEW: Final = 4
"""Up to so many addresses or ports may be the same ones on each port; more are taken as others."""
_MAX_NAMES: Final = 3
_SOURCES: Final = (("syn", 4), ("icmp_echo", 2))
"""What makes a MAC one of an attack's sources (:data:`~.window.STRONG_SOURCE`)."""
_RECEIVED: Final = frozenset({"syn", "icmp_echo", "icmp"})
"""What a victim is known by."""
_NEW_MACS: Final = 20
"""MACs never seen before from which they may be invented."""


@dataclass(slots=True)
class _Held:
    """A window that was judged alone."""

    traffic: Traffic
    is_joined: bool = False


class Wires:
    """The last windows of each port of a site."""

    def __init__(self) -> None:
        self._held: dict[str, deque[_Held]] = {}

    def forget(self) -> None:
        """Drop what was reported: clock or sensor are others now."""
        self._held.clear()

    def others(self, traffic: Traffic) -> bool:
        """Return whether other ports are being watched beside this window's."""
        return bool(self._live(traffic))

    def _live(self, traffic: Traffic) -> set[str]:
        return {
            name
            for name, held in self._held.items()
            if name != traffic.interface
            and held
            and abs(held[-1].traffic.end - traffic.end) <= LIVE_S
        }

    def join(self, traffic: Traffic) -> list[Sequence[Traffic]]:
        """Take a port's window; return the sets of windows that are now to be judged together."""
        name = traffic.interface
        held = self._held.get(name)
        if held is None:
            if len(self._held) >= _MAX_PORTS:
                return []
            held = self._held[name] = deque(maxlen=_KEPT)
        if len(self._held) == 1:
            held.clear()  # one port: there is nothing to wait for
            held.append(_Held(traffic))
            return []
        ready = []
        if held and not held[-1].is_joined:
            ready.append(self._together(held[-1]))
        held.append(_Held(traffic))
        together = self._together(held[-1])
        if {one.traffic.interface for one in together} >= self._live(traffic):
            ready.append(together)
        sets = [found for found in ready if len(found) > 1]
        for one in (one for found in sets for one in found):
            one.is_joined = True
        return [[one.traffic for one in found] for found in sets]

    def _together(self, about: _Held) -> list[_Held]:
        """Return a window and those of other ports that tell of the same moment."""
        found = [about]
        for name, held in self._held.items():
            if name == about.traffic.interface:
                continue
            best = max(held, key=lambda one: _common(about.traffic, one.traffic), default=None)
            if best is not None and _common(about.traffic, best.traffic) >= _OVERLAP:
                found.append(best)
        return found


def _common(one: Traffic, other: Traffic) -> float:
    """Return the share of the shorter window that two have in common."""
    common = min(one.end, other.end) - max(one.start, other.start)
    shorter = min(one.end - one.start, other.end - other.start)
    return common / shorter if shorter else 0.0


def name_of(windows: Sequence[Traffic]) -> str:
    """Return how the interfaces of several windows are called together."""
    names = sorted(one.interface for one in windows)
    rest = len(names) - _MAX_NAMES
    return "+".join(names[:_MAX_NAMES]) + (f"+{rest} more" if rest > 0 else "")


def ports_of(name: str) -> set[str]:
    """Return the interfaces that a name may stand for."""
    return {name, *name.split("+")}


def _matters(
    found: Sequence[tuple[DeviceWindow, float]], sent: Mapping[str, float], got: Mapping[str, float]
) -> bool:
    """Return whether a MAC's frames on several ports together may be near a floor.

    A row of one port was judged there: it counts only as one of several sources.

    Args:
        found: its rows, one of each port.
        sent: by class, how much it must have sent on one port.
        got: by class, how much it must have been sent.

    """
    if len(found) == 1:
        tx = found[0][0].tx
        return any(tx.get(name, 0) >= least for name, least in _SOURCES)
    return any(_reaches(row.tx, sent) or _reaches(row.rx, got) for row, _ in found)


def _reaches(tally: Tally, least: Mapping[str, float]) -> bool:
    """Return whether a tally has as much of one class; a plain loop, for it runs for each row."""
    for name, level in least.items():  # noqa: SIM110 - half the time of any()
        if tally.get(name, 0) >= level:
            return True
    return False


def added(windows: Sequence[Traffic], levels: Mapping[str, float]) -> Traffic | None:
    """Return windows of several ports as one; None: they show nothing that adds up.

    Their counts are of frames, without copies. Only the MAC addresses are listed whose sums matter.

    Args:
        windows: one of each port.
        levels: by class, the frames/s of a MAC from which a rule looks at it.

    """
    latest = max(windows, key=lambda one: one.end)
    all_rows: dict[str, list[tuple[DeviceWindow, float]]] = {}
    for one in windows:
        wire = one.copies.elsewhere if one.copies else 0.0
        for row in one.devices:
            share = row.copies.elsewhere if row.copies else wire
            all_rows.setdefault(row.mac, []).append((row, share))
    sent = {name: level / len(windows) for name, level in levels.items() if level < math.inf}
    got = {name: sent[name] for name in _RECEIVED & sent.keys()}
    rows = {mac: found for mac, found in all_rows.items() if _matters(found, sent, got)}
    new_macs = sum(one.new_macs for one in windows)
    if new_macs < _NEW_MACS and all(len(found) == 1 for found in rows.values()):
        return None
    shares = [1 - (one.copies.elsewhere if one.copies else 0.0) for one in windows]
    whole = _sum(
        (one.counts | {"packets": one.packets, "bytes": one.bytes}, share)
        for one, share in zip(windows, shares, strict=True)
    )
    twice = sum(len(found) - 1 for found in all_rows.values())
    return Traffic.model_construct(
        epoch=latest.epoch,
        seq=latest.seq,
        start=min(one.start for one in windows),
        end=latest.end,
        window_s=max(one.window_s for one in windows),
        clock_synced=all(one.clock_synced for one in windows),
        interface=name_of(windows),
        link_bps=None,
        engine=latest.engine,
        packets=whole.pop("packets", 0),
        bytes=whole.pop("bytes", 0),
        kernel_drops=sum(one.kernel_drops for one in windows),
        losses={},
        counts=whole,
        totals={},
        sees_replies=_replies(windows),
        spread=None,
        source_macs=max(0, sum(one.source_macs for one in windows) - twice),
        new_macs=new_macs,
        copies_ratio=max(
            (one.copies_ratio for one in windows if one.copies_ratio is not None), default=None
        ),
        copies=None,
        repeats=None,
        late_syn=sum(one.late_syn for one in windows),
        devices=[_row(found) for found in rows.values()],
        omitted=Omitted.model_construct(
            devices=sum(one.omitted.devices for one in windows),
            packets=sum(one.omitted.packets for one in windows),
            bytes=sum(one.omitted.bytes for one in windows),
            classes=_sum(
                (one.omitted.classes, share) for one, share in zip(windows, shares, strict=True)
            ),
        ),
    )


def _replies(windows: Sequence[Traffic]) -> bool | None:
    """Return whether both directions are visible: of two taps each may show one."""
    return True if any(one.sees_replies for one in windows) else None


def _row(found: Sequence[tuple[DeviceWindow, float]]) -> DeviceWindow:
    row = found[0][0]
    if len(found) == 1:
        return row if row.copies is None else row.model_copy(update={"copies": None})
    spreads = [one.spread for one, _ in found]
    shared = max(share for _, share in found) > 0
    return DeviceWindow.model_construct(
        mac=row.mac,
        role=next((one.role for one, _ in found if one.role != "unknown"), "unknown"),
        tx=_sum((one.tx, 1 - share) for one, share in found),
        rx=_sum((one.rx, 1 - share) for one, share in found),
        spread=Spread.model_construct(
            src_ips=_distinct([one.src_ips for one in spreads], shared),
            dst_ips=_distinct([one.dst_ips for one in spreads], shared),
            dst_ports=_distinct([one.dst_ports for one in spreads], shared),
        ),
        top_peer=_peers(found),
        copies=None,
    )


def _distinct(counts: Sequence[int], shared: bool) -> int:
    """Return how many different ends there were on several ports.

    A few are most likely the same ones, many are not: a bundle of links spreads by address or port.
    """
    most = max(counts)
    return most if shared or most <= _FEW else sum(counts)


def _peers(found: Sequence[tuple[DeviceWindow, float]]) -> dict[str, Peer]:
    """Return who got most of a class: the same destination's frames add up."""
    reported: dict[str, dict[tuple[str | None, str | None], Peer]] = {}
    for row, share in found:
        for name, peer in row.top_peer.items():
            ends = (peer.mac, peer.ip)
            packets = round((peer.packets or 0) * (1 - share))
            before = reported.setdefault(name, {}).get(ends)
            port = peer.port if before is None or before.port == peer.port else None
            reported[name][ends] = Peer.model_construct(
                mac=peer.mac,
                ip=peer.ip,
                port=port,
                packets=packets + (before.packets or 0 if before else 0),
            )
    return {
        name: max(peers.values(), key=lambda one: one.packets or 0)
        for name, peers in reported.items()
    }


def _sum(tallies: Iterable[tuple[Tally, float]]) -> dict[str, int]:
    """Return the sum of some tallies, each times its share."""
    total: dict[str, float] = {}
    for tally, share in tallies:
        for name, count in tally.items():
            total[name] = total.get(name, 0) + count * share
    return {name: round(count) for name, count in total.items()}
