"""The file of retained state on real file systems: full, read-only, gone, cut off in the middle."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.mounts import unmount

from monitorpi_common import recordfile
from monitorpi_common.log import Log
from monitorpi_common.record import RetainedRecord, encode_all
from monitorpi_common.recordfile import ROOM_BYTES, RecordFile, replace_file
from monitorpi_common.retained import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ALICE = RetainedRecord("device/a", b'{"name":"alice"}', 100.0, 1.0)
BOB = RetainedRecord("device/b", b'{"name":"bob"}', 100.0, 1.0)


class Lines(Log):
    """A log that keeps its warnings."""

    def __init__(self) -> None:
        super().__init__("capture")
        self.warnings: list[str] = []

    def warning(self, event: str, **fields: object) -> None:
        """Keep a line."""
        self.warnings.append(f"{event} {fields}")


def file_of(folder: Path, log: Log | None = None) -> RecordFile:
    """Return the file as a new process opens it."""
    return RecordFile(folder / "capture-main.retained", log or Log("capture"))


def whole(*records: RetainedRecord) -> Write:
    """Replace the file."""
    return Write(encode_all(records), whole=True)


def more(*records: RetainedRecord) -> Write:
    """Go to its end."""
    return Write(b"".join(one.encode() for one in records), whole=False)


def names(folder: Path) -> set[str]:
    """Return what a new process reads."""
    return set(file_of(folder).read().records)


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a file system of memory on a folder."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small file system")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        yield
    finally:
        unmount(folder)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def test_records_go_behind_each_other_without_moving_the_end(tmp_path: Path) -> None:
    """The length stays: a file system has nothing to write but the block."""
    file = file_of(tmp_path)
    file.write_now(whole(ALICE))
    before = file.path.stat().st_size

    file.write_now(more(BOB))

    assert file.path.stat().st_size == before
    assert names(tmp_path) == {"device/a", "device/b"}
    assert file.error is None


def test_more_than_the_room_makes_the_file_longer(tmp_path: Path) -> None:
    """Nothing is lost where a write is larger than the room."""
    file = file_of(tmp_path)
    file.write_now(whole(ALICE))
    large = RetainedRecord("device/l", b'"%b"' % (b"x" * ROOM_BYTES), None, None)

    file.write_now(more(large))
    file.write_now(more(BOB))

    assert names(tmp_path) == {"device/a", "device/b", "device/l"}
    assert ROOM_BYTES == 65_536


class Cut(BaseException):
    """The power went."""


@pytest.mark.parametrize("step", range(8))
def test_a_cut_at_any_step_leaves_the_old_file_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before or after each call to the system: what was there is there, or what should be."""
    file_of(tmp_path).write_now(whole(ALICE))
    calls = 0

    def cut(inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                raise Cut
            result = inner(*arguments, **more)
            calls += 1
            if calls == step:
                raise Cut
            return result

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", cut(os.fsync))
        patch.setattr(type(tmp_path), "replace", cut(type(tmp_path).replace))
        with contextlib.suppress(Cut):
            file_of(tmp_path).write_now(whole(ALICE, BOB))

    assert names(tmp_path) in ({"device/a"}, {"device/a", "device/b"})
    file_of(tmp_path).write_now(whole(BOB))
    assert names(tmp_path) == {"device/b"}


def test_each_step_is_on_the_disk_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data, then the name, then the folder: no disk may order them otherwise."""
    order: list[str] = []
    real_fsync, real_replace = os.fsync, type(tmp_path).replace

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        order.append("folder" if is_folder else "data")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        order.append("name")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(type(tmp_path), "replace", replace)
    replace_file(tmp_path / "x", b"data")

    assert order == ["data", "name", "folder"]


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """What was written stands, the next write fails with a reason, and later ones succeed."""
    folder = tmp_path / "disk"
    with mounted(folder, "size=256k"):
        file = file_of(folder)
        file.write_now(whole(ALICE))
        ballast = folder / "ballast"
        fill(ballast)

        file.write_now(more(BOB))
        within_room = (file.error, names(folder))
        file.write_now(whole(ALICE, BOB))
        error, failed = file.error, file.take_failure()
        still = names(folder)
        ballast.unlink()
        file.write_now(whole(BOB))

        assert within_room == (None, {"device/a", "device/b"})
        assert (error, failed, file.take_failure()) == ("No space left on device", True, False)
        assert still == {"device/a", "device/b"}
        assert (file.error, names(folder)) == (None, {"device/b"})


def test_a_disk_that_can_only_be_read_is_told(tmp_path: Path) -> None:
    """The service lives on, and what is there is read."""
    folder = tmp_path / "disk"
    with mounted(folder, "size=256k"):
        file = file_of(folder)
        file.write_now(whole(ALICE))
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

        file.write_now(more(BOB))

        assert file.error == "Read-only file system"
        assert names(folder) == {"device/a"}


def test_a_folder_that_is_gone_is_made_again(tmp_path: Path) -> None:
    """The first write after it fails, the whole one that follows makes folder and file."""
    folder = tmp_path / "state"
    file = file_of(folder)
    file.write_now(whole(ALICE))
    shutil.rmtree(folder)

    file.write_now(more(BOB))
    first = file.error
    file.write_now(whole(ALICE, BOB))

    assert first == "No such file or directory"
    assert (file.error, names(folder)) == (None, {"device/a", "device/b"})


def test_a_file_somebody_else_changed_is_written_anew(tmp_path: Path) -> None:
    """A copy that was put back, or one that was cut: nothing goes to a place that is not ours."""
    file = file_of(tmp_path)
    file.write_now(whole(ALICE))
    file.path.write_bytes(b"other")

    file.write_now(more(BOB))

    assert file.take_failure()
    assert file.path.read_bytes() == b"other"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not of our making"),
        (b"\0" * 4096, "not of our making"),
        (b"PK\3\4" + bytes(range(256)), "not of our making"),
        (b"monitorpi-state 9\nxyz", "later version"),
        (encode_all([ALICE])[:-9] + b"garbage}\n", "1 records are damaged"),
    ],
)
def test_garbage_is_kept_aside_and_told_in_one_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """The start goes on with what can be read."""
    path = tmp_path / "capture-main.retained"
    path.write_bytes(content)

    log = Lines()

    reading = file_of(tmp_path, log).read()

    assert reading.records == {}
    suffix = "later" if "later" in reason else "damaged"
    assert (tmp_path / f"capture-main.retained.{suffix}").read_bytes() == content
    assert len(log.warnings) == 1
    assert reason in log.warnings[0]


def test_a_file_beyond_the_bound_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever fills the disk fills no memory."""
    monkeypatch.setattr(recordfile, "MAX_BYTES", 1000)
    file = file_of(tmp_path)
    file.write_now(whole(ALICE))

    assert file_of(tmp_path).read().records == {}


def test_nothing_is_added_to_a_file_that_was_not_written(tmp_path: Path) -> None:
    """Nobody knows where it ends: the whole is written first."""
    file = file_of(tmp_path)

    file.write_now(more(ALICE))

    assert file.error == "the file is to be written anew"
    assert file.take_failure()
    assert not file.path.exists()


def test_the_last_write_is_made_in_order(tmp_path: Path) -> None:
    """What is under way is finished before the last of all."""
    file = file_of(tmp_path)
    assert not file.is_busy
    file.write(whole(ALICE))
    assert file._thread is not None
    assert file._thread.daemon  # a disk that hangs holds up no end
    thread = file._thread
    file.write(more(BOB))
    assert file._thread is thread
    file.close(whole(BOB))
    assert not thread.is_alive()

    assert names(tmp_path) == {"device/b"}
    assert not file.is_busy
