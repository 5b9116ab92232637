"""``monitorpi demo``: the whole stack finds two floods in a lab of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from monitorpi_common.messages import Alert, Device, Probe, Status, Traffic
from monitorpi_common.service import ResourceError
from monitorpi_lab import flood
from monitorpi_lab.demo.alert_check import AlertCheck, subject_mac
from monitorpi_lab.demo.cloud import INTERVAL_S
from monitorpi_lab.demo.row_check import RowCheck
from monitorpi_lab.demo.steps import MINIMUM_S, schedule
from monitorpi_lab.demo.testbed import running_testbed
from monitorpi_lab.namespace import LabError
from monitorpi_lab.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitorpi_cli.stack.supervisor import ChildEvent
    from monitorpi_cli.stack.viewer import Arrival
    from monitorpi_cli.table import Colour
    from monitorpi_lab.demo.alert_check import Transition
    from monitorpi_lab.demo.steps import Step
    from monitorpi_lab.demo.testbed import Testbed

DEFAULT_SECONDS: Final = 60.0
_START_WITHIN_S: Final = 60.0  # a Raspberry Pi 3 imports eight services' worth of Python
_POLL_S: Final = 0.02
_OK, _FAILED, _USAGE, _RESOURCE = 0, 1, 2, 3


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    0: both alerts opened on the right MAC and closed, and nothing else did. 1: not so. 2: wrong
    arguments. 3: the lab or the stack cannot run here.
    """
    options = _parse(argv)
    reporter = Reporter(sys.stderr if options.json else sys.stdout)
    try:
        steps = schedule(options.seconds)
        demo = DemoRun(steps, options.seconds, reporter)
        asyncio.run(demo.run())
    except ValueError as error:
        return _refuse(str(error), _USAGE)
    except (LabError, ResourceError) as error:
        reporter.end()
        return _refuse(str(error), _RESOURCE)
    failures = demo.failures()
    for failure in failures:
        reporter.line(f"NOT AS IT SHOULD BE: {failure}", "red")
    if not failures:
        reporter.line(
            "Both floods were found, on the host that sent them, and nothing else.", "green"
        )
    if options.json:
        print(json.dumps(demo.alerts.result(demo.cloud_rows)))
    return _FAILED if failures else _OK


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./monitorpi demo",
        description="Watch MonitorPi find a SYN flood and a ping flood in a lab on this machine.",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        metavar="N",
        help=f"how long, from the first window (default {DEFAULT_SECONDS:g}, at least "
        f"{MINIMUM_S:g})",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser.parse_args(argv)


def _refuse(reason: str, code: int) -> int:
    print(f"monitorpi demo: {reason}", file=sys.stderr)
    return code


