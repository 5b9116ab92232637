"""The kernel's program against the pure classifier, frame by frame, inside the kernel."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.capture.ebpf_frames import SOURCES, frames, in_python

from monitorpi_capture.engine.ebpf import memory
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.objectfile import parse
from monitorpi_capture.frame.linktypes import LINK_ETHERNET
from monitorpi_capture.sources.capfile.reader import CaptureFile
from monitorpi_dev import bpf_build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs needs root"),
]


@SOURCES
@given(data=frames())
def test_valid_and_odd_frames(in_kernel: Callable[[bytes], list[str]], data: bytes) -> None:
    """The kernel gives a frame the classes the reference gives it."""
    assert in_python(data) == in_kernel(data)


CLANGS: Final = [f"clang-{n}" for n in range(13, 20) if shutil.which(f"clang-{n}")]
"""Those of this Debian; `./monitorpi test` installs them."""


@pytest.fixture(scope="module", params=CLANGS)
def by_any_clang(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[bytes], list[str]]]:
    """Return what a program that another clang has made says of a frame's classes."""
    made = tmp_path_factory.mktemp("clang") / "count.bpf.o"
    bpf_build.compile_object(bpf_build.SOURCE, made, [request.param])
    compiled = parse(made.read_bytes())
    fd = system.load_program(compiled.linked("socket/classify", {}), "mp_any", compiled.licence)
    run = system.TestRun(fd)

    yield lambda data: memory.class_names(run.run(data))

    os.close(fd)


def test_there_are_clangs_to_compare() -> None:
    """The pinned one and at least one more."""
    assert bpf_build.COMPILER in CLANGS
    assert len(CLANGS) > 1


@settings(SOURCES, max_examples=300)
@given(data=frames())
def test_every_clang_makes_the_same_of_the_source(
    by_any_clang: Callable[[bytes], list[str]], data: bytes
) -> None:
    """What is kept compiled hangs on no compiler's mood: all agree with the reference."""
    assert in_python(data) == by_any_clang(data)


@settings(SOURCES, max_examples=60)
@given(data=frames())
def test_every_length(in_kernel: Callable[[bytes], list[str]], data: bytes) -> None:
    """Both agree on a frame that ends early, wherever it ends."""
    for length in range(1, len(data)):
        assert in_python(data[:length]) == in_kernel(data[:length])


@SOURCES
@given(data=frames(), changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255))))
def test_changed_bytes(
    in_kernel: Callable[[bytes], list[str]], data: bytes, changes: list[tuple[int, int]]
) -> None:
    """Both agree on a frame some bytes of which were overwritten."""
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value

    assert in_python(bytes(changed)) == in_kernel(bytes(changed))


def test_public_captures(in_kernel: Callable[[bytes], list[str]], captures: Path) -> None:
    """Both agree on every whole frame of the public captures."""
    seen = 0
    different: list[str] = []
    for file in sorted(captures.glob("*.pcap*")):
        with file.open("rb") as stream:
            for _, link, data, wire_length in CaptureFile(stream, file.name):
                whole = 0 < len(data) == wire_length <= system.TestRun.MAX_FRAME
                if link != LINK_ETHERNET or not whole:
                    continue
                seen += 1
                if in_python(data) != in_kernel(data):
                    different.append(f"{file.name}: {data.hex()}")

    assert seen > 10_000
    assert different == []
