"""What ``up`` prints: each change once, and never more than was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_cli.stack.console import Console
from monitorpi_cli.table import Terminal
from monitorpi_common.bus import Raw, Report
from monitorpi_common.examples import example
from monitorpi_common.messages import Alert, WatchReason, WatchState
from monitorpi_common.watch import Observer

if TYPE_CHECKING:
    import pytest

    from monitorpi_common.messages import Message


class Printed:
    """A console and the lines it printed, second by second."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.console = Console(self.lines.append, Terminal(width=80, colour=False))
        self.now_s = 0.0
        self.said: WatchState | None = None

    def run(self, seconds: int) -> None:
        """Let time pass; the detector repeats what it concludes."""
        for _ in range(seconds):
            self.now_s += 1
            if self.said is not None and self.now_s % 5 == 0:
                self.receive("detector/watch/main", self.said)
            self.console.tick(self.now_s)

    def receive(self, place: str, message: Message | str, retained: bool = False) -> None:
        """Let a message arrive."""
        payload = message.encode()
        self.console.receive(Raw(f"monitorpi/v1/lab/{place}", payload, retained))

    def online(self, *names: str, word: str = "online") -> None:
        """Let services say that they are there."""
        for name in names:
            self.receive(f"{name}/status/main", word)


def watching(**more: object) -> WatchState:
    """Build a conclusion of the detector."""
    good = {"state": "watching", "reasons": []}
    return example(WatchState).model_copy(update=good | more)


def running() -> Printed:
    """Return a console of a stack that runs well; nothing was printed."""
    printed = Printed()
    printed.online("capture", "detector", "prober", "dashboard")
    printed.said = watching()
    printed.run(30)
    assert printed.lines == []
    return printed


def test_each_change_of_the_watch_is_one_line() -> None:
    """It goes blind, and is well again."""
    printed = running()
    reason = WatchReason(what="interface", interface="eth0", text="No window.", remedy="a cable?")

    printed.said = watching(state="blind", reasons=[reason])
    printed.run(20)
    printed.said = watching()
    printed.run(20)

    assert [line.split("Z ", 1)[1] for line in printed.lines] == [
        "BLIND    No window. (a cable?)",
        "WATCHING all that is expected is there",
    ]


def test_a_detector_that_dies_or_hangs_is_noticed_without_it() -> None:
    """Its last will, or its silence."""
    printed = running()
    printed.online("detector", word="offline")
    printed.run(1)
    assert "The detector is not running." in printed.lines[-1]
    printed.online("detector")
    printed.run(10)

    printed.said = None
    printed.run(30)

    assert "BLIND" in printed.lines[-1]
    assert "The detector has said nothing for" in printed.lines[-1]
    assert len(printed.lines) == 3


def test_a_stack_that_never_gets_well_is_said_once_it_has_had_its_time() -> None:
    """Not in the first seconds, when services start."""
    printed = Printed()

    printed.run(4)
    assert printed.lines == []
    printed.run(4)

    assert len(printed.lines) == 1
    assert "BLIND" in printed.lines[0]


def test_the_connection_to_the_broker_is_said_and_that_it_is_back() -> None:
    """Each cause once; the watch is blind meanwhile."""
    printed = running()
    lost = Report("connection lost to the broker at 127.0.0.1:1883 (x)", failed=True)

    for _ in range(3):
        printed.console.connection(lost)
        printed.run(1)
    printed.console.connection(Report("connected to the broker at 127.0.0.1:1883"))
    printed.run(1)

    assert [line for line in printed.lines if line.startswith("monitorpi: ")] == [
        "monitorpi: connection lost to the broker at 127.0.0.1:1883 (x)",
        "monitorpi: connected to the broker at 127.0.0.1:1883 again",
    ]
    assert "BLIND" in printed.lines[1]
    assert "WATCHING" in printed.lines[-1]


def test_an_alert_is_a_line_when_it_opens_rises_and_closes() -> None:
    """Repetitions are not printed, nor alerts that were closed before we came."""
    printed = running()
    alert = example(Alert)
    closed = alert.model_copy(update={"state": "closed", "close_reason": "quiet"})

    printed.receive("detector/alert/old", closed, retained=True)
    for _ in range(3):
        printed.receive(f"detector/alert/{alert.key}", alert)
    printed.receive(f"detector/alert/{alert.key}", closed)

    assert [line.split()[1] for line in printed.lines] == ["CRITICAL", "closed"]


def test_garbage_is_passed_over() -> None:
    """What is not of the contract prints nothing and ends nothing."""
    printed = running()

    for place in ("detector/alert/x", "detector/watch/main", "capture/health/main", "x/y/z"):
        printed.receive(place, "\x1b[31mgarbage")
    printed.console.receive(Raw("not/ours", b"\xff"))
    printed.run(1)

    assert printed.lines == []


def test_news_is_told_at_once_and_time_is_looked_at_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To conclude whether anybody watches costs most of what looking for messages does."""
    printed = running()
    concluded = []
    state = Observer.state
    monkeypatch.setattr(Observer, "state", lambda one: concluded.append(one) or state(one))

    for quarter in range(1, 9):
        printed.console.tick(printed.now_s + quarter / 4)
    calm = len(concluded)
    blind = watching(state="blind", reasons=[WatchReason(what="capture", text="no capture")])
    printed.receive("detector/watch/main", blind)
    printed.console.tick(printed.now_s + 2.25)

    assert calm == 2
    assert "BLIND" in printed.lines[-1]
