"""A process that hangs is ended, whatever it holds; one that is held up goes on."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from monitorpi_common.watchdog import Watchdog

HEAD = """
import ctypes, threading, time
from monitorpi_common import watchdog
watchdog.HANG_S, watchdog.BEAT_S = 1.0, 0.1
"""


def ended(code: str) -> tuple[int, str]:
    """Run some lines behind the head; returns the exit code and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code], capture_output=True, text=True, check=False, timeout=60
    )
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


def test_who_beats_lives_and_who_closes_is_left_alone() -> None:
    """For longer than it may hang, each."""
    code, said = ended(
        "dog, began = watchdog.Watchdog(lambda: False), time.monotonic()\n"
        "while time.monotonic() - began < 2.5: dog.beat(time.monotonic()); time.sleep(0.05)\n"
        "dog.close()\n"
        "time.sleep(1.5)\n"
    )

    assert (code, said) == (0, "")


def test_a_beat_now_and_then_is_enough() -> None:
    """Each takes a thread: one a second would cost a small machine for nothing."""
    asked = []
    dog = Watchdog(lambda: bool(asked.append(1)))
    now_s = time.monotonic()

    for number in range(25):
        dog.beat(now_s + number)
    dog.close()

    assert len(asked) == 3
