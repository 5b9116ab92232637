"""A bus, a core and clocks of our own for the loop of a service: nothing waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from monitorpi_common import clock, loop
from monitorpi_common.bus import Counters, Raw, Report
from monitorpi_common.examples import AT, EXAMPLES, example
from monitorpi_common.inbox import Inbox
from monitorpi_common.loop import Shell, Stop
from monitorpi_common.messages import (
    Alert,
    Device,
    Publication,
    Service,
)
from monitorpi_common.service import (
    Assembly,
)
from monitorpi_common.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pytest

    from monitorpi_common.topics import Topic


@dataclass(frozen=True)
class Later:
    """Time passes while the core handles this."""

    seconds: float


@dataclass
class Bus:
    """Keeps what is published, and what else is asked of it."""

    live: bool = True
    adopts: bool = True
    alive: bool = True
    depth: int = 3
    counters: Counters = field(default_factory=lambda: Counters(1, 0, 0, 4, 5))
    sent: list[tuple[str, bytes, Any, Any]] = field(default_factory=list)
    adopted: list[Raw] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    report: Report | None = None
    flushed: int = 0
    followed: list[list[str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def open(self, _: Inbox, subscriptions: Sequence[str]) -> None:
        """Note what is asked for."""
        self.subscriptions = list(subscriptions)

    def event(self, _: object) -> Report | None:
        """Report as the test wants."""
        return self.report

    def publish(self, topic: object, payload: bytes, delivery: Any, expiry_s: Any) -> None:
        """Keep it."""
        self.sent.append((str(topic), payload, delivery, expiry_s))

    def adopt(self, raw: Raw, delivery: Any) -> bool:
        """Keep it."""
        del delivery
        self.adopted.append(raw)
        return self.adopts

    def follow(self, filters: Sequence[str]) -> None:
        """Note what is read from now on."""
        self.followed.append(list(filters))

    def flush(self) -> None:
        """Count it."""
        self.flushed += 1

    def close(self) -> None:
        """Note it."""
        self.calls.append("bus")


@dataclass
class World:
    """A detector's loop, driven by what lies in its inbox."""

    monkeypatch: pytest.MonkeyPatch
    bus: Bus = field(default_factory=Bus)
    now_s: float = 1000.0
    handled: list[Any] = field(default_factory=list)
    answers: dict[type, Callable[[Any], Iterable[Any]]] = field(default_factory=dict)
    assembly: dict[str, Any] = field(default_factory=dict)
    retention: Any = None
    common: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    inbox: Inbox = field(default_factory=Inbox)

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(loop.time, "monotonic", lambda: self.now_s)
        self.monkeypatch.setattr(clock, "boot_s", lambda: self.now_s + 50)
        self.monkeypatch.setattr(clock, "wall", lambda: AT + timedelta(seconds=self.now_s - 1000.0))

    def handle(self, item: object) -> Iterable[Any]:
        """Be the core."""
        if isinstance(item, Later):
            self.now_s += item.seconds
            return ()
        self.handled.append(item)
        answer = self.answers.get(type(item))
        return () if answer is None else answer(item)

    def close(self) -> Iterable[Any]:
        """Say last words."""
        self.bus.calls.append("core")
        return [Publication("last", example(Alert))]

    def detail(self) -> dict[str, Any]:
        """Say something of ourselves."""
        return {"mine": 1}

    def __getattr__(self, name: str) -> Any:
        """Be the log."""
        if name in ("info", "warning"):
            return lambda event, **fields: self.lines.append((name, event, fields))
        raise AttributeError(name)

    def run(self, *items: object, end: object | None = None) -> World:
        """Let the loop take some items and stop."""
        for item in (*items, end or Stop()):
            self.inbox.put(item)
        common = CommonSettings(site="lab", **{"trust_clock": True} | self.common)
        assembly = Assembly(core=self, **self.assembly)
        shell = Shell(Service.DETECTOR, common, assembly, self.bus, self.inbox, self,  # type: ignore[arg-type]
                      self.retention)  # fmt: skip
        shell.run()
        return self

    def of(self, kind: type) -> list[Any]:
        """Return what the core was handed of a kind."""
        return [item for item in self.handled if isinstance(item, kind)]

    def payloads(self, part: str) -> list[bytes]:
        """Return what was published on topics with a part."""
        return [payload for topic, payload, *_ in self.bus.sent if part in topic]


def raw(topic: Topic, message: Any, **more: Any) -> Raw:
    """Return a message as it comes in."""
    return Raw(str(topic), message.encode(), **more)


DEVICE = next((topic, one) for topic, one in EXAMPLES if isinstance(one, Device))
