"""Run tests against mutants: a fork of this process each, so that libraries are imported once.

Theory of operation. Nearly all a run of a few fast tests costs is its imports. So what the tests
import that is not ours is imported here, once; a fork then forgets our own packages, puts a copy of
the package with the one fault before the checkout, for itself and for the programs it starts, and
runs pytest. Forks want a process without threads: this one waits for them without any.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import Phase, settings

from monitorpi_cli.checkout import root
from monitorpi_dev.mutate.mutants import NO_CHANGE
from monitorpi_dev.mutate.notes import LOWEST
from monitorpi_dev.mutate.reach import ENVIRONMENT, IN_PROCESS, ReachError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitorpi_dev.mutate.drawing import Case

_FIRST: Final = 30
"""Tests that most mutants fall to; only what they let pass meets the rest."""
_SLACK_S: Final = 60.0
"""Beside ten times what the tests usually take: an endless loop is noticed."""
_PASSED, _FAILED, _INTERRUPTED, _ENDED, _USAGE, _NONE = range(6)
"""Exit codes of pytest; what cannot be imported interrupts it, or in a conftest is wrong usage, and
what ends the process where it is imported ends pytest."""
_NOTICED: Final = (_FAILED, _INTERRUPTED, _ENDED, _USAGE)
_NOT_TWICE: Final = ("_pytest", "pytest", "coverage", "__main__", "xdist", "execnet")


@dataclass(frozen=True, slots=True)
class _Run:
    """One fork at work."""

    case: Case
    stage: int
    folder: Path
    until: float


def warm_up(libraries: Iterable[str]) -> None:
    """Import what the tests will; what cannot be imported here is imported by them."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads would not outlive a fork
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in libraries:
            if name.split(".")[0] not in _NOT_TWICE and name not in sys.modules:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
    phases = [Phase.explicit, Phase.generate]
    settings.register_profile("mutant", phases=phases, database=None, deadline=None)
    settings.load_profile("mutant")  # that a test fails is enough; no smallest example is sought
    gc.freeze()  # a fork would copy each page it counts


def trials(cases: Sequence[Case], jobs: int) -> Iterator[tuple[Case, bool]]:
    """Run the tests against each mutant and yield whether one fails, as they end.

    Raises:
        ReachError: pytest could not run.

    """
    waiting = [(case, 0) for case in reversed(cases)]
    running: dict[int, _Run] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            case, stage = waiting.pop()
            pid, run = _start(case, stage)
            running[pid] = run
        for pid, code in _ended(running):
            run = running.pop(pid)
            shutil.rmtree(run.folder, ignore_errors=True)
            if code in _NOTICED:
                yield run.case, True
            elif code not in (_PASSED, _NONE):
                raise ReachError(f"pytest ended with {code}: {run.case.place}")
            elif _stages(run.case)[run.stage + 1 :]:
                waiting.append((run.case, run.stage + 1))
            else:
                yield run.case, False


def control(cases: Sequence[Case]) -> list[Case]:
    """Run what most mutants fall to against the code as it is, in a fork too.

    Returns the cases without tests that fail there: they would tell nothing of a mutant.

    Raises:
        ReachError: they do not run.

    """
    tests = {test for case in cases for test in case.tests[:_FIRST]}
    unfit = (
        _failing(dataclasses.replace(cases[0], mutant=NO_CHANGE), sorted(tests)) if tests else set()
    )
    for test in sorted(unfit):
        print(f"mutate: left out, as it fails without a fault too: {test}", file=sys.stderr)
    return [
        dataclasses.replace(case, tests=tuple(test for test in case.tests if test not in unfit))
        for case in cases
    ]


def _failing(case: Case, tests: Sequence[str]) -> set[str]:
    with tempfile.TemporaryDirectory(prefix="monitorpi-mutant-") as folder:
        notes = Path(folder, "notes")
        options = ("--maxfail=0", "-p", "monitorpi_dev.mutate.notes", f"--notes={notes}")
        os.waitpid(_fork(case, tests, Path(folder), options), 0)
        if not notes.exists():
            raise ReachError(
                f"without a fault too, the tests do not run when forked: {case.module}"
            )
        return {*json.loads(notes.read_text())["failed"]}


def _stages(case: Case) -> list[tuple[str, ...]]:
    return [one for one in (case.tests[:_FIRST], case.tests[_FIRST:]) if one] or [()]


def _start(case: Case, stage: int) -> tuple[int, _Run]:
    tests = _stages(case)[stage]
    folder = Path(tempfile.mkdtemp(prefix="monitorpi-mutant-"))
    usual = sum(case.seconds[test] for test in tests)
    run = _Run(case, stage, folder, time.monotonic() + _SLACK_S + 10 * usual)
    return _fork(case, tests, folder), run


def _fork(case: Case, tests: Sequence[str], folder: Path, options: Sequence[str] = ()) -> int:
    pid = os.fork()
    if not pid:
        code = _FAILED
        try:
            code = _in_fork(case, tests, folder, options)
        finally:
            os._exit(code)
    return pid


def _in_fork(case: Case, tests: Sequence[str], folder: Path, options: Sequence[str]) -> int:
    if not tests:
        return _NONE
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    _put_before(case, folder)
    os.chdir(root())
    return int(
        pytest.main([
            "-x", "-q", "--assert=plain", "--timeout=60", "-p", "no:cacheprovider", "-p", "no:cov",
            "-p", "no:xdist", "-m", IN_PROCESS, f"--basetemp={folder / 'tmp'}", *options, *tests,
        ])
    )  # fmt: skip


def _put_before(case: Case, folder: Path) -> None:
    """Make a copy with the fault what Python finds first, here and in what we start."""
    package = case.module.split(".", 1)[0]
    whole = next(parent for parent in case.file.parents if parent.name == package)
    shutil.copytree(whole, folder / package)  # with the times, so that compiled files still count
    faulty = folder / package / case.file.relative_to(whole)
    faulty.write_text(case.mutant.applied(case.source), encoding="utf-8")
    for compiled in (faulty.parent / "__pycache__").glob(f"{faulty.stem}.*"):
        compiled.unlink()
    os.environ.update(ENVIRONMENT, PYTHONPATH=str(folder))
    sys.path.insert(0, str(folder))
    forgotten = [one for one in sys.modules if one.startswith(("monitorpi", "tests"))]
    for name in forgotten:
        if package in LOWEST or name.split(".", 1)[0] not in LOWEST:
            del sys.modules[name]
    importlib.invalidate_caches()


def _ended(running: dict[int, _Run]) -> list[tuple[int, int]]:
    """Wait a moment and return the forks that ended, with their exit codes."""
    for pid, run in running.items():
        if time.monotonic() > run.until:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return [(pid, _FAILED)]
    found = []
    for pid in running:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            found.append((pid, code if code >= 0 else _FAILED))
    if not found:
        time.sleep(0.01)
    return found
