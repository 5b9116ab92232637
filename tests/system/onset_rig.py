"""A wire in event time between the real live source and the real detector.

Everything but the engine is what runs on a Pi: the source's pacing and looks, the capture core, the
encoded messages, the detector's core. The engine counts what a script says, by the script's clock.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.items import (
    COLUMN,
    WIDTH,
    FloodSums,
    Instant,
    MacCounts,
    SpreadCounts,
    TopPeer,
    WindowCounts,
    flood_sums,
)
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.live import LiveSource
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Onset, Publication, Traffic
from monitorpi_common.service import Received
from monitorpi_common.topics import Topic
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.settings import DetectorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from monitorpi_common.messages import Message

NAME = "lo"
WALL_S = 1_767_000_000.0
CLIENT = bytes.fromhex("04000000000a")
SERVER = bytes.fromhex("04000000000b")
HOST_IP = bytes([198, 18, 0, 11])

BELL_STEP_S = 0.0003
"""So soon the bell is answered, and this long it takes at most until it is rung."""

OnsetStage = tuple[float, str, tuple[str, ...]]
"""Seconds behind its SYN, who sends (``>``: who opened), classes of one frame of a connection."""


def answered(reply_s: float, life_s: float = 0.005) -> tuple[OnsetStage, ...]:
    """Return the frames of a connection that is answered, used and ended in order."""
    tcp = ("ipv4", "tcp", "http")
    ack, end = reply_s + 0.0005, reply_s + life_s
    return (
        (0.0, ">", (*tcp, "syn")),
        (reply_s, "<", (*tcp, "syn_ack")),
        (ack, ">", tcp),
        (ack, ">", tcp),
        (end, "<", tcp),
        (end, ">", (*tcp, "fin")),
        (end + reply_s, "<", (*tcp, "fin")),
    )


UNANSWERED: tuple[OnsetStage, ...] = ((0.0, ">", ("ipv4", "tcp", "syn", "http")),)
PING: tuple[OnsetStage, ...] = ((0.0, ">", ("ipv4", "icmp", "icmp_echo")),)


@dataclass(frozen=True)
class ScriptedLoad:
    """Evenly spaced beginnings of one kind, from one MAC to another."""

    stages: Sequence[OnsetStage]
    count: int
    since_s: float
    lasts_s: float
    source: bytes = CLIENT
    target: bytes = SERVER

    def begun(self, at_s: float) -> int:
        """Return how many began by a moment."""
        share = (at_s - self.since_s) / self.lasts_s
        return min(self.count, max(0, int(self.count * share + 1))) if share >= 0 else 0


ORDINARY = ScriptedLoad(answered(0.002), 30, 1001.0, 9.0)
"""A few connections a second, from before: replies are seen on this port."""


@dataclass
class ScriptedEngine:
    """An engine whose frames and clock are a script's."""

    loads: Sequence[ScriptedLoad]
    until_s: float
    name: str = "script"
    away: Mapping[str, str] = field(default_factory=dict)
    now_s: float = 1000.0
    began_s: float = 1000.0
    has_bell: bool = False
    stop_source: Callable[[], None] = lambda: None

    def clock(self) -> float:
        """Return the script's time."""
        return self.now_s

    def count_until(self, boot_s: float, rings_after: Mapping[str, int] | None = None) -> None:
        """Let time pass, to the bell or to the end."""
        if self.has_bell and rings_after is not None:
            limit = self._asked(self.now_s) + rings_after.get(NAME, 1_000_000)
            began_s, steps = self.now_s, ceil((boot_s - self.now_s) / BELL_STEP_S)
            self.now_s += BELL_STEP_S * bisect_left(
                range(steps), limit, key=lambda step: self._asked(began_s + BELL_STEP_S * step)
            )
        else:
            self.now_s = max(self.now_s, boot_s)
        self.now_s += 0.0002
        if self.now_s > self.until_s:
            self.stop_source()

    def _asked(self, at_s: float) -> int:
        """Return the SYNs and echo requests of the window up to a moment."""
        return sum(
            load.begun(at_s - after_s) - load.begun(self.began_s - after_s)
            for load in self.loads
            for after_s, _, classes in load.stages
            if "syn" in classes or "icmp_echo" in classes
        )

    def _rows(self) -> dict[bytes, tuple[list[int], list[int]]]:
        rows: dict[bytes, tuple[list[int], list[int]]] = {}
        for load in self.loads:
            for after_s, way, classes in load.stages:
                count = load.begun(self.now_s - after_s) - load.begun(self.began_s - after_s)
                if not count:
                    continue
                ends = (load.source, load.target) if way == ">" else (load.target, load.source)
                for mac, side in zip(ends, (0, 1), strict=True):
                    row = rows.setdefault(mac, ([0] * WIDTH, [0] * WIDTH))[side]
                    row[COLUMN["packets"]] += count
                    row[COLUMN["bytes"]] += 60 * count
                    for name in classes:
                        row[COLUMN[name]] += count
        return rows

    def peek(self, name: str) -> WindowCounts:
        """Return the window so far."""
        rows = self._rows()
        wire = [sum(column) for column in zip(*(tx for tx, _ in rows.values()), strict=True)]
        return WindowCounts(
            interface=name, engine=self.name,
            start=Instant(WALL_S + self.began_s, self.began_s),
            end=Instant(WALL_S + self.now_s, self.now_s),
            length_s=self.now_s - self.began_s, wire=wire or [0] * WIDTH,
            rows=[self._counted(mac, tx, rx) for mac, (tx, rx) in rows.items()],
        )  # fmt: skip

    def _counted(self, mac: bytes, tx: list[int], rx: list[int]) -> MacCounts:
        syn, echo = tx[COLUMN["syn"]], tx[COLUMN["icmp_echo"]]
        if not syn and not echo:
            return MacCounts(mac, tx, rx)
        target = next(load.target for load in self.loads if load.source == mac)
        return MacCounts(
            mac, tx, rx, SpreadCounts(1, 1, 1 if syn else 0),
            TopPeer(target, HOST_IP, 80, syn) if syn else None,
            TopPeer(target, HOST_IP, None, echo) if echo else None,
        )  # fmt: skip

    def sums(self) -> Mapping[str, FloodSums]:
        """Return the sums of the window so far."""
        return {NAME: flood_sums(self.peek(NAME).wire)}

    def close_windows(self) -> Sequence[WindowCounts]:
        """Close the window."""
        window = self.peek(NAME)
        self.began_s = self.now_s
        return [window]

    def open(self) -> None:
        """Nothing is to be opened."""

    def pin(self, macs: Sequence[bytes]) -> None:
        """Nothing is to be kept."""

    def stop(self) -> None:
        """Time needs no waking."""

    def close(self) -> None:
        """Nothing is to be closed."""


