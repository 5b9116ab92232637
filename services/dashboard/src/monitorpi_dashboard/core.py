"""The page's core: everything on the bus, as one bounded picture.

Theory of operation. State and streams are kept by topic, newest only, with a short history of
rates for the sparklines. While somebody looks, the picture is made once a second and handed to
whoever serves it; else it is made when somebody asks. Parts that stay the same are the same
objects from picture to picture, which makes finding what changed cheap. The counts of each device,
a hundred times as large as those of the wire, and rounds of probes are followed while somebody
looks, and a little longer.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from monitorpi_common.clocksteps import ClockSteps
from monitorpi_common.messages import (
    CLASSES,
    Alert,
    Command,
    Device,
    Health,
    Packet,
    Probe,
    Publication,
    Result,
    Sent,
    Service,
    Target,
    Traffic,
    Wire,
    timestamp,
)
from monitorpi_common.rule_advice import rule_advice
from monitorpi_common.rule_titles import RULE_TITLES, rule_title
from monitorpi_common.service import Follow, Presence, Received, Tick, TombstoneReceived
from monitorpi_common.topics import pattern
from monitorpi_common.watch import Observer
from monitorpi_dashboard.devices import DeviceShelf
from monitorpi_dashboard.items import CommandRequested, PictureWanted
from monitorpi_dashboard.picture import (
    Parts,
    WireView,
    alert_part,
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

MAX_TARGETS: Final = 4096
MAX_ALERTS: Final = 512
MAX_SERVICES: Final = 64
MAX_INTERFACES: Final = 32
MAX_SENT: Final = 20
RATES_S: Final = 2
"""Counts of devices are read every other second. With 256 that all send they are two thirds of what
a page costs; the wire and the alerts are told each second."""
FOLLOWS_S: Final = 30.0
"""Counts of devices are followed for so long after somebody looked: a page that is loaded anew has
them at once."""
ALERT_EXPIRY: Final = timedelta(seconds=Alert.DELIVERY.expiry_s or 0)
RULES: Final = {
    rule: {"title": rule_title(rule), "todo": rule_advice(rule)}
    for rule in (*RULE_TITLES, *(f"surge-{name}" for name in CLASSES))
}
"""What people call each rule, and what to do."""
_HISTORY: Final = f"{Service.HISTORY.value}/"
_NOTIFIER: Final = f"{Service.NOTIFIER.value}/"


class PacketSink(Protocol):
    """Who shows lines about single frames."""

    def is_wanted(self) -> bool:
        """Return whether anybody watches."""
        ...

    def put(self, interface: str, packet: Packet) -> None:
        """Take a line."""
        ...


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
        *,
        follows_always: bool = False,
        packets: PacketSink | None = None,
    ) -> None:
        self._site = site
        self._large = (
            pattern(site, Service.CAPTURE.value, Traffic.KIND),
            pattern(site, Service.PROBER.value, Probe.KIND),
        )
        self._hand_out = hand_out
        self._is_wanted = is_wanted
        self._own_health = own_health
        self._answered = answered
        self._services: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._interfaces: OrderedDict[str, WireView] = OrderedDict()
        self._devices = DeviceShelf()
        self._targets = Parts(target_part, MAX_TARGETS)
        self._alerts = Parts(alert_part, MAX_ALERTS)
        self._sent: deque[Part] = deque(maxlen=MAX_SENT)
        self._round: Probe | None = None
        self._last_window_s: float | None = None
        self._steps = ClockSteps()
        self._observer = Observer()
        self._boot_s = 0.0
        self._seconds = 0
        self._read_at: dict[str, int] = {}
        """By interface, as in topics: the second in which the counts of its devices were read."""
        self._looked_s: float | None = None
        self._follows_always = follows_always
        self._packets = packets
        self._follows: tuple[str, ...] | None = None
        self._reads_wire = False
        """A capture that sends windows without devices is there: the larger ones can wait."""
        self._at: datetime | None = None
        self._level: WatchLevel = "blind"
        self._level_since: datetime | None = None

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Publication | Follow]:
        """Take one item; all this service sends is what somebody commanded on the page."""
        match item:
            case Received(topic, message, retained):
                if isinstance(message, Wire):
                    self._window(topic, message, retained=retained)
                else:
                    self._observe(topic, message, retained=retained)
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
                self._at, self._boot_s = at, boot_s
                if self._last_window_s is not None:
                    self._last_window_s += self._steps.take(item)
                self._seconds += 1
                self._observer.tick(boot_s, broker)
                self._forget_old_alerts(at)
                wanted = self._is_wanted()
                self._publish_picture(at, wanted=wanted)
                return self._follow(looked=wanted)
            case PictureWanted(with_rates) if self._at is not None:
                self._publish_picture(self._at, wanted=True)
                return self._follow(looked=with_rates)
            case _:
                pass
        return ()

    def _receive(self, topic: Topic, message: Message) -> None:
        """Keep what a message says."""
        match message:
            case Device():
                self._devices.announce(topic.id, message)
            case Target():
                self._targets.put(topic.id, message)
            case Alert():
                self._alerts.put(topic.id, message)
            case Probe():
                self._round = message
            case Packet() if self._packets is not None:
                self._packets.put(topic.id, message)
            case Result():
                self._answered(topic.id, message)
            case Sent():
                self._sent.appendleft(message.model_dump(mode="json", exclude={"alerts"}))
            case Health():
                self._service(f"{topic.service}/{topic.id}")["health"] = health_part(message)
            case _:
                pass

    def wants(self, topic: Topic) -> bool:
        """Return whether a message is worth reading: of the large ones, every other."""
        if topic.kind != Traffic.KIND or not self._reads_wire:
            return True
        return self._seconds - self._read_at.get(topic.id, -RATES_S) >= RATES_S

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

    def _service(self, name: str) -> dict[str, Any]:
        if name not in self._services and len(self._services) >= MAX_SERVICES:
            return {}
        return self._services.setdefault(name, {"online": False, "health": None})

    def _drop(self, topic: Topic) -> None:
        """Forget what was taken back."""
        match topic.kind:
            case Device.KIND:
                self._devices.forget(topic.id)
            case Target.KIND:
                self._targets.forget(topic.id)
            case Alert.KIND:
                self._alerts.forget(topic.id)
            case _:
                pass

    def _leave(self, topic: Topic) -> None:
        """Forget an instance that is not coming back, and what only it has shown."""
        self._services.pop(f"{topic.service}/{topic.id}", None)
        for name in self._observer.gone(topic):
            self._interfaces.pop(name, None)
            self._devices.no_windows(name)

    def _forget_old_alerts(self, at: datetime) -> None:
        """Forget what the broker has forgotten by now: nobody takes back what has expired."""
        for id_, alert in list(self._alerts.kept.items()):
            if at - (alert.closed_at or alert.at) > ALERT_EXPIRY:
                self._alerts.forget(id_)

    def _observe(self, topic: Topic, message: Message, *, retained: bool) -> None:
        if self._at is not None:
            self._observer.receive(topic, message, self._at, retained=retained)

    def _window(self, topic: Topic, window: Wire, *, retained: bool) -> None:
        """Take a window: its wire once, from whichever of its two messages comes first."""
        name = window.interface
        if isinstance(window, Traffic) and not window.has_times:
            return  # of a file: no rate can be made of it
        if name not in self._interfaces and len(self._interfaces) >= MAX_INTERFACES:
            return
        wire = self._interfaces.setdefault(name, WireView(window))
        if not wire.has(window):
            self._observe(topic, window, retained=retained)
            wire.add(window)
            self._last_window_s = window.end.timestamp()
        if not isinstance(window, Traffic):
            self._reads_wire = True
        elif self._follows is None or self._large[0] in self._follows:  # else it came too late
            if topic.id in self._read_at or len(self._read_at) < MAX_INTERFACES:
                self._read_at[topic.id] = self._seconds
            self._devices.window(window)

    def _follow(self, *, looked: bool) -> Iterable[Follow]:
        """Follow what is large while somebody looks, or nobody sends the wire's counts alone."""
        if looked:
            self._looked_s = self._boot_s
        lately = self._looked_s is not None and self._boot_s - self._looked_s < FOLLOWS_S
        filters: tuple[str, ...] = ()
        if lately or self._follows_always or not self._reads_wire:
            filters = self._large
        if self._packets is not None and self._packets.is_wanted():
            filters = (*filters, pattern(self._site, Service.CAPTURE.value, Packet.KIND))
        if filters == self._follows:
            return ()
        self._follows = filters
        if self._large[0] not in filters:
            self._devices.no_windows()
            self._read_at.clear()
        return (Follow(filters),)

    # --- telling ----------------------------------------------------------------------------

    def _publish_picture(self, at: datetime, *, wanted: bool) -> None:
        """Hand out what there is to see, and the picture where somebody wants it."""
        watch = self._watch(at)
        open_alerts = sum(alert.state == "open" for alert in self._alerts.kept.values())
        picture = self._picture(at, watch) if wanted else None
        url = self._history_url()
        self._hand_out(Sight(self._level, open_alerts, url, self._devices.rows, picture))

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
            "devices": self._devices.parts(),
            "strangers": self._devices.unknown_senders,
            "targets": self._targets.parts(),
            "probing": self._probing(),
            "notifier": self._notifier(),
            "alerts": self._alerts.parts(),
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

    def _probing(self) -> Part | None:
        if self._round is None:
            return None
        return {
            "round_end": timestamp(self._round.round_end),
            "noise_floor_ms": self._round.noise_floor_ms,
            "echo_per_s": self._round.source.echo_per_s,
        }
