"""The compiled program: carried by the wheel, held against its source, made by one compiler."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from monitorpi_capture.engine.ebpf import objectfile
from monitorpi_capture.engine.ebpf.engine import PROGRAM
from monitorpi_capture.engine.ebpf.objectfile import parse
from monitorpi_dev import bpf_build

CAPTURE = Path(__file__).resolve().parents[2] / "services" / "capture"


def build_wheel(source: Path, target: Path, **environment: str) -> None:
    """Build capture's wheel, as ``uv sync --no-editable`` does in the image."""
    command = [sys.executable, "-m", "uv", "build", "--wheel"]
    subprocess.run(
        [*command, "--python", sys.executable, "-o", str(target), str(source)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_wheel_carries_the_object(tmp_path: Path) -> None:
    """A wheel is built without any compiler, with the program that is kept in the repository."""
    build_wheel(CAPTURE, tmp_path, PATH=str(tmp_path))

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = archive.read("monitorpi_capture/engine/ebpf/count.bpf.o")
    assert PROGRAM in parse(carried).programs
    assert objectfile.OBJECT.read_bytes() == carried
    assert bpf_build.checksum_holds()


def test_an_object_of_another_source_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A change in any part of the source makes other programs; a comment makes the same."""
    copied, part = tmp_path / "count.bpf.c", tmp_path / "classify.bpf.h"
    copied.write_bytes(bpf_build.SOURCE.read_bytes() + b"/* nothing */\n")
    monkeypatch.setattr(bpf_build, "SOURCE", copied)
    assert bpf_build.is_current()

    text = (bpf_build.OBJECT.parent / part.name).read_text()
    part.write_text(text.replace("type == 0x88a8", "type == 0x88a9"))
    assert not bpf_build.is_current()


def test_a_damaged_object_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was changed beside its checksum is not what was compiled."""
    changed = tmp_path / "count.bpf.o"
    changed.write_bytes(objectfile.OBJECT.read_bytes() + b"x")
    monkeypatch.setattr(bpf_build, "OBJECT", changed)

    assert not bpf_build.checksum_holds()


def test_compiling_needs_the_pinned_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without it the step fails with one line that names the package."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(bpf_build.BuildError, match="apt-get install clang-19 libc6-dev"):
        bpf_build.compile_object(bpf_build.SOURCE, tmp_path / "x.o")
