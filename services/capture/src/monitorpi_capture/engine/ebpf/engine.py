"""The engine that counts in the kernel.

Theory of operation. Each interface has a packet socket whose filter is the program of
``count.bpf.c``: the filter counts every frame, so nothing can be lost at the tap, and lets the
socket take only those few that the inventory reads. All counters live in array maps. Closing the
windows flips the epoch for all interfaces at once, waits until no program still runs with the old
one (one RCU grace period, typically 8-20 ms, without the interpreter lock), maps what is quiet now
into this process, one interface after the other, reads and clears it where it lies, and lets go of
it. Everything vanishes with the process.

:mod:`.tcx` counts the same way in another place. ``open`` needs CAP_NET_RAW and CAP_BPF; what
follows needs CAP_NET_RAW alone, and only to bring back an interface that had vanished.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.contenders import kept_rows
from monitorpi_capture.engine.clock import now
from monitorpi_capture.engine.ebpf import objectfile
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.geometry import Geometry
from monitorpi_capture.engine.ebpf.memory import CONTROL, MAX_PARTS, MAX_ROWS, NEVER
from monitorpi_capture.engine.ebpf.objectfile import BpfObject, ObjectFormatError, parse
from monitorpi_capture.engine.ebpf.port import KernelPort, SocketPort
from monitorpi_capture.engine.ebpf.rights import refusal
from monitorpi_capture.engine.ebpf.table import Table
from monitorpi_capture.items import EngineRefusedError, WindowCounts
from monitorpi_capture.linux.ports import require
from monitorpi_capture.linux.wake import Wake
from monitorpi_common.service import ResourceError
from monitorpi_host import interfaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitorpi_capture.engine.ebpf.reading import Reading
    from monitorpi_capture.items import FloodSums, Instant

PROGRAM: Final = "socket/count"
_ROWS_PER_FLOOD: Final = 8
"""An eighth of the MACs of a window may have sent SYNs or echo requests and get their spread
published; 1.7 KB each. Unknown senders get half of these at most, and as many as rows are reserved
are left for who is promoted or a guest."""
_FEWEST_FLOODS: Final = 64


def load_object() -> BpfObject:
    """Return the compiled program.

    Raises:
        EngineRefusedError: it is missing or damaged.

    """
    try:
        return parse(objectfile.OBJECT.read_bytes())
    except (OSError, ObjectFormatError) as error:
        raise EngineRefusedError(
            f"the kernel program {objectfile.OBJECT} cannot be read ({error}): install again"
        ) from None


def parts() -> int:
    """Return how many CPUs get memory of their own."""
    for name in ("possible", "online"):
        try:
            text = Path("/sys/devices/system/cpu", name).read_text(encoding="ascii")
        except OSError:
            continue
        count = int(text.strip().replace("-", ",").split(",")[-1]) + 1
        if count <= MAX_PARTS:
            return count
    return max(os.cpu_count() or 1, 1)


class EbpfEngine:
    """Counts in the kernel; see the module."""

    name = "ebpf"
    section = PROGRAM
    rights: tuple[tuple[str, int], ...] = (
        ("CAP_NET_RAW", system.CAP_NET_RAW), ("CAP_BPF", system.CAP_BPF),
    )  # fmt: skip
    """Capabilities that are needed to begin, each with its number."""
    has_bell = True
    since = "5.8"
    """The first Linux that has what is used here."""

    def __init__(self, names: Sequence[str], max_rows: int, program: str | None = None) -> None:
        """Take the interfaces and the MACs per interface and window.

        The program is another one than that which counts in benchmarks only.
        """
        self._names = tuple(names)
        rows = min(max_rows, MAX_ROWS - kept_rows(MAX_ROWS))
        self._geometry = Geometry(
            parts=parts(),
            rows=rows,
            floods=min(max(rows // _ROWS_PER_FLOOD, _FEWEST_FLOODS), rows),
            factor=secrets.randbits(64) | 1,
            salt=secrets.randbits(64),
            reserve=kept_rows(rows),
        )
        self._section = program or self.section
        self._ports: list[KernelPort] = []
        self._control: system.ArrayMap | None = None
        self._grace: system.GracePeriod | None = None
        self._epoch = 0
        self._wake = Wake()
        self._sleep, self._listen = select.poll(), select.poll()
        """Until somebody stops us; or a bell is rung."""
        for poll in (self._sleep, self._listen):
            poll.register(self._wake, select.POLLIN)
        self._stopped = False

    @property
    def away(self) -> Mapping[str, str]:
        """The interfaces that cannot be counted now, each with the reason."""
        return {port.name: port.away for port in self._ports if port.away is not None}

    @property
    def feeds(self) -> Sequence[KernelPort]:
        """What each interface shows of discovery frames."""
        return tuple(self._ports)

    @property
    def programs(self) -> dict[str, int]:
        """The file descriptors of the loaded programs by interface."""
        return {port.name: port.program for port in self._ports}

    def open(self) -> None:
        """Start counting.

        Raises:
            EngineRefusedError: the kernel does not let us; the text names what is missing.

        """
        try:
            require(self._names)
            self._open()
        except (EngineRefusedError, ResourceError):
            self._release()
            raise
        except OSError as error:
            self._release()
            raise EngineRefusedError(refusal(error, self.rights, self.since)) from None

    def _open(self) -> None:
        compiled = load_object()
        self._grace = system.GracePeriod()
        self._control = system.create_array("control", CONTROL.size, 1)
        self._control.write(self._geometry.control())
        for name in self._names:
            table = Table(self._geometry)
            try:
                self._ports.append(self._port(name, table, compiled))
            except BaseException:
                table.close()
                raise
            table.prepare(0)
            table.prepare(1)
            self._listen.register(table.bell.fd, select.POLLIN)
        for port in self._ports:
            port.attach()
            port.away = port.look()

    def _port(self, name: str, table: Table, compiled: BpfObject) -> KernelPort:
        program = self._load(compiled, table.descriptors, system.SOCKET_FILTER)
        return SocketPort(name, table, program, compiled.licence)

    def _load(self, compiled: BpfObject, maps: Mapping[str, int], kind: int) -> int:
        """Load our program for some maps; returns its file descriptor."""
        control = self._control
        known = dict(maps) | ({} if control is None else {"control": control.fd})
        code = compiled.linked(self._section, known)
        return system.load_program(code, "mp_count", compiled.licence, kind)

    def count_until(self, boot_s: float, rings_after: Mapping[str, int] | None = None) -> None:
        """Sleep while the kernel counts, until the boot-time clock shows this.

        Args:
            boot_s: until when.
            rings_after: SYNs and echo requests by interface after which it ends sooner.

        """
        if rings_after is not None:
            for port in self._ports:
                port.table.ring_after(self._epoch, rings_after.get(port.name, NEVER))
        poll = self._sleep if rings_after is None else self._listen
        while not self._stopped:
            left = boot_s - time.clock_gettime(time.CLOCK_BOOTTIME)
            if left <= 0:
                return
            if poll.poll(left * 1000) and rings_after is not None:
                return

    def close_windows(self) -> list[WindowCounts]:
        """End the windows of all interfaces at one moment."""
        if self._control is None or self._grace is None:
            return []
        retired, self._epoch = self._epoch, 1 - self._epoch
        for port in self._ports:
            port.table.prepare(self._epoch)
        with self._control.mapped(0, CONTROL.size) as control:
            # one aligned store: a program sees either epoch, never half of one
            ctypes.c_uint32.from_buffer(control).value = self._epoch
        end = now()
        self._grace.wait()
        windows = []
        for port in self._ports:
            windows += self._window(port, retired, end)
        return windows

    def _window(self, port: KernelPort, retired: int, end: Instant) -> list[WindowCounts]:
        before, port.away = port.away, port.look()
        start, port.start = port.start, end
        counted = port.table.take(retired)
        if port.away is not None:
            self._recover(port)
        if before is not None and port.away is not None and not counted.wire[0]:
            return []
        return [self._counted(port.name, start, end, counted)]

    def _counted(self, name: str, start: Instant, end: Instant, counted: Reading) -> WindowCounts:
        return WindowCounts(
            interface=name,
            engine=self.name,
            start=start,
            end=end,
            length_s=max((end.boot_s or 0.0) - (start.boot_s or 0.0), 1e-6),
            wire=counted.wire,
            rows=counted.rows,
            overflow_tx=counted.overflow_tx,
            overflow_rx=counted.overflow_rx,
            source_macs=counted.source_macs,
        )

    def sums(self) -> Mapping[str, FloodSums]:
        """Return what the running windows hold so far."""
        return {port.name: port.table.sums(self._epoch) for port in self._ports}

    def peek(self, name: str) -> WindowCounts:
        """Return what the running window of an interface holds so far."""
        port = next(port for port in self._ports if port.name == name)
        counted = port.table.peek(self._epoch)
        return self._counted(name, port.start, now(), counted)

    @staticmethod
    def _recover(port: KernelPort) -> None:
        """Bring back an interface that is there again."""
        index = interfaces.index_of(port.name)
        if index is None:
            port.detach()
        elif index != port.index or not port.is_attached:
            port.detach()
            try:
                port.attach()
            except OSError as error:
                port.away = f"cannot be opened again ({error.strerror})"
                return
            port.away = port.look()

    def pin(self, macs: Sequence[bytes]) -> None:
        """Keep rows for these MACs, from the next window on."""
        for port in self._ports:
            port.table.pin(macs)

    def stop(self) -> None:
        """Make :meth:`count_until` return."""
        self._stopped = True
        self._wake.set()

    def close(self) -> None:
        """Give everything back to the kernel."""
        self._release()

    def _release(self) -> None:
        for port in self._ports:
            port.close()
        self._ports.clear()
        if self._control is not None:
            self._control.close()
        if self._grace is not None:
            self._grace.close()
        self._control = self._grace = None
        self._wake.close()
