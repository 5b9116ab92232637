"""Which tests come to which lines: one run of the suite under coverage, kept until code changes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coverage import CoverageData

from monitorpi_cli.checkout import root

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IN_PROCESS: Final = "not soak and not engine and not lab"
"""Tests that may run many times, beside each other."""


class ReachError(Exception):
    """The tests do not pass even without a fault; the text says where to look."""


def tests_of(package: str) -> list[str]:
    """Return the tests that belong to a package: its folder, and those that see it from outside."""
    name = package.split(".", 1)[0].removeprefix("monitorpi_")
    found = [root() / "tests" / name, *root().glob(f"tests/contract/test_{name}*.py")]
    return [str(one.relative_to(root())) for one in found if one.exists()]


def reach(package: str, files: Sequence[Path]) -> dict[Path, dict[int, list[str]]]:
    """Return the tests that run each line of some files, by file and line.

    Raises:
        ReachError: a test fails.

    """
    kept = root() / ".mutate" / f"{package}-{_state(files)}.json"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        for old in kept.parent.glob(f"{package}-*.json"):
            old.unlink()
        kept.write_text(json.dumps(_measured(package, files)))
    found = json.loads(kept.read_text())
    return {
        file: {int(line): tests for line, tests in found.get(str(file), {}).items()}
        for file in files
    }


def _measured(package: str, files: Iterable[Path]) -> dict[str, dict[int, list[str]]]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "coverage")
        config = Path(folder, "coverage.ini")
        config.write_text(f"[run]\ndata_file = {data}\n")
        run = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-m", IN_PROCESS, "-p", "no:cacheprovider",
                f"--cov={package.split('.', 1)[0]}", "--cov-context=test", "--cov-report=",
                f"--cov-config={config}", *tests_of(package),
            ],
            cwd=root(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            raise ReachError(f"the tests of {package} do not pass as they are:\n{run.stdout}")
        measured = CoverageData(str(data))
        measured.read()
        return {str(file): _lines(measured.contexts_by_lineno(str(file))) for file in files}


def _lines(contexts: dict[int, list[str]]) -> dict[int, list[str]]:
    tests: dict[int, list[str]] = defaultdict(list)
    for line, names in contexts.items():
        tests[line] = sorted({name.split("|")[0] for name in names if name})
    return tests


def _state(files: Iterable[Path]) -> str:
    """Return a name for what code and tests are now."""
    digest = hashlib.sha256()
    for file in sorted({*files, *root().glob("tests/**/*.py")}):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
