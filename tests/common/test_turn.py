"""Whose turn it is to begin under a name: of several, one at a time, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitorpi_common import claim
from monitorpi_common.claim import LOOKS, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from monitorpi_common.claim import Claim
held = [Claim(Path(sys.argv[1]), name) for name in sys.argv[2:]]
print(all(one.take() for one in held), flush=True)
sys.stdin.read()
"""


def hold(folder: Path, *names: str) -> subprocess.Popen[str]:
    """Let another process hold locks until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder), *names]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    return other


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process whose turn it is."""
    with hold(tmp_path, "main") as process:
        yield process
        process.kill()


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[Turn]:
    """Our own."""
    one = Turn(tmp_path, "main")
    yield one
    one.pass_on()


def wait(turn: Turn, times: int) -> None:
    """Look so often, each for no time at all."""
    for _ in range(times):
        turn.look(lambda: True)


def test_it_is_one_processs_at_a_time(turn: Turn, other: subprocess.Popen[str]) -> None:
    """Until that one ends, however it ends."""
    before = turn.take()
    other.kill()
    other.wait()

    assert (before, turn.take(), turn.is_ours) == (False, True, True)


def test_whoever_is_there_leaves_it_to_the_next(turn: Turn, tmp_path: Path) -> None:
    """One that runs, or stands by, keeps nobody from beginning, however long it hangs."""
    assert turn.take()
    turn.pass_on()

    with hold(tmp_path, "main") as process:
        assert not turn.is_ours
        assert not turn.take()
        process.kill()


def test_one_goes_ahead_of_whoever_hangs(
    turn: Turn, tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    """After as long as a start takes; of several that wait only one."""
    del other
    wait(turn, LOOKS - 1)
    early = turn.take()
    wait(turn, 1)
    assert (early, turn.take()) == (False, True)

    turn.pass_on()
    with hold(tmp_path, "main-heir") as heir:
        wait(turn, LOOKS)
        assert not turn.take()
        heir.kill()
    assert LOOKS == 10


def test_what_is_waited_for_is_counted_anew(
    tmp_path: Path, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long looks count by their time; standing by meanwhile is no waiting."""
    del other
    now_s = 100.0
    monkeypatch.setattr(claim.time, "monotonic", lambda: now_s)
    turn = Turn(tmp_path, "main")
    now_s += LOOKS + 1
    unlooked = turn.take()
    wait(turn, 1)
    assert (unlooked, turn.take()) == (False, True)

    turn.pass_on()
    wait(turn, 1)
    assert not turn.take()
    turn.pass_on()


def test_where_nothing_can_be_locked_nobody_waits(tmp_path: Path) -> None:
    """That the folder cannot be written is said elsewhere."""
    (tmp_path / "file").touch()

    assert Turn(tmp_path / "file" / "state", "main").take()
