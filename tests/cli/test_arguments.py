"""What people write on the command line, as the documentation shows it."""

from __future__ import annotations

import re
import shlex

import pytest
from tests.conftest import ROOT

from monitorpi_cli.arguments import joined
from monitorpi_cli.export import _parser

SHOWN = sorted(
    {
        line
        for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for line in re.findall(r"\./monitorpi export ([^\n`|<>]*)", file.read_text())
        if line.strip()
    }
)


@pytest.mark.parametrize("line", SHOWN)
def test_an_export_that_is_documented_is_understood(line: str) -> None:
    """Twelve hours ago is no option."""
    options = _parser().parse_args(joined(shlex.split(line, comments=True), "--from", "--to"))

    assert options.from_ is None or options.from_ in line


def test_the_documentation_shows_spans() -> None:
    """Else the test above tries nothing."""
    assert any("--from -" in line for line in SHOWN)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--from", "-12h", "--to", "-6h"], ["--from=-12h", "--to=-6h"]),
        (["--from", "now"], ["--from", "now"]),
        (["--from", "--to", "-6h"], ["--from", "--to=-6h"]),
        (["-12h", "--from"], ["-12h", "--from"]),
        (["--mac", "-1"], ["--mac", "-1"]),
    ],
)
def test_a_value_with_a_sign_stays_with_its_option(argv: list[str], expected: list[str]) -> None:
    """Nothing else is joined."""
    assert joined(argv, "--from", "--to") == expected
