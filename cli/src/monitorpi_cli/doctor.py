"""``./monitorpi doctor``: is this machine fit, and does its port see the LAN?

Most trouble of a sensor is a cable in the wrong port of the switch: everything runs and counts
next to nothing. So the doctor listens for some seconds and says what the port shows, beside
settings, permissions, clock, broker and disk. It sends nothing and changes nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from monitorpi_capture import interfaces
from monitorpi_capture.copies import CopyMeter, Sample
from monitorpi_capture.engines import open_engine
from monitorpi_capture.sampler import Sampler
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.window import COLUMN, PACKETS
from monitorpi_cli.arguments import number
from monitorpi_cli.ping import measure
from monitorpi_cli.stack import broker
from monitorpi_cli.stack.preflight import mistakes
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.up import secrets_of, state_dir
from monitorpi_cli.table import Terminal
from monitorpi_common import clock
from monitorpi_common.log import Log
from monitorpi_common.messages import Service
from monitorpi_common.service import ResourceError
from monitorpi_common.settings import NoSection, load
from monitorpi_detector.evidence import COPIES_TOLD
from monitorpi_detector.frames import LOOPS_FROM, LOOPS_SENDERS
from monitorpi_prober.settings import ProberSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitorpi_capture.copies import CopyReport
    from monitorpi_capture.window import MacCounts, WindowCounts
    from monitorpi_cli.table import Colour

LISTEN_S: Final = 5.0
_MOST_S: Final = 3600.0
_PING_S: Final = 1.0
_LEAST_FREE: Final = 100 * 1024 * 1024
"""Bytes: a year of ThingSpeak rows that could not be sent, several times over."""
_TCP: Final = COLUMN["tcp"]
_COLOURS: Final[dict[str, Colour]] = {"ok": "green", "note": "yellow", "wrong": "red"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at; what is ``wrong`` keeps MonitorPi from its work."""

    mark: Literal["ok", "note", "wrong"]
    text: str


# --- judging: pure --------------------------------------------------------------------------------


def judge_port(windows: Sequence[WindowCounts], own: str | None) -> Iterator[Finding]:
    """Say what an interface shows of the LAN.

    Args:
        windows: what was counted on it.
        own: the interface's own MAC address, as hex digits.

    """
    name = windows[0].interface
    seconds = sum(window.length_s for window in windows)
    frames = sum(window.wire[PACKETS] for window in windows)
    if not frames:
        yield Finding(
            "wrong",
            f"{name}: no frame in {seconds:.0f} s: is the cable in, and is the switch's port the "
            "mirror port?",
        )
        return
    mine = bytes.fromhex(own) if own else b""
    others = [row for window in windows for row in window.rows if row.mac != mine]
    between = sum(row.rx[PACKETS] for row in others if row.rx)
    if not between:
        yield Finding(
            "wrong",
            f"{name}: {frames:,} frames in {seconds:.0f} s, none from one device to another: this "
            "is an ordinary port of the switch; make it the mirror port of the others",
        )
        return
    senders = {row.mac for row in others if row.tx}
    yield Finding(
        "ok",
        f"{name}: a mirror port: {frames / seconds:,.0f} frames/s from {len(senders)} devices",
    )
    yield from _judge_directions(name, others)


def _judge_directions(name: str, rows: Sequence[MacCounts]) -> Iterator[Finding]:
    """Say whether both directions of conversations are there: TCP acknowledges everything."""
    sending = {row.mac for row in rows if row.tx and row.tx[_TCP]}
    receiving = {row.mac for row in rows if row.rx and row.rx[_TCP]}
    if not sending | receiving:
        yield Finding("note", f"{name}: no TCP seen yet: whether both directions are is not known")
    elif sending & receiving:
        yield Finding("ok", f"{name}: both directions of conversations are mirrored")
    else:
        yield Finding(
            "note",
            f"{name}: only one direction of conversations is mirrored: missing replies cannot "
            "count as evidence; mirror both directions if the switch can",
        )


def judge_copies(name: str, report: CopyReport) -> Iterator[Finding]:
    """Say whether the port shows frames more than once, and whether frames go round in a loop."""
    if report.repeats is not None and (
        report.repeats.ratio >= LOOPS_FROM and report.repeats.senders >= LOOPS_SENDERS
    ):
        yield Finding(
            "note",
            f"{name}: {report.repeats.ratio:.0%} of the broadcasts come again and again: if there "
            "are many, a cable leads back into the same LAN",
        )
    if report.ratio is None:
        yield Finding("note", f"{name}: too few frames to say whether the port shows them twice")
    elif report.ratio >= COPIES_TOLD:
        yield Finding(
            "note",
            f"{name}: {report.ratio:.0%} of the frames are copies of others, because both "
            "directions of several ports are mirrored. Copies are left out where alerts are "
            "judged, but not of the counts: mirror only what comes in (ingress, rx) at each port, "
            "or one port of each pair",
        )
    else:
        yield Finding("ok", f"{name}: each frame is shown once")


