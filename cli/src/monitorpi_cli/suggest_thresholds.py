"""``monitorpi suggest-thresholds``: floors that fit a network, from what it does on a usual day.

Windows come from capture files, or from a running stack for a listening time. Every rule measures
in its own unit what it would judge; the floor is a margin above that. A device that does far more
of something than all others gets a line of its own, so that it does not make the others deaf.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from monitorpi_cli.replay import Pipe
from monitorpi_cli.stack.running import NoStackError, find_running
from monitorpi_cli.stack.viewer import Viewer
from monitorpi_common.messages import Probe, Traffic
from monitorpi_common.settings import ConfigurationError, NoSection, load
from monitorpi_common.topics import pattern
from monitorpi_detector.baseline import Baseline
from monitorpi_detector.hosts.inventory import HostInventory
from monitorpi_detector.rule import Limits, LimitsOf
from monitorpi_detector.rules import WINDOW_RULES
from monitorpi_detector.views.window import WindowView

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitorpi_common.messages import Message

MARGIN: Final = 3.0
"""Times the busiest usual second: a window of three times the floor raises at once."""
ENOUGH_S: Final = 600.0
"""Seconds of traffic below which no floor is proposed that is lower than the default."""
LEAST_SHARE: Final = 0.5
"""No floor is proposed below this share of the default: a quiet hour is no promise."""
OWN_LINE: Final = 2.0
"""Times what the general floor needs from which a device gets a floor of its own."""
_MEASURE: Final = Limits(floor=1.0, factor=1.0)
_OK, _NOTHING, _USAGE, _RESOURCE = 0, 1, 2, 3


@dataclass(frozen=True)
class Proposal:
    """What is proposed for one rule."""

    rule: str
    unit: str
    floor: float
    default: float
    peak: float
    """The busiest value but for the devices with lines of their own."""
    devices: dict[str, tuple[float, float]]
    """Floor and peak of the devices that need one of their own."""


class Measurement:
    """The busiest value of each rule and device over all windows."""

    def __init__(self) -> None:
        self.peaks: dict[str, dict[str, float]] = defaultdict(dict)
        self.windows = 0
        self.untimed = 0
        """Frames without a time: no rate can be made of them."""
        self.seconds = 0.0
        self._inventory = HostInventory()
        self._baseline = Baseline()
        self._first_s: dict[tuple[str, str], float] = {}

    def take(self, message: Message | None) -> None:
        """Take one message; windows are measured, probes are known as our own."""
        if isinstance(message, Probe):
            self._inventory.see_probe(message.epoch, message, message.round_end.timestamp())
        if not isinstance(message, Traffic):
            return
        if not message.has_times:
            self.untimed += message.packets
            return
        self.windows += 1
        self.seconds += message.window_s
        now_s = message.end.timestamp()
        first_s = self._first_s.setdefault((message.interface, message.epoch), now_s)
        view = WindowView(message, self._inventory, self._baseline, now_s, first_s)
        for rule in WINDOW_RULES:
            if not rule.defaults.enabled:
                continue
            # measured with the rule's own idea of a flood, but from the first frame on
            for finding in rule.judge(view, _measuring(rule.defaults.floor)):
                macs = [peer.mac for peer in finding.sources if peer.mac is not None]
                name = macs[0] if len(macs) == 1 else ""
                # what must be several times the floor (a young epoch's MACs) weighs that much less
                value = finding.value * rule.defaults.floor / finding.threshold
                known = self.peaks[rule.name]
                known[name] = max(known.get(name, 0.0), value)
        self._inventory.see_window(message, now_s, _MEASURE.floor)

    def proposals(self) -> Iterator[Proposal]:
        """Return a floor for every rule that measured something."""
        for rule in WINDOW_RULES:
            peaks = self.peaks.get(rule.name)
            if not peaks:
                continue
            yield propose(
                rule.name, rule.unit, rule.defaults.floor, peaks,
                LEAST_SHARE if self.seconds >= ENOUGH_S else 1.0,
            )  # fmt: skip


def _measuring(floor: float) -> LimitsOf:
    limits = Limits(floor, factor=1.0)
    return LimitsOf(lambda _: limits, _MEASURE.floor)


def propose(
    rule: str, unit: str, default: float, peaks: dict[str, float], share: float = LEAST_SHARE
) -> Proposal:
    """Return the floors that leave a margin above what each device did at its busiest.

    None of them is below ``share`` of the default.
    """
    ordered = sorted(peaks.items(), key=lambda one: one[1])
    own: dict[str, tuple[float, float]] = {}
    while len(ordered) > 1 and ordered[-1][0]:
        mac, peak = ordered[-1]
        rest = _floor(ordered[-2][1], default, share)
        if MARGIN * peak <= max(OWN_LINE * rest, default):
            break
        own[mac] = (_rounded(MARGIN * peak), peak)
        ordered.pop()
    peak = ordered[-1][1]
    return Proposal(rule, unit, _floor(peak, default, share), default, peak, own)


def _floor(peak: float, default: float, share: float) -> float:
    return _rounded(max(share * default, MARGIN * peak))


def _rounded(value: float) -> float:
    """Round up to two digits."""
    step = 10.0 ** max(0, math.floor(math.log10(max(value, 1.0))) - 1)
    return float(math.ceil(value / step) * step)


def main(argv: Sequence[str]) -> int:
    """Run the command: 0 proposed, 1 nothing was seen, 2 wrong arguments, 3 no stack runs here."""
    options = _parse(argv)
    measurement, codes = Measurement(), list[int]()
    read = partial(_read, options.files, options.config, codes)
    try:
        messages = read() if options.files else _listen(options)
        for message in messages:
            measurement.take(message)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"monitorpi suggest-thresholds: configuration: {line}", file=sys.stderr)
        return _USAGE
    except NoStackError as error:
        print(f"monitorpi suggest-thresholds: {error}", file=sys.stderr)
        return _RESOURCE
    failed = max(codes, default=_OK)
    if failed and not measurement.windows:
        return failed  # whoever could not read the file has said why
    if not measurement.windows:
        why = "there are no frames in the files" if options.files else "is capture up?"
        if measurement.untimed:
            why = f"the {measurement.untimed:,} frames in the files have no times"
        print(f"monitorpi suggest-thresholds: no window was seen: {why}", file=sys.stderr)
        return _NOTHING
    for line in written(measurement):
        print(line)
    return failed


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./monitorpi suggest-thresholds",
        description="Propose floors from recorded traffic, as lines for the configuration.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="capture files")
    parser.add_argument(
        "--seconds", type=float, default=600.0,
        help="without files: listen to the running stack for so long (default 600)",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the running stack")
    return parser.parse_args(argv)


def _read(files: Iterable[Path], config: Path | None, codes: list[int]) -> Iterator[Message]:
    """Yield the messages of some files, and append the exit code of reading each."""
    for file in files:
        with tempfile.TemporaryDirectory(prefix="monitorpi-suggest-") as state:
            pipe = Pipe(file, config, Path(state), to_terminal=False)
            yield from pipe.messages()
            codes.append(pipe.wait())


def _listen(options: argparse.Namespace) -> Iterator[Message | None]:
    """Listen to the stack that runs here, or as the user whom the settings name at a broker.

    Raises:
        NoStackError: neither.

    """
    common = load(None, NoSection, file=options.config).common
    if common.broker.username:
        listening = Viewer(common.broker, _topics(common.site))
    else:
        running = find_running(options.config)
        # whatever its site: `up` may run with another name
        listening = Viewer(running.account("viewer"), _topics("+"))
    ends = time.monotonic() + options.seconds
    with listening as viewer:
        while (left := ends - time.monotonic()) > 0:
            arrival = viewer.next(min(left, 1.0))
            if arrival is None:
                continue
            try:
                yield arrival.message()
            except ValidationError:
                continue


def _topics(site: str) -> list[str]:
    return [pattern(site, "capture", "traffic"), pattern(site, "prober", "probe")]


def written(measurement: Measurement) -> Iterator[str]:
    """Write the proposals as configuration, with what they rest on."""
    yield f"# from {measurement.windows} windows, {measurement.seconds / 3600:.2f} h of traffic"
    if measurement.seconds < ENOUGH_S:
        yield (
            f"# {measurement.seconds:.0f} s are too little to lower a floor: listen for "
            f"{ENOUGH_S / 60:.0f} minutes of a usual day at least"
        )
    for one in measurement.proposals():
        yield f"\n[detector.rules.{one.rule}]"
        yield (
            f"floor = {one.floor:g}  # {one.unit}; busiest {one.peak:.3g}, default {one.default:g}"
        )
        for mac, (floor, peak) in sorted(one.devices.items()):
            yield f'\n[detector.devices."{mac}".{one.rule}]'
            yield f"floor = {floor:g}  # busiest {peak:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
