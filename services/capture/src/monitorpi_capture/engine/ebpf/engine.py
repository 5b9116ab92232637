"""The engine that counts in the kernel.

Theory of operation. Each interface has a packet socket whose filter is the program of
``count.bpf.c``: the filter counts every frame and takes none, so nothing is copied and nothing
can be lost at the tap. All counters live in array maps. A cut flips the epoch for all interfaces at
once, waits until no program still runs with the old one (one RCU grace period, typically 8-20 ms,
without the interpreter lock), maps what is quiet now into this process, one interface after the
other, reads and clears it where it lies, and lets go of it. Everything vanishes with the process.

``open`` needs CAP_NET_RAW and CAP_BPF; what follows needs CAP_NET_RAW alone, and only to bring back
an interface that had vanished.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import select
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from monitorpi_capture.count.contenders import Guests, kept_rows, most_seeds
from monitorpi_capture.engine.ebpf import layout, objectfile
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.objectfile import BpfObject, ObjectFormatError, parse
from monitorpi_capture.items import EngineRefusedError, Instant, WindowCounts
from monitorpi_capture.linux import interfaces
from monitorpi_capture.linux.packetsocket import (
    ETH_P_ALL,
    PACKET_ADD_MEMBERSHIP,
    PACKET_IGNORE_OUTGOING,
    SOL_PACKET,
)
from monitorpi_capture.linux.wake import Wake
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROGRAM: Final = "socket/count"
_SO_ATTACH_BPF: Final = 50
_SO_LOCK_FILTER: Final = 44
_PACKET_MR_PROMISC: Final = 1
_ROWS_PER_FLOOD: Final = 8
"""An eighth of the MACs of a window may have sent SYNs or echo requests and get their spread told;
1.7 KB each. Strangers get half of these at most, and as many as rows are reserved are left for
who is promoted or a guest."""
_FEWEST_FLOODS: Final = 64
_EPOCHS: Final = 2


def now() -> Instant:
    """Return this moment on both clocks."""
    return Instant(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


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
        if count <= layout.MAX_PARTS:
            return count
    return max(os.cpu_count() or 1, 1)


def relinquish() -> None:
    """Give up what only ``open`` needs: CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN; for good."""
    for capability in (system.CAP_BPF, system.CAP_PERFMON, system.CAP_SYS_ADMIN):
        system.drop_capability(capability)


class _Used(NamedTuple):
    """What is taken in a part: open rows, reserved rows, flood blocks, cells of contenders."""

    rows: int
    promoted: int
    floods: int
    is_contended: bool

    def promoted_at(self, geometry: layout.Geometry) -> slice:
        """Return where the reserved rows that are taken lie among all rows, in bytes."""
        end = geometry.rows + self.promoted
        return slice(geometry.rows * layout.ROW_BYTES, end * layout.ROW_BYTES)


_NOTHING_USED: Final = _Used(0, 0, 0, is_contended=False)


class Table:
    """The maps of one interface."""

    def __init__(self, geometry: layout.Geometry) -> None:
        self._geometry = geometry
        self._known: Sequence[bytes] = ()
        self._guests = Guests(geometry.reserve)
        self._seeds = layout.seeds(geometry, ())
        self._stale = {0, 1}
        self._used = {epoch: [_NOTHING_USED] * geometry.parts for epoch in range(_EPOCHS)}
        """What is taken in each part of an epoch."""
        self._maps: dict[str, system.ArrayMap] = {}
        count = _EPOCHS * geometry.parts
        try:
            for name, size, entries in (
                ("buckets", layout.BUCKET_BYTES, geometry.buckets),
                ("contenders", layout.CONTENDER_BYTES, geometry.contenders),
                ("rows", layout.ROW_BYTES, geometry.all_rows),
                ("floods", layout.FLOOD_BYTES, geometry.floods),
                ("registers", layout.REGISTER_WORD, geometry.register_words),
                ("shares", layout.SHARE_BYTES, 1),
            ):
                self._maps[name] = system.create_array(name, size, count * entries)
        except OSError:
            self.close()
            raise

    @property
    def descriptors(self) -> dict[str, int]:
        """The file descriptors of the maps by name."""
        return {name: array.fd for name, array in self._maps.items()}

    def seed(self, macs: Sequence[bytes]) -> None:
        """Take the known MACs; they have rows from the next window on."""
        self._known = macs[: most_seeds(self._geometry.rows)]
        self._place()

    def _place(self) -> None:
        self._seeds = layout.seeds(self._geometry, self._known, self._guests.macs)
        self._stale = {0, 1}

    def prepare(self, epoch: int) -> None:
        """Make an epoch ready that is not the live one."""
        if epoch in self._stale:
            with self._mapped(epoch) as parts:
                self._clear(epoch, parts)

    def take(self, epoch: int) -> layout.Reading:
        """Return what a quiet epoch counted, and clear it."""
        with self._mapped(epoch) as parts:
            result = self._read(epoch, parts)
            known = frozenset(self._known)
            if self._guests.learn(result.rows, result.refused, known, overflown=result.overflown):
                self._place()
            self._clear(epoch, parts)
        return result

    @contextlib.contextmanager
    def _mapped(self, epoch: int) -> Iterator[list[dict[str, memoryview]]]:
        """Lend the parts of an epoch, each by the names of the maps."""
        count = self._geometry.parts
        with contextlib.ExitStack() as stack:
            parts: list[dict[str, memoryview]] = [{} for _ in range(count)]
            for name, array in self._maps.items():
                size = array.size // (_EPOCHS * count)
                whole = stack.enter_context(array.mapped(epoch * count * size, count * size))
                for number, part in enumerate(parts):
                    part[name] = stack.enter_context(whole[number * size : (number + 1) * size])
            yield parts

    def _read(self, epoch: int, parts: Sequence[Mapping[str, memoryview]]) -> layout.Reading:
        geometry, found = self._geometry, []
        for number, part in enumerate(parts):
            share = layout.share_of(part["shares"])
            used = _Used(
                min(share.rows, geometry.rows),
                min(share.promoted, geometry.reserve),
                min(share.floods, geometry.floods),
                share.is_contended,
            )
            self._used[epoch][number] = used
            found.append(
                layout.Part(
                    share,
                    part["rows"][: used.rows * layout.ROW_BYTES],
                    part["rows"][used.promoted_at(geometry)],
                    part["floods"][: used.floods * layout.FLOOD_BYTES],
                    part["registers"],
                    part["contenders"],
                )
            )
        # the rows of this epoch may stem from older seeds: those of now say who stays on surplus
        return layout.reading(found, geometry.rows, self._seeds.macs)

    def _clear(self, epoch: int, parts: Sequence[Mapping[str, memoryview]]) -> None:
        """Make each part what it is before its window."""
        seeds = self._seeds
        for part, used in zip(parts, self._used[epoch], strict=True):
            rows, floods = used.rows, used.floods
            system.clear(part["rows"][: rows * layout.ROW_BYTES])
            part["rows"][: len(seeds.rows)] = seeds.rows
            if used.is_contended:
                system.clear(part["rows"][used.promoted_at(self._geometry)])
                system.clear(part["contenders"])
            system.clear(part["floods"][: floods * layout.FLOOD_BYTES])
            sketches = floods * layout.SKETCHES
            system.clear(part["registers"][: sketches * layout.SKETCH_BYTES])
            system.clear(part["registers"][-layout.SKETCH_BYTES :])
            part["buckets"][:] = seeds.buckets
            part["shares"][:] = seeds.share
        self._used[epoch] = [_NOTHING_USED._replace(rows=len(seeds.macs))] * len(parts)
        self._stale.discard(epoch)

    def close(self) -> None:
        """Give the maps back."""
        for array in self._maps.values():
            array.close()
        self._maps.clear()


class _Port:
    """One interface: its table, its program, and its socket while it is there."""

    def __init__(self, name: str, table: Table, program: int, licence: bytes) -> None:
        self.name = name
        self.table = table
        self.program = program
        self._licence = licence
        self._detour: system.Detour | None = None
        self.index: int | None = None
        self.sock: socket.socket | None = None
        self.away: str | None = None
        self.start = now()

    def attach(self) -> None:
        """Open the socket; protocol 0 until it is bound, so no frame comes before the filter."""
        self.index = socket.if_nametoindex(self.name)
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self._filter(sock)
            sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
            membership = struct.pack("iHH8s", self.index, _PACKET_MR_PROMISC, 0, b"")
            sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
            self.start = now()
            sock.bind((self.name, ETH_P_ALL))
        except BaseException:
            sock.close()
            raise
        self.sock = sock

    def _filter(self, sock: socket.socket) -> None:
        """Give the socket its filter, by a detour where the program is too large for it."""
        program = self.program if self._detour is None else self._detour.program
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, program)
        except OSError as error:
            if error.errno != errno.ENOMEM or self._detour is not None:
                raise
            self._detour = system.Detour(self.program, self._licence)
            self._filter(sock)

    def detach(self) -> None:
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def look(self) -> str | None:
        """Return why the interface cannot be counted on now; None: it can."""
        index = interfaces.index_of(self.name)
        if index is None:
            return "the interface is gone"
        if index != self.index or self.sock is None:
            return "the interface was made anew"
        return None if interfaces.is_up(self.name) else "the interface is down"

    def close(self) -> None:
        self.detach()
        if self._detour is not None:
            self._detour.close()
        os.close(self.program)
        self.table.close()


class EbpfEngine:
    """Counts in the kernel; see the module."""

    name: Final = "ebpf"

    def __init__(self, names: Sequence[str], max_rows: int, program: str = PROGRAM) -> None:
        """Take the interfaces and the MACs per interface and window.

        The program is another one than that which counts in benchmarks only.
        """
        self._names = tuple(names)
        rows = min(max_rows, layout.MAX_ROWS - kept_rows(layout.MAX_ROWS))
        self._geometry = layout.Geometry(
            parts=parts(),
            rows=rows,
            floods=min(max(rows // _ROWS_PER_FLOOD, _FEWEST_FLOODS), rows),
            factor=secrets.randbits(64) | 1,
            salt=secrets.randbits(64),
            reserve=kept_rows(rows),
        )
        self._section = program
        self._ports: list[_Port] = []
        self._control: system.ArrayMap | None = None
        self._grace: system.GracePeriod | None = None
        self._epoch = 0
        self._wake = Wake()
        self._stopped = False

    @property
    def away(self) -> Mapping[str, str]:
        """The interfaces that cannot be counted now, each with the reason."""
        return {port.name: port.away for port in self._ports if port.away is not None}

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
            interfaces.require(self._names)
            self._open()
        except (EngineRefusedError, ResourceError):
            self._release()
            raise
        except OSError as error:
            self._release()
            raise EngineRefusedError(_refusal(error)) from None

    def _open(self) -> None:
        compiled = load_object()
        self._grace = system.GracePeriod()
        self._control = system.create_array("control", layout.CONTROL.size, 1)
        self._control.write(self._geometry.control())
        for name in self._names:
            table = Table(self._geometry)
            try:
                maps = table.descriptors | {"control": self._control.fd}
                code = compiled.linked(self._section, maps)
                program = system.load_program(code, "mp_count", compiled.licence)
            except BaseException:
                table.close()
                raise
            port = _Port(name, table, program, compiled.licence)
            self._ports.append(port)
            table.prepare(0)
            table.prepare(1)
        for port in self._ports:
            port.attach()
            port.away = port.look()

    def count_until(self, boot_s: float) -> None:
        """Sleep while the kernel counts, until the boot-time clock shows this."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        while not self._stopped:
            left = boot_s - time.clock_gettime(time.CLOCK_BOOTTIME)
            if left <= 0:
                return
            poll.poll(left * 1000)

    def cut(self) -> list[WindowCounts]:
        """End the windows of all interfaces at one moment."""
        if self._control is None or self._grace is None:
            return []
        retired, self._epoch = self._epoch, 1 - self._epoch
        for port in self._ports:
            port.table.prepare(self._epoch)
        with self._control.mapped(0, layout.CONTROL.size) as control:
            # one aligned store: a program sees either epoch, never half of one
            ctypes.c_uint32.from_buffer(control).value = self._epoch
        end = now()
        self._grace.wait()
        windows = []
        for port in self._ports:
            windows += self._window(port, retired, end)
        return windows

    def _window(self, port: _Port, retired: int, end: Instant) -> list[WindowCounts]:
        before, port.away = port.away, port.look()
        start, port.start = port.start, end
        counted = port.table.take(retired)
        if port.away is not None:
            self._recover(port)
        if before is not None and port.away is not None and not counted.wire[0]:
            return []
        length = max((end.boot_s or 0.0) - (start.boot_s or 0.0), 1e-6)
        return [
            WindowCounts(
                interface=port.name,
                engine=self.name,
                start=start,
                end=end,
                length_s=length,
                wire=counted.wire,
                rows=counted.rows,
                overflow_tx=counted.overflow_tx,
                overflow_rx=counted.overflow_rx,
                source_macs=counted.source_macs,
            )
        ]

    @staticmethod
    def _recover(port: _Port) -> None:
        """Bring back an interface that is there again."""
        index = interfaces.index_of(port.name)
        if index is None:
            port.detach()
        elif index != port.index or port.sock is None:
            port.detach()
            try:
                port.attach()
            except OSError as error:
                port.away = f"cannot be opened again ({error.strerror})"
                return
            port.away = port.look()

    def seed(self, macs: Sequence[bytes]) -> None:
        """Keep rows for these MACs, from the next window on."""
        for port in self._ports:
            port.table.seed(macs)

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


def _refusal(error: OSError) -> str:
    """Return what a user can do about an error of the kernel."""
    held = system.effective_capabilities()
    missing = [
        name
        for name, bit in (("CAP_NET_RAW", system.CAP_NET_RAW), ("CAP_BPF", system.CAP_BPF))
        if not held >> bit & 1 and not (name == "CAP_BPF" and held >> system.CAP_SYS_ADMIN & 1)
    ]
    if error.errno in {errno.EPERM, errno.EACCES} and missing:
        return f"counting in the kernel needs {' and '.join(missing)}: run as root or give it"
    if error.errno == errno.EPERM:
        return (
            "the kernel forbids the bpf system call though the capabilities are there: "
            "allow it in the container's seccomp profile or the kernel's lockdown"
        )
    if error.errno == errno.ENOSYS:
        return "this kernel has no bpf system call (CONFIG_BPF_SYSCALL)"
    if error.errno == errno.E2BIG and not held >> system.CAP_PERFMON & 1:
        return "this kernel's verifier does not finish without CAP_PERFMON: give that as well"
    return f"the kernel refused the program ({error.strerror}): Linux 5.5 or newer is needed"