class DemoRun:
    """One demo, from setting up the testbed to the result."""

    def __init__(self, steps: Sequence[Step], seconds: float, reporter: Reporter) -> None:
        self.alerts = AlertCheck()
        self.cloud_rows = 0
        self._row_check = RowCheck(INTERVAL_S)
        self._wrong_rows: list[str] = []
        self._disturbed = False
        self._steps = steps
        self._seconds = seconds
        self._reporter = reporter
        self._started_s: float | None = None
        self._online: set[str] = set()
        self._open: set[str] = set()
        self._devices: set[str] = set()
        self._answering = 0

    async def run(self) -> None:
        """Run it.

        Raises:
            LabError: the lab cannot run here, or no window came.
            ResourceError: the stack cannot run here.

        """
        me = asyncio.current_task()
        if me is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
        async with running_testbed(self._child) as testbed:
            self._introduce(testbed)
            await self._first_window(testbed)
            floods: list[asyncio.Task[None]] = []
            while (clock := self._clock()) < self._seconds:
                if len(floods) < len(self._steps) and clock >= self._steps[len(floods)].at_s:
                    floods.append(
                        asyncio.create_task(self._flood(testbed, self._steps[len(floods)]))
                    )
                await self._listen(testbed)
            for task in floods:
                await task
            await self._check_rows(testbed)
        self._reporter.end()

    def failures(self) -> list[str]:
        """Return what did not go as it must; empty: all well."""
        undisturbed = not self._disturbed
        return [*self.alerts.failures(self._steps, undisturbed=undisturbed), *self._wrong_rows]

    def _clock(self) -> float:
        """Return seconds since the first window; 0 before it."""
        return 0.0 if self._started_s is None else time.monotonic() - self._started_s

    # --- what happens -----------------------------------------------------------------------

    async def _first_window(self, testbed: Testbed) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while self._started_s is None:
            if time.monotonic() > deadline:
                raise LabError(
                    f"no window came within {_START_WITHIN_S:g} s:\n{_newest_lines(testbed.logs)}"
                )
            await self._listen(testbed)

    async def _flood(self, testbed: Testbed, step: Step) -> None:
        """Let the attacker flood the victim, and note when."""
        spec = flood.flood_between(
            testbed.attacker, testbed.victim, step.kind, step.rate, seconds=step.seconds
        )
        running = await asyncio.to_thread(flood.start, testbed.attacker, spec)
        first_s = await asyncio.to_thread(running.first_frame_s)
        self.alerts.flood_started(step.rule, testbed.attacker.mac, first_s)
        self._report(
            "FLOOD",
            f"{testbed.attacker.name} ({testbed.attacker.mac}) sends {step.rate:g} "
            f"{_WORDS[step.kind]} a second to {testbed.victim.name} ({testbed.victim.ip}).",
            "yellow",
        )
        sent = await asyncio.to_thread(running.wait)
        self.alerts.flood_ended(step.rule, sent.last_s)
        self._report("ends", f"{testbed.attacker.name} has sent {sent.frames:,} frames and stops.")

    async def _check_rows(self, testbed: Testbed) -> None:
        """Read the rows back and hold them against the windows that came."""
        rows = await asyncio.to_thread(testbed.cloud.rows)
        stored = {row.second: row.values for row in rows}
        self.cloud_rows = len(rows)
        if len(stored) < len(rows):
            self._wrong_rows.append("the cloud has a row twice")
        self._wrong_rows += self._row_check.differences(stored, undisturbed=not self._disturbed)
        if not self._wrong_rows:
            agree = "all together" if self._disturbed else "each"
            self._report("cloud", f"{len(rows)} rows, {agree} the sum of their windows.", "green")

    async def _listen(self, testbed: Testbed) -> None:
        """Take all messages that have come, then wait a moment."""
        while (arrival := testbed.viewer.next()) is not None:
            self._receive(arrival)
        await asyncio.sleep(_POLL_S)

    def _receive(self, arrival: Arrival) -> None:
        self.alerts.messages[arrival.topic.kind] += 1
        if arrival.topic.kind == "status":
            self._presence(arrival)
            return
        try:
            message = arrival.message()
        except ValidationError:
            return
        match message:
            case Traffic():
                self._window(message)
            case Alert():
                transition = self.alerts.alert(message, arrival.at_s)
                if transition is not None:
                    self._transition(transition)
            case Device():
                self._devices.add(message.mac)
            case Probe():
                self._round(message)

    # --- what is shown -----------------------------------------------------------------------

    def _report(self, mark: str, text: str, colour: Colour | None = None) -> None:
        self._reporter.event(self._clock(), mark, text, colour)

    def _introduce(self, testbed: Testbed) -> None:
        line = self._reporter.line
        line("A LAN of its own on this machine; nothing leaves it.", "bold")
        for host in testbed.lab.hosts:
            line(f"  {host.name:<8} {host.ip:<13} {host.mac}  {testbed.role(host)}")
        sensor = testbed.lab.sensor
        line(f"  sensor   {sensor.ip:<13} {sensor.mac}  MonitorPi, at the switch's mirror port")
        line()
        if testbed.page_port is not None:
            line(f"  page     http://127.0.0.1:{testbed.page_port}/", "blue")
        line(f"  cloud    {testbed.cloud.address}", "blue")
        line(f"  messages {testbed.watch_command}", "blue")
        line()

    def _window(self, traffic: Traffic) -> None:
        if self._started_s is None:
            self._started_s = time.monotonic()
            self._report("sees", f"capture counts the frames at {traffic.interface}.")
        self._row_check.add(traffic)
        self._reporter.live(self._clock(), traffic, len(self._open))

    def _presence(self, arrival: Arrival) -> None:
        """Report that a service has come, or has gone."""
        service = arrival.topic.service
        if arrival.payload == Status.ONLINE.value.encode():
            if service not in self._online:
                self._online.add(service)
                self._report("up", f"{service} is online.", "green")
        elif service in self._online:
            self._online.discard(service)
            self._report("down", f"{service} is offline.", "red")

    def _round(self, probe: Probe) -> None:
        """Report when more devices answer than ever before."""
        answered = sum(target.received > 0 for target in probe.targets)
        if answered > self._answering:
            self._answering = answered
            self._report("pings", f"prober: {answered} of {len(probe.targets)} devices answer.")

    def _transition(self, transition: Transition) -> None:
        alert = transition.alert
        after = "" if transition.after_s is None else f" after {transition.after_s:.1f} s"
        if transition.what in _OPENED:
            self._open.add(alert.key)
            self._report("ALERT", f"{alert.rule}{after}: {alert.summary}", "red")
            if _OPENED[transition.what]:
                self._report("", _OPENED[transition.what], "red")
        elif transition.what == "followed":
            self._report("with", f"{alert.rule}, a side effect of it: {alert.summary}", "yellow")
        else:
            self._open.discard(alert.key)
            culprit = subject_mac(alert) or alert.subject
            self._report(
                "closed", f"{alert.rule} of {culprit}{after} ({alert.close_reason}).", "green"
            )

    def _child(self, event: ChildEvent) -> None:
        if event.what != "started":
            self._disturbed = True
            self._report("down", f"{event.name} {event.text}.", "red")


_WORDS: Final = {"syn": "SYNs", "icmp_echo": "echo requests"}
_OPENED: Final = {
    "opened": "",
    "reopened": "the same flood, reported once more.",
    "unexplained": "nobody has caused this one.",
}
_LINES: Final = 3


def _newest_lines(logs: Path) -> str:
    """Return the last lines of each service's log, for whoever must find out what is wrong."""
    newest = []
    for file in sorted(logs.iterdir()):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        newest += [f"  {file.stem}: {line}" for line in lines[-_LINES:]]
    return "\n".join(newest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
