"""``monitorpi replay FILE``: a capture file through the real services, with readable output.

It is the pipe ``monitorpi-capture --read FILE --bus - | monitorpi-detector --bus -``, with no
broker, no clock and no state: the same file gives the same alerts on every machine.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError
from pydantic_core import from_json

from monitorpi_cli.table import Terminal, grouped, rows_to_lines, size
from monitorpi_common.messages import CLASSES, Alert, Message, Traffic, message_type, timestamp
from monitorpi_common.topics import Topic, TopicError
from monitorpi_host.children import tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from typing import IO, TextIO

_MAX_ROWS: Final = 25
_MAX_APART: Final = 8192
"""MAC addresses counted apart; of more the busier half is kept, and the rest summed up."""
_SHOWN: Final = (Traffic, Alert)
_SHOWN_FIRST: Final = (
    "syn",
    "icmp_echo",
    "arp",
    "dhcp",
    "dns",
    "http",
    "https",
    "igmp",
    "broadcast",
)
"""The classes people look for, before the others in the order of the docs."""


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code: 0, or that of the service that failed.

    3: the file could not be read, or not all of it.
    """
    options = _parse(argv)
    with tempfile.TemporaryDirectory(prefix="monitorpi-replay-") as state:
        pipe = Pipe(options.file, options.config, Path(state), to_terminal=options.json)
        if not options.json:
            summary = Summary(Terminal.of(sys.stdout))
            progress = Progress(sys.stderr, pipe.read_ratio)
            messages = progress.beside(pipe.messages())
            for line in summary.lines(messages, lambda: pipe.wait() == 0):
                progress.clear()
                print(line, flush=True)
        return pipe.wait()


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./monitorpi replay",
        description="Read a capture file (pcap or pcapng) and print its alerts and counts.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the capture file")
    parser.add_argument(
        "--json", action="store_true", help='every message as one line {"topic", "payload"}'
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, such as thresholds")
    return parser.parse_args(argv)


class Pipe:
    """Capture and detector joined by a pipe, reading one file."""

    def __init__(self, file: Path, config: Path | None, state: Path, *, to_terminal: bool) -> None:
        # what a service remembers over restarts must not colour what a file is reported to contain
        environment = os.environ | {"MONITORPI_STATE_DIR": str(state)}
        environment.setdefault("MONITORPI_LOG_LEVEL", "warning")
        settings = ["--config", str(config)] if config else []
        self._file = file
        self._capture = subprocess.Popen(
            tied([*_service("capture"), "--bus", "-", *settings, "--read", str(file)]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._detector = subprocess.Popen(
            tied([*_service("detector"), "--bus", "-", *settings]),
            stdin=self._capture.stdout,
            stdout=None if to_terminal else subprocess.PIPE,
            env=environment,
        )
        if self._capture.stdout is not None:
            self._capture.stdout.close()  # so that capture notices when the detector goes

    def read_ratio(self) -> float | None:
        """Return how much of the file was read; None: it cannot be known (a pipe; it is over)."""
        folder = Path(f"/proc/{self._capture.pid}")
        try:
            whole = self._file.stat().st_size
            for fd in (folder / "fd").iterdir():
                if fd.samefile(self._file):
                    position = (folder / "fdinfo" / fd.name).read_text(encoding="ascii")
                    return int(position.split()[1]) / whole if whole else None  # proc(5): "pos: N"
        except (OSError, ValueError, IndexError):
            pass
        return None

    def messages(self) -> Iterator[Message]:
        """Yield what comes out of the pipe, as messages of the contract."""
        output: IO[bytes] | None = self._detector.stdout
        for line in output or ():
            message = _read(line)
            if message is not None:
                yield message

    def wait(self) -> int:
        """Wait for both services; returns the first exit code that is not 0."""
        with self._capture, self._detector:
            return self._capture.wait() or self._detector.wait()


class Progress:
    """One line on a terminal while a long file is read; nothing where nobody looks."""

    EACH_S: Final = 0.5

    def __init__(
        self,
        stream: TextIO,
        read_ratio: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._read_ratio = read_ratio
        self._clock = clock
        self._next_s = clock() + 2 * self.EACH_S if stream.isatty() else math.inf
        self._frames = 0
        self._shown = False

    def beside(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Pass messages on, and show now and then how far they are."""
        for message in messages:
            if isinstance(message, Traffic):
                self._frames += message.packets
            if self._clock() >= self._next_s:
                self._next_s = self._clock() + self.EACH_S
                self._show()
            yield message
        self.clear()

    def _show(self) -> None:
        ratio = self._read_ratio()
        part = "" if ratio is None else f"{ratio:.0%} read, "
        self._stream.write(f"\r\x1b[K{part}{grouped(self._frames)} frames ...")
        self._stream.flush()
        self._shown = True

    def clear(self) -> None:
        """Make room for a line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


def _service(name: str) -> list[str]:
    # -P: a folder of downloaded captures must not lend us its Python modules
    return [sys.executable, "-P", "-m", f"monitorpi_{name}"]


def _read(line: bytes) -> Traffic | Alert | None:
    """Read one JSON line; what is not of the contract, or of another kind, is nothing to show."""
    try:
        record = from_json(line)
        topic = Topic.parse(record["topic"])
        kind = message_type(topic.service, topic.kind)
        return kind.model_validate(record["payload"]) if kind in _SHOWN else None
    except (ValueError, LookupError, TypeError, TopicError, ValidationError):
        return None


# --- what people read ----------------------------------------------------------------------------


@dataclass
class _Tallies:
    """What one MAC address sent and was sent, over the whole file."""

    role: str = "unknown"
    tx: Counter[str] = field(default_factory=Counter)
    rx: Counter[str] = field(default_factory=Counter)

    @property
    def rank(self) -> tuple[int, int]:
        return self.tx["packets"], self.rx["packets"]


class Summary:
    """Turns the messages of a file into lines: an alert at once, the counts at the end."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._devices: dict[str, _Tallies] = {}
        self._omitted: Counter[str] = Counter()
        self._summed = 0
        self._wire: Counter[str] = Counter()
        self._windows = 0
        """Those that have times."""
        self._untimed = 0
        """Frames that have none."""
        self._first: datetime | None = None
        """Start of the first window; a file's time may step back behind it."""
        self._start: datetime | None = None
        self._end: datetime | None = None
        self._open: dict[str, Alert] = {}
        self._alerts = 0

    def lines(
        self, messages: Iterator[Message], is_whole: Callable[[], bool] = lambda: True
    ) -> Iterator[str]:
        """Yield the lines to print.

        Args:
            messages: what the services say.
            is_whole: returns, behind the last of them, whether all of the file was read.

        """
        for message in messages:
            match message:
                case Traffic():
                    self._count(message)
                case Alert():
                    yield from self._report(message)
        whole = is_whole()
        if self._windows or self._untimed:
            yield from self._end_of_alerts(is_whole=whole)
            yield from self._counts()
        elif whole:
            yield "The file holds no frames: there is nothing to count."

    # --- alerts -----------------------------------------------------------------------------

    def _report(self, alert: Alert) -> Iterator[str]:
        """Say that an alert opened or closed; its refreshes in between are not news."""
        if alert.state == "closed":
            if self._open.pop(alert.key, None) is not None:
                word = self._terminal.paint("CLOSED", "green")
                text = f"{alert.rule} of {_subject(alert)} ({alert.close_reason})"
                yield f"{self._when(alert.at)}  {word}  {text}"
            return
        if alert.key not in self._open:
            self._alerts += 1
            word = self._terminal.paint("ALERT ", "red")
            yield f"{self._when(alert.opened_at)}  {word}  {alert.rule}: {alert.summary}"
        self._open[alert.key] = alert

    def _when(self, at: datetime) -> str:
        since = (at - self._first).total_seconds() if self._first else 0.0
        return self._terminal.paint(f"{timestamp(at)} {since:+9.1f} s", "dim")

    def _end_of_alerts(self, *, is_whole: bool) -> Iterator[str]:
        if not self._alerts and not is_whole:
            yield self._terminal.paint("No alert in what could be read.", "red")
        elif not self._alerts and not self._windows:
            yield self._terminal.paint("No alert by a rate: the file has no times.", "red")
        elif not self._alerts:
            yield self._terminal.paint("No alert.", "green")
        elif self._open:
            number = len(self._open)
            yield f"{number} alert{'s' if number > 1 else ''} still open when the file ends."
        if self._untimed and self._windows:
            yield f"{grouped(self._untimed)} frames have no time: no rule by rate judged them."
        yield ""

    # --- counts -----------------------------------------------------------------------------

    def _count(self, traffic: Traffic) -> None:
        if traffic.has_times:
            self._windows += 1
            self._first = self._first or traffic.start
            self._start = min(self._start or traffic.start, traffic.start)
            self._end = max(self._end or traffic.end, traffic.end)
        else:
            self._untimed += traffic.packets
        self._wire.update(traffic.counts)
        self._wire.update(packets=traffic.packets, bytes=traffic.bytes)
        for window in traffic.devices:
            device = self._devices.setdefault(window.mac, _Tallies())
            device.role = window.role
            device.tx.update(window.tx)
            device.rx.update(window.rx)
        omitted = traffic.omitted
        self._omitted.update(omitted.classes)
        self._omitted.update(packets=omitted.packets, bytes=omitted.bytes)
        if len(self._devices) > _MAX_APART:
            self._sum_up()

    def _sum_up(self) -> None:
        """Make room: an hour of a MAC flood has a million addresses, a frame or two from each."""
        ranked = self._ranked()
        self._devices = dict(ranked[: _MAX_APART // 2])
        for _, device in ranked[_MAX_APART // 2 :]:
            self._omitted.update(device.tx)
            self._summed += 1

    def _ranked(self) -> list[tuple[str, _Tallies]]:
        return sorted(self._devices.items(), key=lambda item: item[1].rank, reverse=True)

    def _counts(self) -> Iterator[str]:
        seconds = (self._end - self._start).total_seconds() if self._start and self._end else 0.0
        span = f"{seconds:.1f} s in {self._windows} windows" if self._windows else "no times"
        # one that was summed up and came again is counted twice
        most = "up to " if self._summed else ""
        yield self._terminal.paint(
            f"{grouped(self._wire['packets'])} frames, {size(self._wire['bytes'])}, "
            f"{most}{len(self._devices) + self._summed} MAC addresses, "
            f"{span}. "
            "Frames sent, by class (classes overlap):",
            "bold",
        )
        columns = [name for name in _ordered_classes() if self._wire[name]]
        head = ["MAC address", "role", "received", "sent", "bytes", *columns]
        yield from rows_to_lines(head, list(self._rows(columns)), self._terminal.width, fixed=2)

    def _rows(self, columns: Sequence[str]) -> Iterator[list[str]]:
        ranked = self._ranked()
        for mac, device in ranked[:_MAX_ROWS]:
            role = "" if device.role == "unknown" else device.role
            yield [mac, role, grouped(device.rx["packets"]), *_cells(device.tx, columns)]
        rest = sum((device.tx for _, device in ranked[_MAX_ROWS:]), Counter(self._omitted))
        if any(rest.values()):
            hidden = len(ranked) + self._summed - _MAX_ROWS
            name = f"{hidden} more" if hidden > 0 else "not listed"
            yield [name, "", "", *_cells(rest, columns)]
        yield ["the wire", "", "", *_cells(self._wire, columns)]


def _cells(tally: Counter[str], columns: Sequence[str]) -> list[str]:
    counts = [grouped(tally[name]) if tally[name] else "-" for name in ("packets", *columns)]
    return [counts[0], size(tally["bytes"]) if tally["bytes"] else "-", *counts[1:]]


def _ordered_classes() -> list[str]:
    return [*_SHOWN_FIRST, *(name for name in CLASSES if name not in _SHOWN_FIRST)]


def _subject(alert: Alert) -> str:
    """Name what an alert is about as people write it: a MAC address with its colons."""
    sources = [peer.mac for peer in alert.evidence.sources if peer.mac]
    return sources[0] if len(sources) == 1 else alert.subject


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
