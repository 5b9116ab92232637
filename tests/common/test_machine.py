"""What is asked of the machine: its clocks, the C library's memory, locks."""

from __future__ import annotations

import errno
import os
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_common import claim, clock, memory
from monitorpi_common.claim import Claim
from monitorpi_common.inbox import Inbox
from monitorpi_common.plainfile import open_lock

if TYPE_CHECKING:
    from pathlib import Path


def test_the_clocks_are_the_machines() -> None:
    """Wall time in UTC; boot time goes on while the machine is suspended."""
    before = datetime.now(UTC)
    wall = clock.wall()
    assert before <= wall <= datetime.now(UTC)
    assert wall.tzinfo is UTC
    begun_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert begun_s <= clock.boot_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize(
    ("library", "by_systemd", "is_set"),
    [
        (0, False, True), (4, False, True), (5, False, False), (-1, False, False),
        (5, True, True), (OSError, False, False), (AttributeError, True, True),
    ],
)  # fmt: skip
def test_a_clock_is_set_if_the_kernel_or_systemd_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: Any, by_systemd: bool, is_set: bool
) -> None:
    """adjtimex(2) fills its structure and answers; a C library may not have it."""
    mark = tmp_path / "synchronized"
    if by_systemd:
        mark.touch()

    def adjtimex(room: Any) -> int:
        assert len(room) == 256
        if isinstance(library, int):
            return library
        raise library

    monkeypatch.setattr(clock, "_TIMESYNCD", mark)
    monkeypatch.setattr(clock.ctypes, "CDLL", lambda _: SimpleNamespace(adjtimex=adjtimex))

    assert clock.synchronised() is is_set


@pytest.mark.parametrize("lacks", [None, "mallopt", "malloc_trim"])
def test_memory_that_is_free_is_given_back(
    monkeypatch: pytest.MonkeyPatch, lacks: str | None
) -> None:
    """With the parameters of mallopt(3); a library that knows only part of it does as it likes."""
    asked: list[tuple[int, ...]] = []
    there = {
        "mallopt": lambda *all_: asked.append(all_),
        "malloc_trim": lambda n: asked.append((n,)),
    }
    library = SimpleNamespace(**{name: call for name, call in there.items() if name != lacks})
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: library)

    memory.hold_little()

    wanted = [(-1, 131_072), (-3, 65_536), (-8, 1), (0,)]
    assert asked == (wanted if lacks is None else [])


def test_a_lock_is_a_file_that_others_may_open_too(tmp_path: Path) -> None:
    """It is made where it is not; what is there already stays."""
    with open_lock(tmp_path / "lock") as stream:
        stream.write(b"x")
    with open_lock(tmp_path / "lock") as stream:
        assert stream.read() == b"x"
    with pytest.raises(IsADirectoryError):
        open_lock(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a named pipe: move it away") as raised:
        open_lock(tmp_path / "pipe")
    assert (raised.value.errno, raised.value.filename) == (errno.EINVAL, str(tmp_path / "pipe"))


def test_whoever_looks_pauses_between_two_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a second in all; somebody who stops looks no more."""
    now_s, slept = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal now_s
        slept.append(seconds)
        now_s += seconds * 5

    monkeypatch.setattr(claim.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(claim.time, "sleep", sleep)
    one = Claim(tmp_path, "x")
    monkeypatch.setattr(one, "take", lambda: False)

    one.look(lambda: False)
    assert slept == [0.05] * 4
    one.look(lambda: len(slept) == 5)
    assert len(slept) == 5
    monkeypatch.setattr(one, "take", lambda: True)
    one.look(lambda: False)
    assert len(slept) == 5


def test_a_source_pauses_while_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time a moment, until there is."""
    box, waited = Inbox(1), []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            box.take(0.0)

    box.put("first")
    monkeypatch.setattr(box._closed, "wait", wait)

    box.wait_put("second")

    assert waited == [0.005] * 3
    assert box.take(0.0) == "second"
