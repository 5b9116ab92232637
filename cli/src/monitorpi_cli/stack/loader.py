"""Imports what services are made of once, and forks each of them: a process that ``up`` runs.

Theory of operation. A service is ``python -m monitorpi_NAME`` with nothing left to import: it
shares the pages of what was imported, and starts in milliseconds. It is no child of this process
but of ``up``, as if ``up`` had started it: who forks twice leaves an orphan, and ``up`` has asked
the kernel for orphans meanwhile. So whatever becomes of this process, services run on and are
watched. Here are no threads, no connections and no secrets that a service could inherit: what is
one service's own comes with the request for it.

A request is a line of JSON behind one byte that brings three descriptors: standard output, standard
error, and a pipe at whose first byte the service begins. What is answered is its process id. The
service that finds the pipe closed, or another parent than was said, ends: nobody knows of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from monitorpi_cli.stack.preflight import SECTIONS
from monitorpi_common.examples import EXAMPLES
from monitorpi_common.memory import hold_little
from monitorpi_common.settings import ENV_PREFIX, NoSection, rehearse
from monitorpi_common.settings_keys import DELIMITER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TITLE: Final = "monitorpi: loader"
"""What process lists show of it."""
_PDEATHSIG: Final = 1  # linux/prctl.h
_SET_NAME: Final = 15
_ARGUMENTS: Final = slice(47, 49)
"""``arg_start`` and ``arg_end`` among the fields of proc_pid_stat(5), the first one being 0."""
_ENVIRONMENT: Final = slice(49, 51)
_LATE: Final = (
    "encodings.ascii",
    "encodings.idna",
    "encodings.unicode_escape",
    "importlib.readers",
    "monitorpi_common.mqtt",
    "monitorpi_common.session",
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.h11_impl",
)
"""What services import only when they run."""
_CALLS: Final = 10
"""Python rewrites what was called eight times or more."""
_STANDARD: Final = 3
_MOST_PID: Final = 16


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A service to start."""

    package: str
    """Which to run, such as ``monitorpi_cloud_bridge``."""
    name: str
    environment: Mapping[str, str]
    parent: int
    """Process id of who asks."""

    def encode(self) -> bytes:
        """Return the request as one line."""
        fields = (self.package, self.name, dict(self.environment), self.parent)
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> StartRequest:
        """Read what :meth:`encode` made."""
        return cls(*json.loads(line))


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return what the loader is given of an environment: no setting that one service alone has.

    All services could read it: /proc shows of each what its loader was started with.
    """
    return {
        name: value
        for name, value in own.items()
        if not (name.upper().startswith(ENV_PREFIX) and DELIMITER in name)
    }


def main() -> int:
    """Be the loader, as a program: arguments are a descriptor and the packages to import."""
    preload(sys.argv[2:])
    return run(socket.socket(fileno=int(sys.argv[1])))


def run(lines: socket.socket) -> int:
    """Serve until the other end of a socket closes; in a forked process: be the service.

    Returns: the service's exit code. The loader itself ends here.

    """
    show_as([TITLE], "loader")
    _close_all_but(lines.fileno())
    _forget_settings()
    try:
        request = serve(lines)
    except (OSError, ValueError):
        os._exit(1)  # `up` has ended in the middle of a word
    if request is None:
        os._exit(0)
    return be(request)


def _close_all_but(descriptor: int) -> None:
    """Close what whoever started us had open, but for standard input and outputs."""
    os.closerange(_STANDARD, descriptor)
    os.closerange(max(_STANDARD, descriptor + 1), os.sysconf("SC_OPEN_MAX"))


def _forget_settings() -> None:
    """Forget what is set for one service alone: /proc would show it of every service.

    It shows the place where the kernel put the variables at the start, behind the arguments.
    """
    for name in set(os.environ) - set(environment(os.environ)):
        start, end = _fields(_ENVIRONMENT)
        found = ctypes.string_at(start - 1, end - start).find(os.fsencode(f"\0{name}="))
        if found >= 0:
            ctypes.memset(start + found, ord("_"), len(os.fsencode(f"{name}={os.environ[name]}")))
        del os.environ[name]


def preload(packages: Iterable[str]) -> None:
    """Import services, and keep the collector from ever touching what was made meanwhile.

    What one of them cannot import is left to that service: it says why when it starts. What
    pydantic would build at the first message is built, and what Python would rewrite in place
    after some calls (PEP 659) is called: each page that changes later is a copy of its own.
    """
    gc.disable()
    for module in (*(f"{package}.__main__" for package in packages), *_LATE):
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    for model in _models(BaseModel):
        if model.__module__.startswith("monitorpi_"):
            model.model_rebuild()
    for _ in range(_CALLS):
        rehearse(None, NoSection)
        for service, section in SECTIONS.items():
            rehearse(service, section)
        for _, message in EXAMPLES:
            type(message).model_validate_json(message.encode())
    gc.collect()
    hold_little()
    gc.freeze()
    gc.enable()


def _models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in kind.__subclasses__():
        yield model
        yield from _models(model)


def serve(lines: socket.socket) -> StartRequest | None:
    """Fork a service for each request; returns in the service, with its request, or at the end."""
    while True:
        first, descriptors, _, _ = socket.recv_fds(lines, 1, 3)
        if not first:
            return None
        output, error, begin = descriptors
        request = StartRequest.decode(_line(lines))
        pid = fork_orphan(request)
        if pid == 0:
            lines.close()
            os.dup2(output, 1)
            os.dup2(error, 2)
            os.close(output)
            os.close(error)
            if not _is_tied(begin, request.parent):
                os._exit(1)
            return request
        for descriptor in descriptors:
            os.close(descriptor)
        lines.sendall(b"%d\n" % pid)


def _line(lines: socket.socket) -> bytes:
    """Return the next line; the other end waits for what comes of it before it sends more.

    Raises:
        OSError: it has ended.

    """
    line = b""
    while not line.endswith(b"\n"):
        part = lines.recv(65536)
        if not part:
            raise ConnectionError("the other end has closed")
        line += part
    return line


def fork_orphan(request: StartRequest) -> int:
    """Fork a service, whose parent is whoever takes our orphans.

    It is called by its name before its process id is known to anybody.

    Returns: its process id, -1: there is no room for one; in the new process 0.

    """
    if threading.active_count() > 1:
        raise RuntimeError("a service would inherit locks of a thread that it does not have")
    reader, writer = os.pipe()
    try:
        middle = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return -1
    if middle == 0:
        os.close(reader)
        command = (sys.executable, "-P", "-m", request.package)
        show_as(command, request.name)
        try:
            pid = os.fork()
        except OSError:
            os._exit(1)
        if pid == 0:
            os.close(writer)
            return 0
        os.write(writer, b"%d" % pid)
        os._exit(0)
    os.close(writer)
    os.waitpid(middle, 0)  # from now on the new process is somebody else's child
    text = os.read(reader, _MOST_PID)
    os.close(reader)
    return int(text or b"-1")


def tie(parent: int) -> bool:
    """Have the kernel end us with our parent; False: it is another one already."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return os.getppid() == parent


