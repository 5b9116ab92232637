"""Public captures with labels, through the real services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from monitorpi_cli.evaluate import main, read_folder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_labelled_captures_are_judged_right(captures: Path) -> None:
    """Every flood is found on the right MAC, nothing is told of benign files, scans are scans."""
    rows = list(read_folder(captures))

    assert [row for row in rows if not row.right] == []
    for row in rows:
        if row.kind.startswith("benign"):
            assert (row.name, row.alerts) == (row.name, [])


def test_a_folder_without_labels_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong folder is one sentence and exit code 2."""
    code = main([str(tmp_path / "nowhere")])

    assert code == 2
    assert "labels.tsv: No such file or directory" in capsys.readouterr().err


def test_a_missing_file_fails_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that labels name and nobody has is a failed row, not a traceback."""
    labels = "file\tkind\texpected alert\tattacker_mac\ngone.pcap\tbenign\tnone\t-\n"
    (tmp_path / "labels.tsv").write_text(labels)

    code = main([str(tmp_path), "--json"])

    assert code == 1
    assert json.loads(capsys.readouterr().out)["rows"][0]["verdict"] == "failed"
