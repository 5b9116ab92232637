"""The slots of the sampler and the discovery frames that wait, with rings and clocks of our own."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_capture.engine import socket_engine
from monitorpi_capture.items import Caught, FrameSample, SampledFrame
from monitorpi_capture.sources import sampler
from monitorpi_capture.sources.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Ring:
    """A ring that hands over what a test put there."""

    index: int
    blocks: list[list[float]] = field(default_factory=list)
    """Times of frames, by block."""
    is_hooked: bool = False
    is_away: bool = False
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fd = os.eventfd(1)

    def fileno(self) -> int:
        """Return what can always be read."""
        return self._fd

    def hook(self) -> None:
        """Begin, or fail."""
        self._call("hook")
        self.is_hooked = True

    def unhook(self) -> None:
        """End, or fail."""
        self._call("unhook")
        self.is_hooked = False

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.is_away:
            raise OSError(19, "No such device")

    def take(self, port: int) -> Iterator[SampledFrame]:
        """Hand over a block."""
        for at_s in self.blocks.pop(0) if self.blocks else []:
            yield SampledFrame(at_s, port, 60, b"")

    def close(self) -> None:
        """End."""
        self.calls.append("close")
        os.close(self._fd)


@dataclass
class Rig:
    """A sampler on two interfaces whose clock moves a hundredth with each look."""

    monkeypatch: pytest.MonkeyPatch
    indices: dict[str, int] = field(default_factory=lambda: {"a": 1, "b": 2})
    rings: dict[str, list[Ring]] = field(default_factory=lambda: {"a": [], "b": []})
    fails: set[str] = field(default_factory=set)
    now_s: float = 10.0
    waited: list[float] = field(default_factory=list)
    tried: list[tuple[str, int]] = field(default_factory=list)
    """What was opened, and in which second."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    prepare: Callable[[str, Ring], None] = lambda *_: None

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(sampler, "SampleRing", self._ring)
        self.monkeypatch.setattr(sampler.interfaces, "index_of", self.indices.get)
        self.monkeypatch.setattr(sampler.time, "monotonic", self._monotonic)
        self.monkeypatch.setattr(sampler.time, "time", lambda: self.now_s + 1000)
        self.sampler = Sampler(["a", "b"], self)  # type: ignore[arg-type] # a log
        self.monkeypatch.setattr(self.sampler._stopped, "wait", self._wait)

    def _monotonic(self) -> float:
        self.now_s += 0.01
        return self.now_s

    def _wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now_s += seconds

    def _ring(self, name: str) -> Ring:
        self.tried.append((name, round(self.now_s)))
        if name in self.fails:
            raise OSError(1, "Operation not permitted")
        one = Ring(self.indices[name])
        self.prepare(name, one)
        self.rings[name].append(one)
        return one

    def warning(self, _: str, **fields: Any) -> None:
        """Be the log."""
        self.lines.append(fields)

    def run(self, slots: int, between: Callable[[int], None] = lambda _: None) -> list[FrameSample]:
        """Look at so many slots."""
        found: list[FrameSample] = []
        slot, inner = 0, self.sampler._slot

        def counted(until_s: float) -> FrameSample:
            nonlocal slot
            slot += 1
            sample = inner(until_s)
            between(slot)
            if slot == slots:
                self.sampler.stop()
            return sample

        self.monkeypatch.setattr(self.sampler, "_slot", counted)
        self.sampler.run(found.append)
        return found


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Make a sampler."""
    return Rig(monkeypatch)


def test_a_quiet_wire_is_looked_at_all_the_time(rig: Rig) -> None:
    """Frames of all interfaces in the order of time; a slot without any is none."""

    def prepare(name: str, ring: Ring) -> None:
        ring.blocks = {"a": [[2.0], [3.0]], "b": [[1.0], [2.5]]}[name]

    rig.prepare = prepare
    (first,) = rig.run(2)

    assert first.interfaces == ("a", "b")
    assert [(one.at_s, one.port) for one in first.frames] == [
        (1.0, 1),
        (2.0, 0),
        (2.5, 1),
        (3.0, 0),
    ]
    assert first.joint == (pytest.approx(1010.0, abs=0.1), float("inf"))
    for name in "ab":
        assert rig.rings[name][0].calls == ["hook", "hook", "close"]
    assert rig.now_s < 11


def test_a_busy_wire_is_left_alone_until_the_next_slot(rig: Rig) -> None:
    """With 32 frames of one of two; all are unhooked, and what was in their blocks counts."""

    def prepare(name: str, ring: Ring) -> None:
        if name == "b":
            ring.blocks = [[float(n) for n in range(31)], [31.0, 32.0], [33.0]]

    rig.prepare = prepare
    first, *_ = rig.run(2)

    assert len(first.frames) == 34
    assert first.joint[1] == 32.0
    assert rig.rings["a"][0].calls == ["hook", "unhook", "hook", "close"]
    assert len(rig.waited) == 1
    assert 0.1 < rig.waited[0] < 0.25


def test_an_interface_that_goes_and_comes_is_opened_anew(rig: Rig) -> None:
    """Looked for once a second; what cannot be opened is said once."""
    rig.indices.pop("b")
    rig.fails = {"a"}

    def between(slot: int) -> None:
        match slot:
            case 9:
                rig.fails = set()
                rig.indices["b"] = 2
            case 18:
                rig.indices["b"] = 7
            case 27:
                rig.rings["a"][0].is_away = True

    rig.run(40, between)

    assert rig.lines == [{"interface": "a", "why": "Operation not permitted"}]
    assert len(rig.tried) == len(set(rig.tried))
    assert [one.index for one in rig.rings["b"]] == [2, 7]
    assert [one.index for one in rig.rings["a"]] == [1, 1]
    for ring in (*rig.rings["a"], *rig.rings["b"]):
        assert ring.calls[-1] == "close"


def test_without_an_interface_a_slot_is_waited_for(rig: Rig) -> None:
    """It is no busy loop."""
    rig.indices.clear()

    assert rig.run(2) == []
    assert [round(seconds, 1) for seconds in rig.waited] == [0.2, 0.2]


def test_so_many_discovery_frames_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room is counted, and told once; a window begins when the port is open."""
    opened = iter([5.0, 6.0])
    monkeypatch.setattr(socket_engine, "now", lambda: next(opened))
    monkeypatch.setattr(socket_engine, "Ring", lambda *_, **__: Ring(1))
    port = socket_engine._Port("lo", 16)
    port.open()
    assert port.start == 6.0
    for number in range(203):
        port._offer(Caught(bytes([number]), 60, None))

    assert (port.dropped(), port.dropped()) == (3, 0)
    assert len(list(iter(port.receive, None))) == 200
    port.close()
    assert port.ring is None
    port.close()
