"""``monitorpi evaluate``: how well the detector judges what has a known answer.

A folder of capture files with a ``labels.tsv`` (columns file, kind, expected alert, attacker_mac),
read through the real services, the generated scenarios, or a simulated week of a home
(:mod:`monitorpi_dev.week`). Reported is what matters to a person: found or missed, on whom, after
how many seconds of event time, and every false alarm.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import re
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_cli.arguments import number
from monitorpi_cli.replay import Pipe
from monitorpi_common.messages import Alert, Publication, Traffic
from monitorpi_common.service import Received
from monitorpi_common.topics import Topic
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.settings import DetectorSettings
from monitorpi_dev.scenarios.lan import START
from monitorpi_dev.scenarios.looks import looks
from monitorpi_dev.scenarios.scenario import benign_scenario, flood_scenarios
from monitorpi_dev.week import report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitorpi_common.messages import Message
    from monitorpi_dev.scenarios.scenario import Scenario

FLOODS: Final = ("syn-flood", "icmp-flood")
_LABELS: Final = "labels.tsv"
_RIGHT: Final = ("found", "clean", "tolerated", "refused")
_UNREADABLE: Final = 3
"""Capture's exit code for what it cannot read: a file that is no capture, or none at all."""
_CLASS_OF: Final = {"syn-flood": "syn", "icmp-flood": "icmp"}
_PEAKS: Final = ("syn", "icmp_echo", "icmp", "arp", "broadcast", "dhcp")
_MAC: Final = r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
_GAP_S: Final = 60.0
_BEGINS: Final = 5
"""Frames of the flood's class in a window from which the flood has begun."""
_LEAST_HOURS: Final = 0.5
"""So that each of the hard benign cases has its turn."""
_LEAST_DAYS: Final = 0.25
_MOST_DAYS: Final = 28.0
_OK, _FAILED, _USAGE = 0, 1, 2


@dataclass
class EvaluationRow:
    """What came of one file or scenario."""

    name: str
    kind: str
    expected: str
    verdict: str = ""
    """``found``, ``missed``, ``wrong-mac``, ``clean``, ``tolerated`` (an alert of another kind
    where only floods were to be absent), ``false-alarm``, ``refused`` (a malformed file that is no
    capture, said in one sentence) or ``failed``."""
    subject: str | None = None
    seconds_to_alert: float | None = None
    hours: float = 0.0
    """Watched: of a gap in a file a minute counts."""
    devices: int = 0
    """Different MAC addresses that sent."""
    alerts: list[str] = field(default_factory=list)
    """Their keys."""
    openings: int = 0
    """Alerts counted each time they open."""
    peaks: dict[str, float] = field(default_factory=dict)
    """The busiest source MAC's frames/s by class; the wire's where frames have no MACs."""

    @property
    def right(self) -> bool:
        """The verdict is as it should be."""
        return self.verdict in _RIGHT


class AlertObserver:
    """Takes in windows and alerts of one run and judges them at the end."""

    def __init__(
        self, row: EvaluationRow, macs: frozenset[str] = frozenset(), since: float | None = None
    ) -> None:
        self._row = row
        self._attackers = macs
        self._begins = since
        self._last: float | None = None
        self._watched_s = 0.0
        self._opened: dict[str, Alert] = {}
        self._ids: set[str] = set()
        self._macs: set[str] = set()

    def take(self, message: Message) -> None:
        """Take one message."""
        match message:
            case Traffic():
                self._window(message)
            case Alert(state="open"):
                self._opened.setdefault(message.key, message)
                self._ids.add(message.id)
            case _:
                pass

    def _window(self, window: Traffic) -> None:
        start_s, end_s = window.start.timestamp(), window.end.timestamp()
        since_s = start_s if self._last is None else min(self._last, start_s)
        self._watched_s += min(max(0.0, end_s - since_s), _GAP_S + window.window_s)
        self._last = end_s
        name = _CLASS_OF.get(self._row.expected)
        if self._begins is None and name and window.counts.get(name, 0) >= _BEGINS:
            self._begins = window.start.timestamp()
        self._macs.update(row.mac for row in window.devices if row.tx.get("packets"))
        span_s = max(window.window_s, 1.0)
        for one in _PEAKS:
            counts = [row.tx.get(one, 0) for row in window.devices] or [window.counts.get(one, 0)]
            peak = max(counts, default=0) / span_s
            if peak > self._row.peaks.get(one, 0.0):
                self._row.peaks[one] = round(peak, 1)

    def judge(self, subjects: Iterable[str] = ()) -> EvaluationRow:
        """Return the row with its verdict."""
        row = self._row
        row.hours = round(self._watched_s / 3600, 4)
        row.devices = len(self._macs)
        row.alerts, row.openings = list(self._opened), len(self._ids)
        if row.expected in FLOODS:
            self._judge_flood(frozenset(subjects))
        elif any(alert.rule in FLOODS for alert in self._opened.values()):
            row.verdict = "false-alarm"
        elif row.expected == "none" and any(
            alert.severity != "info" for alert in self._opened.values()
        ):
            row.verdict = "tolerated" if row.kind == "other" else "false-alarm"
        else:
            row.verdict = "tolerated" if self._opened else "clean"
        return row

    def _judge_flood(self, subjects: frozenset[str]) -> None:
        row = self._row
        alerts = [alert for alert in self._opened.values() if alert.rule == row.expected]
        right = [alert for alert in alerts if self._is_right(alert, subjects)]
        row.verdict = "found" if right else ("wrong-mac" if alerts else "missed")
        for alert in right[:1]:
            row.subject = alert.subject
            if self._begins is not None:
                row.seconds_to_alert = round(alert.opened_at.timestamp() - self._begins, 3)

    def _is_right(self, alert: Alert, subjects: frozenset[str]) -> bool:
        if subjects:
            return alert.subject in subjects
        if not self._attackers:
            # nobody in particular: a file without MAC addresses, or a source each frame
            return alert.subject.startswith(("wire-", "victim-"))
        return alert.subject in {mac.replace(":", "") for mac in self._attackers} or (
            alert.subject.startswith("victim-")
            and any(peer.mac in self._attackers for peer in alert.evidence.sources)
        )


