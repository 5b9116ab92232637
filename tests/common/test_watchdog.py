"""A process that hangs is ended, whatever it holds; one that is held up goes on."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.common.echoes import ECHO

from monitorpi_common import watchdog
from monitorpi_common.watchdog import Stint, Watchdog

if TYPE_CHECKING:
    from tests.conftest import Broker

HEAD = """
import ctypes, threading, time
from monitorpi_common import watchdog
watchdog.HANG_S, watchdog.BEAT_S = 1.0, 0.1
"""


def ended(code: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run some lines behind the head; returns the exit code and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code], env=environment, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "hangs",
    [
        "threading.Event().wait()",
        "ctypes.PyDLL(None).pause()",  # and no other thread of Python's runs
    ],
)
def test_a_loop_that_hangs_ends_the_process(hangs: str) -> None:
    """As a bug of ours does; where it hung stands in the log."""
    code, said = ended(f"watchdog.Watchdog(lambda: False).beat(0.0)\n{hangs}\n")

    assert code == 1
    assert "Timeout" in said
    assert 'File "<string>"' in said


def test_a_source_that_hangs_ends_the_process() -> None:
    """The loop beats, and it counts no longer."""
    code, _ = ended(
        "dog = watchdog.Watchdog(lambda: time.monotonic() - began > 0.5)\n"
        "began = time.monotonic()\n"
        "while time.monotonic() - began < 50: dog.beat(time.monotonic()); time.sleep(0.05)\n"
    )

    assert code == 1


SERVICE = """
import dataclasses, signal, sys
sys.path.insert(0, "{folder}")
import echo_service
from echo_service import EchoSettings, Service, arguments
watchdog.HANG_S = 3.0  # longer than from one tick to the next
{hangs}
raise SystemExit(
    echo_service.run_service(Service.DETECTOR, EchoSettings, echo_service.assemble, arguments)
)
"""
STUCK_LOOP = "echo_service.Echo.handle = lambda *_: threading.Event().wait()"
STUCK_SOURCE = """
asked, real = [], echo_service.assemble
is_stuck = lambda: bool(asked.append(1)) or len(asked) > 1
echo_service.assemble = lambda context: dataclasses.replace(real(context), is_stuck=is_stuck)
"""
STUCK_END = """
threading.Thread(target=threading.Event().wait).start()
echo_service.Echo.handle = lambda *_: signal.raise_signal(signal.SIGTERM) or ()
"""


@pytest.mark.parametrize("hangs", [STUCK_LOOP, STUCK_SOURCE, STUCK_END])
def test_a_service_that_hangs_ends(broker: Broker, hangs: str) -> None:
    """In its loop, in a thread that it asks about, or on its way out."""
    code = SERVICE.format(folder=ECHO.parent, hangs=hangs)

    exit_code, said = ended(code, broker.environment())

    assert exit_code == 1
    assert "Timeout" in said


def test_who_beats_lives() -> None:
    """For longer than it may hang."""
    code, said = ended(
        "dog, began = watchdog.Watchdog(lambda: False), time.monotonic()\n"
        "while time.monotonic() - began < 2.5: dog.beat(time.monotonic()); time.sleep(0.05)\n"
    )

    assert (code, said) == (0, "")


class Timer:
    """A watchdog by its own clock, and when the process would be ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        self.ends_s: list[float] = []
        self.stuck = False
        self.dog = Watchdog(lambda: self.stuck)
        monkeypatch.setattr(watchdog.faulthandler, "dump_traceback_later", self._arm)

    def _arm(self, seconds: float, *, exit: bool) -> None:  # noqa: A002 - the library's name
        assert exit
        self.ends_s.append(self.now_s + seconds)

    def beat(self, *seconds: float) -> None:
        """Beat at some moments."""
        for second in seconds:
            self.now_s = 1000.0 + second
            self.dog.beat(self.now_s)


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> Timer:
    """Return one that has not beaten yet."""
    return Timer(monkeypatch)


def test_a_hang_lasts_a_minute_and_a_half_and_half_a_minute_is_none(timer: Timer) -> None:
    """Whenever it begins: a card may hold up a write for so long."""
    for second in range(25):
        timer.beat(second)

        assert 30 < timer.ends_s[-1] - timer.now_s <= 90


def test_a_beat_now_and_then_is_enough(timer: Timer) -> None:
    """Each takes a thread: one a second would cost a small machine for nothing."""
    timer.beat(0, 9.9, 10, 19.9, 20, 29.9)

    assert len(timer.ends_s) == 3


def test_a_thread_that_goes_on_is_no_hang_any_more(timer: Timer) -> None:
    """The next beat counts again, and it may hang as long as ever."""
    timer.beat(0)
    timer.stuck = True
    timer.beat(10, 11, 80)
    assert len(timer.ends_s) == 1

    timer.stuck = False
    timer.beat(81)

    assert timer.ends_s == [timer.ends_s[0], timer.ends_s[0] + 81]


def test_a_step_lasts_from_its_begin_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it ends; the next one begins anew."""
    now_s = [1000.0]
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    stint = Stint()
    assert not stint.lasts(0)

    for _ in range(2):
        with suppress(KeyError), stint:
            now_s[0] += 60
            assert [stint.lasts(seconds) for seconds in (59, 60, 61)] == [True, False, False]
            raise KeyError
        now_s[0] += 60
        assert not stint.lasts(0)
