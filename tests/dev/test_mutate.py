"""Mutants: what is changed, what is left alone, which are noticed."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

from monitorpi_dev.mutate import command, drawing
from monitorpi_dev.mutate.mutants import mutants
from monitorpi_dev.mutate.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Iterator


def changed(source: str) -> set[str]:
    """Return what lines become, of each mutant of a source."""
    source = textwrap.dedent(source)
    return {one.describe(source).split("  ->  ")[1] for one in mutants(source)}


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("if a < b: f()", {"if a <= b: f()", "if True: f()", "if False: f()"}),
        ("while a is b: f()", {"while a is not b: f()", "while False: f()"}),
        ("x = a + b * 2", {"x = a - b * 2", "x = a + b / 2", "x = a + b * 3"}),
        ("x = (a) + (b)", {"x = (a) - (b)"}),
        ("x = a and b or c", {"x = a or b or c", "x = a and b and c"}),
        ("x = not a", {"x = bool(a)"}),
        ("def f(a): del a[0]", {"def f(a): pass", "def f(a): del a[1]"}),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = True", {"x = False"}),
        ("x = 1, 0.0, 60.0", {"x = 2, 0.0, 60.0", "x = 1, 1.0, 60.0", "x = 1, 0.0, 120.0"}),
        ("x = a if b else c", {"x = a if True else c", "x = a if False else c"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if True]"}),
        ("x = f(1, a=b, c=d)", {"x = f(2, a=b, c=d)", "x = f(1, c=d)", "x = f(1, a=b)"}),
        ("x = 'ä' if a == b else c", {"x = 'ä' if a != b else c"}),
        ("def f(a=0): return a", {"def f(a=1): return a", "def f(a=0): return None"}),
    ],
)
def test_each_operator_has_its_faults(line: str, faults: set[str]) -> None:
    """The table of the operators; what else a line gives is not forbidden."""
    assert faults <= changed(line)


@pytest.mark.parametrize(
    "line",
    [
        '"""A docstring."""',
        "import a",
        "x: int",
        "def f(a: int | None) -> None: ...",
        "self._log.warning('text', 1)",
        "assert a < b",
        "del a, b",
        "def f(): return frozenset()",
    ],
)
def test_what_only_people_or_types_read_is_left_alone(line: str) -> None:
    """Nobody could notice."""
    assert not changed(line)


def test_what_is_so_anyway_stays_said() -> None:
    """No test on our systems can tell a default encoding from UTF-8, nor lists of one length."""
    found = changed("x = f(a, encoding='b', strict=c) + d")

    assert found
    assert all("encoding='b', strict=c" in one for one in found if "f(a" in one)


def test_every_mutant_of_our_own_code_is_python() -> None:
    """Places are found in any source, with letters of several bytes too."""
    for file in map(Path, (command.__file__, mutants.__code__.co_filename)):
        source = file.read_text(encoding="utf-8")
        for mutant in mutants(source):
            ast.parse(mutant.applied(source))


# Forks want a process of their own, without the threads that a test run may have.
TRIAL = """
import sys
from collections import defaultdict
from pathlib import Path
from monitorpi_dev.mutate import trial
from monitorpi_dev.mutate.drawing import Case, module_of
from monitorpi_dev.mutate.mutants import mutants

file, tests, *changes = sys.argv[1:]
source = Path(file).read_text(encoding="utf-8")
cases = [
    Case(
        module_of(Path(file)), Path(file), source, one, tuple(tests.split()),
        defaultdict(float),
    )
    for one in mutants(source) if one.describe(source) in changes
]
for case, is_noticed in trial.trials(trial.control(cases), 2):
    print(f"{is_noticed}: {case.change}")
