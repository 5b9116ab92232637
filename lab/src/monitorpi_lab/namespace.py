"""Network namespaces that cannot outlive the process that made them.

Theory of operation. A namespace here has no name and no file: it is a thread that has moved into
a network namespace of its own (and a mount namespace, so that /sys shows that network). Whatever
the thread opens or starts belongs there. The kernel takes a namespace away when its last thread,
process and socket are gone, so that even ``kill -9`` leaves nothing: threads and sockets die with
the process, the programs it started die by PR_SET_PDEATHSIG, and what those started in turn is
found by the mark in its environment at the next start (:func:`reap`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MARK: Final = "MONITORPI_LAB"
"""Environment variable of every program in a namespace: ``{pid}-{start time}`` of its owner."""

_SCRATCH: Final = "monitorpi-lab-"
_CLONE_NEWNS: Final = 0x00020000  # linux/sched.h
_CLONE_NEWNET: Final = 0x40000000
_MS_REC: Final = 0x4000  # linux/mount.h
_MS_SLAVE: Final = 1 << 19
_STOP_S: Final = 2.0  # between SIGTERM and SIGKILL; dnsmasq and the services need far less

_P = ParamSpec("_P")
_T = TypeVar("_T")


class LabError(Exception):
    """The lab cannot be made or used here; the text names the remedy."""


class Namespace:
    """A network namespace, with the programs that run in it.

    ``label`` names it in messages; it need not be unique.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._programs: list[subprocess.Popen[Any]] = []
        self._thread = threading.Thread(target=self._live, name=f"ns-{label}", daemon=True)
        self._thread.start()
        try:
            self.call(_enter_new_namespace)
        except OSError as error:
            self._jobs.put(None)
            raise LabError(_explain(error)) from None

    # --- work in it -------------------------------------------------------------------------

    def call(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a function in the namespace and return what it returns.

        Sockets it makes stay in the namespace, whoever uses them later. One call at a time.
        """
        if threading.current_thread() is self._thread:
            return function(*args, **kwargs)
        return self.submit(function, *args, **kwargs).result()

    def submit(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Queue a function to run in the namespace."""
        future: Future[_T] = Future()

        def job() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for it
                future.set_exception(error)

        if not self._thread.is_alive():
            raise LabError(f"the namespace {self.label} is closed")
        self._jobs.put(job)
        return future

    def popen(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a program in the namespace; it dies with this process, and with the namespace.

        Options are those of :class:`subprocess.Popen`.

        Raises:
            LabError: the program is not installed.

        """
        marked = {**(os.environ if env is None else env), MARK: _own_mark()}
        # the signal is sent when the *thread* that started a program ends: the namespace's own
        # thread, which lives as long as the namespace
        bound = tied(command, "KILL")
        _require(command[0])
        start: Callable[[], subprocess.Popen[Any]] = partial(
            subprocess.Popen, bound, env=marked, **options
        )
        program = self.call(start)
        self._programs.append(program)
        return program

    def run(
        self,
        command: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
        check: bool = True,
        timeout_s: float = 30.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the namespace to its end and return its output as text.

        Raises:
            LabError: it is not installed, failed (with ``check``) or took too long.

        """
        with self.popen(
            command,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as program:
            try:
                out, err = program.communicate(input, timeout=timeout_s)
            except subprocess.TimeoutExpired:
                program.kill()
                raise LabError(f"{command[0]} took more than {timeout_s:g} s") from None
            finally:
                self._programs.remove(program)
        if check and program.returncode != 0:
            raise LabError(f"{' '.join(map(str, command))}: {err.strip() or program.returncode}")
        return subprocess.CompletedProcess(list(command), program.returncode, out, err)

    # --- seen from outside ------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The namespace as a file, for ``nsenter --net=`` and for ``ip ... netns``."""
        return f"/proc/{os.getpid()}/task/{self._thread.native_id}/ns/net"

    @property
    def prefix(self) -> list[str]:
        """What to put before a command, in any process of this machine, to run it here."""
        return ["nsenter", f"--net={self.path}", f"--mount={self.path[:-3]}mnt", "--"]

    # --- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        """End its programs and leave the namespace, which is gone then. Closing twice is fine."""
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            _await_end(program)
        self._programs.clear()
        self._jobs.put(None)
        self._thread.join(_STOP_S)

    def _live(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def reap() -> int:
    """Remove what dead labs have left, and return how many programs and folders that were.

    A program is a leftover when its environment carries the mark of an owner that no longer runs,
    a folder when its name does.
    """
    programs = [pid for pid, owner in _marked() if not _is_running(owner)]
    for pid in programs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    folders = [folder for folder, owner in _scratch_folders() if not _is_running(owner)]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return len(programs) + len(folders)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder that is gone afterwards, at the next start of a lab at the latest."""
    with tempfile.TemporaryDirectory(
        prefix=f"{_SCRATCH}{_own_mark()}-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def safe_alias() -> str:
    """Return the alias of the lab's interfaces in the calling thread's network namespace.

    It names the namespace by its inode: the flood generator sends on interfaces with this alias
    only, and an interface that got into another namespace no longer has the right one.
    """
    return f"monitorpi-lab-{Path('/proc/thread-self/ns/net').stat().st_ino}"


def check_privileges() -> None:
    """Raise ``LabError`` unless this process may make namespaces."""
    if os.geteuid() != 0:
        raise LabError("network namespaces need root: run it with sudo")


# --- inside the namespace ------------------------------------------------------------------------


def _enter_new_namespace() -> None:
    """Move the calling thread into new namespaces, with a /sys that shows the new network."""
    libc = ctypes.CDLL(None, use_errno=True)
    _done(libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS))
    _done(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))
    _done(libc.mount(b"sysfs", b"/sys", b"sysfs", ctypes.c_ulong(0), None))


def _done(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _explain(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return (
            "this process may not make network namespaces: run it as root, in a container with "
            "--privileged"
        )
    return f"this kernel makes no network namespace (CONFIG_NET_NS): {error.strerror}"


# --- programs ------------------------------------------------------------------------------------

_PACKAGES: Final = {
    "bridge": "iproute2",
    "dnsmasq": "dnsmasq-base",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "ping": "iputils-ping",
    "setpriv": "util-linux",
    "tc": "iproute2",
    "udhcpc": "udhcpc",
}
"""The Debian package of each tool the lab uses."""


def _require(program: str) -> None:
    for name in ("setpriv", program):
        if _which(name) is None:
            package = _PACKAGES.get(name)
            remedy = f"apt-get install {package}" if package else "is it spelt so?"
            raise LabError(f"{name} is not installed: {remedy}")


def _which(program: str) -> str | None:
    """Find a program also where an ordinary user's PATH does not look."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _await_end(program: subprocess.Popen[Any]) -> None:
    try:
        program.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


# --- marks ---------------------------------------------------------------------------------------


def _own_mark() -> str:
    pid = os.getpid()
    return f"{pid}-{_start_time(pid)}-{_pid_namespace()}"


def _pid_namespace() -> str:
    """Return the number of the namespace our process ids are of."""
    return "".join(filter(str.isdigit, str(Path("/proc/self/ns/pid").readlink())))


def _start_time(pid: int) -> str | None:
    """Return when a process started, in ticks since boot (proc(5), field 22 of stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else fields[19]


def _is_running(mark: str) -> bool:
    """Return whether an owner runs; one whose process id is of a container is not ours to judge."""
    pid, started, namespace = (*mark.split("-"), "", "", "")[:3]
    if namespace != _pid_namespace():
        return True
    return pid.isdigit() and _start_time(int(pid)) == started


def _scratch_folders() -> Iterator[tuple[Path, str]]:
    """Yield our user's scratch folders, with the mark in their names."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.geteuid():
                yield folder, folder.name.removeprefix(_SCRATCH).rpartition("-")[0]


def _marked() -> Iterator[tuple[int, str]]:
    """Yield the processes that carry a mark, with it."""
    wanted = f"{MARK}=".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(wanted):
                yield int(folder.name), variable[len(wanted) :].decode(errors="replace")
