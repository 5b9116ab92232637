"""The loader with real processes: whose children services are, what they have, how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import is_running, wait_for

from monitorpi_cli.stack import loader as loader_module
from monitorpi_cli.stack.forked import Forked, Loader
from monitorpi_cli.stack.supervisor import Child, ChildEvent, Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SERVICE = """
import json, os, random, secrets, signal, sys, threading, time

IMPORTED_BY = os.getpid()

def main():
    print(json.dumps({
        "pid": os.getpid(), "parent": os.getppid(), "imported_by": IMPORTED_BY,
        "session": os.getsid(0), "input": os.readlink("/proc/self/fd/0"),
        "open": [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                 if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}")],
        "command": open("/proc/self/cmdline").read(), "name": open("/proc/self/comm").read(),
        "shown": open("/proc/self/environ").read(), "environment": dict(os.environ),
        "threads": threading.active_count(), "arguments": sys.argv[1:],
        "dice": [random.random(), secrets.token_hex(8)],
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    }), flush=True)
    time.sleep(float(os.environ.get("SLEEP", "0")))
    return int(os.environ.get("CODE", "0"))
"""
REQUEST = loader_module.StartRequest("monitorpi_told", "told", {}, 0)
SECRET = "MONITORPI_NOTIFIER__TO__ME__URL"


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a service that tells about itself, and one that cannot be imported."""
    for name, text in (("told", SERVICE), ("broken", "import no_such_module\n")):
        folder = tmp_path / f"monitorpi_{name}"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "__main__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))


class Rig:
    """A loader that runs as a program, and what the services it starts print."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.loader = Loader(["monitorpi_told", "monitorpi_broken"])

    async def start(self, package: str = "monitorpi_told", **variables: str) -> Forked:
        """Start a service with these variables and what Python needs."""
        given = {"PYTHONPATH": os.environ["PYTHONPATH"], **variables}
        with self.output.open("ab") as stream:
            return await self.loader.start(package, "told", given, stream.fileno())

    def told(self) -> list[dict[str, Any]]:
        """Return what services have told so far."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]


def run(tmp_path: Path, script: Callable[[Rig], Awaitable[None]]) -> Rig:
    """Run a script with a loader, which is ended afterwards."""
    rig = Rig(tmp_path / "output")

    async def session() -> None:
        try:
            await asyncio.wait_for(script(rig), 60)
        finally:
            rig.loader.close()

    asyncio.run(session())
    return rig


def test_a_service_is_as_if_we_had_run_it(tmp_path: Path) -> None:
    """Our child, named, in a session of its own, with its variables and nothing of another's."""

    async def script(rig: Rig) -> None:
        assert await (await rig.start(CODE="0", ONE="1")).wait() == 0
        assert await (await rig.start(TWO="é\udcff")).wait() == 0

    rig = run(tmp_path, script)
    first, second = rig.told()

    assert first["parent"] == second["parent"] == os.getpid()
    assert first["imported_by"] == second["imported_by"] != first["pid"]
    assert first["command"].rstrip("\0").split("\0") == [
        sys.executable,
        "-P",
        "-m",
        "monitorpi_told",
    ]
    assert first["name"] == "told\n"
    assert first["session"] == first["pid"]
    assert first["input"] == os.devnull
    assert first["open"] == []
    assert first["threads"] == 1
    assert first["arguments"] == []
    assert first["interrupt"]
    assert first["environment"] == {"PYTHONPATH": str(tmp_path), "CODE": "0", "ONE": "1"}
    assert second["environment"] == {"PYTHONPATH": str(tmp_path), "TWO": "é\udcff"}
    assert not set(first["dice"]) & set(second["dice"])


def test_exit_codes_are_the_services(tmp_path: Path) -> None:
    """The supervisor's answer follows from them."""

    async def script(rig: Rig) -> None:
        for code in (0, 1, 2, 3, 7):
            assert await (await rig.start(CODE=str(code))).wait() == code

    run(tmp_path, script)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signals_reach_it(tmp_path: Path, number: signal.Signals) -> None:
    """What ends it is told as a negative number."""

    async def script(rig: Rig) -> None:
        service = await rig.start(SLEEP="60")
        await asyncio.to_thread(wait_for, rig.told)
        (service.kill if number == signal.SIGKILL else service.terminate)()
        assert await service.wait() == -number
        service.kill()  # it is gone: nobody else is hit

    run(tmp_path, script)


def test_what_cannot_be_imported_says_so_itself(tmp_path: Path) -> None:
    """One broken service neither keeps the others from starting nor is silent."""

    async def script(rig: Rig) -> None:
        assert await (await rig.start("monitorpi_broken")).wait() == 1
        assert "No module named 'no_such_module'" in rig.output.read_text()
        rig.output.write_text("")
        assert await (await rig.start()).wait() == 0

    assert len(run(tmp_path, script).told()) == 1


def test_a_killed_loader_takes_nobody_with_it_and_is_run_again(tmp_path: Path) -> None:
    """Services live on, still watched; the next start has a loader again."""

    async def script(rig: Rig) -> None:
        service = await rig.start(SLEEP="60")
        await asyncio.to_thread(wait_for, rig.told)
        before = rig.loader.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await asyncio.to_thread(wait_for, lambda: not is_running(before))
        other = await rig.start()
        assert await other.wait() == 0
        assert rig.loader.pid not in (None, before)
        assert service.returncode is None
        assert is_running(service.pid)
        service.terminate()
        assert await service.wait() == -signal.SIGTERM

    run(tmp_path, script)


