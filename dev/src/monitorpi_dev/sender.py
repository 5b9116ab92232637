"""Frames at line rate on the loopback interface of a namespace, made inside the kernel.

The kernel runs a small program over one frame as often as asked (XDP live frames, Linux 5.18) and
takes each result for a received frame: far more than any sender in user space reaches, and with a
count of what was sent that is exact.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.objectfile import parse
from monitorpi_dev import bpf_build
from monitorpi_lab.namespace import LabError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

SOURCE: Final = Path(__file__).resolve().parent / "bpf" / "sender.bpf.c"
INTERFACE: Final = "lo"
KINDS: Final = ("syn", "icmp_echo", "dns", "ack")
"""What the frames are in turn; one kind: SYNs alone."""
FRAME_BYTES: Final = 60
"""The shortest frame: 64 bytes on the wire with its checksum."""
DESTINATION: Final = bytes.fromhex("02000000ff01")
_LIVE_FRAMES: Final = 1 << 1
_BATCH: Final = 64
_STATE: Final = struct.Struct("=QQQIIII")


def source(number: int) -> bytes:
    """Return a sender's MAC address."""
    return b"\x02\x00" + number.to_bytes(4, "big")


def _template() -> bytes:
    head = DESTINATION + bytes.fromhex("020000000000 0800")
    network = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        FRAME_BYTES - len(head),
        0,
        0x4000,
        64,
        6,
        0,
        bytes((198, 18, 0, 1)),
        bytes((198, 19, 0, 1)),
    )
    return (head + network + bytes(12) + b"\x50\x02\xff\xff").ljust(FRAME_BYTES, b"\0")


@dataclass(frozen=True)
class SenderReport:
    """What one run sent."""

    frames: int
    seconds: float
    cpu_ns: float
    """CPU time of the sender per frame; the receive path up to the taps runs in it."""

    @property
    def per_second(self) -> float:
        """Frames per second reached."""
        return self.frames / self.seconds


class Sender:
    """The program, loaded. Call :meth:`send` in the namespace that is to receive."""

    def __init__(self) -> None:
        """Compile and load.

        Raises:
            LabError: the machine cannot; the text names the remedy.

        """
        target = SOURCE.with_suffix(".o")
        try:
            if not target.exists() or target.stat().st_mtime < SOURCE.stat().st_mtime:
                bpf_build.compile_object(SOURCE, target, bpf_build.ANY_COMPILER)
            compiled = parse(target.read_bytes())
            self._state = system.create_array("state", _STATE.size, 1)
            code = compiled.linked("socket/send", {"state": self._state.fd})
            self._program = system.load_program(code, "mp_send", compiled.licence, system.XDP)
        except bpf_build.BuildError as error:
            raise LabError(str(error)) from None
        except OSError as error:
            raise LabError(
                f"the kernel refuses the sender ({error.strerror}): it needs root, Linux 5.18"
            ) from None

    def send(
        self,
        frames: int,
        *,
        per_second: float = 0,
        macs: int = 1,
        kinds: int = 1,
        spread: int = 0,
        cpu: int | None = None,
    ) -> SenderReport:
        """Send frames on the loopback interface of the calling thread's namespace.

        Args:
            frames: how many.
            per_second: pace, at least 1,000; 0: as fast as it goes.
            macs: source addresses in turn; 0: random ones, none of them a `source(n)`.
            kinds: how many of :data:`KINDS` in turn.
            spread: source IP addresses in turn; 0: one.
            cpu: where to run; None: anywhere.

        """
        interval = int(1e9 / per_second) if per_second else 0
        self._state.write(_STATE.pack(0, time.monotonic_ns(), interval, macs, kinds, spread, 0))
        before = os.sched_getaffinity(0)
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        try:
            usage, start = _cpu_s(), time.perf_counter()
            while (sent := self._sent()) < frames:
                with contextlib.suppress(InterruptedError):  # a signal ends a run between frames
                    self._run(frames - sent)
            seconds, used = time.perf_counter() - start, _cpu_s() - usage
        finally:
            os.sched_setaffinity(0, before)
        return SenderReport(sent, seconds, used * 1e9 / max(sent, 1))

    def _sent(self) -> int:
        return int(_STATE.unpack(self._state.read())[0])

    def _run(self, frames: int) -> None:
        data = ctypes.create_string_buffer(_template(), FRAME_BYTES)
        context = ctypes.create_string_buffer(struct.pack("=6I", 0, FRAME_BYTES, 0, 0, 0, 0), 24)
        system.bpf(
            system.PROG_TEST_RUN,
            struct.pack(
                "=IIIIQQIIIIQQIII",
                self._program,
                0,
                FRAME_BYTES,
                0,
                ctypes.addressof(data),
                0,
                frames,
                0,
                len(context),
                0,
                ctypes.addressof(context),
                0,
                _LIVE_FRAMES,
                0,
                _BATCH,
            ),
        )

    def close(self) -> None:
        """Unload."""
        os.close(self._program)
        self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime
