"""The pace of the live source, with an engine and a clock of our own: nothing waits."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.capture.windows import counts, window
from tests.keptlines import KeptLines

from monitorpi_capture.count.onset import ANSWER_S
from monitorpi_capture.items import (
    CLASS_BIT,
    EngineReport,
    FloodSums,
    OnsetCounts,
    PacketLine,
    WindowCounts,
)
from monitorpi_capture.sources import live, watcher
from monitorpi_capture.sources.live import LiveSource
from monitorpi_capture.sources.steering import Steered
from monitorpi_capture.sources.watcher import Watcher
from monitorpi_common.messages import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAMES = ("eth0", "eth1")


@dataclass
class Counting:
    """An engine that counts by a clock that stands still meanwhile."""

    now_s: float = 100.0
    late_s: float = 0.0
    """By so much the first windows are closed late."""
    away: dict[str, str] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)
    syn_per_s: float = 0.0
    name: str = "socket"
    began_s: float = 100.0
    at: Callable[[float], None] = lambda _: None
    """Called with the time after each pause."""
    number: int = 0
    has_bell: bool = False

    def clock(self) -> float:
        """Tell the time."""
        return self.now_s

    def count_until(self, boot_s: float, rings_after: Mapping[str, int] | None = None) -> None:
        """Let time pass; it has no bell that could ring."""
        assert rings_after is None or rings_after.keys() <= set(NAMES)
        assert boot_s >= self.now_s - 1.0
        self.now_s = max(self.now_s, boot_s)
        self.at(self.now_s)

    def sums(self) -> Mapping[str, FloodSums]:
        """Return what one interface holds."""
        return {"eth0": FloodSums(syn=self._syn()), "eth1": FloodSums()}

    def _syn(self) -> int:
        return int(self.syn_per_s * (self.now_s - self.began_s))

    def _window(self, name: str) -> WindowCounts:
        syn = self._syn() if name == "eth0" else 0
        return window(self.now_s, interface=name, losses={"ring": 3}, wire=counts(syn=syn))

    def peek(self, name: str) -> WindowCounts:
        """Look into a window that runs."""
        self.calls.append(("peek", name, round(self.now_s, 3)))
        return self._window(name)

    def close_windows(self) -> Sequence[WindowCounts]:
        """Close the windows of both interfaces."""
        self.calls.append(("windows", round(self.now_s, 3)))
        found = [self._window(name) for name in NAMES]
        self.began_s, self.now_s, self.late_s = self.now_s, self.now_s + self.late_s, 0.0
        return found

    def pin(self, macs: Sequence[bytes]) -> None:
        """Note it."""
        self.calls.append(("pin", list(macs)))

    def stop(self) -> None:
        """Note it."""
        self.calls.append("stop")

    def close(self) -> None:
        """Note it."""
        self.calls.append("close")


@dataclass
class Counted:
    """A source that runs for some windows."""

    engine: Counting = field(default_factory=Counting)
    log: KeptLines = field(default_factory=KeptLines)
    emitted: list[Any] = field(default_factory=list)
    after: Callable[[int], None] = lambda _: None
    """Called with the number of seconds that were closed."""

    def __post_init__(self) -> None:
        self.source = LiveSource(
            self.engine, NAMES, {"ebpf": "no"}, self.log, self.engine.clock  # type: ignore[arg-type] # as far as it is asked
        )  # fmt: skip

    def run(self, seconds: int) -> list[Any]:
        """Count so many windows."""

        def emit(item: object) -> None:
            self.emitted.append(item)
            if isinstance(item, WindowCounts) and item.interface == "eth1":
                closed = sum(isinstance(one, WindowCounts) for one in self.emitted) // 2
                self.after(closed)
                if closed == seconds:
                    self.source.stop()

        self.source.run(emit)
        return self.emitted

    def of(self, kind: type) -> list[Any]:
        """Return what was emitted of a kind."""
        return [one for one in self.emitted if isinstance(one, kind)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Count on two interfaces, of which the machine knows a little."""
    monkeypatch.setattr(live.interfaces, "link_bps", {"eth0": 10**9}.get)
    monkeypatch.setattr(live.interfaces, "has_link", lambda name: name == "eth0")
    one = Counted()
    losses = one.source._losses
    monkeypatch.setattr(losses, "of", lambda name: {"card": len(name)})
    monkeypatch.setattr(losses, "softnet", lambda: 7)
    return one


