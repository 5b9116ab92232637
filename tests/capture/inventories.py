"""An inventory, and windows for it."""

from __future__ import annotations

from typing import Any

from monitorpi_capture.inventory.devices import Inventory
from monitorpi_capture.items import (
    BYTES,
    PACKETS,
    WIDTH,
    Instant,
    MacCounts,
    TopPeer,
    WindowCounts,
)
from monitorpi_common.messages import Device, Publication


def inventory(**options: Any) -> Inventory:
    """Return an inventory with the defaults of the settings."""
    return Inventory(**({"max_devices": 4096, "absent_after_s": 300.0} | options))


def window(
    second: float,
    *macs: bytes,
    size: int = 1000,
    peer: TopPeer | None = None,
    link_bps: int | None = None,
) -> WindowCounts:
    """Return a window in which each of the MACs sent one frame of ``size`` bytes."""
    sent = [0] * WIDTH
    sent[PACKETS], sent[BYTES] = 1, size
    return WindowCounts(
        interface="eth0", engine="socket", start=Instant(second - 1, None),
        end=Instant(second, None), length_s=1.0, wire=sent, link_bps=link_bps,
        rows=[MacCounts(one, sent, (), None, peer) for one in macs],
    )  # fmt: skip


def report(one: Inventory, at_s: float, **options: Any) -> list[Device]:
    """Return the device messages that are due."""
    return [
        said.message
        for said in one.publish(at_s, **options)
        if isinstance(said, Publication) and isinstance(said.message, Device)
    ]


def known(*macs: bytes, until: float = 11, **options: Any) -> Inventory:
    """Return an inventory in which these are devices, already told."""
    one = inventory(**options)
    one.count(window(1, *macs))
    one.count(window(until, *macs))
    report(one, until, everything=True)
    return one