def main(argv: Sequence[str]) -> int:
    """Run the command: 0 all as labelled, 1 something was not, 2 wrong arguments."""
    options = _parse(argv)
    if options.week:
        return report.show(options.seed, options.days, as_json=options.json)
    if options.folder is None and not options.scenarios:
        print(
            "monitorpi evaluate: give a folder with labels.tsv, --scenarios or --week",
            file=sys.stderr,
        )
        return _USAGE
    rows: list[EvaluationRow] = []
    try:
        if options.folder is not None:
            rows += _show(read_folder(options.folder, options.config), quiet=options.json)
    except OSError as error:
        print(f"monitorpi evaluate: {error.filename}: {error.strerror}", file=sys.stderr)
        return _USAGE
    except LabelsError as error:
        print(f"monitorpi evaluate: {error}", file=sys.stderr)
        return _USAGE
    if options.scenarios:
        rows += _show(run_scenarios(options.seed, options.hours), quiet=options.json)
    summary = summarise(rows)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "summary": summary}))
    else:
        print("\n" + "\n".join(f"{name}: {value}" for name, value in summary.items()))
    return _OK if all(row.right for row in rows) else _FAILED


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./monitorpi evaluate",
        description="Judge labelled capture files, generated scenarios, or a simulated week.",
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="holds labels.tsv")
    parser.add_argument("--scenarios", action="store_true", help="the generated scenarios")
    parser.add_argument(
        "--week", action="store_true", help="a simulated week of a home with ten incidents in it"
    )
    parser.add_argument(
        "--days",
        type=number(
            lambda value: _LEAST_DAYS <= value <= _MOST_DAYS,
            f"give {_LEAST_DAYS:g} to {_MOST_DAYS:g}",
        ),
        default=7.0,
        help="of the simulated week; a part of it has a part of the incidents (default 7)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of the scenarios or the week (default 1)"
    )
    parser.add_argument(
        "--hours",
        type=number(
            lambda value: _LEAST_HOURS <= value < math.inf, f"give {_LEAST_HOURS:g} or more"
        ),
        default=1.0,
        help="of generated benign traffic (default 1)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, such as thresholds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(argv)


def _show(rows: Iterator[EvaluationRow], *, quiet: bool) -> list[EvaluationRow]:
    kept = []
    for row in rows:
        kept.append(row)
        if not quiet:
            after = "" if row.seconds_to_alert is None else f" after {row.seconds_to_alert:.3f} s"
            others = ", ".join(row.alerts) or "-"
            print(f"{row.verdict:<12} {row.name}  expected {row.expected}{after}  alerts: {others}")
    return kept


# --- capture files -------------------------------------------------------------------------------


class LabelsError(Exception):
    """The table of labels is none."""


def read_folder(folder: Path, config: Path | None = None) -> Iterator[EvaluationRow]:
    """Judge every file that ``labels.tsv`` names.

    Raises:
        OSError: there is no ``labels.tsv``.
        LabelsError: it names no files.

    """
    with (folder / _LABELS).open(encoding="utf-8", errors="replace", newline="") as stream:
        table = csv.DictReader(stream, delimiter="\t")
        try:
            labels = [label for label in table if label.get("file")]
        except csv.Error:
            labels = []
    if not labels or any("\0" in label["file"] for label in labels):
        raise LabelsError(
            f"{folder / _LABELS}: no file is named: its columns are file, kind, expected alert and "
            "attacker_mac, separated by tabs"
        )
    for label in labels:
        yield _read_file(folder / label["file"], label, config)


def _read_file(file: Path, label: dict[str, str], config: Path | None) -> EvaluationRow:
    expected = (label.get("expected alert") or "none").strip()
    if expected not in FLOODS:
        expected = "not a flood" if expected.startswith("not") else "none"
    row = EvaluationRow(file.name, (label.get("kind") or "").strip(), expected)
    macs = re.findall(_MAC, (label.get("attacker_mac") or "").lower())
    observer = AlertObserver(row, frozenset(macs))
    with tempfile.TemporaryDirectory(prefix="monitorpi-evaluate-") as state:
        pipe = Pipe(file, config, Path(state), to_terminal=False)
        for message in pipe.messages():
            observer.take(message)
        code = pipe.wait()
    judged = observer.judge()
    if code == _UNREADABLE and judged.hours > 0:
        return judged  # it ends early: what was read is judged
    if code == _UNREADABLE and row.kind.startswith("malformed") and file.is_file():
        judged.verdict = "refused"
    elif code != 0:
        judged.verdict = "failed"
    return judged


# --- scenarios -----------------------------------------------------------------------------------


def run_scenarios(seed: int, hours: float) -> Iterator[EvaluationRow]:
    """Judge every generated flood, and hours of benign traffic with every hard case in it."""
    for scenario in flood_scenarios(seed):
        yield run_scenario(scenario)
    yield run_scenario(benign_scenario(seed, int(hours * 3600)))


def run_scenario(scenario: Scenario) -> EvaluationRow:
    """Run one scenario through a detector of its own."""
    answer = scenario.expected
    weak = answer is not None and answer.times_floor < 1
    expected = "not a flood" if answer is None or weak else answer.rule
    row = EvaluationRow(scenario.name, "benign" if answer is None else "flood", expected)
    since = None if answer is None else START.timestamp() + answer.since_s
    observer = AlertObserver(row, since=since)
    core = DetectorCore("scenario", DetectorSettings())
    dice = random.Random(scenario.name)  # noqa: S311 - the same looks each time
    for message in scenario.windows():
        observer.take(message)
        # where nothing is an attack no look may find one, at whatever moment
        early = looks(message, dice) if answer is None and isinstance(message, Traffic) else ()
        for one in (*early, message):
            topic = Topic("scenario", str(one.SERVICE), one.KIND, "eth0")
            for said in core.handle(Received(topic, one)):
                if isinstance(said, Publication):
                    observer.take(said.message)
    return observer.judge(answer.subjects if answer is not None else ())


# --- the sum -------------------------------------------------------------------------------------


def summarise(rows: Sequence[EvaluationRow]) -> dict[str, float | int | str | None]:
    """Sum up in the terms people ask in: found, missed, delay, false alarms a day."""
    floods = [row for row in rows if row.expected in FLOODS]
    others = [row for row in rows if row.expected not in FLOODS]
    delays = sorted(row.seconds_to_alert for row in floods if row.seconds_to_alert is not None)
    hours = sum(row.hours for row in others)
    false = sum(row.verdict == "false-alarm" for row in others)
    benign = [row for row in others if row.kind.startswith("benign")]
    device_days = sum(row.devices * row.hours / 24 for row in benign)
    alerts = sum(row.openings for row in benign)
    peaks: dict[str, float] = {}
    for row in benign:
        for name, peak in row.peaks.items():
            peaks[name] = max(peaks.get(name, 0.0), peak)
    return {
        "judged": len(rows),
        "floods": len(floods),
        "found": sum(row.verdict == "found" for row in floods),
        "missed": sum(row.verdict in ("missed", "wrong-mac") for row in floods),
        "median_seconds_to_alert": delays[len(delays) // 2] if delays else None,
        "worst_seconds_to_alert": delays[-1] if delays else None,
        "false_alarms": false,
        "hours_without_floods": round(hours, 2),
        "benign_device_days": round(device_days, 3),
        "alerts_per_device_day": round(alerts / device_days, 4) if device_days else None,
        "benign_peaks_per_s": ", ".join(f"{name} {peak:g}" for name, peak in peaks.items()),
        "failed": sum(row.verdict == "failed" for row in rows),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