def test_a_window_of_each_interface_a_second(counted: Counted) -> None:
    """With what the system lost below and knows of the link; the machine's own losses once."""
    counted.run(3)

    engine = counted.engine
    assert engine.calls == [
        ("windows", 101.0), ("windows", 102.0), ("windows", 103.0), "stop", "close",
    ]  # fmt: skip
    first, second = counted.of(WindowCounts)[:2]
    assert (first.losses, second.losses) == (
        {"ring": 3, "card": 4, "softnet": 7}, {"ring": 3, "card": 4},
    )  # fmt: skip
    assert (first.link_bps, second.link_bps) == (10**9, None)
    assert (first.has_link, second.has_link) == (True, False)
    assert (first.late_syn, counted.of(OnsetCounts)) == (0, [])


def test_a_window_that_was_closed_late_is_followed_by_a_short_one(counted: Counted) -> None:
    """Half a second at least; from then on each has its second."""
    counted.engine.late_s = 0.7

    counted.run(3)
    assert [one[1] for one in counted.engine.calls[:3]] == [101.0, 102.2, 103.2]


def test_what_is_pinned_keeps_its_counters_from_the_next_window_on(counted: Counted) -> None:
    """Once; the last word counts."""

    def pins(closed: int) -> None:
        if closed == 1:
            Steered(counted.source, None).pin([b"a"])  # type: ignore[arg-type] # nobody watches
            counted.source.pin([b"b", b"c"])

    counted.after = pins
    counted.run(3)

    assert counted.engine.calls[:4] == [
        ("windows", 101.0), ("pin", [b"b", b"c"]), ("windows", 102.0), ("windows", 103.0),
    ]  # fmt: skip


def test_what_is_away_is_reported_when_that_changes(counted: Counted) -> None:
    """At the start in any case; each interface has its line when it goes and when it comes."""
    away = [{}, {"eth0": "is down"}, {"eth0": "is down"}, {"eth0": "is gone", "eth1": "x"}, {}]

    def changes(closed: int) -> None:
        counted.engine.away = away[closed]

    counted.after = changes
    counted.run(4)

    names, refused = NAMES, {"ebpf": "no"}
    assert counted.of(EngineReport) == [
        EngineReport("socket", refused, names, away[n]) for n in (0, 1, 3, 4)
    ]
    assert counted.log.lines[:3] == [
        ("warning", "interface away", {"name": "eth0", "reason": "is down"}),
        ("warning", "interface away", {"name": "eth0", "reason": "is gone"}),
        ("warning", "interface away", {"name": "eth1", "reason": "x"}),
    ]
    assert sorted(counted.log.lines[3:], key=str) == [
        ("info", "interface is counted again", {"name": name}) for name in NAMES
    ]


def test_a_flood_is_looked_at_while_its_window_runs(counted: Counted) -> None:
    """Often while it rises, and where later SYNs may yet be answered; not so near the end."""
    counted.engine.syn_per_s = 50_000.0
    times: list[float] = []
    counted.engine.at = times.append

    counted.run(1)

    (peek, *_) = counted.engine.calls
    assert peek[:2] == ("peek", "eth0")
    onset = counted.of(OnsetCounts)[0]
    assert onset.window.interface == "eth0"
    assert 0 < onset.rise_s < 0.5
    assert 101.0 - ANSWER_S in times
    pauses = [
        round(after - before, 4)
        for before, after in itertools.pairwise(times)
        if after != 101.0 - ANSWER_S
    ]
    assert set(pauses[:-2]) <= {0.05, 0.015, 0.004}
    assert times[-1] == 101.0
    assert not [at for at in times if 101.0 - 0.0099 < at < 101.0]
    assert counted.of(WindowCounts)[0].late_syn > 0