# --- looking --------------------------------------------------------------------------------------


def look(config: Path | None, names: Sequence[str], seconds: float) -> Iterator[Finding]:
    """Look at everything, the quick things first."""
    wrong = list(look_at_settings(config))
    yield from wrong or [Finding("ok", "settings: all services take theirs")]
    if wrong:
        return
    common = load(None, NoSection, file=config).common
    capture = load(Service.CAPTURE, CaptureSettings, file=config).section
    yield look_at_clock(trusted=common.trust_clock)
    yield look_at_disk(state_dir(common))
    yield look_at_broker(config)
    yield look_at_pings(load(Service.PROBER, ProberSettings, file=config).section.source)
    yield from look_at_ports(capture, names, seconds)


def look_at_settings(config: Path | None) -> Iterator[Finding]:
    """Return what is wrong with the settings of any service."""
    for line in mistakes(config, secrets_of):
        yield Finding("wrong", f"settings: {line}")


def look_at_clock(*, trusted: bool) -> Finding:
    """Tell whether the wall clock can be believed."""
    if trusted or clock.synchronised():
        return Finding("ok", f"clock: {'trusted as configured' if trusted else 'synchronised'}")
    return Finding(
        "note",
        "clock: not synchronised: times may be off, and rows for the cloud wait; is a time server "
        "reached (timedatectl)?",
    )


def look_at_disk(folder: Path) -> Finding:
    """Tell whether there is room for what is kept."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("wrong", f"disk: {place}: {error.strerror}")
    mark: Literal["ok", "note"] = "ok" if free >= _LEAST_FREE else "note"
    return Finding(mark, f"disk: {free / 1e9:.1f} GB free for {folder}")


def look_at_broker(config: Path | None) -> Finding:
    """Tell whether a stack runs here, or could."""
    try:
        return Finding("ok", f"broker: a stack runs here, port {find_running(config).port}")
    except NoStackError:
        pass
    try:
        return Finding("ok", f"broker: none runs yet; {broker.program()} is installed")
    except ResourceError:
        return Finding("note", "broker: Mosquitto is not installed yet: ./monitorpi up does that")


def look_at_pings(source: str | None) -> Finding:
    """Tell whether echo requests may be sent, by one to this machine itself."""
    try:
        measure(["127.0.0.1"], 1, _PING_S, source)
    except ResourceError as error:
        return Finding("wrong", f"pings: {error}")
    return Finding("ok", "pings: may be sent")


def look_at_ports(
    settings: CaptureSettings, names: Sequence[str], seconds: float
) -> Iterator[Finding]:
    """Listen for some seconds on the interfaces that would be counted on."""
    try:
        chosen = tuple(names) or settings.interfaces or (interfaces.choose(),)
        engine, refused = open_engine(chosen, settings)
    except ResourceError as error:
        yield Finding("wrong", f"capture: {error}")
        return
    try:
        yield Finding("note" if refused else "ok", f"capture: engine {engine.name}")
        for name, reason in refused.items():
            yield Finding("note", f"capture: engine {name} cannot be used: {reason}")
        meter = CopyMeter()
        with _sampling(chosen, meter):
            engine.count_until(time.clock_gettime(time.CLOCK_BOOTTIME) + seconds)
            windows = engine.cut()
        for name, reason in engine.away.items():
            yield Finding("wrong", f"{name}: {reason}")
    finally:
        engine.close()
    for window in windows:
        if window.interface not in engine.away:
            yield from judge_port([window], interfaces.mac_of(window.interface))
            if window.wire[PACKETS]:
                yield from judge_copies(window.interface, meter.report(window.interface))


@contextmanager
def _sampling(names: Sequence[str], meter: CopyMeter) -> Iterator[None]:
    """Look for copies meanwhile."""
    sampler = Sampler(names, Log("doctor"))
    samples: list[object] = []
    thread = threading.Thread(target=sampler.run, args=(samples.append,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        sampler.stop()
        thread.join()
        for sample in samples:
            if isinstance(sample, Sample):
                meter.take(sample)


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line per finding; exit 0 when nothing is wrong, 1 else."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi doctor",
        description="Look at this machine and at what its mirror port shows. Sends nothing.",
    )
    parser.add_argument(
        "--interface",
        action="append",
        default=[],
        metavar="NAME",
        help="listen here (repeatable); by default as configured, or the wired interface",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    parser.add_argument(
        "--seconds",
        type=number(lambda value: 0 < value <= _MOST_S, f"give up to {_MOST_S:g} seconds"),
        default=LISTEN_S,
        help=f"to listen (default {LISTEN_S:g})",
    )
    options = parser.parse_args(argv)
    terminal = Terminal.of(sys.stdout)
    healthy = True
    for finding in look(options.config, options.interface, options.seconds):
        healthy &= finding.mark != "wrong"
        print(f"{terminal.paint(f'{finding.mark:<6}', _COLOURS[finding.mark])}{finding.text}")
    return 0 if healthy else 1
