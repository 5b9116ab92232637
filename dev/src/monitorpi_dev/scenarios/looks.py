"""Looks at a second before it is over, as capture publishes them when a flood may have begun."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import DeviceWindow, Onset, Peer, Spread

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from monitorpi_common.messages import Tally, Traffic

REPLY_S: Final = 0.05
"""What answers something comes so much later."""
LATE_S: Final = 0.1
"""Capture's word for how long an answer may take."""
_ASKS: Final = frozenset({"syn", "icmp_echo", "arp", "dhcp", "broadcast", "multicast"})
_MOST: Final = 64


def looks(window: Traffic, dice: random.Random) -> Iterator[Onset]:
    """Return an early and a late look at a window, whether or not anything rose in it."""
    yield look(window, dice.uniform(0.02, 0.3))
    yield look(window, dice.uniform(0.3, 1.0))


def look(window: Traffic, share: float) -> Onset:
    """Return a look at a window when a share of it is over: all that is sent comes evenly."""
    counts = _part(window.counts, share)
    return Onset(
        epoch=window.epoch, seq=window.seq, start=window.start,
        end=window.start + timedelta(seconds=share * window.window_s),
        window_s=share * window.window_s, rise_s=share * window.window_s,
        late_syn=round(counts.get("syn", 0) * min(1.0, LATE_S / share)),
        clock_synced=window.clock_synced, interface=window.interface, engine=window.engine,
        packets=round(window.packets * share), bytes=round(window.bytes * share), counts=counts,
        sees_replies=window.sees_replies,
        devices=[_row(row, share) for row in window.devices[:_MOST]],
    )  # fmt: skip


def _part(tally: Tally, share: float) -> Tally:
    answers = max(0.0, share - REPLY_S)
    return {
        name: math.floor(count * (share if name in _ASKS else answers))
        for name, count in tally.items()
    }


def _row(row: DeviceWindow, share: float) -> DeviceWindow:
    spread = row.spread
    tx, rx = _part(row.tx, share), _part(row.rx, share)
    return DeviceWindow.model_construct(
        mac=row.mac, role=row.role, tx=tx, rx=rx,
        spread=Spread.model_construct(
            src_ips=math.ceil(spread.src_ips * share), dst_ips=math.ceil(spread.dst_ips * share),
            dst_ports=math.ceil(spread.dst_ports * share),
        ),
        top_peer={
            name: Peer.model_construct(
                mac=peer.mac, ip=peer.ip, port=peer.port,
                packets=math.ceil((peer.packets or 0) * share),
            )
            for name, peer in row.top_peer.items()
        },
    )  # fmt: skip
