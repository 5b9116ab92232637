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
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_capture.items import MAX_ROWS
from monitorpi_cli.table import grouped, rows_to_lines
from monitorpi_dev.bench.capture_run import BURSTS, FULL_SPEED, SECONDS, Bench, Effort
from monitorpi_dev.bench.capture_table import HEAD, cells, markdown, with_table
from monitorpi_dev.bench.tap_processes import TCPDUMP
from monitorpi_lab.namespace import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitorpi_dev.bench.capture_run import EngineRow

ENGINES: Final = ("tcx", "ebpf", "socket", "empty-filter", TCPDUMP, "raw-socket", "scapy")
MACS: Final = (1, 50, 10_000)
RATES: Final = (1_000, 148_800, 1_488_000, FULL_SPEED)
"""Frames/s: an ordinary LAN, the smallest frames a link of 100 Mb/s and one of 1 Gb/s can carry
(IEEE 802.3: 84 bytes each on the wire), and as fast as the sender goes."""
_WIDTH: Final = 150
_OK, _USAGE, _RESOURCE = 0, 2, 3


def measure(
    engines: Sequence[str],
    macs: Sequence[int],
    rates: Sequence[int],
    effort: Effort,
    report: Callable[[str], None],
) -> list[EngineRow]:
    """Measure all taps under all loads.

    Raises:
        LabError: no namespace, no sender or no tap can be had here; the text names the remedy.

    """
    found: list[EngineRow] = []
    with contextlib.closing(Bench(effort)) as bench:
        for count in macs:
            for engine in engines:
                report(f"{engine}, {grouped(count)} MAC addresses")
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

    def report(what: str) -> None:
        print(f"monitorpi bench capture: {what}", file=sys.stderr)

    try:
        page = options.write.read_text(encoding="utf-8") if options.write else ""
        if options.write:
            with_table(page, "")  # refuses it now, not after minutes
        effort = Effort(options.seconds, options.bursts, options.max_macs)
        rows = measure(engines, options.macs, options.rate, effort, report)
        if options.write:
            options.write.write_text(with_table(page, markdown(rows)), encoding="utf-8")
    except (LabError, OSError, ValueError) as error:
        report(str(error))
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
