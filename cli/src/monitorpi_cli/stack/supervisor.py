"""Children that are started, watched, restarted and stopped together.

Theory of operation. Each child has a task: start it, wait for its end, start it again. A crash, or
a stop that was not ours, is answered by a restart with growing pauses. An exit that says "missing
resource" or "wrong configuration" is answered so too, with longer ones: after a power cut we are up
before the switch is, and what was missing or wrong is mended while we run. Nothing is left off, or
nobody would notice that a part of the watch is missing. The kernel ends a child when its parent
dies, however it dies, so nothing is ever left behind.

A service does something each second, and ends itself where it hangs. One that was stopped (SIGSTOP)
cannot: it does not take a moment of the processor. It is ended, or it would keep for ever what it
holds, such as an outbox for which another one stands by.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_common.backoff import CHILD, LACKING_CHILD
from monitorpi_host.children import cpu_s, tied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from monitorpi_cli.stack.forked import Forked, Loader

STEADY_S: Final = 60.0
"""A child that ran this long has recovered: its next pause is the first one again."""
STOP_S: Final = 10.0
LOOK_S: Final = 6.0
LOOKS: Final = 10
"""A service that was seen to do nothing so often in a row stands still. It is not time that counts:
after we were stopped ourselves, together with it, there was one look."""
_LACKS: Final = {2: "its configuration is wrong", 3: "lacks something"}
"""What our own exit codes say of a child that starting again at once cannot mend."""


@dataclass(frozen=True)
class Child:
    """One program to keep running."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    log: Path | None = None
    """File for what it prints; None: where our own output goes."""
    rank: int = 1
    """Lower ranks start earlier and stop later; the broker is 0."""
    user: tuple[int, int] | None = None
    """User and group id to run it as; None: our own."""
    package: str | None = None
    """The package the command runs, for the loader to fork instead; None: it must be run."""
    restart_always: bool = False
    """Restart after any exit, for programs that do not use our exit codes."""


@dataclass(frozen=True, slots=True)
class ChildEvent:
    """Something happened to a child."""

    name: str
    what: str
    """``started`` or ``died``."""
    pid: int | None = None
    text: str = ""


class Supervisor:
    """Runs children until stopped."""

    def __init__(
        self,
        children: Sequence[Child],
        notify: Callable[[ChildEvent], None],
        loader: Loader | None = None,
    ) -> None:
        """Take what is to be kept running; without a loader each child's command is run."""
        self._loader = loader
        self.untried = {child.name for child in children}
        """Children that have not been started yet, for the first time."""
        self._children = sorted(children, key=lambda child: child.rank)
        self._notify = notify
        self._processes: dict[str, asyncio.subprocess.Process | Forked] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._stopping = False
        self._stood_still: set[str] = set()

    def pid(self, name: str) -> int | None:
        """Return the process id of a child that runs now."""
        process = self._processes.get(name)
        return process.pid if process is not None and process.returncode is None else None

    def start(self, name: str) -> None:
        """Begin to keep one child running."""
        child = next(child for child in self._children if child.name == name)
        self._tasks[name] = task = asyncio.create_task(self._keep(child), name=name)
        task.add_done_callback(self._ended)

    def start_all(self) -> None:
        """Begin to keep every child running."""
        for child in self._children:
            self.start(child.name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Notice a bug of ours: a child that nobody watches any more must not go unseen."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._failed.set()

    async def failed(self) -> None:
        """Wait until watching a child has failed, and raise what it failed with.

        Raises:
            BaseException: whatever was raised, by ``notify`` too.

        """
        await self._failed.wait()
        if self._failure is not None:
            raise self._failure

    async def _keep(self, child: Child) -> None:
        crashed = lacked = 0
        loop = asyncio.get_running_loop()
        while not self._stopping:
            started = loop.time()
            code = await self._run_once(child)
            if self._stopping:
                return
            if loop.time() - started > STEADY_S:
                crashed = lacked = 0
            if code in _LACKS and not child.restart_always:
                lacked += 1
                why, pause_s = f"{_LACKS[code]}; the rest runs on", LACKING_CHILD.after(lacked)
            else:
                crashed += 1
                why, pause_s = self._ending(child, code), CHILD.after(crashed)
            text = f"{why}; starting again in {pause_s:g} s"
            self._notify(ChildEvent(child.name, "died", text=text))
            await asyncio.sleep(pause_s)

    async def _run_once(self, child: Child) -> int:
        output = open(child.log, "ab") if child.log else None  # noqa: ASYNC230, PTH123, SIM115 - handed to the child
        try:
            process = await self._started(child, output)
        except OSError as error:
            self._notify(ChildEvent(child.name, "died", text=f"cannot be started: {error}"))
            return 1
        finally:
            self.untried.discard(child.name)
            if output is not None:
                output.close()
        self._processes[child.name] = process
        if self._stopping:  # it was being started when all were asked to stop
            process.terminate()
        self._notify(ChildEvent(child.name, "started", process.pid))
        return await self._end_of(child, process)

    async def _end_of(self, child: Child, process: asyncio.subprocess.Process | Forked) -> int:
        """Wait for a child's end; a service that stands still is ended."""
        still, used_s = 0, -1.0
        while True:
            with suppress(TimeoutError):
                return await asyncio.wait_for(process.wait(), LOOK_S if child.package else None)
            before_s = used_s
            with suppress(OSError):  # it has ended just now
                used_s = cpu_s(process.pid)
            still = still + 1 if used_s == before_s else 0
            if still == LOOKS:
                self._stood_still.add(child.name)
                process.kill()

    def _ending(self, child: Child, code: int) -> str:
        """Return how a child ended."""
        if child.name in self._stood_still:
            self._stood_still.remove(child.name)
            return f"stood still for {LOOKS * LOOK_S:g} s and was ended"
        return _ending(code)

    async def _started(
        self, child: Child, output: BinaryIO | None
    ) -> asyncio.subprocess.Process | Forked:
        if self._loader is not None and child.package is not None:
            descriptor = None if output is None else output.fileno()
            return await self._loader.start(
                child.package, child.name, child.environment, descriptor
            )
        return await asyncio.create_subprocess_exec(
            *tied(child.command, user=child.user),
            env=child.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    async def stop(self) -> None:
        """Stop everything, the highest rank first, and wait until nothing runs."""
        self._stopping = True
        for rank in sorted({child.rank for child in self._children}, reverse=True):
            names = [child.name for child in self._children if child.rank == rank]
            await asyncio.gather(*(self._stop_one(name) for name in names))
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(self._stop_one(name) for name in self._processes))
        if self._loader is not None:
            self._loader.close()

    async def _stop_one(self, name: str) -> None:
        process = self._processes.get(name)
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _ending(code: int) -> str:
    """Return how a child ended."""
    if code == 0:
        return "was stopped by somebody else"
    return f"died (signal {-code})" if code < 0 else f"died (exit code {code})"
