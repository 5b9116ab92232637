"""How the tests are run: what fails beside others is run once more by itself, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitorpi_dev import checks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


BESIDE = ["3 at once", "6 at once"]


@pytest.mark.parametrize(
    ("codes", "parts", "result"),
    [
        pytest.param([0, 0, 0], [*BESIDE, "alone"], 0, id="all well"),
        pytest.param([0, 1, 0, 0], [*BESIDE, "again", "alone"], 0, id="held up by others"),
        pytest.param([1, 0, 0, 0], [*BESIDE, "again", "alone"], 0, id="held up by two"),
        pytest.param([1, 1, 0, 0], [*BESIDE, "again", "alone"], 0, id="held up in both"),
        pytest.param([0, 1, 1, 0], [*BESIDE, "again", "alone"], 1, id="a fault"),
        pytest.param([1, 0, 1, 0], [*BESIDE, "again", "alone"], 1, id="a fault of the calm"),
        pytest.param([0, 0, 1], [*BESIDE, "alone"], 1, id="alone is final"),
        pytest.param([0, 1, 0, 1], [*BESIDE, "again", "alone"], 1, id="both"),
        pytest.param([0, 1, 5, 0], [*BESIDE, "again", "alone"], 5, id="nothing was found again"),
        pytest.param([0, 2, 0], [*BESIDE, "alone"], 2, id="interrupted"),
        pytest.param([3, 1, 0], [*BESIDE, "alone"], 3, id="an error of pytest's"),
    ],
)
def test_what_fails_beside_others_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, codes: Sequence[int], parts: Sequence[str], result: int
) -> None:
    """A fault fails twice."""
    left, ran = list(codes), []

    def run(*arguments: str) -> int:
        words = list(arguments)
        again = "--last-failed" in words
        at_once = "-n" in words and f"{words[words.index('-n') + 1]} at once"
        assert not again or not at_once
        ran.append("again" if again else at_once or "alone")
        return left.pop(0)

    monkeypatch.setattr(checks, "_pytest", run)

    assert checks.test([]) == result
    assert ran == parts
    assert left == []


def test_tests_start_programs_from_bytecode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where the environment says that none is to be written: there are thousands of starts."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    asks = tmp_path / "test_asks.py"
    asks.write_text("import sys\ndef test_it(): assert not sys.dont_write_bytecode\n")

    assert checks.test([str(asks), "-q"]) == 0
