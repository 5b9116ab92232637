"""Services forked by the loader (:mod:`.loader`), which are children of ours all the same. I/O."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack import loader
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_ANSWER_S: Final = 60.0
"""The first answer may wait for the imports: ten seconds on a small board that is busy."""
_ANSWER_BYTES: Final = 32
_LINE: Final = 3
"""Descriptor of the loader's end of the socket."""


class Forked:
    """A running service; used like ``asyncio.subprocess.Process``."""

    def __init__(self, pid: int) -> None:
        """Watch a child of ours from now on.

        Raises:
            OSError: it is none.

        """
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()

    async def wait(self) -> int:
        """Return its exit code once it has ended; a signal's number is below zero."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 - it has ended
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.returncode is None:  # until it is reaped nobody else has its process id
            os.kill(self.pid, number)


class Loader:
    """The loader, started when first needed and anew when it has died. Use from one loop."""

    def __init__(self, packages: Sequence[str]) -> None:
        """Know the packages of the services to import; nothing is started."""
        self._packages = packages
        self._pid: int | None = None
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Process id of the loader that runs now."""
        if self._pid is not None and os.waitpid(self._pid, os.WNOHANG) != (0, 0):
            self._pid = None
        return self._pid

    def fork(self) -> None:
        """Make the loader of this process, which imports all it has to and shares that.

        To be called before there is a loop, a thread, a connection or a secret. In the services
        it does not return: they end here.
        """
        if threading.active_count() > 1:
            return  # one is run when it is needed
        loader.preload(self._packages)
        sys.stdout.flush()  # or each service would print it once more
        parent = os.getpid()
        ours, its = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _leave(parent)
            raise SystemExit(loader.run(its))
        its.close()
        self._take(ours)

    def _run(self) -> None:
        """Run the loader as a program."""
        ours, its = socket.socketpair()
        command = tied([sys.executable, "-P", "-m", loader.__name__, str(_LINE), *self._packages])
        given = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, its.fileno(), _LINE),
        ]
        try:
            self._pid = os.posix_spawnp(
                command[0], command, loader.environment(os.environ), file_actions=given, setsid=True
            )
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
        self._take(ours)

    def _take(self, line: socket.socket) -> None:
        line.setblocking(False)
        self._socket = line

    async def start(
        self, package: str, name: str, variables: Mapping[str, str], output: int | None
    ) -> Forked:
        """Start a service.

        Args:
            package: the one to run.
            name: what process lists call it.
            variables: its environment.
            output: descriptor of a file for what it prints; None: where our own goes.

        Raises:
            OSError: it cannot be started.

        """
        async with self._turn:
            if self.pid is None or self._socket is None:
                self.close()
                self._run()
            wait, begin = os.pipe()
            try:
                out = (1, 2) if output is None else (output, output)
                request = loader.StartRequest(package, name, variables, os.getpid())
                with _orphans_taken():
                    pid = await asyncio.wait_for(self._ask(request, [*out, wait]), _ANSWER_S)
                if pid > 0:
                    forked = Forked(pid)
                    os.write(begin, b"\n")
                    return forked
            except TimeoutError:
                self.close()
                raise OSError(f"no answer within {_ANSWER_S:g} s") from None
            except BaseException:
                self.close()
                raise
            finally:
                os.close(wait)
                os.close(begin)
            raise OSError("the system has no room for another process")

    async def _ask(self, request: loader.StartRequest, descriptors: list[int]) -> int:
        """Send a request and return the process id that comes back, -1: there is none.

        Raises:
            OSError: the loader has ended.

        """
        loop, line = asyncio.get_running_loop(), self._socket
        if line is None:
            raise OSError("the loader has ended")
        socket.send_fds(line, [b"\n"], descriptors)
        await loop.sock_sendall(line, request.encode())
        answer = await loop.sock_recv(line, _ANSWER_BYTES)
        if not answer:
            raise OSError("the loader has ended")
        return int(answer)

    def close(self) -> None:
        """End the loader; what it has started runs on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._pid = None


def _leave(parent: int) -> None:
    """Stand apart from the process we were forked from: its terminal, its input, its end."""
    if not loader.tie(parent):
        os._exit(1)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


@contextmanager
def _orphans_taken() -> Iterator[None]:
    """Be the parent of whatever is orphaned below us meanwhile, for the moment of a fork."""
    library = ctypes.CDLL(None)
    if library.prctl(_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("the kernel hands no orphans over")
    try:
        yield
    finally:
        library.prctl(_CHILD_SUBREAPER, 0, 0, 0, 0)