"""


def test_a_fault_is_noticed_and_one_nobody_looks_at_is_not() -> None:
    """The tests run against a copy with the fault; the checkout stays as it is."""
    file = Path(drawing.__file__).with_name("mutants.py")
    before = file.read_bytes()
    line = "return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)"
    seen = f"{line}  ->  {line.replace('and', 'or')}"
    unseen = "return statement.col_offset == 0  ->  return statement.col_offset != 0"
    test = "tests/dev/test_mutate.py::test_what_only_people_or_types_read_is_left_alone"

    run = subprocess.run(
        [sys.executable, "-c", TRIAL, file, test, seen, unseen],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert run.stderr == ""
    assert sorted(run.stdout.splitlines()) == [f"False: {unseen}", f"True: {seen}"]
    assert file.read_bytes() == before


def test_a_program_that_runs_where_it_is_only_imported_is_noticed() -> None:
    """It ends pytest itself, before there is a test that could fail."""
    file = ROOT / "services/detector/src/monitorpi_detector/__main__.py"
    change = 'if __name__ == "__main__":  ->  if __name__ != "__main__":'
    test = "tests/detector/test_servers.py::test_in_a_pipe_nothing_is_kept"

    run = subprocess.run(
        [sys.executable, "-c", TRIAL, file, test, change],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert (run.stdout, run.stderr) == (f"True: {change}\n", "")


@pytest.fixture
def failing() -> Iterator[str]:
    """Make a test that always fails, where pytest names it as it does those of the suite."""
    kept = ROOT / ".mutate"
    kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        file = Path(folder, "test_failing.py")
        file.write_text("def test_it():\n    assert False\n", encoding="utf-8")
        yield f"{file.relative_to(ROOT)}::test_it"


def test_what_fails_without_a_fault_too_tells_nothing_of_one(failing: str) -> None:
    """It is named and left out; else every fault would count as noticed."""
    file = Path(drawing.__file__).with_name("mutants.py")
    unseen = "return statement.col_offset == 0  ->  return statement.col_offset != 0"
    passing = "tests/dev/test_mutate.py::test_what_only_people_or_types_read_is_left_alone"

    run = subprocess.run(
        [sys.executable, "-c", TRIAL, file, f"{failing} {passing}", unseen],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert run.stderr == f"mutate: left out, as it fails without a fault too: {failing}\n"
    assert run.stdout.splitlines() == [f"False: {unseen}"]


def test_what_makes_no_difference_has_a_reason_and_is_still_there() -> None:
    """An entry whose line changed says nothing any more: it goes."""
    for entry in drawing.equivalents():
        (file,) = drawing.files_of(entry["module"])[:1]
        source = file.read_text(encoding="utf-8")

        assert set(entry) == {"module", "change", "reason"}
        assert len(entry["reason"].split()) > 2
        assert entry["change"] in {one.describe(source) for one in mutants(source)}, entry


LINES = {"/a.py": {3: ["slow", "fast"], 4: ["fast"], 9: ["other"]}}
MEASURED = Reach(
    lines=LINES,
    seconds={"slow": 3.0, "fast": 0.1, "other": 0.2, "elsewhere": 0.05, "program": 0.01},
    starters=["program"],
    libraries=[],
)


@pytest.mark.parametrize(
    ("first", "last", "tests"),
    [
        (4, 4, ("fast", "program")),
        (3, 4, ("fast", "slow", "program")),
        (1, 2, ("fast", "other", "slow", "elsewhere", "program")),
    ],
)
def test_the_fastest_of_the_tests_that_come_there_are_first(
    first: int, last: int, tests: tuple[str, ...]
) -> None:
    """What runs at import concerns tests of the module first; programs are started last."""
    assert MEASURED.tests(Path("/a.py"), first, last) == tests


def test_a_fault_meets_a_minute_of_tests_at_most() -> None:
    """The fastest; those that start programs have a minute of their own."""
    seconds = {"a": 1.0, "b": 29.0, "c": 30.0, "d": 31.0, "p": 50.0, "q": 51.0}
    measured = Reach({"/a.py": {1: ["d", "c", "b", "a"]}}, seconds, ["q", "p"], [])

    assert measured.tests(Path("/a.py"), 1, 1) == ("a", "b", "c", "p")


def test_any_test_may_notice_a_module_that_only_runs_at_import() -> None:
    """Such as one of settings: their lines belong to no test."""
    found = MEASURED.tests(Path("/b.py"), 1, 1)

    assert found == ("elsewhere", "fast", "other", "slow", "program")


def test_the_contract_reads_all_that_a_module_holds() -> None:
    """Its tests are not kept out by the many that take a moment each."""
    drift = "tests/contract/test_generated.py::test_drift"
    seconds = {f"quick{n}": 1.0 for n in range(70)} | {drift: 8.0}

    found = Reach({}, seconds, [], []).tests(Path("/b.py"), 1, 1)

    assert found[0] == drift
    assert len(found) == 1 + 60
