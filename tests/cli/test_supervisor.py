"""The supervisor with real processes: crashes, exit codes, stopping, orphans."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.conftest import is_running, wait_for

from monitorpi_cli.stack import supervisor as supervisor_module
from monitorpi_cli.stack.supervisor import Child, ChildEvent, Supervisor
from monitorpi_common.backoff import BackOff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def child(name: str, code: str, **options: object) -> Child:
    """Build a child that runs a line of Python."""
    return Child(name, [sys.executable, "-c", code], **options)  # type: ignore[arg-type] # test builder


def run(
    children: list[Child], script: Callable[[Supervisor, list[ChildEvent]], Awaitable[None]]
) -> list[ChildEvent]:
    """Supervise the children while the script runs, then stop."""
    events: list[ChildEvent] = []

    async def session() -> None:
        supervisor = Supervisor(children, events.append)
        supervisor.start_all()
        try:
            await asyncio.wait_for(script(supervisor, events), 30)
        finally:
            await supervisor.stop()

    asyncio.run(session())
    return events


async def until(condition: Callable[[], object]) -> None:
    """Poll until something is true."""
    while not condition():  # noqa: ASYNC110 - what is awaited is another process
        await asyncio.sleep(0.02)


def test_a_killed_child_is_started_again() -> None:
    """Kill -9: said, and back with another process id."""

    async def script(supervisor: Supervisor, events: list[ChildEvent]) -> None:
        await until(lambda: supervisor.pid("one"))
        first = supervisor.pid("one")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.pid("one") not in (None, first))
        assert any("signal 9" in event.text for event in events)

    run([child("one", "import time; time.sleep(60)")], script)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (0, "was stopped by somebody else"),
        (1, "died (exit code 1)"),
        (2, "its configuration is wrong"),
        (3, "lacks something"),
        (7, "died (exit code 7)"),
    ],
)
def test_every_end_is_said_and_answered_by_a_restart(
    monkeypatch: pytest.MonkeyPatch, code: int, says: str
) -> None:
    """No part of the watch is left off: what was wrong may have been mended meanwhile."""
    monkeypatch.setattr(supervisor_module, "CHILD", BackOff(0.05, 30.0))
    monkeypatch.setattr(supervisor_module, "LACKING_CHILD", BackOff(0.05, 300.0))

    async def script(_: Supervisor, events: list[ChildEvent]) -> None:
        await until(lambda: sum(event.what == "started" for event in events) >= 2)

    events = run([child("one", f"raise SystemExit({code})")], script)

    assert next(event.text for event in events if event.what == "died").startswith(says)


def test_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that dies at once is started less and less often."""
    monkeypatch.setattr(supervisor_module, "CHILD", BackOff(0.05, 30.0))

    async def script(_: Supervisor, events: list[ChildEvent]) -> None:
        await until(lambda: sum(event.what == "died" for event in events) >= 4)

    events = run([child("one", "raise SystemExit(1)")], script)

    pauses = [float(e.text.rsplit(" ", 2)[1]) for e in events if e.what == "died"][:4]
    assert pauses == [0.05, 0.1, 0.2, 0.4]


def test_what_lacked_something_is_up_once_it_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After a power cut a switch may be up later than we are: nobody must come and start anew."""
    monkeypatch.setattr(supervisor_module, "LACKING_CHILD", BackOff(0.05, 300.0))
    port, up = tmp_path / "port", tmp_path / "up"
    code = (
        f"import os, time\nif not os.path.exists({str(port)!r}): exit(3)\n"
        f"open({str(up)!r}, 'w'); time.sleep(60)"
    )

    async def script(_: Supervisor, events: list[ChildEvent]) -> None:
        await until(lambda: sum(event.what == "died" for event in events) >= 2)
        port.touch()
        await until(up.exists)

    events = run([child("one", code)], script)

    said = [event.text for event in events if event.what == "died"]
    assert said[0] == "lacks something; the rest runs on; starting again in 0.05 s"
    assert said[1].endswith("starting again in 0.1 s")


def test_a_service_that_stands_still_is_ended_and_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would keep what it holds; others may do nothing for as long as they like."""
    monkeypatch.setattr(supervisor_module, "LOOK_S", 0.2)
    code = "import time\nwhile True: time.sleep(0.01)"
    children = [
        child("ticks", code, package="p"), child("lives", code, package="p"),
        child("waits", "import time; time.sleep(60)"),
    ]  # fmt: skip

    async def script(supervisor: Supervisor, events: list[ChildEvent]) -> None:
        await until(lambda: len([one for one in events if one.what == "started"]) == 3)
        first = supervisor.pid("ticks")
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await until(lambda: supervisor.pid("ticks") not in (None, first))

    events = run(children, script)

    assert [(one.name, one.text) for one in events if one.what == "died"] == [
        ("ticks", "stood still for 2 s and was ended; starting again in 0.5 s")
    ]


