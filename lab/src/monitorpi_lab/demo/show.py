"""``monitorpi demo``: the whole stack finds two floods in a lab of its own, and tells the story."""

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
from monitorpi_lab.demo import judge
from monitorpi_lab.demo.cloud import INTERVAL_S
from monitorpi_lab.demo.judge import Judge, schedule, subject_mac
from monitorpi_lab.demo.ledger import Ledger
from monitorpi_lab.demo.narrator import Narrator
from monitorpi_lab.demo.stage import running_stage
from monitorpi_lab.namespace import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitorpi_cli.stack.supervisor import ChildEvent
    from monitorpi_cli.stack.viewer import Heard
    from monitorpi_cli.table import Colour
    from monitorpi_lab.demo.judge import Cue, Turn
    from monitorpi_lab.demo.stage import Stage

DEFAULT_SECONDS: Final = 60.0
_START_WITHIN_S: Final = 60.0  # a Raspberry Pi 3 imports eight services' worth of Python
_LOOK_S: Final = 0.02
_OK, _FAILED, _USAGE, _RESOURCE = 0, 1, 2, 3


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    0: both alerts opened on the right MAC and closed, and nothing else did. 1: not so. 2: wrong
    arguments. 3: the lab or the stack cannot run here.
    """
    options = _parse(argv)
    narrator = Narrator(sys.stderr if options.json else sys.stdout)
    try:
        cues = schedule(options.seconds)
        show = Show(cues, options.seconds, narrator)
        asyncio.run(show.run())
    except ValueError as error:
        return _refuse(str(error), _USAGE)
    except (LabError, ResourceError) as error:
        narrator.end()
        return _refuse(str(error), _RESOURCE)
    complaints = show.complaints()
    for complaint in complaints:
        narrator.say(f"NOT AS IT SHOULD BE: {complaint}", "red")
    if not complaints:
        narrator.say(
            "Both floods were found, on the host that sent them, and nothing else.", "green"
        )
    if options.json:
        print(json.dumps(show.judge.result(show.cloud_rows)))
    return _FAILED if complaints else _OK


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
        f"{judge.MINIMUM_S:g})",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser.parse_args(argv)


def _refuse(said: str, code: int) -> int:
    print(f"monitorpi demo: {said}", file=sys.stderr)
    return code


class Show:
    """One demo, from setting the stage to the result."""

    def __init__(self, cues: Sequence[Cue], seconds: float, narrator: Narrator) -> None:
        self.judge = Judge()
        self.cloud_rows = 0
        self._ledger = Ledger(INTERVAL_S)
        self._wrong_rows: list[str] = []
        self._disturbed = False
        self._cues = cues
        self._seconds = seconds
        self._narrator = narrator
        self._started_s: float | None = None
        self._online: set[str] = set()
        self._open: set[str] = set()
        self._devices: set[str] = set()
        self._answering = 0

    async def run(self) -> None:
        """Play it.

        Raises:
            LabError: the lab cannot run here, or no window came.
            ResourceError: the stack cannot run here.

        """
        me = asyncio.current_task()
        if me is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
        async with running_stage(self._child) as stage:
            self._introduce(stage)
            await self._first_window(stage)
            floods: list[asyncio.Task[None]] = []
            while (clock := self._clock()) < self._seconds:
                if len(floods) < len(self._cues) and clock >= self._cues[len(floods)].at_s:
                    floods.append(asyncio.create_task(self._flood(stage, self._cues[len(floods)])))
                await self._listen(stage)
            for task in floods:
                await task
            await self._settle(stage)
        self._narrator.end()

    def complaints(self) -> list[str]:
        """Return what did not go as it must; empty: all well."""
        undisturbed = not self._disturbed
        return [*self.judge.complaints(self._cues, undisturbed=undisturbed), *self._wrong_rows]

    def _clock(self) -> float:
        """Return seconds since the first window; 0 before it."""
        return 0.0 if self._started_s is None else time.monotonic() - self._started_s

    # --- what happens -----------------------------------------------------------------------

    async def _first_window(self, stage: Stage) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while self._started_s is None:
            if time.monotonic() > deadline:
                raise LabError(
                    f"no window came within {_START_WITHIN_S:g} s:\n{_last_words(stage.logs)}"
                )
            await self._listen(stage)

    async def _flood(self, stage: Stage, cue: Cue) -> None:
        """Let the attacker flood the victim, and note when."""
        spec = flood.flood_between(
            stage.attacker, stage.victim, cue.kind, cue.rate, seconds=cue.seconds
        )
        running = await asyncio.to_thread(flood.start, stage.attacker, spec)
        first_s = await asyncio.to_thread(running.first_frame_s)
        self.judge.flood_started(cue.rule, stage.attacker.mac, first_s)
        self._tell(
            "FLOOD",
            f"{stage.attacker.name} ({stage.attacker.mac}) sends {cue.rate:g} "
            f"{_WORDS[cue.kind]} a second to {stage.victim.name} ({stage.victim.ip}).",
            "yellow",
        )
        sent = await asyncio.to_thread(running.wait)
        self.judge.flood_ended(cue.rule, sent.last_s)
        self._tell("ends", f"{stage.attacker.name} has sent {sent.frames:,} frames and stops.")

    async def _settle(self, stage: Stage) -> None:
        """Read the rows back and hold them against the windows that came."""
        rows = await asyncio.to_thread(stage.cloud.rows)
        stored = {row.second: row.values for row in rows}
        self.cloud_rows = len(rows)
        if len(stored) < len(rows):
            self._wrong_rows.append("the cloud has a row twice")
        self._wrong_rows += self._ledger.differences(stored, undisturbed=not self._disturbed)
        if not self._wrong_rows:
            agree = "all together" if self._disturbed else "each"
            self._tell("cloud", f"{len(rows)} rows, {agree} the sum of their windows.", "green")

    async def _listen(self, stage: Stage) -> None:
        """Take all messages that have come, then wait a moment."""
        while (heard := stage.viewer.next()) is not None:
            self._hear(heard)
        await asyncio.sleep(_LOOK_S)

    def _hear(self, heard: Heard) -> None:
        self.judge.messages[heard.topic.kind] += 1
        if heard.topic.kind == "status":
            self._presence(heard)
            return
        try:
            message = heard.message()
        except ValidationError:
            return
        match message:
            case Traffic():
                self._window(message)
            case Alert():
                turn = self.judge.alert(message, heard.at_s)
                if turn is not None:
                    self._turn(turn)
            case Device():
                self._devices.add(message.mac)
            case Probe():
                self._round(message)

    # --- what is told -----------------------------------------------------------------------

    def _tell(self, mark: str, text: str, colour: Colour | None = None) -> None:
        self._narrator.tell(self._clock(), mark, text, colour)

    def _introduce(self, stage: Stage) -> None:
        say = self._narrator.say
        say("A LAN of its own on this machine; nothing leaves it.", "bold")
        for host in stage.lab.hosts:
            say(f"  {host.name:<8} {host.ip:<13} {host.mac}  {stage.role(host)}")
        sensor = stage.lab.sensor
        say(f"  sensor   {sensor.ip:<13} {sensor.mac}  MonitorPi, at the switch's mirror port")
        say()
        if stage.page_port is not None:
            say(f"  page     http://127.0.0.1:{stage.page_port}/", "blue")
        say(f"  cloud    {stage.cloud.address}", "blue")
        say(f"  messages {stage.watch_command}", "blue")
        say()

    def _window(self, traffic: Traffic) -> None:
        if self._started_s is None:
            self._started_s = time.monotonic()
            self._tell("sees", f"capture counts the frames at {traffic.interface}.")
        self._ledger.add(traffic)
        self._narrator.show(self._clock(), traffic, len(self._open))

    def _presence(self, heard: Heard) -> None:
        """Tell that a service has come, or has gone."""
        service = heard.topic.service
        if heard.payload == Status.ONLINE.value.encode():
            if service not in self._online:
                self._online.add(service)
                self._tell("up", f"{service} is online.", "green")
        elif service in self._online:
            self._online.discard(service)
            self._tell("down", f"{service} is offline.", "red")

    def _round(self, probe: Probe) -> None:
        """Tell when more devices answer than ever before."""
        answered = sum(target.received > 0 for target in probe.targets)
        if answered > self._answering:
            self._answering = answered
            self._tell("pings", f"prober: {answered} of {len(probe.targets)} devices answer.")

    def _turn(self, turn: Turn) -> None:
        alert = turn.alert
        after = "" if turn.after_s is None else f" after {turn.after_s:.1f} s"
        if turn.what in _OPENED:
            self._open.add(alert.key)
            self._tell("ALERT", f"{alert.rule}{after}: {alert.summary}", "red")
            if _OPENED[turn.what]:
                self._tell("", _OPENED[turn.what], "red")
        elif turn.what == "followed":
            self._tell("with", f"{alert.rule}, a side effect of it: {alert.summary}", "yellow")
        else:
            self._open.discard(alert.key)
            culprit = subject_mac(alert) or alert.subject
            self._tell(
                "closed", f"{alert.rule} of {culprit}{after} ({alert.close_reason}).", "green"
            )

    def _child(self, event: ChildEvent) -> None:
        if event.what != "started":
            self._disturbed = True
            self._tell("down", f"{event.name} {event.text}.", "red")


_WORDS: Final = {"syn": "SYNs", "icmp_echo": "echo requests"}
_OPENED: Final = {
    "opened": "",
    "anew": "the same flood, told once more.",
    "unexplained": "nobody has caused this one.",
}
_LINES: Final = 3


def _last_words(logs: Path) -> str:
    """Return the last lines of each service's log, for whoever must find out what is wrong."""
    said = []
    for file in sorted(logs.iterdir()):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        said += [f"  {file.stem}: {line}" for line in lines[-_LINES:]]
    return "\n".join(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
