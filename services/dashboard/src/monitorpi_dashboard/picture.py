"""How the page's picture says what came from the bus. Pure.

Parts are keyed, so that a change of one of them is a small patch; what no page shows is left out.
Numbers that flicker are rounded to what is read.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from monitorpi_common.messages import CLASSES, timestamp
from monitorpi_dashboard.changes import GROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from monitorpi_common.messages import Alert, Device, DeviceWindow, Health, Target, Wire

HISTORY: Final = 120
"""Windows of history: two minutes."""
MOSTLY: Final = 3
"""Classes told of each device; all of them for one that is looked at."""
_COMMON: Final = frozenset({"packets", "bytes", "ipv4", "ipv6", "tcp", "udp"})
_DEVICE: Final = {
    "mac", "role", "ips", "hostname", "marks", "vendor", "randomised", "dhcp_server", "interface",
    "first_seen", "present",
}  # fmt: skip

_T = TypeVar("_T")
Part = dict[str, Any]
Rows = dict[str, dict[str, tuple[float, "DeviceWindow"]]]
"""By interface and MAC: the newest row with the length of its window in seconds."""


class Parts(Generic[_T]):
    """Messages by the last level of their topic, the newest of each, put into words when wanted."""

    def __init__(self, part_of: Callable[[_T], Part], most: int) -> None:
        self.kept: OrderedDict[str, _T] = OrderedDict()
        self._part_of = part_of
        self._most = most
        self._made: dict[str, Part] = {}

    def put(self, id_: str, message: _T) -> None:
        """Keep a message; where there are too many, the longest unchanged leaves."""
        self._made.pop(id_, None)
        for gone in keep(self.kept, id_, message, self._most):
            self._made.pop(gone, None)

    def forget(self, id_: str) -> None:
        """Drop a message."""
        self.kept.pop(id_, None)
        self._made.pop(id_, None)

    def parts(self) -> dict[str, Part]:
        """Return all of them as a page is told; those that stay are the same objects."""
        for id_, message in self.kept.items():
            if id_ not in self._made:
                self._made[id_] = self._part_of(message)
        return {id_: self._made[id_] for id_ in self.kept}


def keep(shelf: OrderedDict[str, _T], key: str, value: _T, most: int) -> list[str]:
    """Keep the newest value of a key, and at most so many keys; returns the longest unseen."""
    shelf[key] = value
    shelf.move_to_end(key)
    return [shelf.popitem(last=False)[0]] if len(shelf) > most else []


@dataclass(slots=True)
class WireView:
    """The newest window of an interface, and the rates of those before."""

    window: Wire
    windows: int = 0
    packets: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    bits: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    classes: dict[str, deque[float]] = field(default_factory=dict)
    lost_windows: int = 0

    def has(self, window: Wire) -> bool:
        """Return whether this window was taken: each comes twice, the larger one with devices."""
        last = self.window
        return self.windows > 0 and (window.epoch, window.seq) == (last.epoch, last.seq)

    def add(self, window: Wire) -> None:
        """Append one window to the history."""
        before = self.window
        if window.epoch == before.epoch and window.seq > before.seq + 1:
            self.lost_windows += window.seq - before.seq - 1
        self.window = window
        self.windows += 1
        self.packets.append(round(window.packets / window.window_s, 1))
        self.bits.append(round(window.bytes * 8 / window.window_s))
        for name in CLASSES:
            if name in window.counts or name in self.classes:
                # a class seen for the first time was zero in the windows before
                zeros = [0.0] * (len(self.packets) - 1)
                rates = self.classes.setdefault(name, deque(zeros, maxlen=HISTORY))
                rates.append(round(window.counts.get(name, 0) / window.window_s, 1))

    def part(self, name: str) -> Part:
        """Return it as the page is reported."""
        window = self.window
        classes = {name: self.classes[name] for name in CLASSES if name in self.classes}
        return {
            "name": name,
            "engine": window.engine,
            "link_bps": window.link_bps,
            "sees_replies": window.sees_replies,
            "kernel_drops": window.kernel_drops,
            "lost_windows": self.lost_windows,
            "source_macs": window.source_macs,
            "totals": window.totals,
            "windows": self.windows,
            "packets": self.packets[-1],
            "bits": self.bits[-1],
            "classes": {name: rates[-1] for name, rates in classes.items()},
            GROWS: {
                "packets": list(self.packets),
                "bits": list(self.bits),
                "classes": {name: list(rates) for name, rates in classes.items()},
            },
        }


def device_part(device: Device) -> Part:
    """Return what a page shows of a device as it was announced."""
    return device.model_dump(mode="json", include=_DEVICE)


def device_with_rates(announced: Part, seen: datetime, mac: str, rows: Rows) -> Part:
    """Return a device with what it does now; one that sends was seen now."""
    found = [of[mac] for of in rows.values() if mac in of]
    sends = any(row.tx.get("packets") for _, row in found)
    return announced | {"last_seen": None if sends else timestamp(seen)} | flows(found)


def flows(found: Iterable[tuple[float, DeviceWindow]]) -> Part:
    """Return what a MAC sends and is sent per second, and what it sends mostly."""
    tx: Part = {}
    rx: Part = {}
    mostly: dict[str, float] = {}
    for window_s, row in found:
        for rates, counts in ((tx, row.tx), (rx, row.rx)):
            for name in ("packets", "bytes"):
                if count := counts.get(name):
                    rates[name] = _short(rates.get(name, 0) + count / window_s, 3)
        for name, count in row.tx.items():
            if name not in _COMMON:
                mostly[name] = mostly.get(name, 0.0) + count / window_s
    most = sorted(mostly, key=mostly.__getitem__, reverse=True)[:MOSTLY]
    return {"tx": tx, "rx": rx, "mostly": [[name, _short(mostly[name], 2)] for name in most]}


def rates_of(mac: str, rows: Rows) -> Part:
    """Return every class that a MAC sends and is sent per second."""
    found = [of[mac] for of in rows.values() if mac in of]
    return {
        "tx": per_second((row.tx, window_s) for window_s, row in found),
        "rx": per_second((row.rx, window_s) for window_s, row in found),
    }


def per_second(counted: Iterable[tuple[Mapping[str, int], float]]) -> dict[str, float]:
    """Add up counts, each divided by the seconds of its window."""
    rates: dict[str, float] = {}
    for counts, window_s in counted:
        for name, count in counts.items():
            rates[name] = round(rates.get(name, 0.0) + count / window_s, 1)
    return rates


def _short(value: float, digits: int) -> float:
    """Return a number as it is read: so many digits count."""
    return float(f"{value:.{digits}g}") if value > 0 else 0


def health_part(health: Health) -> Part:
    """Return what a service says of itself."""
    return health.model_dump(mode="json", exclude={"at"})


def alert_part(alert: Alert) -> Part:
    """Return an alert."""
    return alert.model_dump(mode="json")


def target_part(target: Target) -> Part:
    """Return a target."""
    return target.model_dump(mode="json")