def test_it_ends_within_a_look_and_closes_what_counts(counted: Counted) -> None:
    """Also where the engine fails."""
    counted.engine.at = lambda now_s: counted.source.stop() if now_s > 100.2 else None
    counted.run(9)
    assert counted.engine.calls[-1] == "close"
    assert counted.engine.calls[0] == "stop"
    assert counted.engine.now_s < 101.0

    broken = Counted(Counting(at=lambda _: 1 // 0))
    with pytest.raises(ZeroDivisionError):
        broken.run(1)
    assert broken.engine.calls == ["close"]


# --- who watches ---------------------------------------------------------------------------------


SYN = bytes.fromhex(
    "020000000002" "020000000001" "0800"
    "45000028000000004006000001020304" "05060708" "04d20050" "0000000000000000" "5002000000000000"
)  # fmt: skip
PING = SYN[:6] + bytes.fromhex("020000000003") + SYN[12:]


@dataclass
class Tap:
    """Frames that wait on one interface."""

    name: str
    waiting: list[Any]
    calls: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Note it."""
        self.calls.append("open")

    def tend(self) -> None:
        """Note it."""
        self.calls.append("tend")

    def close(self) -> None:
        """Note it."""
        self.calls.append("close")

    def receive(self) -> Any:
        """Return the next one."""
        return self.waiting.pop(0) if self.waiting else None


@dataclass
class Watching:
    """A watcher whose seconds are ours."""

    monkeypatch: pytest.MonkeyPatch
    now_s: float = 50.0
    log: KeptLines = field(default_factory=KeptLines)
    taps: dict[str, Tap] = field(default_factory=dict)
    lines: list[PacketLine] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(watcher, "Tap", lambda name, _: self.taps[name])
        self.monkeypatch.setattr(watcher.time, "monotonic", lambda: self.now_s)
        self.monkeypatch.setattr(watcher.time, "time", lambda: self.now_s + 1000)
        self.monkeypatch.setattr(watcher.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now_s += seconds

    def run(self, order: Watch, **waiting: Sequence[Any]) -> list[tuple[str, str]]:
        """Serve one order to its end; return interface and source of each line."""
        self.taps = {name: Tap(name, list(frames)) for name, frames in waiting.items()}
        one = Watcher(list(waiting), self.log)  # type: ignore[arg-type] # as far as it is asked
        self.lines.clear()
        self.slept.clear()
        Steered(None, one).watch(order)  # type: ignore[arg-type] # nothing is pinned
        self.monkeypatch.setattr(one._wake, "wait", lambda: one.stop() if self.slept else None)
        one.run(self.lines.append)
        return [(line.interface, line.mac_src[-1]) for line in self.lines]


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    """Watch."""
    return Watching(monkeypatch)


def caught(frame: bytes, tag: int | None = None) -> tuple[bytes, int, int | None]:
    """Return a frame as a tap hands it over."""
    return frame, len(frame), tag


def test_ten_lines_a_second_of_all_interfaces_in_turn(watching: Watching) -> None:
    """For as long as somebody asked; then nothing is open any more."""
    found = watching.run(
        Watch(seconds=1), eth0=[caught(SYN)] * 3 + [None] * 99, eth1=[caught(PING)] * 2,
    )  # fmt: skip

    assert found == [("eth1", "3"), ("eth0", "1"), ("eth1", "3"), ("eth0", "1"), ("eth0", "1")]
    assert 10 <= len(watching.slept) <= 11
    assert set(watching.slept) == {0.1}
    for tap in watching.taps.values():
        assert tap.calls == ["open", *["tend"] * len(watching.slept), "close"]
    first = watching.lines[0]
    assert (first.at_s, first.length, first.ip_src) == (1050.0, 54, "1.2.3.4")
    assert watching.log.lines == [("info", "watch", {"seconds": 1, "mac": None, "only": None})]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "131"), ({"mac": "02:00:00:00:00:03"}, "3"), ({"mac": "02:00:00:00:00:02"}, "131"),
        ({"mac": "02:00:00:00:00:09"}, ""), ({"class": "syn"}, "131"), ({"class": "arp"}, ""),
        ({"class": "vlan"}, "1"),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_shown(watching: Watching, asked: dict[str, str], found: str) -> None:
    """By who sent or was sent it, and by its class; what has no header is nothing."""
    frames = [caught(SYN[:13]), caught(SYN), caught(PING), caught(SYN, tag=7)]

    said = watching.run(Watch.model_validate({"seconds": 1} | asked), eth0=frames)

    assert "".join(source for _, source in said) == found


def test_so_many_frames_are_looked_at_for_one(watching: Watching) -> None:
    """A flood that nobody asked for holds up no end."""
    order = Watch.model_validate({"seconds": 1, "mac": "02:00:00:00:00:03"})

    assert watching.run(order, eth0=[caught(SYN)] * 199 + [caught(PING)])
    assert watching.slept
    first = watching.lines[0].at_s
    watching.run(order, eth0=[caught(SYN)] * 200 + [caught(PING)])
    assert first == 1050.0
    assert round(watching.lines[0].at_s - 1000 - (watching.now_s - sum(watching.slept)), 6) == 0.1


def test_a_class_has_a_bit() -> None:
    """The one an order is held against."""
    assert CLASS_BIT["syn"] != CLASS_BIT["arp"]
