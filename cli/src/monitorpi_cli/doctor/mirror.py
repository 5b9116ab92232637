"""What an interface shows of the LAN: mirror or ordinary port, directions, copies, what hides. I/O.

Most trouble of a sensor is a cable in the wrong port of the switch: everything runs and counts
next to nothing. So the doctor listens for some seconds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from monitorpi_capture.count.copies import CopyMeter
from monitorpi_capture.engine.choice import open_engine
from monitorpi_capture.items import COLUMN, PACKETS, FrameSample
from monitorpi_capture.linux.ports import choose
from monitorpi_capture.sources.sampler import Sampler
from monitorpi_cli.doctor.encapsulation import hidden_in
from monitorpi_cli.doctor.finding import CheckResult, note, ok, parted, wrong
from monitorpi_common.log import Log
from monitorpi_common.service import ResourceError
from monitorpi_detector.alerts.evidence import COPIES_REPORTED
from monitorpi_detector.views.frames import LOOPS_FROM, LOOPS_SENDERS
from monitorpi_host import interfaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitorpi_capture.count.copyevidence import CopyReport
    from monitorpi_capture.items import MacCounts, WindowCounts
    from monitorpi_capture.settings import CaptureSettings

HIDDEN_FROM: Final = 0.05
"""Share of the frames from which what they hide is worth a line: a tunnel of one device is not."""
_HIDES_ALL: Final = 0.5
_LEAST_SAMPLED: Final = 20
_TCP: Final = COLUMN["tcp"]

# --- judging: pure --------------------------------------------------------------------------------


def judge_port(windows: Sequence[WindowCounts], own: str | None) -> Iterator[CheckResult]:
    """Return what an interface shows of the LAN.

    Args:
        windows: what was counted on it.
        own: the interface's own MAC address, as hex digits.

    """
    name = windows[0].interface
    seconds = sum(window.length_s for window in windows)
    frames = sum(window.wire[PACKETS] for window in windows)
    if not frames:
        yield wrong(
            name,
            f"no frame in {seconds:.0f} s",
            "is the cable in, and is the switch's port the mirror port?",
        )
        return
    mine = bytes.fromhex(own) if own else b""
    others = [row for window in windows for row in window.rows if row.mac != mine]
    between = sum(row.rx[PACKETS] for row in others if row.rx)
    if not between:
        seen = f"{frames:,} frames in {seconds:.0f} s"
        only = "none from one device to another"
        if not any(row.tx for row in others):
            only = "all of them this machine's own"
        yield wrong(
            name,
            f"{seen}, {only}: this is an ordinary port of the switch",
            "make it the mirror port of the others",
        )
        return
    senders = {row.mac for row in others if row.tx}
    yield ok(name, f"a mirror port: {frames / seconds:,.0f} frames/s from {len(senders)} devices")
    yield from _judge_directions(name, others)


def _judge_directions(name: str, rows: Sequence[MacCounts]) -> Iterator[CheckResult]:
    """Say whether both directions of conversations are there: TCP acknowledges everything."""
    sending = {row.mac for row in rows if row.tx and row.tx[_TCP]}
    receiving = {row.mac for row in rows if row.rx and row.rx[_TCP]}
    if not sending | receiving:
        yield note(name, "no TCP seen yet: whether both directions are is not known")
    elif sending & receiving:
        yield ok(name, "both directions of conversations are mirrored")
    else:
        yield note(
            name,
            "only one direction of conversations is mirrored, so that missing replies cannot count "
            "as evidence",
            "mirror both directions if the switch can",
        )


def judge_copies(name: str, report: CopyReport) -> Iterator[CheckResult]:
    """Say whether the port shows frames more than once, and whether frames go round in a loop."""
    if report.repeats is not None and (
        report.repeats.ratio >= LOOPS_FROM and report.repeats.senders >= LOOPS_SENDERS
    ):
        yield note(
            name,
            f"{report.repeats.ratio:.0%} of the broadcasts come again and again",
            "if there are many, a cable leads back into the same LAN",
        )
    if report.ratio is None:
        yield note(name, "too few frames to say whether the port shows them twice")
    elif report.ratio >= COPIES_REPORTED:
        yield note(
            name,
            f"{report.ratio:.0%} of the frames are copies of others, because both directions of "
            "several ports are mirrored. Copies are left out where alerts are judged, but not of "
            "the counts",
            "mirror only what comes in (ingress, rx) at each port, or one port of each pair",
        )
    else:
        yield ok(name, "each frame is shown once")


def judge_hidden(name: str, sampled: int, hidden: Mapping[str, int]) -> Iterator[CheckResult]:
    """Return what the port shows that cannot be looked into.

    Args:
        name: of the interface.
        sampled: frames that were looked at.
        hidden: how many of them stood inside each encapsulation.

    """
    for what, frames in sorted(hidden.items()):
        ratio = frames / sampled
        if sampled >= _LEAST_SAMPLED and ratio >= HIDDEN_FROM:
            yield CheckResult(
                "wrong" if ratio >= _HIDES_ALL else "note",
                name,
                f"{ratio:.0%} of the frames stand inside {what}, which is not looked into: they "
                "count for the addresses outside and for no rule",
                "mirror a port where they travel plainly: behind the router or tunnel's end",
            )


# --- looking --------------------------------------------------------------------------------------


def check_ports(
    settings: CaptureSettings, names: Sequence[str], seconds: float
) -> Iterator[CheckResult]:
    """Listen for some seconds on the interfaces that would be counted on."""
    try:
        chosen = tuple(names) or settings.interfaces or (choose(),)
        own = [name for name in chosen if _is_loopback(name)]
        yield from (_no_mirror(name) for name in own)
        chosen = tuple(name for name in chosen if name not in own)
        if not chosen:
            return
        engine, refused = open_engine(chosen, settings)
    except ResourceError as error:
        yield parted("capture", str(error))
        return
    try:
        yield CheckResult("note" if refused else "ok", "capture", f"engine {engine.name}")
        for name, reason in refused.items():
            yield note("capture", f"engine {name} cannot be used: {reason}")
        samples: list[FrameSample] = []
        with _sampling(chosen, samples):
            engine.count_until(time.clock_gettime(time.CLOCK_BOOTTIME) + seconds)
            windows = engine.close_windows()
        for name, reason in engine.away.items():
            yield wrong(name, reason, "plug its cable in, or leave it out")
    finally:
        engine.close()
    meter = CopyMeter()
    for sample in samples:
        meter.take(sample)
    for window in windows:
        name = window.interface
        if name not in engine.away:
            yield from judge_port([window], interfaces.mac_of(name))
            if window.wire[PACKETS]:
                yield from judge_copies(name, meter.report(name))
                yield from judge_hidden(name, *_hidden(name, samples))


def _is_loopback(name: str) -> bool:
    """Return whether an interface leads nowhere: it has the header of Ethernet and no address."""
    return interfaces.has_ethernet_header(name) and interfaces.mac_of(name) is None


def _no_mirror(name: str) -> CheckResult:
    return wrong(
        name,
        "this machine's own loopback, which shows nothing of the LAN",
        "name the wired interface in capture.interfaces",
    )


def _hidden(name: str, samples: Sequence[FrameSample]) -> tuple[int, Counter[str]]:
    """Return how many frames of an interface were sampled, and what those inside others hide in."""
    frames = [
        frame.data
        for sample in samples
        for frame in sample.frames
        if sample.interfaces[frame.port] == name
    ]
    return len(frames), Counter(filter(None, map(hidden_in, frames)))


@contextmanager
def _sampling(names: Sequence[str], samples: list[FrameSample]) -> Iterator[None]:
    """Take samples of what comes meanwhile."""
    sampler = Sampler(names, Log("doctor"))
    items: list[object] = []
    thread = threading.Thread(target=sampler.run, args=(items.append,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        sampler.stop()
        thread.join()
        samples += [item for item in items if isinstance(item, FrameSample)]
