"""The bpf(2) system call and its relatives through ctypes: nothing but libc is needed. I/O."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NUMBERS: Final = {
    "x86_64": 321,
    "aarch64": 280,
    "armv7l": 386,
    "armv6l": 386,
    "i686": 357,
    "riscv64": 280,
}
"""bpf(2) in the system call tables of Linux, by machine."""
_MEMBARRIER: Final = {
    "x86_64": 324,
    "aarch64": 283,
    "armv7l": 389,
    "armv6l": 389,
    "i686": 375,
    "riscv64": 283,
}
_MEMBARRIER_GLOBAL: Final = 1

_MAP_CREATE: Final = 0
_MAP_UPDATE: Final = 2
_PROG_LOAD: Final = 5
PROG_TEST_RUN: Final = 10
_MAP_TYPE_ARRAY: Final = 2
_MAP_TYPE_PROGRAMS: Final = 3
_MAP_TYPE_ARRAY_OF_MAPS: Final = 12
_MAP_TYPE_RING: Final = 27
SOCKET_FILTER: Final = 1
XDP: Final = 6
_F_MMAPABLE: Final = 1 << 10
_LOG_ALL: Final = 1
_LOG_STATISTICS: Final = 4
_LOG_BYTES: Final = {0: 1, _LOG_ALL: 1 << 24, _LOG_STATISTICS: 1 << 16}
"""Room for the verifier's log by its level; it lists every path it walked."""
_ATTRIBUTE_BYTES: Final = 128
"""More than any command used here takes; the kernel wants the rest to be zero."""

CAP_NET_ADMIN: Final = 12
CAP_NET_RAW: Final = 13
CAP_SYS_ADMIN: Final = 21
CAP_PERFMON: Final = 38
CAP_BPF: Final = 39
_CAPABILITY_VERSION: Final = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_long)


def _number(table: dict[str, int]) -> int:
    machine = os.uname().machine
    if machine == "aarch64" and ctypes.sizeof(ctypes.c_void_p) == 4:  # noqa: PLR2004 - 32 bits
        machine = "armv7l"  # a 32-bit user space on a 64-bit kernel, as on some Raspberry Pi OS
    return table.get(machine, -1)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def bpf(command: int, attributes: bytes) -> int:
    """Give the kernel one command (bpf(2)).

    Raises:
        OSError: the kernel refused.

    """
    memory = ctypes.create_string_buffer(attributes, _ATTRIBUTE_BYTES)
    number = _number(_NUMBERS)
    return _checked(_libc.syscall(number, command, ctypes.addressof(memory), len(memory)))


def membarrier() -> None:
    """Wait until every CPU has passed a quiescent state (membarrier(2), the global command).

    Raises:
        OSError: not known here, or a CPU runs without ticks.

    """
    _checked(_libc.syscall(_number(_MEMBARRIER), _MEMBARRIER_GLOBAL, None, 0))


@dataclass(frozen=True, slots=True)
class ArrayMap:
    """An array map of the kernel."""

    fd: int
    size: int

    @contextlib.contextmanager
    def mapped(self, offset: int, size: int) -> Iterator[memoryview]:
        """Lend a part of its values as they lie in the kernel, to be read and written.

        Only what is mapped counts as this process's memory. Every view of it must be gone at the
        end.
        """
        start = offset // mmap.PAGESIZE * mmap.PAGESIZE
        with (
            mmap.mmap(self.fd, offset + size - start, offset=start) as pages,
            memoryview(pages) as whole,
            whole[offset - start :] as part,
        ):
            yield part

    def write(self, data: bytes) -> None:
        """Write these bytes to the start of the first entry."""
        with self.mapped(0, len(data)) as part:
            part[:] = data

    def read(self) -> bytes:
        """Return all entries, one behind the other."""
        with self.mapped(0, self.size) as part:
            return bytes(part)

    def close(self) -> None:
        """Give it back; the kernel frees it when no program uses it either."""
        os.close(self.fd)


def clear(part: memoryview) -> None:
    """Set bytes of a map to zero."""
    if part:
        ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(part)), 0, len(part))


