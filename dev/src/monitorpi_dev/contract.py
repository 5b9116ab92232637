"""``contract``: can another program take a service's place?

The contract tests give a program nothing but its environment and look at nothing but the bus (and
what a service serves or sends). Those marked ``ours`` look at our own files, command line or words
besides, and are left out here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from monitorpi_cli.checkout import root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

FOLDER: Final = "tests/contract"
_NOTHING_RUN: Final = 3
_QUIET: Final = (
    "-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib",
)  # fmt: skip
"""What pytest prints is left to the report."""


def services() -> list[str]:
    """Return the services that have contract tests."""
    files = (root() / FOLDER).glob("test_*.py")
    names = {path.stem.removeprefix("test_").replace("_", "-") for path in files}
    return sorted(names & {path.name for path in (root() / "services").iterdir()})


@dataclass(slots=True, eq=False)  # pytest puts its plugins into sets
class ContractReport:
    """What each test showed, printed as it ends: a pytest plugin."""

    quiet: bool = False
    rows: list[dict[str, str]] = field(default_factory=list)
    _asked: dict[str, str] = field(default_factory=dict)
    _ended: dict[str, str] = field(default_factory=dict)
    """By test: that the program was not there any more when the test failed."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember what each test asks for: the first line of its docstring."""
        for item in items:
            text = getattr(item, "obj", None).__doc__ or item.name
            self._asked[item.nodeid] = text.strip().splitlines()[0]

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Look whether the program that a test started last has ended by itself."""
        started = getattr(item, "funcargs", {}).get("processes")
        if call.excinfo is None or not started:
            return
        code = started[-1].poll()
        if code is not None and code != -signal.SIGKILL:
            self._ended[item.nodeid] = f" (the program ended with exit code {code})"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test's end, or what kept it from beginning."""
        if report.when != "call" and report.passed:
            return
        self._add(report, self._asked.get(report.nodeid, ""))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Say why tests could not be read."""
        if report.failed:
            self._add(report, "The tests can be read.")

    def _add(self, report: pytest.TestReport | pytest.CollectReport, asked: str) -> None:
        why = "" if report.passed else _why(report) + self._ended.get(report.nodeid, "")
        row = {
            "test": report.nodeid.rpartition("::")[2], "outcome": report.outcome, "asked": asked,
            "why": why,
        }  # fmt: skip
        self.rows.append(row)
        if not self.quiet:
            mark = {"passed": "ok     ", "failed": "FAILED ", "skipped": "skipped"}[report.outcome]
            print(f"{mark} {row['asked']}" + (f"\n        {why}" if why else ""), flush=True)

    def count(self, outcome: str) -> int:
        """Return how many tests ended so."""
        return sum(row["outcome"] == outcome for row in self.rows)


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return one line of what was wrong: in the words of the test's own line, where it has some."""
    told = report.longrepr
    if isinstance(told, tuple):  # a skip: file, line, reason
        return str(told[2])
    crash = getattr(told, "reprcrash", None)
    message = str(crash.message).splitlines()[0] if crash else str(told).splitlines()[-1]
    entries = getattr(getattr(told, "reprtraceback", None), "reprentries", [])
    lines = [line for entry in entries[:1] for line in entry.lines if line.startswith(">")]
    return f"{lines[-1][1:].strip()}: {message}" if lines else message


def main(argv: Sequence[str]) -> int:
    """Run a service's contract tests against a command or a container; 1: it does not keep it."""
    words = list(argv)
    ours, given = (
        (words[: words.index("--")], words[words.index("--") + 1 :])
        if "--" in words
        else (words, [])
    )
    parser = argparse.ArgumentParser(
        prog="./monitorpi contract", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s SERVICE [--json] [--container] -- COMMAND...",
    )  # fmt: skip
    parser.add_argument("service", choices=services())
    parser.add_argument(
        "--container", action="store_true",
        help="what follows -- is the rest of a `docker run`: options, an image, its arguments",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    options = parser.parse_args(ours)
    program = "docker" if options.container else given[0] if given else ""
    if not given:
        parser.error("give a command behind --, such as: -- node detector.js")
    if shutil.which(program) is None:
        parser.error(f"there is no program {program!r}")
    contender = {"service": options.service, "command": given, "container": options.container}
    os.environ["CONTENDER_FOR_MONITORPI"] = json.dumps(contender)
    report = ContractReport(quiet=options.json)
    os.chdir(root())
    run(root() / FOLDER / f"test_{options.service.replace('-', '_')}.py", report)
    return _end(report, as_json=options.json)


def run(file: Path, report: ContractReport) -> None:
    """Run the tests of a file that any program must pass."""
    import pytest  # noqa: PLC0415 - help is told where it is not installed

    pytest.main([str(file), "-m", "not ours and not soak", *_QUIET], plugins=[report])


def _end(report: ContractReport, *, as_json: bool) -> int:
    """Print the sum and return the exit code."""
    passed, failed = report.count("passed"), report.count("failed")
    keeps = passed > 0 and not failed
    if as_json:
        print(json.dumps({"keeps_contract": keeps, "tests": report.rows}))
    else:
        skipped = report.count("skipped")
        print(f"\n{passed} kept, {failed} not kept" + (f", {skipped} not tried" if skipped else ""))
    if not report.rows:
        return _NOTHING_RUN
    return 0 if keeps else 1
