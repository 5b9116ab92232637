"""The page's core: everything on the bus, as one bounded picture.

Theory of operation. State and streams are kept by topic, newest only, with a short history of
rates for the sparklines. Once a second the picture is turned into one JSON document and handed to
whoever serves it; pages get whole documents, so one that missed some misses nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic_core import to_json

from monitorpi_common.messages import (
    CLASSES,
    Alert,
    Command,
    Device,
    DeviceWindow,
    Health,
    Probe,
    Publication,
    Result,
    Sent,
    Service,
    Target,
    Traffic,
    timestamp,
)
from monitorpi_common.rule_advice import rule_todo
from monitorpi_common.rule_titles import RULE_TITLES, rule_title
from monitorpi_common.service import Presence, Received, Tick, TombstoneReceived
from monitorpi_common.topics import mac_id
from monitorpi_common.watch import Observer
from monitorpi_dashboard.items import OrderGiven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from pydantic import JsonValue

    from monitorpi_common.messages import Message, WatchLevel
    from monitorpi_common.topics import Topic

MAX_DEVICES: Final = 4096
MAX_TARGETS: Final = 4096
MAX_ALERTS: Final = 512
MAX_SERVICES: Final = 64
MAX_INTERFACES: Final = 32
MAX_UNKNOWN: Final = 64
MAX_SENT: Final = 20
ALERT_EXPIRY: Final = timedelta(seconds=Alert.DELIVERY.expiry_s or 0)
HISTORY: Final = 120
"""Windows of history: two minutes."""

RULES: Final = {
    rule: {"title": rule_title(rule), "todo": rule_todo(rule)}
    for rule in (*RULE_TITLES, *(f"surge-{name}" for name in CLASSES))
}
"""What people call each rule, and what to do."""
_NOTIFIER: Final = f"{Service.NOTIFIER.value}/"
_T = TypeVar("_T")


@dataclass(slots=True)
class _Interface:
    window: Traffic
    packets: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    bits: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    classes: dict[str, deque[float]] = field(default_factory=dict)
    lost_windows: int = 0

    def add(self, window: Traffic) -> None:
        """Append one window to the history."""
        before = self.window
        if window.epoch == before.epoch and window.seq > before.seq + 1:
            self.lost_windows += window.seq - before.seq - 1
        self.window = window
        self.packets.append(round(window.packets / window.window_s, 1))
        self.bits.append(round(window.bytes * 8 / window.window_s))
        for name in CLASSES:
            if name in window.counts or name in self.classes:
                # a class seen for the first time was zero in the windows before
                zeros = [0.0] * (len(self.packets) - 1)
                rates = self.classes.setdefault(name, deque(zeros, maxlen=HISTORY))
                rates.append(round(window.counts.get(name, 0) / window.window_s, 1))


class DashboardCore:
    """Keeps the picture and hands it out once a second."""

    def __init__(
        self,
        site: str,
        hand_out: Callable[[bytes, WatchLevel, int], None],
        own_health: Callable[[], dict[str, JsonValue]] = dict,
        answered: Callable[[str, Result], None] = lambda _id, _result: None,
    ) -> None:
        self._site = site
        self._hand_out = hand_out
        self._own_health = own_health
        self._answered = answered
        self._services: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._interfaces: OrderedDict[str, _Interface] = OrderedDict()
        self._devices: OrderedDict[str, Device] = OrderedDict()
        self._rows: dict[str, dict[str, tuple[float, DeviceWindow]]] = {}
        self._seen: OrderedDict[str, datetime] = OrderedDict()
        self._targets: OrderedDict[str, Target] = OrderedDict()
        self._alerts: OrderedDict[str, Alert] = OrderedDict()
        self._sent: deque[Sent] = deque(maxlen=MAX_SENT)
        self._round: Probe | None = None
        self._last_window_s: float | None = None
        self._observer = Observer()
        self._at: datetime | None = None
        self._level: WatchLevel = "blind"
        self._level_since: datetime | None = None

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication]:
        """Take one item; all this service sends is what somebody ordered on the page."""
        match item:
            case Received(topic, message, retained):
                if self._at is not None:
                    self._observer.receive(topic, message, self._at, retained=retained)
                self._receive(topic, message)
            case OrderGiven():
                return self._order(item)
            case Presence(topic, taken_back=True):
                self._leave(topic)
            case Presence(topic, online):
                self._observer.presence(topic, online=online)
                self._service(f"{topic.service}/{topic.id}")["online"] = online
            case TombstoneReceived(topic):
                self._drop(topic)
            case Tick(at, boot_s, _, broker):
                self._at = at
                self._observer.tick(boot_s, broker)
                self._forget_old_alerts(at)
                open_alerts = sum(alert.state == "open" for alert in self._alerts.values())
                self._hand_out(self.document(at), self._level, open_alerts)
            case _:
                pass
        return ()

    def _receive(self, topic: Topic, message: Message) -> None:
        """Keep what a message says."""
        match message:
            case Traffic():
                self._traffic(message)
            case Device():
                _keep(self._devices, topic.id, message, MAX_DEVICES)
            case Target():
                _keep(self._targets, topic.id, message, MAX_TARGETS)
            case Alert():
                _keep(self._alerts, topic.id, message, MAX_ALERTS)
            case Probe():
                self._round = message
            case Result():
                self._answered(topic.id, message)
            case Sent():
                self._sent.appendleft(message)
            case Health():
                self._service(f"{topic.service}/{topic.id}")["health"] = _health(message)
            case _:
                pass

    def close(self) -> Iterable[Publication]:
        """Nothing is left to publish."""
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Return where the page is, and whether the dead man's switch was reached."""
        return self._own_health()

    def _order(self, order: OrderGiven) -> Iterable[Publication]:
        """Pass on what somebody ordered, once the time is known."""
        if self._at is None:
            return ()
        command = Command(name=order.name, args=order.args, at=self._at)
        return (Publication(order.id, command, to=order.service),)

    # --- keeping ----------------------------------------------------------------------------

    def _service(self, name: str) -> dict[str, Any]:
        if name not in self._services and len(self._services) >= MAX_SERVICES:
            return {}
        return self._services.setdefault(name, {"online": False, "health": None})

    def _drop(self, topic: Topic) -> None:
        """Forget what was taken back."""
        match topic.kind:
            case Device.KIND:
                self._devices.pop(topic.id, None)
            case Target.KIND:
                self._targets.pop(topic.id, None)
            case Alert.KIND:
                self._alerts.pop(topic.id, None)
            case _:
                pass

    def _leave(self, topic: Topic) -> None:
        """Forget an instance that is not coming back, and what only it has shown."""
        self._services.pop(f"{topic.service}/{topic.id}", None)
        for name in self._observer.gone(topic):
            self._interfaces.pop(name, None)
            self._rows.pop(name, None)

    def _forget_old_alerts(self, at: datetime) -> None:
        """Forget what the broker has forgotten by now: nobody takes back what has expired."""
        for id_, alert in list(self._alerts.items()):
            if at - (alert.closed_at or alert.at) > ALERT_EXPIRY:
                del self._alerts[id_]

    def _traffic(self, window: Traffic) -> None:
        name = window.interface
        if name not in self._interfaces:
            if len(self._interfaces) >= MAX_INTERFACES:
                return
            self._interfaces[name] = _Interface(window)
        self._interfaces[name].add(window)
        self._last_window_s = window.end.timestamp()
        self._rows[name] = {row.mac: (window.window_s, row) for row in window.devices}
        for row in window.devices:
            if row.tx.get("packets") and (id_ := mac_id(row.mac)) in self._devices:
                _keep(self._seen, id_, window.end, MAX_DEVICES)

    # --- telling ----------------------------------------------------------------------------

    def document(self, at: datetime) -> bytes:
        """Return the whole picture as JSON."""
        silent = None if self._last_window_s is None else at.timestamp() - self._last_window_s
        picture = {
            "site": self._site,
            "at": timestamp(at),
            "watch": self._watch(at),
            "silent_s": None if silent is None else round(max(silent, 0.0), 1),
            "services": [{"name": name, **state} for name, state in sorted(self._services.items())],
            "interfaces": [_interface(name, one) for name, one in self._interfaces.items()],
            "devices": [self._device(id_, device) for id_, device in self._devices.items()],
            "strangers": self._unknown_senders(),
            "targets": [target.model_dump(mode="json") for target in self._targets.values()],
            "probing": self._probing(),
            "notifier": self._notifier(),
            "alerts": [alert.model_dump(mode="json") for alert in self._alerts.values()],
            "rules": RULES,
        }
        return to_json(picture, inf_nan_mode="null")  # what is no number in JSON stops a page

    def _notifier(self) -> dict[str, Any] | None:
        """Return who is notified of alerts, and what was sent last; None: there is no notifier."""
        found = [one for name, one in self._services.items() if name.startswith(_NOTIFIER)]
        if not found and not self._sent:
            return None
        detail = found[-1].get("health", {}).get("detail", {}) if found else {}
        destinations = detail.get("destinations") if isinstance(detail, dict) else None
        return {
            "destinations": destinations if isinstance(destinations, dict) else {},
            "sent": [sent.model_dump(mode="json", exclude={"alerts"}) for sent in self._sent],
        }

    def _watch(self, at: datetime) -> dict[str, Any]:
        """Return whether anybody watches, since when, and why not."""
        level, reasons = self._observer.state()
        if level != self._level or self._level_since is None:
            self._level, self._level_since = level, at
        return {
            "state": level,
            "since": timestamp(self._level_since),
            "reasons": [reason.model_dump(mode="json") for reason in reasons],
        }

    def _device(self, id_: str, device: Device) -> dict[str, Any]:
        """Return a device as announced, but for when it was seen and what it does now."""
        announced = device.model_dump(mode="json", exclude={"totals"})
        seen = max(device.last_seen, self._seen.get(id_, device.last_seen))
        return {**announced, "last_seen": timestamp(seen), **self._rates(device.mac)}

    def _unknown_senders(self) -> list[dict[str, Any]]:
        """Return senders of the last window that are not devices yet."""
        known = {device.mac for device in self._devices.values()}
        senders = dict.fromkeys(mac for rows in self._rows.values() for mac in rows)
        unknown = [mac for mac in senders if mac not in known][:MAX_UNKNOWN]
        return [{"mac": mac, **self._rates(mac)} for mac in unknown]

    def _rates(self, mac: str) -> dict[str, Any]:
        """Return what a MAC sent and was sent per second in the last windows of all interfaces."""
        found = [rows[mac] for rows in self._rows.values() if mac in rows]
        return {
            "tx": _per_second((row.tx, window_s) for window_s, row in found),
            "rx": _per_second((row.rx, window_s) for window_s, row in found),
        }

    def _probing(self) -> dict[str, Any] | None:
        if self._round is None:
            return None
        return {
            "round_end": timestamp(self._round.round_end),
            "noise_floor_ms": self._round.noise_floor_ms,
            "echo_per_s": self._round.source.echo_per_s,
        }


