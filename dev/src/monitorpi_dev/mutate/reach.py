"""Which tests come to which lines: one run of the suite under coverage, kept until code changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coverage import CoverageData

from monitorpi_cli.checkout import root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IN_PROCESS: Final = "not soak and not engine and not alone"
"""Tests that may run many times, beside each other."""
LONGEST_S: Final = 60.0
"""What the tests in our own process may take for one fault, and those that start programs."""
_CONTRACT: Final = "tests/contract/"
ENVIRONMENT: Final = {"MONITORPI_CAPTURES": os.devnull}
"""What everybody who has the checkout can run: no captures from elsewhere."""


class ReachError(Exception):
    """The tests tell nothing even without a fault; the text says where to look."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one run of a package's tests showed."""

    lines: dict[str, dict[int, list[str]]]
    """The tests that run a line in their own process, by file and line."""
    seconds: dict[str, float]
    """How long each test took."""
    starters: list[str]
    """Tests that start programs of ours: which lines those run is not known."""
    libraries: list[str]
    """What the tests import that is not ours, to be imported once for all mutants."""

    def tests(self, file: Path, first: int, last: int) -> tuple[str, ...]:
        """Return the tests that may notice a change of some lines, the fastest first.

        What runs at import belongs to no test: first come those that use the module, then all
        others, as what a module holds is read without running a line of it; among these those of
        the contract, which reads all of it.
        Those that start programs come last. Of each so many as take a minute: a fault that only
        a slower test would notice counts as one that survived.
        """
        lines, starters = self.lines.get(str(file), {}), {*self.starters}
        own = {test for line in range(first, last + 1) for test in lines.get(line, ())}
        others: set[str] = set()
        if not own:
            own = {test for tests in lines.values() for test in tests}
            others = {*self.seconds} - own - starters
        contract = {one for one in others if one.startswith(_CONTRACT)}
        stages = (own - starters, contract, others - contract, starters)
        return tuple(test for tests in stages for test in self._in_time(tests))

    def _in_time(self, tests: Iterable[str]) -> Iterator[str]:
        ordered = sorted(tests, key=lambda test: (self.seconds[test], test))
        for test, took_s in zip(
            ordered, accumulate(self.seconds[test] for test in ordered), strict=True
        ):
            if took_s <= LONGEST_S:
                yield test


def tests_of(package: str) -> list[str]:
    """Return the tests that belong to a package: its folder, and those that see it from outside."""
    name = package.split(".", 1)[0].removeprefix("monitorpi_")
    found = [root() / "tests" / name]
    for about in (name, "generated", "rules_documented"):
        found += root().glob(f"tests/contract/test_{about}*.py")
    return [str(one.relative_to(root())) for one in found if one.exists()]


@cache
def reach(package: str) -> Reach:
    """Return which tests run which lines of a package, and how long they take.

    Raises:
        ReachError: they do not run at all.

    """
    kept = root() / ".mutate" / f"{package}-{_state(package)}.json"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        for old in kept.parent.glob(f"{package}-*.json"):
            old.unlink()
        kept.write_text(json.dumps(_measured(package)))
    found = json.loads(kept.read_text())
    found["lines"] = {
        file: {int(line): tests for line, tests in lines.items()}
        for file, lines in found["lines"].items()
    }
    return Reach(**found)


def _measured(package: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        data, config, notes = (Path(folder, one) for one in ("coverage", "coverage.ini", "notes"))
        config.write_text(f"[run]\ndata_file = {data}\n")
        run = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-m", IN_PROCESS, "-p", "no:cacheprovider",
                "-p", "monitorpi_dev.mutate.notes", f"--notes={notes}", f"--cov={package}",
                "--cov-context=test", "--cov-report=", f"--cov-config={config}",
                *tests_of(package),
            ],
            cwd=root(), env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = json.loads(notes.read_text()) if notes.exists() else {"failed": ["all"]}
        if run.returncode and (run.returncode != 1 or not found["failed"] or not found["seconds"]):
            raise ReachError(f"the tests of {package} do not run as they are:\n{run.stdout}")
        failed = set(found.pop("failed"))
        for test in sorted(failed):  # such as one that measures: it would tell nothing of a mutant
            print(f"mutate: left out, as it fails under coverage: {test}", file=sys.stderr)
        measured = CoverageData(str(data))
        measured.read()
        lines = {file: _lines(measured, file, failed) for file in measured.measured_files()}
        return {"lines": lines, **found, "starters": sorted({*found["starters"]} - failed)}


def _lines(measured: CoverageData, file: str, failed: set[str]) -> dict[int, list[str]]:
    tests: dict[int, list[str]] = defaultdict(list)
    for line, names in measured.contexts_by_lineno(file).items():
        tests[line] = sorted({name.rsplit("|", 1)[0] for name in names if name} - failed)
    return tests


def _state(package: str) -> str:
    """Return a name for what code and tests are now."""
    own = [root() / one for one in tests_of(package)]
    files = {one for path in own for one in (path.rglob("*.py") if path.is_dir() else [path])}
    digest = hashlib.sha256()
    for file in sorted(files | set(root().glob("*/*/src/**/*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
