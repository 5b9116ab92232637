"""Runs in the guest of arm_check.py: the kernel program against the reference, frame by frame.

Twice, with the kernel's JIT compiler on and off: first each frame through BPF_PROG_TEST_RUN, then
all of them over a cable into the engine that the service uses, across several windows; and the bell
that ends its wait.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.tally import Tally
from monitorpi_capture.engine.clock import now
from monitorpi_capture.engine.ebpf import memory
from monitorpi_capture.engine.ebpf import syscall as system
from monitorpi_capture.engine.ebpf.engine import EbpfEngine, load_object
from monitorpi_capture.engine.ebpf.rights import relinquish
from monitorpi_capture.frame.classify import class_names, classify
from monitorpi_capture.items import PACKETS, EngineRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitorpi_capture.items import WindowCounts

JIT: Final = Path("/proc/sys/net/core/bpf_jit_enable")
SHORTEST: Final = 60
"""Shorter frames are not sent on a cable."""
LONGEST: Final = 1514
PARTS: Final = 4
PATIENCE_S: Final = 60.0
SYN: Final = bytes.fromhex(
    "020000000201"
    "020000000101"
    "0800"
    "4500002800000000400600000101010102020202"
    "9c400050"
    "0000000000000000"
    "5002000000000000"
).ljust(SHORTEST, b"\0")
BELL: Final = 40
"""SYNs after which it is rung, as the service asks for."""
CAPABILITIES: Final = {
    "NET_RAW, BPF": (system.CAP_PERFMON, system.CAP_SYS_ADMIN),
    "NET_RAW, BPF, PERFMON": (system.CAP_SYS_ADMIN,),
}
"""What is enough, as far as it matters, and what is given up to see that; least first."""
REFUSED: Final = 255

Row = tuple[tuple[int, ...], tuple[int, ...]]


def ip(command: str) -> None:
    """Configure the network."""
    subprocess.run(["/bin/ip", *command.split()], check=True)  # noqa: S603 - our own words


def classes_differ(frames: Iterable[bytes]) -> tuple[int, int]:
    """Return how many frames the kernel sees otherwise, and its time for one in nanoseconds."""
    compiled = load_object()
    fd = system.load_program(compiled.linked("socket/classify", {}), "mp_test", compiled.licence)
    run = system.TestRun(fd)
    wrong = 0
    for frame in frames:
        if len(frame) > run.MAX_FRAME:
            continue
        told = memory.class_names(run.run(frame))
        if told != class_names(classify(frame, len(frame))[0]):
            wrong += 1
            print("DIFFERS", frame.hex(), told, flush=True)  # noqa: T201 - what the host reads
    run.run(bytes(12) + b"\x08\x00\x45" + bytes(45), repeat=20_000)
    os.close(fd)
    return wrong, run.nanoseconds


def summed(windows: Iterable[WindowCounts]) -> dict[bytes, Row]:
    """Return what each MAC sent and was sent over several windows."""
    total: dict[bytes, Row] = {}
    for window in windows:
        width = len(window.wire)
        for row in window.rows:
            tx, rx = total.get(row.mac, ((0,) * width, (0,) * width))
            total[row.mac] = (
                tuple(map(sum, zip(tx, row.tx or (0,) * width, strict=True))),
                tuple(map(sum, zip(rx, row.rx or (0,) * width, strict=True))),
            )
    return total


def rows_differ(frames: Sequence[bytes], dropped: Sequence[int]) -> int:
    """Send the frames while windows are cut; return how many MACs were counted otherwise.

    Without some capabilities, which are given up for good.

    Raises:
        EngineRefusedError: they are needed here.

    """
    expected = Tally("v1", "reference", len(frames))
    for frame in frames:
        expected.add(frame, classify(frame, len(frame)), len(frame))
    engine = EbpfEngine(["v1"], 4096)
    for capability in dropped:
        system.drop_capability(capability)
    engine.open()
    relinquish()
    windows: list[WindowCounts] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind(("v0", 0))
        for part in range(PARTS):
            for frame in frames[part::PARTS]:
                wire.send(frame)
            windows += engine.close_windows()
    deadline = time.monotonic() + PATIENCE_S
    while counted(windows) < len(frames) and time.monotonic() < deadline:
        windows += engine.close_windows()
    engine.close()
    got, wanted = summed(windows), summed([expected.close_window(now(), now(), 1.0)])
    wrong = [mac for mac in got.keys() | wanted.keys() if got.get(mac) != wanted.get(mac)]
    for mac in wrong[:10]:
        print("DIFFERS", mac.hex(), got.get(mac), wanted.get(mac), flush=True)  # noqa: T201 - as above
    if counted(windows) != len(frames):
        print("COUNTED", counted(windows), "of", len(frames), flush=True)  # noqa: T201 - as above
        return max(len(wrong), 1)
    return len(wrong)


def bell_fails() -> int:
    """Return 0 where SYNs ring the bell and are in the sums of the running window, else 1."""
    engine = EbpfEngine(["v1"], 64)
    engine.open()
    sent, until_s = 0, time.clock_gettime(time.CLOCK_BOOTTIME) + PATIENCE_S
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire,
        ThreadPoolExecutor(1) as thread,
    ):
        wire.bind(("v0", 0))
        waiting = thread.submit(engine.count_until, until_s, {"v1": BELL})
        while not waiting.done():
            sent += wire.send(SYN) // len(SYN)
        left_s = until_s - time.clock_gettime(time.CLOCK_BOOTTIME)
    sums = engine.sums()["v1"]
    engine.close()
    print("BELL", sent, "sent", sums, f"{left_s:.1f} s before its time", flush=True)  # noqa: T201 - as above
    return int(left_s <= 0 or sums.syn != sent or sent < BELL)


def live(frames: Sequence[bytes]) -> tuple[str, int]:
    """Return the least capabilities that were enough, and how many MACs were counted wrong."""
    wrong = REFUSED
    for names, dropped in CAPABILITIES.items():
        child = os.fork()
        if not child:
            try:
                os._exit(min(rows_differ(frames, dropped), REFUSED - 1))
            except EngineRefusedError as error:
                print("REFUSED", names, error, flush=True)  # noqa: T201 - what the host reads
                os._exit(REFUSED)
        wrong = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if wrong != REFUSED:
            return names, abs(wrong)
    return "none", wrong


def counted(windows: Iterable[WindowCounts]) -> int:
    """Return the frames of several windows."""
    return sum(window.wire[PACKETS] for window in windows)


def main() -> int:
    """Run everything; 0: no difference."""
    for scope in ("all", "default"):
        setting = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
        if setting.exists():
            setting.write_text("1")
    ip("link set lo up")
    ip("link add v0 type veth peer name v1")
    ip("link set v0 up")
    ip("link set v1 up")
    here = Path(__file__).resolve().parent / "corpus.json"
    frames = [bytes.fromhex(text) for text in json.loads(here.read_text())]
    cable = [frame.ljust(SHORTEST, b"\0") for frame in frames if len(frame) <= LONGEST]
    bad = 0
    for jit in (1, 0):
        JIT.write_text(str(jit))
        start = time.monotonic()
        differ, nanoseconds = classes_differ(frames)
        enough, rows = live(cable)
        bad += differ + rows + bell_fails()
        result = {
            "kernel": platform.release(), "machine": platform.machine(), "jit": jit,
            "frames": len(frames), "classes_differ": differ, "sent": len(cable),
            "rows_differ": rows, "capabilities": enough, "emulated_ns": nanoseconds,
            "seconds": round(time.monotonic() - start, 1),
        }  # fmt: skip
        print("RESULT", json.dumps(result), flush=True)  # noqa: T201 - what the host reads
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
