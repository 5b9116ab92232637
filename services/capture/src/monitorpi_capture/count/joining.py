"""Two windows of one interface as one: the last and the one that runs. Pure."""

from __future__ import annotations

from dataclasses import replace
from operator import add
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import MacCounts, SpreadCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitorpi_capture.items import TopPeer, WindowCounts

_FEW: Final = 4
"""Up to so many addresses or ports may be the same ones in both; more are taken as others."""


def joined(last: WindowCounts, running: WindowCounts) -> WindowCounts:
    """Return both windows as one, for the MAC addresses of the running one."""
    before = {row.mac: row for row in last.rows}
    return replace(
        running,
        start=last.start,
        length_s=last.length_s + running.length_s,
        wire=_added(last.wire, running.wire),
        rows=[_row(before.get(row.mac), row) for row in running.rows],
    )


def _row(last: MacCounts | None, row: MacCounts) -> MacCounts:
    if last is None:
        return row
    return MacCounts(
        row.mac,
        _added(last.tx, row.tx),
        _added(last.rx, row.rx),
        _spread(last.spread, row.spread),
        _peer(last.syn_peer, row.syn_peer),
        _peer(last.echo_peer, row.echo_peer),
        row.syn_target or last.syn_target,
    )


def _added(one: Sequence[int], other: Sequence[int]) -> Sequence[int]:
    return tuple(map(add, one, other)) if one and other else one or other


def _spread(one: SpreadCounts | None, other: SpreadCounts | None) -> SpreadCounts | None:
    if one is None or other is None:
        return one or other
    return SpreadCounts(
        *(max(pair) if max(pair) <= _FEW else sum(pair) for pair in zip(one, other, strict=True))
    )


def _peer(one: TopPeer | None, other: TopPeer | None) -> TopPeer | None:
    """Return who got most; what the same destination got adds up."""
    if one is None or other is None:
        return one or other
    if (one.mac, one.ip) == (other.mac, other.ip):
        return other._replace(packets=one.packets + other.packets)
    return max(one, other, key=lambda peer: peer.packets)
