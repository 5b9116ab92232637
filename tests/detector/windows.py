"""Builders of what capture and prober publish, for the tests of the detector."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.drive import drive, received

from monitorpi_common.messages import (
    AddressConflict,
    Alert,
    Device,
    DeviceWindow,
    Peer,
    Probe,
    ProbeResult,
    ProbeSource,
    Publication,
    Spread,
    Tombstone,
    Traffic,
)
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.settings import DetectorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitorpi_detector.items import Kept

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ATTACKER = "04:00:00:00:00:0a"
ID = "04000000000a"
"""The attacker's address in keys."""
VICTIM = "04:00:00:00:00:0b"
ROUTER = "04:00:00:00:00:01"
PI = "04:00:00:00:00:03"


def at(second: float) -> datetime:
    """Return the time so many seconds after the start."""
    return START + timedelta(seconds=second)


def syns(
    count: int, mac: str = ATTACKER, *, peer: str = VICTIM, ip: str = "198.18.0.11", ports: int = 1,
    hosts: int = 1, addresses: int = 1, role: Any = "host", rx: dict[str, int] | None = None,
    **more: int,
) -> DeviceWindow:  # fmt: skip
    """Build the row of a MAC that sends SYNs; ``more`` are other counts of what it sends."""
    return DeviceWindow(
        mac=mac,
        role=role,
        tx={"packets": count, "bytes": 60 * count, "tcp": count, "syn": count} | more,
        rx=rx or {},
        spread=Spread(src_ips=addresses, dst_ips=hosts, dst_ports=ports),
        top_peer={"syn": Peer(mac=peer, ip=ip, port=80, packets=count)},
    )


def echoes(
    count: int, mac: str = ATTACKER, *, peer: str = VICTIM, ip: str = "198.18.0.11", hosts: int = 1
) -> DeviceWindow:
    """Build the row of a MAC that sends echo requests."""
    return DeviceWindow(
        mac=mac,
        tx={"packets": count, "bytes": 98 * count, "icmp": count, "icmp_echo": count},
        spread=Spread(src_ips=1, dst_ips=hosts),
        top_peer={"icmp_echo": Peer(mac=peer, ip=ip, packets=count)},
    )


def plain(mac: str, *, rx: dict[str, int] | None = None, **tx: int) -> DeviceWindow:
    """Build a row of plain counts."""
    return DeviceWindow(mac=mac, tx=tx, rx=rx or {})


def window(
    second: int, *rows: DeviceWindow, interface: str = "eth0", epoch: str = "e1",
    length_s: float = 1.0, sees_replies: bool | None = True, counts: dict[str, int] | None = None,
    **more: Any,
) -> Traffic:  # fmt: skip
    """Build the window that ends ``second + length_s`` seconds after the start."""
    total: dict[str, int] = {}
    for row in rows:
        for name, count in row.tx.items():
            total[name] = total.get(name, 0) + count
    packets, size = total.pop("packets", 0), total.pop("bytes", 0)
    packets = more.pop("packets", packets)
    return Traffic(
        epoch=epoch, seq=second, start=at(second), end=at(second + length_s), window_s=length_s,
        clock_synced=True, interface=interface, engine="file", packets=packets, bytes=size,
        counts=total if counts is None else counts, totals={}, sees_replies=sees_replies,
        devices=list(rows), **more,
    )  # fmt: skip


def device(mac: str, second: float, *ips: str, **more: Any) -> Device:
    """Build a notice about a device."""
    values = {"first_seen": START, "last_seen": at(second), "present": True} | more
    return Device(mac=mac, ips=list(ips), **values)


def conflict(
    ip: str, holder: str, claimant: str, second: float, claims: int = 1, **more: Any
) -> AddressConflict:
    """Build what capture says of an address that one device claims and another one holds."""
    values = {"since": at(second), "last": at(second)} | more
    return AddressConflict(ip=ip, holder=holder, claimant=claimant, claims=claims, **values)


def probe(second: float, *targets: ProbeResult, source: ProbeSource | None = None) -> Probe:
    """Build a round of probes that ends at a second."""
    return Probe(
        epoch="e1", seq=int(second), round_start=at(second - 8), round_end=at(second),
        clock_synced=True, source=source or ProbeSource(), targets=list(targets),
    )  # fmt: skip


def answer(**more: Any) -> ProbeResult:
    """Build a target's result."""
    values = {"name": "printer", "address": "198.18.0.11", "mac": VICTIM, "state": "up",
              "sent": 10, "received": 10, "loss_ratio": 0.0, "rtt_p50_ms": 0.5,
              "jitter_ms": 0.1}  # fmt: skip
    return ProbeResult.model_validate(values | more)


class Detector:
    """A core with a memory of what it said."""

    def __init__(
        self,
        *,
        site: str = "lab",
        kept: Kept | None = None,
        keep: Callable[[Kept], None] | None = None,
        **settings: Any,
    ) -> None:
        self.kept: list[Kept] = []
        """What the core kept, unless another takes it."""
        self.core = DetectorCore(
            site, DetectorSettings(**settings), kept=kept, keep=keep or self.kept.append
        )
        self.published: list[Publication | Tombstone] = []

    def take(self, *items: object) -> list[Alert]:
        """Hand in messages or items; return the alerts they led to."""
        published = drive(self.core, [_wrap(item) for item in items])
        self.published += published
        return alerts(published)

    @property
    def alerts(self) -> list[Alert]:
        """Return everything said so far."""
        return alerts(self.published)

    def open(self) -> dict[str, Alert]:
        """Return the alerts that are open now, by key."""
        last = {alert.key: alert for alert in self.alerts}
        return {key: alert for key, alert in last.items() if alert.state == "open"}


def alerts(published: Iterable[Publication | Tombstone]) -> list[Alert]:
    """Keep the alerts."""
    return [
        one.message
        for one in published
        if isinstance(one, Publication) and isinstance(one.message, Alert)
    ]


def _wrap(item: object) -> object:
    match item:
        case Traffic():
            return received(item, "eth0")
        case Probe():
            return received(item, "main")
        case Device():
            return received(item, item.mac.replace(":", ""))
        case _:
            return item


def rules_of(*windows: Traffic) -> list[str]:
    """Return the keys that a few windows open."""
    detector = Detector()
    detector.take(*windows)
    return sorted(detector.open())


def repeated(count: int, *rows: DeviceWindow, **more: Any) -> list[Traffic]:
    """Build the same window several times."""
    return [window(second, *rows, **more) for second in range(count)]
