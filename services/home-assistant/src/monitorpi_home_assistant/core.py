"""The core of the service for Home Assistant: what it is shown, and the states of our own.

Theory of operation. Announcements are retained messages outside our tree; which ones stand there
is kept on disk, so that what is shown no more is taken back, by a later process too. They are made
once a second where something changed, and all again when Home Assistant says that it has started.
Rates and states of rules are topics of this service; everything else Home Assistant reads where it
is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import (
    Acknowledge,
    AcknowledgeAll,
    Alert,
    Command,
    Foreign,
    Publication,
    RuleState,
    Service,
    Silence,
    SilenceAll,
    Tombstone,
    Wire,
)
from monitorpi_common.service import (
    CommandReceived,
    Outside,
    Presence,
    Received,
    Tick,
    TombstoneReceived,
)
from monitorpi_common.topics import slug
from monitorpi_home_assistant.alarms import Alarms
from monitorpi_home_assistant.discovery import EVENT_ID, RULES, Site, host, sensor
from monitorpi_home_assistant.hosts import Hosts
from monitorpi_home_assistant.rates import MOST_INTERFACES, RateMeter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import JsonValue

    from monitorpi_common.messages import Args
    from monitorpi_common.topics import Topic
    from monitorpi_home_assistant.items import Shelf
    from monitorpi_home_assistant.settings import HomeAssistantSettings

Outgoing = Publication | Tombstone | Foreign

REFRESH_S: Final = 6 * 3600.0
"""States of rules expire after a day."""
SETTLE_S: Final = 3.0
"""After the start: what the broker keeps comes first, then is announced what there is."""


@dataclass(slots=True)
class HomeAssistantCore:
    """Keeps what Home Assistant is shown."""

    site: str
    settings: HomeAssistantSettings
    shelf: Shelf
    announced: frozenset[str] = frozenset()
    """Topics that stand at the broker, as far as is known."""
    _payloads: dict[str, bytes] = field(default_factory=dict)
    """What we announced, by topic."""
    _interfaces: dict[str, None] = field(default_factory=dict)
    _instances: dict[str, str] = field(default_factory=dict)
    _alarms: Alarms = field(default_factory=Alarms)
    _rates: RateMeter = field(default_factory=RateMeter)
    _hosts: Hosts = field(init=False)
    _states: dict[str, tuple[RuleState, float]] = field(default_factory=dict)
    _is_changed: bool = True
    _detector_is_there: bool = False
    _began_s: float | None = None
    _boot_s: float = 0.0
    _next_rates_s: float = 0.0
    _at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    _births: int = 0

    def __post_init__(self) -> None:
        self._hosts = Hosts(self.settings.devices, self.settings.most_devices)

    # --- the service's interface ------------------------------------------------------------

    def handle(self, item: object) -> Iterable[Outgoing]:
        """Take one item."""
        match item:
            case Received(_, Wire() as window):
                self._window(window)
            case Received(_, Alert() as alert, retained):
                yield from self._alert(alert, retained=retained)
            case Received(topic, message):
                self._is_changed |= self._hosts.receive(topic.id, message) is not None
            case TombstoneReceived(topic):
                self._gone(topic)
            case Presence(topic, online):
                self._presence(topic, online=online)
            case Outside(_, payload):
                yield from self._birth(payload)
            case CommandReceived(_, args):
                yield from self._obey(args)
            case Tick() as tick:
                yield from self._pass(tick)
            case _:
                return

    def close(self) -> Iterable[Outgoing]:
        """Leave everything as it is: who restarts finds it there."""
        return ()

    def detail(self) -> dict[str, JsonValue]:
        """Return what is shown."""
        return {
            "announced": len(self._payloads),
            "births_total": self._births,
            "open_alerts": len(self._alarms.open),
        }

    # --- what comes in ----------------------------------------------------------------------

    def _window(self, window: Wire) -> None:
        self._rates.add(window)
        if window.interface not in self._interfaces and len(self._interfaces) < MOST_INTERFACES:
            self._interfaces[window.interface] = None
            self._is_changed = True

    def _alert(self, alert: Alert, *, retained: bool) -> Iterator[Outgoing]:
        event = self._alarms.take(alert, self._boot_s, retained=retained)
        if event is not None and self.settings.enabled:
            yield Publication(EVENT_ID, event)
            yield from self._publish_states()

    def _gone(self, topic: Topic) -> None:
        if topic.kind == Alert.KIND:
            self._alarms.forget(topic.id)
        else:
            self._is_changed |= self._hosts.forget(topic.id) is not None

    def _presence(self, topic: Topic, *, online: bool) -> None:
        if topic.service == Service.DETECTOR.value:
            if online and not self._detector_is_there:
                self._alarms.refresh(self._boot_s)
            self._detector_is_there = online
        if online and self._instances.get(topic.service) != topic.id:
            self._instances[topic.service] = topic.id
            self._is_changed = True

    def _birth(self, payload: bytes) -> Iterator[Outgoing]:
        """Announce everything again: Home Assistant has started."""
        if payload != b"online":
            return
        self._births += 1
        for topic, announcement in self._payloads.items():
            yield Foreign(topic, announcement)
        for rule, (state, _) in self._states.items():
            yield Publication(rule, state)

    def _obey(self, args: Args) -> Iterator[Outgoing]:
        """Give the detector the command for each open alert."""
        for alert in self._alarms.open:
            match args:
                case AcknowledgeAll():
                    wanted: Args = Acknowledge(key=alert.key)
                    name = "acknowledge"
                case SilenceAll(minutes=minutes):
                    wanted, name = Silence(key=alert.key, minutes=minutes), "silence"
                case _:
                    return
            command = Command(name=name, args=wanted.model_dump(), at=self._at)
            yield Publication(f"home-{alert.key}"[:128], command, to=Service.DETECTOR)

    # --- time -------------------------------------------------------------------------------

    def _pass(self, tick: Tick) -> Iterator[Outgoing]:
        self._at, self._boot_s = tick.at, tick.boot_s
        if self._began_s is None:
            self._began_s = tick.boot_s
            self._alarms.refresh(tick.boot_s)
            self._next_rates_s = tick.boot_s + self.settings.interval_s
        if not self.settings.enabled:
            yield from self._take_back(self.announced, rules=True)
            return
        if tick.boot_s - self._began_s < SETTLE_S:
            return
        if self._is_changed:
            self._is_changed = False
            yield from self._announce()
        if self._detector_is_there:
            self._alarms.drop_stale(tick.boot_s)
        yield from self._publish_states()
        if tick.boot_s >= self._next_rates_s:
            self._next_rates_s = tick.boot_s + self.settings.interval_s
            for rates in self._rates.take(tick.at):
                yield Publication(slug(rates.interface), rates)

    def _publish_states(self) -> Iterator[Outgoing]:
        """Publish the states of rules that changed, or would expire."""
        for rule, state in self._alarms.states(RULES, self._at):
            before = self._states.get(rule)
            is_same = before is not None and _essence(before[0]) == _essence(state)
            if is_same and before is not None and self._boot_s - before[1] < REFRESH_S:
                continue
            self._is_changed |= before is None
            self._states[rule] = (state, self._boot_s)
            yield Publication(rule, state)

    # --- announcements ----------------------------------------------------------------------

    def _announce(self) -> Iterator[Outgoing]:
        """Announce what changed, and take back what is shown no more."""
        wanted = dict(self._wanted())
        gone = (self.announced | self._payloads.keys()) - wanted.keys()
        new = {topic: it for topic, it in wanted.items() if self._payloads.get(topic) != it}
        if wanted.keys() - self.announced or gone:
            # before it stands at the broker: whoever comes after us has to know of it
            self.shelf.keep(self.announced | wanted.keys())
        for topic, payload in new.items():
            yield Foreign(topic, payload)
        self._payloads = wanted
        yield from self._take_back(gone, rules=False)
        self.announced = frozenset(wanted)

    def _wanted(self) -> Iterator[tuple[str, bytes]]:
        site = Site(self.site, self.settings.prefix, self.settings.page, self._instances)
        rules = RULES | (self._states.keys() - {"any"})
        yield sensor(site, self._interfaces, rules, buttons=self.settings.buttons)
        for one in self._hosts.shown():
            yield host(site, one)

    def _take_back(self, topics: Iterable[str], *, rules: bool) -> Iterator[Outgoing]:
        """Take announcements back, and with them our own retained states."""
        gone = frozenset(topics)
        if not gone:
            return
        for topic in sorted(gone):
            yield Foreign(topic, b"")
        if rules:
            for rule in ("any", *sorted(RULES)):
                yield Tombstone(rule, RuleState)
        left = self._payloads.keys() - gone
        self.shelf.keep(left)
        self.announced = frozenset(left)


def _essence(state: RuleState) -> tuple[object, ...]:
    """Return what makes a state another one."""
    return state.state, state.open, state.severity, tuple(state.keys)