def create_array(name: str, value_size: int, entries: int) -> ArrayMap:
    """Make an array map.

    Raises:
        OSError: the kernel refused.

    """
    attributes = struct.pack(
        "=IIIIIII16s", _MAP_TYPE_ARRAY, 4, value_size, entries, _F_MMAPABLE, 0, 0, name.encode()
    )
    return ArrayMap(bpf(_MAP_CREATE, attributes), value_size * entries)


def create_ring(size: int) -> int:
    """Make a ring buffer and return its file descriptor; size: bytes, a power of two and of pages.

    Raises:
        OSError: the kernel refused.

    """
    return bpf(_MAP_CREATE, struct.pack("=IIII", _MAP_TYPE_RING, 0, 0, size))


def _update(target: int, descriptor: int) -> None:
    """Put a descriptor into the first place of a map of maps or programs."""
    key, value = ctypes.c_uint32(0), ctypes.c_uint32(descriptor)
    places = (ctypes.addressof(key), ctypes.addressof(value))
    bpf(_MAP_UPDATE, struct.pack("=IIQQQ", target, 0, *places, 0))


class GracePeriod:
    """Waits until no program that began before still runs.

    Replacing an entry of an array of maps waits for an RCU grace period before it returns, so
    that nobody uses the map that was there (kernel/bpf/syscall.c, maybe_wait_bpf_programs).
    Kernels before 5.19 refuse that without CAP_BPF; membarrier(2) waits for the same there.
    """

    def __init__(self) -> None:
        inner = struct.pack("=IIIII", _MAP_TYPE_ARRAY, 4, 8, 1, 0)
        self._inner = bpf(_MAP_CREATE, inner)
        outer = struct.pack("=IIIIII", _MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, 0, self._inner)
        try:
            self._outer = bpf(_MAP_CREATE, outer)
        except OSError:
            os.close(self._inner)
            raise
        self._wait: Callable[[], None] = self._replace

    def _replace(self) -> None:
        _update(self._outer, self._inner)

    def wait(self) -> None:
        """Return when every program run that began before has ended.

        Raises:
            OSError: the kernel allows neither way.

        """
        try:
            self._wait()
        except PermissionError:
            self._wait = membarrier
            membarrier()

    def close(self) -> None:
        """Close both maps: the kernel frees them."""
        os.close(self._outer)
        os.close(self._inner)


def load_program(code: bytes, name: str, licence: bytes, kind: int = SOCKET_FILTER) -> int:
    """Load a program and return its file descriptor.

    Raises:
        OSError: the kernel refused; for a program its verifier refuses (EACCES among others), with
            what the verifier says.

    """
    try:
        return _load(code, name, licence, 0, kind)[0]
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
        try:
            return _load(code, name, licence, _LOG_ALL, kind)[0]
        except OSError as again:
            lines = [line for line in getattr(again, "log", "").splitlines() if line]
            reason = lines[-2] if len(lines) > 1 else ""  # the last line counts instructions
            raise OSError(error.errno, f"{error.strerror}: {reason}".rstrip(": ")) from None


class Trampoline:
    """A program of a few instructions that goes on with another one (bpf_tail_call).

    A socket takes a filter only as large as ``net.core.optmem_max`` allows: 20,480 bytes on 64-bit
    kernels before 6.7, 10,240 on 32-bit ones. What a filter jumps to is not counted.
    """

    _CODE: Final = (
        (0x18, 1 << 4 | 2, 0, 0),  # r2 = the map, whose descriptor is filled in
        (0x00, 0, 0, 0),
        (0xB7, 3, 0, 0),  # r3 = 0, the place in it
        (0x85, 0, 0, 12),  # bpf_tail_call(r1 = the frame, r2, r3)
        (0xB7, 0, 0, 0),  # not reached: r0 = 0, no frame is taken
        (0x95, 0, 0, 0),  # exit
    )

    def __init__(self, target: int, licence: bytes) -> None:
        """Load it.

        Raises:
            OSError: the kernel refused.

        """
        # the kernel empties the map when its last descriptor is closed: it is kept open
        self._map = bpf(_MAP_CREATE, struct.pack("=IIII", _MAP_TYPE_PROGRAMS, 4, 4, 1))
        try:
            _update(self._map, target)
            first, *rest = self._CODE
            code = [(*first[:3], self._map), *rest]
            packed = b"".join(struct.pack("<BBhi", *one) for one in code)
            self.program = load_program(packed, "mp_trampoline", licence)
        except OSError:
            os.close(self._map)
            raise

    def close(self) -> None:
        """Close program and map; a socket that still has it as its filter jumps nowhere then."""
        os.close(self.program)
        os.close(self._map)


