"""Whether anybody watches: one conclusion for the page, ``up`` and everybody who tells people.

Theory of operation. :class:`Observer` gathers what the bus says of the sensor: who is online, when
windows arrived, what the services say of themselves. :func:`~monitorpi_common.conclusion.conclude`
turns it into a state and reasons. The detector publishes its conclusion (``detector/watch/main``);
a reader that hears it and misses nothing itself repeats it, so that all say the same. A reader that
misses the detector, or the broker, concludes alone. Pure: time comes in as seconds of the reader's
own boot-time clock, by which ages are reported, without pauses in which it did not run; only
:data:`~monitorpi_common.conclusion.LATE_S` compares wall clocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from monitorpi_common.conclusion import EXPECTED, FRESH_S, START_S, Facts, WireFacts, conclude
from monitorpi_common.messages import Health, Service, WatchState, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from monitorpi_common.messages import Message, WatchLevel, WatchReason
    from monitorpi_common.topics import Topic

EXPECTED_NAMES: Final = tuple(service.value for service in EXPECTED)
LONGEST_STEP_S: Final = 3.0
"""Ticks come each second. After a longer pause it was us that did not run (a machine that slept or
was overloaded): what others did meanwhile still waits to be read, and is no silence of theirs."""
MAX_INTERFACES: Final = 64
MAX_INSTANCES: Final = 64


class Observer:
    """Gathers the facts from the bus. All times are seconds in which the caller ran."""

    def __init__(
        self, expected: Iterable[str] = EXPECTED_NAMES, *, reads_windows: bool = True
    ) -> None:
        self._reads_windows = reads_windows
        self._began_s: float | None = None
        self._now_s = 0.0
        self._ticked_s = 0.0
        """What the caller's clock said at the last tick."""
        self._expected = frozenset(expected)
        self._instances: dict[tuple[str, str], bool] = {}
        self._gone_s: dict[str, float] = {}
        self._wires: dict[str, WireFacts] = {}
        self._away: dict[str, str] = {}
        self._carried: dict[str, frozenset[str]] = {}
        """By instance of capture: the interfaces it counts on."""
        self._pulse_s: dict[str, float] = {}
        self._unkept: dict[tuple[str, str], str] = {}
        """By service and instance: why it cannot write its state."""
        self._troubles: dict[tuple[str, str], tuple[str, str]] = {}
        self._broker: str | None = None
        self._judged_s: float | None = None
        self._judged: object = None
        self._spoke_s: float | None = None
        """When the detector last came, or said what it concludes."""
        self._announced: tuple[float, WatchState] | None = None

    def tick(self, now_s: float, broker: str | None) -> None:
        """Let time pass; say why there is no connection to the broker, if there is none."""
        if self._began_s is None:
            self._began_s = self._now_s = self._ticked_s = now_s
            for wire in self._wires.values():
                wire.arrived_s = now_s
        self._now_s += min(now_s - self._ticked_s, LONGEST_STEP_S)
        self._ticked_s = now_s
        self._broker = broker

    def presence(self, topic: Topic, *, online: bool) -> None:
        """Take a status."""
        key = (topic.service, topic.id)
        if key in self._instances or len(self._instances) < MAX_INSTANCES:
            self._instances[key] = online
            if online and topic.service in self._pulse_s:
                self._pulse_s[topic.service] = self._now_s
            if online and topic.service == Service.DETECTOR.value:
                self._spoke_s = self._now_s
            is_there = any(up for (name, _), up in self._instances.items() if name == topic.service)
            if is_there:
                self._gone_s.pop(topic.service, None)
            else:
                self._gone_s.setdefault(topic.service, self._now_s)
        if topic.service == Service.CAPTURE.value and not online:
            self._away.clear()

    def gone(self, topic: Topic) -> frozenset[str]:
        """Forget an instance whose status was taken back: it is not coming back.

        Returns the interfaces that only it counted on; they are not waited for either.
        """
        self._instances.pop((topic.service, topic.id), None)
        self._unkept.pop((topic.service, topic.id), None)
        self._troubles.pop((topic.service, topic.id), None)
        if topic.service != Service.CAPTURE.value:
            return frozenset()
        left = self._carried.pop(topic.id, frozenset()).difference(*self._carried.values())
        for name in left:
            self._wires.pop(name, None)
            self._away.pop(name, None)
        return left

    def receive(self, topic: Topic, message: Message, at: datetime, *, retained: bool) -> None:
        """Take a message.

        Args:
            topic: where it stood.
            message: what it says.
            at: the wall clock now, to tell how old windows are.
            retained: the broker remembered it: it says nothing of now.

        """
        match message:
            case Wire():
                self._window(message, at)
            case Health():
                self._health(topic, message, retained=retained)
            case WatchState() if not retained:
                self._announced = (self._now_s, message)
                self._spoke_s = self._now_s
                self._judged_by(message.judged_until and message.judged_until.timestamp())
            case _:
                pass

    def _health(self, topic: Topic, health: Health, *, retained: bool) -> None:
        if topic.service == Service.CAPTURE.value:
            away = health.detail.get("interfaces_away")
            self._away = _texts(away) if isinstance(away, dict) else {}
            self._carries(topic.id, health.detail.get("interfaces"))
        if topic.service == Service.DETECTOR.value and not retained:
            self._judged_by(health.detail.get("watermark"))
        if not retained and (topic.service, topic.id) in self._instances:
            self._pulse_s[topic.service] = self._now_s
        kept = health.detail.get("state_file")
        error = kept.get("error") if isinstance(kept, dict) else None
        self._unkept.pop((topic.service, topic.id), None)
        if isinstance(error, str) and len(self._unkept) < MAX_INSTANCES:
            self._unkept[topic.service, topic.id] = error[:120]
        trouble = health.detail.get("trouble")
        self._troubles.pop((topic.service, topic.id), None)
        if isinstance(trouble, dict) and len(self._troubles) < MAX_INSTANCES:
            text, remedy = str(trouble.get("text"))[:200], str(trouble.get("remedy"))[:200]
            self._troubles[topic.service, topic.id] = (text, remedy)

    def _window(self, window: Wire, at: datetime) -> None:
        wire = self._wires.get(window.interface)
        if wire is None:
            if len(self._wires) >= MAX_INTERFACES:
                return
            wire = self._wires[window.interface] = WireFacts(self._now_s)
        wire.received_s = self._now_s
        wire.has_link = window.has_link is not False
        if wire.has_link:
            wire.arrived_s = self._now_s
        late_s, wire.last_late_s = wire.last_late_s, (at - window.end).total_seconds()
        wire.late_s = min(late_s, wire.last_late_s, key=abs)
        wire.sees_replies = window.sees_replies
        wire.copies_ratio = window.copies_ratio
        wire.frames.append((window.packets, window.kernel_drops))
        self._away.pop(window.interface, None)

    def _carries(self, instance: str, interfaces: object) -> None:
        """Note what an instance of capture counts on, as its health tells."""
        is_known = instance in self._carried or len(self._carried) < MAX_INSTANCES
        if is_known and isinstance(interfaces, list):
            self._carried[instance] = frozenset(map(str, interfaces[:MAX_INTERFACES]))

    def _judged_by(self, watermark: object) -> None:
        """Note that the detector moves on: by what it judged last, whatever its clock is."""
        if watermark != self._judged:
            self._judged, self._judged_s = watermark, self._now_s

    @property
    def interfaces(self) -> Mapping[str, WireFacts]:
        """What is known of each interface."""
        return self._wires

    def facts(self) -> Facts:
        """Return what is known now."""
        online: dict[str, bool] = dict.fromkeys(self._expected, False) if not self._young() else {}
        for (service, _), is_there in self._instances.items():
            online[service] = online.get(service, False) or is_there
        return Facts(
            now_s=self._now_s, began_s=self._now_s if self._began_s is None else self._began_s,
            broker=self._broker, online=online, wires=self._wires, away=self._away,
            judged_s=self._judged_s, gone_s=self._gone_s, reads_windows=self._reads_windows,
            announced_s=self._spoke_s,
            pulse_s=self._pulse_s,
            unkept={service: error for (service, _), error in self._unkept.items()},
            troubles={service: reported for (service, _), reported in self._troubles.items()},
        )  # fmt: skip

    def _young(self) -> bool:
        return self._began_s is None or self._now_s - self._began_s < START_S

    def state(self) -> tuple[WatchLevel, tuple[WatchReason, ...]]:
        """Return what is to be said: the detector's own conclusion where that is the worse one."""
        level, reasons = conclude(self.facts())
        if self._announced is None or self._now_s - self._announced[0] > FRESH_S:
            return level, reasons
        announced = self._announced[1]
        if _ORDER[announced.state] <= _ORDER[level]:
            return level, reasons
        return announced.state, tuple(announced.reasons)


_ORDER: Final[dict[WatchLevel, int]] = {"watching": 0, "partly": 1, "blind": 2}


def _texts(mapping: Mapping[str, object]) -> dict[str, str]:
    return {str(name)[:32]: str(reason)[:120] for name, reason in list(mapping.items())[:64]}
