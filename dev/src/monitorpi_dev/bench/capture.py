"""``./monitorpi bench capture``: every way to count frames under the same flood.

Theory of operation. A namespace of its own, in which the kernel itself makes frames on the loopback
interface and knows how many (:mod:`.sender`). One tap after the other counts them: our engines, an
empty filter (what any tap costs), tcpdump, a packet socket read in Python, scapy
(:mod:`.taps`). Sender and tap have a CPU each where there are two.

A frame's way up to the taps runs in the sender: how much slower a sender at full speed gets by a
tap is what that tap costs the kernel per frame.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from monitorpi_capture.items import MAX_ROWS
from monitorpi_cli.table import grouped, rows_to_lines, size
from monitorpi_dev.bench import processes, taps
from monitorpi_dev.sender import INTERFACE, KINDS, Sender
from monitorpi_lab.namespace import LabError, Namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from monitorpi_dev.bench.taps import Counted

TCPDUMP: Final = "tcpdump"
ENGINES: Final = ("ebpf", "socket", "empty-filter", TCPDUMP, "raw-socket", "scapy")
MACS: Final = (1, 50, 10_000)
FULL_SPEED: Final = 0
RATES: Final = (1_000, 148_800, 1_488_000, FULL_SPEED)
"""Frames/s: an ordinary LAN, the smallest frames a link of 100 Mb/s and one of 1 Gb/s can carry
(IEEE 802.3: 84 bytes each on the wire), and as fast as the sender goes."""
SECONDS: Final = 1.0
_FASTEST: Final = 2_500_000
"""Frames/s the sender nearly reaches; says how many frames a run at full speed has."""
_BURST: Final = 100_000
BURSTS: Final = 12
"""The lower quartile of their costs is kept: what other programs do to the caches is no tap's."""
_REST_S: Final = 0.1
_PCAP_REST_S: Final = 1.2
"""libpcap hands frames over when a block is full, or after a second."""
_BUSY_RATIO: Final = 0.2
_DRAIN_S: Final = 20.0
_WIDTH: Final = 150
_MARKS: Final = ("<!-- bench capture -->", "<!-- end of bench capture -->")
_OK, _USAGE, _RESOURCE = 0, 2, 3


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One tap under one load. Ratios are shares of one CPU."""

    engine: str
    macs: int
    asked_fps: int
    """0: as fast as the sender goes."""
    offered_fps: int
    """What the sender reached."""
    sent: int
    counted: int | None
    omitted: int | None
    """Counted in a sum, for want of a row of their own."""
    lost: int | None
    """None: an empty filter counts nothing."""
    process_cpu_ratio: float
    softirq_cpu_ratio: float
    """The tap's part in the receive path at this rate: on a network card it runs in softirq."""
    process_ns: float | None
    """CPU time of the tap's process per frame it counted."""
    kernel_ns: float
    """What the tap adds to a frame in the receive path: `tapped_ns` - `bare_ns`."""
    bare_ns: float
    """CPU time of the sender at full speed per frame, without any tap."""
    tapped_ns: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly is measured."""

    seconds: float = SECONDS
    """Length of a run."""
    bursts: int = BURSTS
    """At full speed, for the cost in the kernel."""
    max_macs: int = MAX_ROWS
    """Addresses our engines count apart."""


class TapProcess(Protocol):
    """A tap that counts in a process of its own."""

    pid: int
    rest_s: float
    """It has worked off its buffers when it does nothing for so long."""

    def take(self) -> Counted:
        """Return what it counted since the last call."""
        ...

    def close(self) -> None:
        """End it."""


class _Ours:
    """A tap of :mod:`.taps`."""

    rest_s = _REST_S

    def __init__(self, space: Namespace, name: str, rows: int) -> None:
        module = [sys.executable, "-P", "-m", taps.__name__]
        self._program = space.popen(
            [*module, name, INTERFACE, str(rows)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._program.pid
        self._answer()

    def _answer(self) -> str:
        line: str = self._program.stdout.readline() if self._program.stdout else ""
        if not line:
            raise LabError(f"a tap ended (exit code {self._program.wait()}); see above")
        return line

    def take(self) -> Counted:
        """Ask it."""
        assert self._program.stdin is not None  # noqa: S101 - asked for
        self._program.stdin.write("\n")
        self._program.stdin.flush()
        counted, omitted = self._answer().split()
        return int(counted), int(omitted)

    def close(self) -> None:
        """Its input ends, so it ends."""
        self._program.communicate()


class _Tcpdump:
    """tcpdump, printing a line per frame: what a script would read."""

    rest_s = _PCAP_REST_S

    def __init__(self, space: Namespace) -> None:
        buffer = str(taps.RECEIVE_BUFFER // 1024)
        self._program = space.popen(
            [TCPDUMP, "-i", INTERFACE, "-n", "-e", "-s", "128", "-B", buffer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._program.pid
        self._before = 0
        self._line("listening on")

    def _line(self, wanted: str) -> str:
        for line in self._program.stderr or ():
            if wanted in line:
                return str(line)
        raise LabError(f"{TCPDUMP} ended (exit code {self._program.wait()})")

    def take(self) -> Counted:
        """Have it say how many (SIGUSR1; BSD's name for it is SIGINFO)."""
        self._program.send_signal(signal.SIGUSR1)
        captured = re.search(r"(\d+) packets? captured", self._line("captured"))
        total = int(captured[1]) if captured else 0
        before, self._before = self._before, total
        return total - before, 0

    def close(self) -> None:
        """End it."""
        self._program.terminate()
        self._program.communicate()


class Bench:
    """The namespace, the sender, and who may run where."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._sender = Sender()
        self._space = Namespace("bench")
        cpus = sorted(os.sched_getaffinity(0))
        self._sender_cpu, self._tap_cpu = cpus[0], cpus[-1]
        self._space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
        self._space.run(["ip", "link", "set", INTERFACE, "up"])

    def close(self) -> None:
        """Take everything away."""
        self._space.close()
        self._sender.close()

    def rows(self, engine: str, macs: int, rates: Sequence[int]) -> Iterator[EngineRow]:
        """Measure one tap with one number of source addresses at several rates.

        Raises:
            LabError: the tap cannot be started here.

        """
        bare = self._bursts(macs)
        tap = self._start(engine)
        try:
            tapped = self._bursts(macs, tap)
            runs = [(rate, *self._run(tap, macs, rate)) for rate in rates]
            rss = processes.peak_rss(tap.pid)
        finally:
            tap.close()
        bare_ns = _lower_quartile(bare + self._bursts(macs))
        tapped_ns = _lower_quartile(tapped)
        for rate, offered, sent, counted, cpu_ratio, cpu_s in runs:
            found = None if engine == "empty-filter" else counted
            yield EngineRow(
                engine=engine,
                macs=macs,
                asked_fps=rate,
                offered_fps=round(offered),
                sent=sent,
                counted=found and found[0],
                omitted=found and found[1],
                lost=found and sent - sum(found),
                process_cpu_ratio=round(cpu_ratio, 5),
                softirq_cpu_ratio=round((tapped_ns - bare_ns) * offered / 1e9, 5),
                process_ns=round(cpu_s * 1e9 / found[0], 2) if found and found[0] else None,
                kernel_ns=round(tapped_ns - bare_ns, 1),
                bare_ns=round(bare_ns, 1),
                tapped_ns=round(tapped_ns, 1),
                rss_bytes=rss,
            )

    def _start(self, engine: str) -> TapProcess:
        if engine == TCPDUMP:
            tap: TapProcess = _Tcpdump(self._space)
        else:
            tap = _Ours(self._space, engine, self._effort.max_macs)
        for task in Path(f"/proc/{tap.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {self._tap_cpu})
        return tap

    def _bursts(self, macs: int, tap: TapProcess | None = None) -> list[float]:
        """Return the sender's CPU time per frame at full speed, several times."""
        found = []
        for _ in range(self._effort.bursts):
            sent = self._send(_BURST, macs, FULL_SPEED)
            found.append(sent[2])
            if tap is not None:
                _settle(tap.pid, _REST_S)
        if tap is not None:
            _settle(tap.pid, tap.rest_s)
            tap.take()
        return found

    def _send(self, frames: int, macs: int, rate: int) -> tuple[float, int, float]:
        """Send; return the frames per second reached, the frames, and the CPU time of one in ns."""
        sent = self._space.call(
            self._sender.send,
            frames,
            per_second=rate,
            macs=macs,
            kinds=len(KINDS),
            cpu=self._sender_cpu,
        )
        return sent.per_second, sent.frames, sent.cpu_ns

    def _run(
        self, tap: TapProcess, macs: int, rate: int
    ) -> tuple[float, int, Counted, float, float]:
        before_s, start = processes.cpu_s(tap.pid), time.monotonic()
        frames = max(round((rate or _FASTEST) * self._effort.seconds), 1)
        offered, sent, _ = self._send(frames, macs, rate)
        meanwhile_s, took_s = processes.cpu_s(tap.pid) - before_s, time.monotonic() - start
        _settle(tap.pid, tap.rest_s)
        counted = tap.take()
        return offered, sent, counted, meanwhile_s / took_s, processes.cpu_s(tap.pid) - before_s


def _settle(pid: int, rest_s: float) -> None:
    """Wait until a process has worked off what waits in its buffers."""
    deadline = time.monotonic() + _DRAIN_S
    while time.monotonic() < deadline:
        before_s = processes.cpu_s(pid)
        time.sleep(rest_s)
        if processes.cpu_s(pid) - before_s < _BUSY_RATIO * _REST_S:
            return


def _lower_quartile(numbers: Sequence[float]) -> float:
    return statistics.quantiles(numbers, n=4)[0]


HEAD: Final = (
    "engine",
    "MACs",
    "offered/s",
    "sent",
    "counted",
    "omitted",
    "lost",
    "lost %",
    "process CPU",
    "process ns",
    "kernel CPU",
    "kernel ns",
    "memory",
)


def cells(row: EngineRow) -> list[str]:
    """Return a row as text, in the order of :data:`HEAD`."""

    def count(number: float | None) -> str:
        return "-" if number is None else grouped(number)

    return [
        row.engine,
        grouped(row.macs),
        f"{grouped(row.offered_fps)}{'' if row.asked_fps else ' (full speed)'}",
        grouped(row.sent),
        count(row.counted),
        count(row.omitted),
        count(row.lost),
        "-" if row.lost is None else f"{100 * row.lost / row.sent:.2f}",
        f"{100 * row.process_cpu_ratio:.1f} %",
        count(row.process_ns),
        f"{100 * row.softirq_cpu_ratio:.1f} %",
        grouped(row.kernel_ns),
        size(row.rss_bytes),
    ]


def markdown(rows: Sequence[EngineRow]) -> str:
    """Return the table of the docs."""
    lines = [list(HEAD), ["---", *["---:"] * (len(HEAD) - 1)], *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_table(text: str, table: str) -> str:
    """Return a document with another table between the marks.

    Raises:
        ValueError: it has no marks.

    """
    start, end = _MARKS
    before, found, rest = text.partition(f"{start}\n")
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no lines {start} and {end}")
    return f"{before}{found}\n{table}\n{closed}{after}"


def measure(
    engines: Sequence[str],
    macs: Sequence[int],
    rates: Sequence[int],
    effort: Effort,
    tell: Callable[[str], None],
) -> list[EngineRow]:
    """Measure all taps under all loads.

    Raises:
        LabError: no namespace, no sender or no tap can be had here; the text names the remedy.

    """
    found: list[EngineRow] = []
    with contextlib.closing(Bench(effort)) as bench:
        for count in macs:
            for engine in engines:
                tell(f"{engine}, {grouped(count)} MAC addresses")
                found += bench.rows(engine, count, rates)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./monitorpi bench capture",
        description="Measure the capture engines and others under the same flood.",
    )
    parser.add_argument(
        "--engine", nargs="+", choices=ENGINES, default=ENGINES, metavar="NAME",
        help=f"some of {', '.join(ENGINES)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--macs", nargs="+", type=int, default=MACS, metavar="N", help="source addresses"
    )
    parser.add_argument(
        "--rate", nargs="+", type=int, default=RATES, metavar="N",
        help="frames/s, at least 1000; 0: as fast as the sender goes",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a run")
    parser.add_argument(
        "--bursts", type=int, default=BURSTS, metavar="N",
        help=f"at full speed, for the cost in the kernel (default {BURSTS})",
    )  # fmt: skip
    parser.add_argument(
        "--max-macs", type=int, default=MAX_ROWS, metavar="N",
        help=f"addresses counted apart, as the setting capture.max_macs (default {MAX_ROWS})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table into docs/performance.md"
    )
    return parser


def _wrong(options: argparse.Namespace) -> str | None:
    """Return what is wrong with the options; None: nothing."""
    if not all(1 <= macs <= 1 << 24 for macs in options.macs):
        return "--macs: give 1 to 16777216"
    if not all(rate == FULL_SPEED or 1000 <= rate <= 10**7 for rate in options.rate):  # noqa: PLR2004 - what the sender paces
        return "--rate: give 1000 to 10000000, or 0"
    if not 0.01 <= options.seconds <= 60:  # noqa: PLR2004 - a minute is long
        return "--seconds: give 0.01 to 60"
    if not 2 <= options.bursts <= 1000:  # noqa: PLR2004 - a minute or two
        return "--bursts: give 2 to 1000"
    if not 16 <= options.max_macs <= 65536:  # noqa: PLR2004 - as the setting
        return "--max-macs: give 16 to 65536"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 2 for a wrong option, 3 where nothing can be measured."""
    options = _parser().parse_args(argv)
    wrong = _wrong(options)
    if wrong is not None:
        print(f"monitorpi bench capture: {wrong}", file=sys.stderr)
        return _USAGE
    engines = [name for name in dict.fromkeys(options.engine) if _installed(name)]

    def tell(what: str) -> None:
        print(f"monitorpi bench capture: {what}", file=sys.stderr)

    try:
        page = options.write.read_text(encoding="utf-8") if options.write else ""
        if options.write:
            with_table(page, "")  # refuses it now, not after minutes
        effort = Effort(options.seconds, options.bursts, options.max_macs)
        rows = measure(engines, options.macs, options.rate, effort, tell)
        if options.write:
            options.write.write_text(with_table(page, markdown(rows)), encoding="utf-8")
    except (LabError, OSError, ValueError) as error:
        tell(str(error))
        return _RESOURCE
    if options.json:
        print(json.dumps({"rows": [dataclasses.asdict(row) for row in rows]}))
    else:
        for line in rows_to_lines(HEAD, list(map(cells, rows)), _WIDTH):
            print(line)
    return _OK


def _installed(engine: str) -> bool:
    if engine != TCPDUMP or shutil.which(TCPDUMP):
        return True
    print("tcpdump is not installed: no rows of it (apt install tcpdump)", file=sys.stderr)
    return False


if __name__ == "__main__":
    raise SystemExit(main())
