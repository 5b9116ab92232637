"""How capture is put together: on interfaces, or on a file."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.keptlines import KeptLines

from monitorpi_capture import __main__ as service
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.capfile.source import FileSource
from monitorpi_common.service import Context

if TYPE_CHECKING:
    from pathlib import Path


def context(
    log: KeptLines, read: str | None = None, *, trust_clock: bool = False, **more: Any
) -> Context[CaptureSettings]:
    """Return what the shell hands over."""
    parser = argparse.ArgumentParser()
    service.add_arguments(parser)
    return Context(
        site="lab", instance="main", epoch="e", settings=CaptureSettings(**more),
        arguments=parser.parse_args([] if read is None else ["--read", read]),
        state_dir=None, trust_clock=trust_clock, live=read is None, log=log,  # type: ignore[arg-type] # as far as it is asked
    )  # fmt: skip


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Open an engine that counts nothing."""
    one = SimpleNamespace(
        engine=SimpleNamespace(
            name="socket", feeds=[], close=lambda: None, away={}, has_bell=False
        ),
        refused={"ebpf": "no", "tcx": "old"}, steps=[],
    )  # fmt: skip

    def open_engine(names: tuple[str, ...], settings: CaptureSettings) -> Any:
        one.steps.append((tuple(names), settings.engine))
        return one.engine, one.refused

    monkeypatch.setattr(service, "open_engine", open_engine)
    monkeypatch.setattr(service, "relinquish", lambda: one.steps.append("relinquish"))
    monkeypatch.setattr(service, "choose", lambda: "eth7")
    return one


@pytest.mark.parametrize(("engine", "level"), [("socket", "warning"), ("ebpf", "info")])
def test_a_better_engine_that_was_refused_is_a_warning_where_frames_may_be_lost(
    opened: SimpleNamespace, engine: str, level: str
) -> None:
    """Rights go as soon as the engine is open; on which interface it counts is said."""
    log, opened.engine.name = KeptLines(), engine

    made = service.assemble(context(log, trust_clock=engine == "ebpf"))

    assert opened.steps == [(("eth7",), "auto"), "relinquish"]
    assert log.lines == [
        ("info", "no interface is configured: counting on the wired one", {"interface": "eth7"}),
        (level, "engine refused", {"engine": "ebpf", "reason": "no"}),
        (level, "engine refused", {"engine": "tcx", "reason": "old"}),
        ("info", "counting", {"engine": engine, "interfaces": "eth7"}),
    ]
    assert [type(one).__name__ for one in made.sources] == [
        "LiveSource", "Listener", "Watcher", "Sampler",
    ]  # fmt: skip
    assert made.subscriptions == [
        "monitorpi/v1/lab/capture/device/+", "monitorpi/v1/lab/prober/target/+",
    ]  # fmt: skip
    assert made.reads_pipe is False
    assert made.on_close[0] is opened.engine.close
    assert len(made.on_close) == 2
    assert made.core.detail()["epoch"] == "e"
    made.on_close[1]()


def test_interfaces_that_are_named_are_counted_on(opened: SimpleNamespace) -> None:
    """No other is chosen."""
    log, opened.refused = KeptLines(), {}

    service.assemble(context(log, interfaces=("a", "b"), engine="socket"))

    assert opened.steps[0] == (("a", "b"), "socket")
    assert log.lines == [("info", "counting", {"engine": "socket", "interfaces": "a,b"})]


def test_a_file_is_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bounds that live interfaces have; nobody writes it meanwhile."""
    file = tmp_path / "one.pcap"
    file.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    asked: dict[str, Any] = {}

    def source(*values: Any, **named: Any) -> FileSource:
        asked.update(named, values=values)
        return FileSource(*values, **named)

    monkeypatch.setattr(service, "FileSource", source)
    log = KeptLines()

    made = service.assemble(
        context(log, str(file), max_macs=77, inventory_frames_per_s=9, reporting_level=3.5)
    )

    stream, name, interface, told = asked.pop("values")
    assert (name, interface, told) == (str(file), "file", log)
    assert asked.pop("gate") is not None
    assert type(asked.pop("dissector")).__name__ == "Dissector"
    assert asked.pop("on_stop") == stream.stop
    assert asked == {
        "max_rows": 77, "dissected_per_s": 9, "routine_below": 3.5, "live": False,
    }  # fmt: skip
    assert (len(made.sources), made.reads_pipe, made.subscriptions) == (1, False, ())
    assert made.on_close[0] == stream.close
    for close in made.on_close:
        close()