def _is_tied(begin: int, parent: int) -> bool:
    """Wait to be let go, in a session of our own; False: nobody wants us any more."""
    is_wanted = bool(os.read(begin, 1))
    os.close(begin)
    os.setsid()
    return is_wanted and tie(parent)


def be(request: StartRequest) -> int:
    """Become the service, as ``python -m`` would have made it, and return its exit code."""
    os.environ.clear()
    os.environ.update(request.environment)
    module = importlib.import_module(f"{request.package}.__main__")
    sys.argv = [str(module.__file__)]
    code: int = module.main()
    return code


def show_as(words: Sequence[str], name: str) -> None:
    """Let ``ps`` and ``top`` tell what this process is.

    The kernel shows of a process what stands where its arguments were put at its start. A longer
    text runs into the variables behind them, of which Python has made copies, and is shown as a
    whole up to its end (proc_pid_cmdline(5)).
    """
    start, end = _fields(_ARGUMENTS)
    _, most = _fields(_ENVIRONMENT)
    fits = len(os.fsencode("\0".join(words))) < end - start
    text = os.fsencode(("\0" if fits else " ").join(words))[: most - start - 1]
    ctypes.memset(start, 0, max(end - start, len(text) + 1))
    ctypes.memmove(start, text, len(text))
    ctypes.CDLL(None).prctl(_SET_NAME, name.encode(), 0, 0, 0)


def _fields(which: slice) -> tuple[int, int]:
    """Return two addresses of our own memory, of proc_pid_stat(5)."""
    text = Path("/proc/self/stat").read_text(errors="replace")
    before, _, after = text.rpartition(")")
    start, end = [before, "", *after.split()][which]
    return int(start), int(end)


if __name__ == "__main__":
    raise SystemExit(main())
