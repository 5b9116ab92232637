"""The page's core: everything on the bus, as one bounded picture.

Theory of operation. State and streams are kept by topic, newest only, with a short history of
rates for the sparklines. While somebody looks, the picture is made once a second and handed to
whoever serves it; else it is made when somebody asks. Parts that stay the same are the same
objects from picture to picture, which makes finding what changed cheap.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from monitorpi_common.messages import (
    CLASSES,
    Alert,
    Command,
    Device,
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
from monitorpi_common.rule_advice import rule_advice
from monitorpi_common.rule_titles import RULE_TITLES, rule_title
from monitorpi_common.service import Presence, Received, Tick, TombstoneReceived
from monitorpi_common.topics import mac_id
from monitorpi_common.watch import Observer
from monitorpi_dashboard.items import CommandRequested, PictureWanted
from monitorpi_dashboard.picture import (
    WireView,
    alert_part,
    device_part,
    device_with_rates,
    flows,
    health_part,
    target_part,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from pydantic import JsonValue

    from monitorpi_common.messages import Message, WatchLevel
    from monitorpi_common.topics import Topic
    from monitorpi_dashboard.picture import Part, Rows

MAX_DEVICES: Final = 4096
MAX_TARGETS: Final = 4096
MAX_ALERTS: Final = 512
MAX_SERVICES: Final = 64
MAX_INTERFACES: Final = 32
MAX_UNKNOWN: Final = 64
MAX_SENT: Final = 20
ALERT_EXPIRY: Final = timedelta(seconds=Alert.DELIVERY.expiry_s or 0)
RULES: Final = {
    rule: {"title": rule_title(rule), "todo": rule_advice(rule)}
    for rule in (*RULE_TITLES, *(f"surge-{name}" for name in CLASSES))
}
"""What people call each rule, and what to do."""
_HISTORY: Final = f"{Service.HISTORY.value}/"
_NOTIFIER: Final = f"{Service.NOTIFIER.value}/"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sight:
    """What the core hands out: always what stands at the top, the whole picture where wanted."""

    level: WatchLevel
    open_alerts: int
    history_url: str | None
    rows: Rows
    """Of the newest windows; not changed afterwards."""
    picture: Part | None


class DashboardCore:
    """Keeps the picture and hands it out once a second."""

    def __init__(
        self,
        site: str,
        hand_out: Callable[[Sight], None],
        is_wanted: Callable[[], bool] = lambda: True,
        own_health: Callable[[], dict[str, JsonValue]] = dict,
        answered: Callable[[str, Result], None] = lambda _id, _result: None,
    ) -> None:
        self._site = site
        self._hand_out = hand_out
        self._is_wanted = is_wanted
        self._own_health = own_health
        self._answered = answered
        self._services: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._interfaces: OrderedDict[str, WireView] = OrderedDict()
        self._devices: OrderedDict[str, Device] = OrderedDict()
        self._announced: dict[str, Part] = {}
        """By device: what a page shows of it; made where it is first wanted."""
        self._rows: Rows = {}
        self._seen: OrderedDict[str, datetime] = OrderedDict()
        self._targets: OrderedDict[str, Part] = OrderedDict()
        self._alerts: OrderedDict[str, Alert] = OrderedDict()
        self._alert_parts: dict[str, Part] = {}
        self._sent: deque[Part] = deque(maxlen=MAX_SENT)
        self._round: Probe | None = None
        self._last_window_s: float | None = None
        self._observer = Observer()
        self._at: datetime | None = None
        self._level: WatchLevel = "blind"
        self._level_since: datetime | None = None

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication]:
        """Take one item; all this service sends is what somebody commanded on the page."""
        match item:
            case Received(topic, message, retained):
                if self._at is not None:
                    self._observer.receive(topic, message, self._at, retained=retained)
                self._receive(topic, message)
            case CommandRequested():
                return self._command(item)
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
                self._publish_picture(at, wanted=self._is_wanted())
            case PictureWanted() if self._at is not None:
                self._publish_picture(self._at, wanted=True)
            case _:
                pass
        return ()

    def _receive(self, topic: Topic, message: Message) -> None:
        """Keep what a message says."""
        match message:
            case Traffic():
                self._traffic(message)
            case Device():
                self._keep_device(topic.id, message)
            case Target():
                _keep(self._targets, topic.id, target_part(message), MAX_TARGETS)
            case Alert():
                self._keep_alert(topic.id, message)
            case Probe():
                self._round = message
            case Result():
                self._answered(topic.id, message)
            case Sent():
                self._sent.appendleft(message.model_dump(mode="json", exclude={"alerts"}))
            case Health():
                self._service(f"{topic.service}/{topic.id}")["health"] = health_part(message)
            case _:
                pass

    def close(self) -> Iterable[Publication]:
        """Nothing is left to publish."""
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Return where the page is, and whether the dead man's switch was reached."""
        return self._own_health()

    def _command(self, command: CommandRequested) -> Iterable[Publication]:
        """Pass on what somebody commanded, once the time is known."""
        if self._at is None:
            return ()
        message = Command(name=command.name, args=command.args, at=self._at)
        return (Publication(command.id, message, to=command.service),)

    # --- keeping ----------------------------------------------------------------------------

    def _keep_device(self, id_: str, device: Device) -> None:
        self._announced.pop(id_, None)
        for gone in _keep(self._devices, id_, device, MAX_DEVICES):
            self._announced.pop(gone, None)

    def _keep_alert(self, id_: str, alert: Alert) -> None:
        self._alert_parts[id_] = alert_part(alert)
        for gone in _keep(self._alerts, id_, alert, MAX_ALERTS):
            del self._alert_parts[gone]

    def _service(self, name: str) -> dict[str, Any]:
        if name not in self._services and len(self._services) >= MAX_SERVICES:
            return {}
        return self._services.setdefault(name, {"online": False, "health": None})

    def _drop(self, topic: Topic) -> None:
        """Forget what was taken back."""
        match topic.kind:
            case Device.KIND:
                self._devices.pop(topic.id, None)
                self._announced.pop(topic.id, None)
            case Target.KIND:
                self._targets.pop(topic.id, None)
            case Alert.KIND:
                self._alerts.pop(topic.id, None)
                self._alert_parts.pop(topic.id, None)
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
                del self._alerts[id_], self._alert_parts[id_]

    def _traffic(self, window: Traffic) -> None:
        name = window.interface
        if name not in self._interfaces:
            if len(self._interfaces) >= MAX_INTERFACES:
                return
            self._interfaces[name] = WireView(window)
        self._interfaces[name].add(window)
        self._last_window_s = window.end.timestamp()
        self._rows[name] = {row.mac: (window.window_s, row) for row in window.devices}
        for row in window.devices:
            if row.tx.get("packets") and (id_ := mac_id(row.mac)) in self._devices:
                _keep(self._seen, id_, window.end, MAX_DEVICES)

    # --- telling ----------------------------------------------------------------------------

    def _publish_picture(self, at: datetime, *, wanted: bool) -> None:
        """Hand out what there is to see, and the picture where somebody wants it."""
        watch = self._watch(at)
        open_alerts = sum(alert["state"] == "open" for alert in self._alert_parts.values())
        picture = self._picture(at, watch) if wanted else None
        url = self._history_url()
        self._hand_out(Sight(self._level, open_alerts, url, dict(self._rows), picture))

    def _picture(self, at: datetime, watch: Part) -> Part:
        """Return the whole picture; its parts are not changed afterwards."""
        silent = None if self._last_window_s is None else at.timestamp() - self._last_window_s
        services = sorted(self._services.items())
        return {
            "site": self._site,
            "at": timestamp(at),
            "watch": watch,
            "silent_s": None if silent is None else round(max(silent, 0.0), 1),
            "services": {name: {"name": name, **one} for name, one in services},
            "interfaces": {name: one.part(name) for name, one in self._interfaces.items()},
            "devices": {id_: self._device(id_, one) for id_, one in self._devices.items()},
            "strangers": self._unknown_senders(),
            "targets": dict(self._targets),
            "probing": self._probing(),
            "notifier": self._notifier(),
            "alerts": {id_: self._alert_parts[id_] for id_ in self._alerts},
            "rules": RULES,
        }

    def _history_url(self) -> str | None:
        """Return where a history that runs says it answers."""
        for name, one in self._services.items():
            if name.startswith(_HISTORY) and one["online"] and one["health"]:
                return str(one["health"]["detail"].get("url") or "") or None
        return None

    def _notifier(self) -> Part | None:
        """Return who is notified of alerts, and what was sent last; None: there is no notifier."""
        found = [one for name, one in self._services.items() if name.startswith(_NOTIFIER)]
        if not found and not self._sent:
            return None
        detail = (found[-1].get("health") or {}).get("detail", {}) if found else {}
        destinations = detail.get("destinations") if isinstance(detail, dict) else None
        return {
            "destinations": destinations if isinstance(destinations, dict) else {},
            "sent": list(self._sent),
        }

    def _watch(self, at: datetime) -> Part:
        """Return whether anybody watches, since when, and why not."""
        level, reasons = self._observer.state()
        if level != self._level or self._level_since is None:
            self._level, self._level_since = level, at
        return {
            "state": level,
            "since": timestamp(self._level_since),
            "reasons": [reason.model_dump(mode="json") for reason in reasons],
        }

    def _device(self, id_: str, device: Device) -> Part:
        """Return a device as announced, but for when it was seen and what it does now."""
        seen = max(device.last_seen, self._seen.get(id_, device.last_seen))
        if id_ not in self._announced:
            self._announced[id_] = device_part(device)
        return device_with_rates(self._announced[id_], seen, device.mac, self._rows)

    def _unknown_senders(self) -> dict[str, Part]:
        """Return senders of the last window that are not devices yet."""
        senders = dict.fromkeys(mac for rows in self._rows.values() for mac in rows)
        unknown = [mac for mac in senders if mac_id(mac) not in self._devices][:MAX_UNKNOWN]
        return {
            mac: {"mac": mac, **flows(rows[mac] for rows in self._rows.values() if mac in rows)}
            for mac in unknown
        }

    def _probing(self) -> Part | None:
        if self._round is None:
            return None
        return {
            "round_end": timestamp(self._round.round_end),
            "noise_floor_ms": self._round.noise_floor_ms,
            "echo_per_s": self._round.source.echo_per_s,
        }


def _keep(shelf: OrderedDict[str, _T], key: str, value: _T, most: int) -> list[str]:
    """Keep the newest value of a key, and at most so many keys; returns the longest unseen."""
    shelf[key] = value
    shelf.move_to_end(key)
    return [shelf.popitem(last=False)[0]] if len(shelf) > most else []
