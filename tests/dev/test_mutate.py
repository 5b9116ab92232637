"""Mutants: what is changed, what is left alone, which are noticed."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from monitorpi_dev.mutate import command
from monitorpi_dev.mutate.mutants import mutants


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
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = True", {"x = False"}),
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
    ],
)
def test_what_only_people_or_types_read_is_left_alone(line: str) -> None:
    """Nobody could notice."""
    assert not changed(line)


def test_every_mutant_of_our_own_code_is_python() -> None:
    """Places are found in any source, with letters of several bytes too."""
    for file in map(Path, (command.__file__, mutants.__code__.co_filename)):
        source = file.read_text(encoding="utf-8")
        for mutant in mutants(source):
            ast.parse(mutant.applied(source))


def test_a_fault_is_noticed_and_one_nobody_looks_at_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tests run against a copy with the fault; the checkout stays as it is."""
    file = Path(command.__file__).with_name("mutants.py")
    source = file.read_text(encoding="utf-8")
    here = "tests/dev/test_mutate.py"
    tests = (f"{here}::test_what_only_people_or_types_read_is_left_alone",)
    monkeypatch.setattr(command, "tests_of", lambda _: [tests[0]])

    def noticed(before: str, after: str) -> bool:
        (mutant,) = [
            one for one in mutants(source) if one.describe(source) == f"{before}  ->  {after}"
        ]
        case = command.Case("monitorpi_dev.mutate.mutants", file, source, mutant, tests)
        return command.is_noticed(case)

    assert noticed("return statement.col_offset == 0", "return statement.col_offset != 0") is False
    line = "return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)"
    assert noticed(line, line.replace("and", "or")) is True
    assert file.read_text(encoding="utf-8") == source