def verifier_statistics(code: bytes, licence: bytes) -> str:
    """Return what the verifier says of a program it accepts: instructions processed and so on.

    Raises:
        OSError: the kernel refused.

    """
    fd, log = _load(code, "count", licence, _LOG_STATISTICS, SOCKET_FILTER)
    os.close(fd)
    return log


def _load(code: bytes, name: str, licence: bytes, level: int, kind: int) -> tuple[int, str]:
    program = ctypes.create_string_buffer(code, len(code))
    text = ctypes.create_string_buffer(licence)
    log = ctypes.create_string_buffer(_LOG_BYTES[level])
    attributes = struct.pack(
        "=IIQQIIQII16s",
        kind,
        len(code) // 8,
        ctypes.addressof(program),
        ctypes.addressof(text),
        level,
        len(log) if level else 0,
        ctypes.addressof(log) if level else 0,
        0,
        0,
        name.encode()[:15],
    )
    try:
        return bpf(_PROG_LOAD, attributes), log.value.decode(errors="replace")
    except OSError as error:
        error.log = log.value.decode(errors="replace")[-1000:]  # type: ignore[attr-defined]  # for the caller
        raise


class TestRun:
    """Runs a socket filter over frames at hand (BPF_PROG_TEST_RUN).

    The kernel takes the first 14 bytes as the Ethernet header away before the program sees the
    frame, so one of no meaning is put in front.
    """

    _FRONT: Final = bytes(12) + b"\x88\xb5"
    MAX_FRAME: Final = 3600
    """One page, less what the kernel keeps around the frame."""
    _CONTEXT_BYTES: Final = 192
    _GSO_SEGMENTS: Final = 164
    """Offset in struct __sk_buff of linux/bpf.h."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._frame = ctypes.create_string_buffer(self._FRONT, 4096)
        self._context = ctypes.create_string_buffer(self._CONTEXT_BYTES)
        self._address = ctypes.addressof(self._frame)
        self.nanoseconds = 0
        """Average duration of the last run."""

    def run(self, frame: bytes, *, repeat: int = 1, gso_segments: int = 0) -> int:
        """Return what the program returned for a frame of at most :attr:`MAX_FRAME` bytes.

        Raises:
            OSError: the kernel refused the frame.
            ValueError: it is too long.

        """
        if len(frame) > self.MAX_FRAME:
            raise ValueError(f"a frame of {len(frame)} bytes: at most {self.MAX_FRAME} can be run")
        ctypes.memmove(self._address + len(self._FRONT), frame, len(frame))
        struct.pack_into("=I", self._context, self._GSO_SEGMENTS, gso_segments)
        size = self._CONTEXT_BYTES if gso_segments else 0
        attributes = ctypes.create_string_buffer(
            struct.pack(
                "=IIIIQQIIIIQQ",
                self._fd,
                0,
                len(self._FRONT) + len(frame),
                0,
                self._address,
                0,
                repeat,
                0,
                size,
                0,
                ctypes.addressof(self._context) if size else 0,
                0,
            ),
            _ATTRIBUTE_BYTES,
        )
        number = _number(_NUMBERS)
        address = ctypes.addressof(attributes)
        _checked(_libc.syscall(number, PROG_TEST_RUN, address, _ATTRIBUTE_BYTES))
        result, self.nanoseconds = (struct.unpack_from("=I", attributes, at)[0] for at in (4, 36))
        return int(result)


def effective_capabilities() -> int:
    """Return the effective capabilities of this process as a bit mask."""
    for line in Path("/proc/thread-self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def drop_capability(capability: int) -> None:
    """Give up one capability for this thread and those it starts, for good.

    Raises:
        OSError: the kernel refused.

    """
    header = ctypes.create_string_buffer(struct.pack("=II", _CAPABILITY_VERSION, 0), 8)
    data = ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, data))
    words = list(struct.unpack("=6I", data.raw))
    for kind in range(3):  # effective, permitted, inheritable
        words[capability // 32 * 3 + kind] &= ~(1 << capability % 32)
    data.raw = struct.pack("=6I", *words)
    _checked(_libc.capset(header, data))
