"""What people write on the command line, as the documentation shows it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

from monitorpi_cli import notify, thingspeak
from monitorpi_cli.arguments import joined
from monitorpi_cli.export import _parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


@pytest.mark.parametrize(
    ("command", "wanted"), [(notify.main, "test"), (thingspeak.main, "setup|status")]
)
def test_a_command_without_its_verb_says_which_there_are(
    command: Callable[[Sequence[str]], int], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words that are to be written."""
    with pytest.raises(SystemExit, match="2"):
        command([])

    assert f"the following arguments are required: {wanted}\n" in capsys.readouterr().err
