"""The detector as it is put together: what it reads, and what it keeps over a restart."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from tests.modules import is_program

from monitorpi_common.log import Log
from monitorpi_common.messages import Service
from monitorpi_common.service import Context
from monitorpi_detector import __main__ as program
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.items import Kept
from monitorpi_detector.settings import DetectorSettings
from monitorpi_detector.sinks.state_file import StateFile

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def context(folder: Path, *, live: bool = True) -> Context[DetectorSettings]:
    """Return what a detector knows at its start."""
    return Context("lab", "two", "e", DetectorSettings(), Namespace(), folder, True, live,
                   Log("detector"))  # fmt: skip


def test_a_detector_on_a_bus_keeps_a_file_of_its_own(tmp_path: Path) -> None:
    """By its instance; it is read at the start, and written when the core has ended."""
    (tmp_path / "detector-two.json").write_text(Kept(macs=["a"], watched_s=7.0).model_dump_json())

    found = program.assemble(context(tmp_path))

    (file,) = found.sources
    assert isinstance(file, StateFile)
    assert isinstance(found.core, DetectorCore)
    list(found.core.close())
    for close in found.on_close:
        close()
    kept = file.read()
    assert (kept.macs, kept.watched_s) == (["a"], 7.0)
    assert (tmp_path / "detector-two.json.old").exists()
    base = "monitorpi/v1/lab"
    assert sorted(found.subscriptions) == [
        f"{base}/+/health/+", f"{base}/+/status/+", f"{base}/capture/device/+",
        f"{base}/capture/onset/+", f"{base}/capture/traffic/+", f"{base}/detector/alert/+",
        f"{base}/prober/probe/+", f"{base}/prober/target/+",
    ]  # fmt: skip


def test_in_a_pipe_nothing_of_another_run_is_known(tmp_path: Path) -> None:
    """A capture file gives the same alerts each time."""
    (tmp_path / "detector-two.json").write_text(Kept(macs=["a"]).model_dump_json())

    found = program.assemble(context(tmp_path, live=False))

    assert not found.sources
    assert isinstance(found.core, DetectorCore)
    assert list(found.core._notices.macs) == []


def test_the_program_is_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code is that of the service."""
    asked: list[object] = []

    def run(*words: object) -> int:
        asked.append(words)
        return 3

    monkeypatch.setattr(program, "run_service", run)

    assert program.main() == 3
    assert asked == [(Service.DETECTOR, DetectorSettings, program.assemble)]


def test_the_package_is_a_program() -> None:
    """``python -m`` starts it, as `up` and whoever measures do."""
    assert is_program("monitorpi_detector")