def test_a_loader_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen, it gives no answer: the start fails, and the next one has another loader."""

    async def script(rig: Rig) -> None:
        assert await (await rig.start()).wait() == 0
        assert rig.loader.pid is not None
        os.kill(rig.loader.pid, signal.SIGSTOP)
        monkeypatch.setattr("monitorpi_cli.stack.forked._ANSWER_S", 0.2)
        with pytest.raises(OSError, match="no answer"):
            await rig.start()
        monkeypatch.undo()
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert await (await rig.start()).wait() == 0

    run(tmp_path, script)


@pytest.mark.parametrize("fails_at", [1, 2])
def test_no_room_for_a_process_is_an_error(monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
    """Either fork may be refused; no process is left in between."""
    forks, fork = iter(range(1, 3)), os.fork

    def refused() -> int:
        if next(forks) == fails_at:
            raise BlockingIOError
        return fork()

    monkeypatch.setattr(os, "fork", refused)

    assert loader_module.fork_orphan(REQUEST) == -1


def test_threads_are_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread holds would stay locked in the service for ever."""
    monkeypatch.setattr(threading, "active_count", lambda: 2)

    with pytest.raises(RuntimeError, match="thread"):
        loader_module.fork_orphan(REQUEST)


def test_stopping_in_the_middle_of_a_start_leaves_nobody(tmp_path: Path) -> None:
    """Neither a service that nobody knows nor a loader."""
    output = tmp_path / "output"
    events: list[ChildEvent] = []
    loader = Loader(["monitorpi_told"])
    child = Child(
        "told", ["false"], {"SLEEP": "60", "PYTHONPATH": str(tmp_path)},
        log=output, package="monitorpi_told",
    )  # fmt: skip

    async def session(pause_s: float) -> None:
        supervisor = Supervisor([child], events.append, loader)
        supervisor.start_all()
        await asyncio.sleep(pause_s)
        await supervisor.stop()

    for pause_s in (0, 0.05, 0.4, 0.8, 1.2):
        asyncio.run(session(pause_s))
        assert loader.pid is None
        left = [json.loads(line)["pid"] for line in output.read_text().splitlines()]
        wait_for(partial(none_runs, left))


def none_runs(processes: list[int]) -> bool:
    """Return whether all have ended."""
    return not any(map(is_running, processes))


UP = """
import asyncio, os, sys
from monitorpi_cli.stack.forked import Loader
loader = Loader(["monitorpi_told"])
loader.fork()
async def main():
    given = {"SLEEP": sys.argv[1], "PYTHONPATH": os.environ["PYTHONPATH"]}
    service = await loader.start("monitorpi_told", "told", given, None)
    return await service.wait()
code = asyncio.run(main())
loader.close()
print("over", code, flush=True)
"""


def up(sleep_s: float) -> subprocess.Popen[str]:
    """Run a program that forks its loader, as ``up`` does."""
    variables = os.environ | {SECRET: "json://secret.example/", "ANOTHER": "visible"}
    command = [sys.executable, "-c", textwrap.dedent(UP), str(sleep_s), *["padding"] * 5]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)


def test_a_forked_loader_shares_what_was_imported_and_no_secret() -> None:
    """What is set for one service alone is nowhere in another: not in /proc either."""
    with up(0) as program:
        output, _ = program.communicate(timeout=60)
    told, over = output.splitlines()
    service = json.loads(told)

    assert over == "over 0"
    assert service["parent"] == service["imported_by"] == program.pid
    assert service["command"].rstrip("\0").split("\0")[-1] == "monitorpi_told"
    assert "ANOTHER=visible" in service["shown"]
    assert "secret.example" not in service["shown"]
    assert SECRET not in service["shown"]
    assert service["input"] == os.devnull
    assert service["open"] == []


def test_a_killed_parent_leaves_neither_services_nor_loader() -> None:
    """Kill -9 of ``up``: the kernel ends all of it."""
    with up(60) as program:
        assert program.stdout is not None
        service = json.loads(program.stdout.readline())["pid"]
        family = [pid for pid in pids() if parent_of(pid) == program.pid]
        assert service in family
        assert len(family) == 2
        program.kill()
        program.wait()

        wait_for(partial(none_runs, family), 5, "the orphans to end")


def pids() -> list[int]:
    """Return the id of every process."""
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def parent_of(pid: int) -> int | None:
    """Return a process's parent; None: it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


@pytest.mark.parametrize("room", [True, False])
def test_a_name_longer_than_the_arguments_is_shown(room: bool) -> None:
    """Where the arguments were short the text runs on behind them, and is shown whole."""
    code = (
        "from monitorpi_cli.stack.loader import show_as; import os\n"
        "import sys\n"
        "words = [sys.executable, '-P', '-m', 'monitorpi_home_assistant' * 3]\n"
        "show_as(words, 'home-assistant')\n"
        "print(open('/proc/self/cmdline').read().rstrip(chr(0)).replace(chr(0), ' '))\n"
        "print(open('/proc/self/comm').read())"
    )
    padding = ["x" * 80] if room else []
    command = [sys.executable, "-", *padding]

    shown = subprocess.run(command, input=code, check=True, capture_output=True, text=True).stdout

    expected = f"{sys.executable} -P -m {'monitorpi_home_assistant' * 3}"
    assert shown.split("\n")[:2] == [expected, "home-assistant"]
