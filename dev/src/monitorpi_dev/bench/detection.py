"""``monitorpi bench detection``: seconds from a flood's first frame to its alert at a subscriber.

Real frames in a lab of network namespaces, the real capture and detector, a real broker. Each run
begins at a random moment of the window, waits for the alert, and then for its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from monitorpi_cli.stack.broker import free_port
from monitorpi_cli.stack.plan import StackPlan
from monitorpi_cli.stack.stack import Stack
from monitorpi_cli.stack.viewer import Viewer
from monitorpi_cli.table import rows_to_lines
from monitorpi_common.messages import Alert, Service, Traffic
from monitorpi_common.service import ResourceError
from monitorpi_common.topics import mac_id, pattern
from monitorpi_detector.rules import RULES
from monitorpi_dev.bench import fastnetmon
from monitorpi_dev.bench.fastnetmon import FastNetMon
from monitorpi_lab import flood
from monitorpi_lab.lan import Lab, LabError
from monitorpi_lab.namespace import scratch
from monitorpi_lab.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from monitorpi_cli.stack.supervisor import ChildEvent
    from monitorpi_lab.flood import Kind

SITE: Final = "bench"
RUNS: Final = 20
FLOODS: Final[dict[str, Kind]] = {"syn-flood": "syn", "icmp-flood": "icmp_echo"}
FACTORS: Final[tuple[float | None, ...]] = (2.0, 10.0, 100.0, None)
"""Times the floor; None: line rate."""
LINE_RATE: Final = 148_810.0
"""Smallest frames per second on 100 Mb/s (IEEE 802.3: 84 bytes each on the wire)."""
_QUIET_S: Final = 1.0
_START_S: Final = 40.0
_ALERT_S: Final = 10.0
_CLOSE_S: Final = 30.0
_WIDTH: Final = 100
_OK, _FAILED, _USAGE, _RESOURCE = 0, 1, 2, 3


@dataclass(frozen=True)
class DetectionRow:
    """The delays of one rule at one rate."""

    rule: str
    factor: float | str
    runs: int
    found: int
    median_s: float | None
    worst_s: float | None
    beside_found: int | None = None
    """Of the other program that stood beside ours, if one did; so are the next two."""
    beside_median_s: float | None = None
    ratio: float | None = None
    """Our median to its."""


def main(argv: Sequence[str]) -> int:
    """Run the command: 0 every flood found, 1 one was not, 3 no lab can be made here."""
    parser = argparse.ArgumentParser(
        prog="./monitorpi bench detection",
        description="Measure the time from a flood's first frame to its alert, in a lab.",
    )
    parser.add_argument("--runs", type=int, default=RUNS, help=f"per rate (default {RUNS})")
    parser.add_argument(
        "--beside", choices=["fastnetmon"], help="another program at the same port, if installed"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    if not 1 <= options.runs <= 1000:  # noqa: PLR2004 - a day at most
        print("monitorpi bench detection: --runs: give 1 to 1000", file=sys.stderr)
        return _USAGE
    try:
        if options.beside is not None:
            fastnetmon.check()
        rows = asyncio.run(_bench(options.runs, beside=options.beside is not None))
    except (LabError, ResourceError) as error:
        print(f"monitorpi bench detection: {error}", file=sys.stderr)
        return _RESOURCE
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        head = list(asdict(rows[0]))
        head = head if options.beside else head[: head.index("beside_found")]
        table = [[str(asdict(row)[name]) for name in head] for row in rows]
        for line in rows_to_lines(head, table, _WIDTH):
            print(line)
    return _OK if all(row.found == row.runs for row in rows) else _FAILED


async def _bench(runs: int, *, beside: bool) -> list[DetectionRow]:
    def notify(event: ChildEvent) -> None:
        print(f"monitorpi bench detection: {event}", file=sys.stderr)

    with Lab(2) as lab, scratch() as folder:
        plan = _plan(lab, folder)
        with Relay(lab.sensor.namespace, plan.port):
            stack = Stack(plan, notify)
            stack.start()
            try:
                with Viewer(stack.viewer(), [pattern(SITE)]) as viewer:
                    peer = FastNetMon(lab, folder) if beside else None
                    return await asyncio.to_thread(_measure, lab, viewer, runs, peer)
            finally:
                await stack.stop()


def _plan(lab: Lab, folder: Path) -> StackPlan:
    config = folder / "bench.toml"
    rules = "".join(f"\n[detector.rules.{rule}]\nquiet_s = {_QUIET_S}\n" for rule in FLOODS)
    config.write_text(
        f'trust_clock = true\n[capture]\ninterfaces = ["{lab.sensor.interface}"]\n{rules}',
        encoding="utf-8",
    )
    (folder / "logs").mkdir()
    return StackPlan(
        site=SITE,
        state_dir=folder / "state",
        services=(Service.CAPTURE, Service.DETECTOR),
        port=free_port(),
        config=config,
        prefix={Service.CAPTURE: lab.sensor.namespace.prefix},
        logs=folder / "logs",
    )


def _measure(lab: Lab, viewer: Viewer, runs: int, peer: FastNetMon | None) -> list[DetectionRow]:
    if _await(viewer, lambda message: isinstance(message, Traffic), _START_S) is None:
        raise LabError(f"no window came within {_START_S:g} s: the stack did not start")
    return list(_rows(lab, viewer, runs, peer))


def _rows(lab: Lab, viewer: Viewer, runs: int, peer: FastNetMon | None) -> Iterator[DetectionRow]:
    for rule in FLOODS:
        for factor in FACTORS:
            delays = [_run(lab, viewer, rule, factor, peer) for _ in range(runs)]
            found = [ours for ours, _ in delays if ours is not None]
            theirs = [other for _, other in delays if other is not None]
            row = DetectionRow(
                rule,
                "line rate" if factor is None else factor,
                runs,
                len(found),
                round(statistics.median(found), 3) if found else None,
                round(max(found), 3) if found else None,
            )
            yield (
                row
                if peer is None
                else replace(
                    row,
                    beside_found=len(theirs),
                    beside_median_s=round(statistics.median(theirs), 3) if theirs else None,
                    ratio=round(statistics.median(found) / statistics.median(theirs), 2)
                    if found and theirs
                    else None,
                )
            )


def _run(
    lab: Lab, viewer: Viewer, rule: str, factor: float | None, peer: FastNetMon | None
) -> tuple[float | None, float | None]:
    """Flood once; returns the seconds until the alert arrived, and the other's; None: none came."""
    if peer is not None:
        peer.start(RULES[rule].defaults.floor)
    attacker, victim = lab.hosts
    rate = LINE_RATE if factor is None else factor * RULES[rule].defaults.floor
    seconds = 2.0 if factor is None and peer is None else _ALERT_S
    # somewhere in a window, not always at its beginning
    time.sleep(random.random())  # noqa: S311 - any moment will do
    running = flood.start(
        attacker, flood.flood_between(attacker, victim, FLOODS[rule], rate, seconds=seconds)
    )
    first_s = running.first_frame_s()

    def is_ours(message: object, state: str) -> bool:
        return (
            isinstance(message, Alert)
            and (message.rule, message.subject) == (rule, mac_id(attacker.mac))
            and message.state == state
            and message.at.timestamp() >= first_s
        )

    opened_s = _await(viewer, lambda message: is_ours(message, "open"), _ALERT_S)
    other_s = None
    if peer is not None:
        other_s = peer.alert_s(_ALERT_S)
        peer.stop()
    running.stop()
    other = None if other_s is None else other_s - first_s
    if opened_s is None:
        return None, other
    _await(viewer, lambda message: is_ours(message, "closed"), _CLOSE_S)
    time.sleep(_QUIET_S)  # later it would be the same alert again
    return opened_s - first_s, other


def _await(viewer: Viewer, wanted: Callable[[object], bool], within_s: float) -> float | None:
    """Listen for a message and return when it arrived; None: it did not."""
    deadline = time.monotonic() + within_s
    while (left := deadline - time.monotonic()) > 0:
        arrival = viewer.next(left)
        if arrival is None:
            continue
        try:
            message = arrival.message()
        except ValueError:
            continue
        if wanted(message):
            return arrival.at_s
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