def _keep(shelf: OrderedDict[str, _T], key: str, value: _T, most: int) -> None:
    """Keep the newest value of a key, and at most so many keys: the longest unseen leaves."""
    shelf[key] = value
    shelf.move_to_end(key)
    if len(shelf) > most:
        shelf.popitem(last=False)


def _per_second(counted: Iterable[tuple[Mapping[str, int], float]]) -> dict[str, float]:
    """Add up counts, each divided by the seconds of its window."""
    rates: dict[str, float] = {}
    for counts, window_s in counted:
        for name, count in counts.items():
            rates[name] = round(rates.get(name, 0.0) + count / window_s, 1)
    return rates


def _interface(name: str, one: _Interface) -> dict[str, Any]:
    window = one.window
    return {
        "name": name,
        "engine": window.engine,
        "link_bps": window.link_bps,
        "sees_replies": window.sees_replies,
        "packets": list(one.packets),
        "bits": list(one.bits),
        "kernel_drops": window.kernel_drops,
        "lost_windows": one.lost_windows,
        "source_macs": window.source_macs,
        "totals": window.totals,
        "classes": {
            name: {"rate": rates[-1], "history": list(rates)}
            for name in CLASSES
            if (rates := one.classes.get(name))
        },
    }


def _health(health: Health) -> dict[str, Any]:
    return health.model_dump(mode="json")
