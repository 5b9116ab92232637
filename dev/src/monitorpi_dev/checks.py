"""``check``, ``test`` and ``soak``: what must hold before a change lands."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from monitorpi_cli.checkout import root

DASHBOARD: Final = "services/dashboard"
PAGE: Final = "src/monitorpi_dashboard/page"
SOURCES: Final = (
    "libs/*/src",
    "services/*/src",
    "doubles/*/src",
    "cli/src",
    "lab/src",
    "dev/src",
    "examples",
)


def _run(title: str, *command: str, folder: Path | None = None) -> bool:
    print(f"-- {title}", flush=True)
    return subprocess.run(command, cwd=folder or root(), check=False).returncode == 0


def _page(title: str, tool: str, *options: str) -> bool:
    """Check the page's scripts; on a processor that the tool is not built for, say so."""
    if platform.machine() == "armv7l":
        print(f"-- {title}: not checked here, {tool} is not built for this processor", flush=True)
        return True
    return _run(title, _beside_python(tool), *options, PAGE, folder=root() / DASHBOARD)


def _beside_python(tool: str) -> str:
    return str(Path(sys.executable).with_name(tool))


def check(argv: list[str]) -> int:
    """Check format, lint, types, import rules and generated files."""
    parser = argparse.ArgumentParser(prog="./monitorpi check", description=check.__doc__)
    parser.add_argument("--fix", action="store_true", help="mend format and what lint can mend")
    fix = parser.parse_args(argv).fix
    folders = [str(path.relative_to(root())) for glob in SOURCES for path in root().glob(glob)]
    python = sys.executable
    results = [
        _run("format", python, "-m", "ruff", "format", *([] if fix else ["--check"]), "."),
        _run("lint", python, "-m", "ruff", "check", *(["--fix"] if fix else []), "."),
        _page("page format", "oxfmt", *([] if fix else ["--check"]), "-c", ".oxfmtrc.json"),
        _page("page lint", "oxlint", *(["--fix"] if fix else []), "-c", ".oxlintrc.json"),
        _run("types", python, "-m", "mypy", *folders),
        _run("imports", _beside_python("lint-imports"), "--no-cache"),
        _run("class names", python, "-m", "monitorpi_dev.class_names"),
        _run("file lengths", python, "-m", "monitorpi_dev.file_lengths"),
        _run("generated files", python, "-m", "monitorpi_dev.contracts", "--check"),
    ]
    print("check: passed" if all(results) else "check: FAILED", flush=True)
    return 0 if all(results) else 1


_BESIDE: Final = ("--dist", "loadscope", "--no-loadscope-reorder", "--durations=10")
"""A module stays together."""
_SHARED: Final = ("-n", "6", *_BESIDE, "-m", "not soak and not alone")
"""Most tests wait for processes: six at once fill two cores."""
_CALM: Final = ("-n", "3", *_BESIDE, "-m", "calm and not soak")
_ALONE: Final = ("-m", "alone and not calm and not soak", "--durations=5")
_FAILED_BESIDE: Final = (
    "--last-failed", "--last-failed-no-failures", "none", "--maxfail", "3",
    "-m", "not soak and (calm or not alone)",
)  # fmt: skip
_TESTS_FAILED: Final = 1
_NO_BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"


def test(argv: list[str]) -> int:
    """Run the tests, several at once and then those that measure; arguments go to pytest.

    What fails beside others is run once more by itself, and both are said: a machine with too
    little of a processor may hold up what is told within seconds, a fault fails twice.
    """
    if argv:
        return _pytest(*argv)
    beside = {_pytest(*_CALM), _pytest(*_SHARED)} - {0}
    if beside == {_TESTS_FAILED}:
        print("-- what failed beside others, once more by itself", flush=True)
        beside = {_pytest(*_FAILED_BESIDE)}
    alone = _pytest(*_ALONE)
    return max(beside, default=0) or alone


def soak(argv: list[str]) -> int:
    """Run the long tests only."""
    return _pytest("-m", "soak", "--timeout=3600", *argv)


def _pytest(*arguments: str) -> int:
    if {"-h", "--help"}.intersection(arguments) and find_spec("pytest") is None:
        print("usage: ./monitorpi test|soak [ARGUMENTS OF PYTEST]\n")
        print(
            "Asked without any, it installs what the tests need; pytest's own help is there then."
        )
        return 0
    command = [sys.executable, "-m", "pytest", *arguments]
    # without bytecode each program that a test starts would compile all that it imports
    environment = {name: os.environ[name] for name in os.environ if name != _NO_BYTECODE}
    return subprocess.run(command, cwd=root(), env=environment, check=False).returncode