@dataclass
class OnsetStory:
    """What came of a script."""

    windows: list[Traffic] = field(default_factory=list)
    onsets: list[Onset] = field(default_factory=list)
    alerts: list[tuple[float, Alert]] = field(default_factory=list)
    """With the script's time at which each was published."""

    def opened(self) -> list[tuple[float, str]]:
        """Return when which alerts opened."""
        seen: dict[str, float] = {}
        for at_s, alert in self.alerts:
            if alert.state == "open":
                seen.setdefault(alert.key, at_s)
        return [(at_s, key) for key, at_s in seen.items()]


def live(loads: Iterable[ScriptedLoad], seconds: float, *, has_bell: bool) -> OnsetStory:
    """Run a script of so many seconds, beginning at 1000 by its clock."""
    engine = ScriptedEngine(list(loads), 1000.0 + seconds, has_bell=has_bell)
    source = LiveSource(engine, [NAME], {}, Log("capture", "error"), clock=engine.clock)
    engine.stop_source = source.stop
    capture = CaptureCore("e", CaptureSettings(), steering=_Deaf(), clock_synced=True)
    detector = DetectorCore("lab", DetectorSettings())
    story = OnsetStory()

    def take(item: object) -> None:
        for said in capture.handle(item):
            if isinstance(said, Publication) and (message := _again(said.message)) is not None:
                _keep(message, story)
                topic = Topic("lab", "capture", message.KIND, NAME)
                for told in detector.handle(Received(topic, message)):
                    if isinstance(told, Publication) and isinstance(told.message, Alert):
                        story.alerts.append((engine.now_s, told.message))

    source.run(take)
    return story


class _Deaf:
    def watch(self, order: Any) -> None:
        """Nobody watches."""

    def pin(self, macs: Sequence[bytes]) -> None:
        """Nobody is known."""


def _again(message: Message) -> Traffic | Onset | None:
    """Return a message as its reader gets it."""
    kinds: dict[str, type[Traffic | Onset]] = {"traffic": Traffic, "onset": Onset}
    kind = kinds.get(message.KIND)
    return None if kind is None else kind.model_validate_json(message.encode())


def _keep(message: Traffic | Onset, story: OnsetStory) -> None:
    if isinstance(message, Traffic):
        story.windows.append(message)
    else:
        story.onsets.append(message)