class Looks:
    """What looks at a service's use of the processor find, instead of what it uses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, busy_every: int) -> None:
        self.pids: list[int] = []
        self._busy_every = busy_every
        monkeypatch.setattr(supervisor_module, "LOOK_S", 0.01)
        monkeypatch.setattr(supervisor_module, "cpu_s", self._cpu_s)

    def _cpu_s(self, pid: int) -> float:
        number = self.pids.count(pid)
        self.pids.append(pid)
        if number % self._busy_every == 5:
            raise ProcessLookupError
        return float(number // self._busy_every)


SLEEPS = "import time; time.sleep(60)"


@pytest.mark.parametrize(("busy_every", "ends"), [(10, False), (11, True)])
def test_ten_looks_in_a_row_find_a_service_that_stands_still(
    monkeypatch: pytest.MonkeyPatch, busy_every: int, *, ends: bool
) -> None:
    """One that did something between them does not stand still; others are not looked at."""
    looks = Looks(monkeypatch, busy_every)

    async def script(supervisor: Supervisor, events: list[ChildEvent]) -> None:
        await until(lambda: supervisor.pid("waits"))
        waits = supervisor.pid("waits")
        await until(lambda: len(looks.pids) >= 50 or events[-1].what == "died")
        assert waits not in looks.pids

    events = run([child("service", SLEEPS, package="p"), child("waits", SLEEPS)], script)

    assert ("died" in [event.what for event in events]) is ends


def test_what_stood_still_once_may_end_otherwise_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next end is what it is."""
    Looks(monkeypatch, 11)
    monkeypatch.setattr(supervisor_module, "CHILD", BackOff(0.05, 30.0))

    async def script(supervisor: Supervisor, events: list[ChildEvent]) -> None:
        await until(lambda: events and events[-1].what == "died")
        monkeypatch.setattr(supervisor_module, "LOOK_S", 60.0)
        await until(lambda: events[-1].what == "started")
        second = supervisor.pid("service")
        assert second is not None
        os.kill(second, signal.SIGKILL)
        await until(lambda: events[-1].what == "died")

    events = run([child("service", SLEEPS, package="p")], script)

    assert [event.text.partition(";")[0] for event in events if event.what == "died"] == [
        "stood still for 0.1 s and was ended", "died (signal 9)",
    ]  # fmt: skip


def test_services_stop_before_the_broker(tmp_path: Path) -> None:
    """The lowest rank goes last, so that the others can still say goodbye."""
    log = tmp_path / "log"
    code = (
        "import signal, sys, time\n"
        f"def stop(*_): open({str(log)!r}, 'a').write(sys.argv[1] + ' '); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"open({str(log)!r} + sys.argv[1], 'w')\n"
        "time.sleep(60)\n"
    )
    children = [
        Child("broker", [sys.executable, "-c", code, "broker"], rank=0),
        Child("service", [sys.executable, "-c", code, "service"]),
    ]

    async def script(_: Supervisor, __: list[ChildEvent]) -> None:
        await until(
            lambda: (tmp_path / "logbroker").exists() and (tmp_path / "logservice").exists()
        )

    run(children, script)

    assert log.read_text().split() == ["service", "broker"]


def test_a_child_that_will_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Deafness to SIGTERM is answered by SIGKILL after a while."""
    monkeypatch.setattr(supervisor_module, "STOP_S", 0.5)
    deaf = tmp_path / "deaf"
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({str(deaf)!r}, 'w'); time.sleep(60)"
    )
    pids: list[int] = []

    async def script(supervisor: Supervisor, _: list[ChildEvent]) -> None:
        await until(lambda: deaf.exists() and supervisor.pid("deaf"))
        pid = supervisor.pid("deaf")
        assert pid is not None
        pids.append(pid)

    run([child("deaf", code)], script)

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_child_that_was_being_started_is_stopped_too() -> None:
    """Stopping in the middle of a start leaves no process behind."""
    events: list[ChildEvent] = []

    async def session() -> None:
        supervisor = Supervisor([child("one", "import time; time.sleep(60)")], events.append)
        supervisor.start_all()
        await asyncio.sleep(0)  # the start has begun; its process is not known yet
        await supervisor.stop()

    asyncio.run(session())

    for event in events:
        if event.pid is not None:
            with pytest.raises(ProcessLookupError):
                os.kill(event.pid, 0)


def test_a_bug_in_watching_is_not_silent() -> None:
    """Where watching a child fails, whoever runs the supervisor learns it."""

    def notify(event: ChildEvent) -> None:
        if event.what == "died":
            raise RuntimeError("a bug")

    async def session() -> None:
        supervisor = Supervisor([child("one", "raise SystemExit(1)")], notify)
        supervisor.start_all()
        try:
            await asyncio.wait_for(supervisor.failed(), 10)
        finally:
            await supervisor.stop()

    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(session())


def test_no_child_outlives_a_killed_parent(tmp_path: Path) -> None:
    """Kill -9 of the supervisor itself leaves nobody behind."""
    pid_file = tmp_path / "pid"
    inner = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outer = (
        "import asyncio, sys\n"
        "from monitorpi_cli.stack.supervisor import Child, Supervisor\n"
        "async def main():\n"
        f"    s = Supervisor([Child('x', [sys.executable, '-c', {inner!r}])], lambda e: None)\n"
        "    s.start_all()\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", outer])
    pid = int(wait_for(lambda: pid_file.exists() and pid_file.read_text()))

    parent.kill()
    parent.wait()

    wait_for(lambda: not is_running(pid), 5, "the orphan to end")
