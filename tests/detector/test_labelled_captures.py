"""Public captures with labels, through the real services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.detector.windows import ATTACKER, Detector, syns, window

from monitorpi_dev.evaluate import FLOODS, AlertObserver, EvaluationRow, main, read_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(1800)
def test_labelled_captures_are_judged_right(captures: Path) -> None:
    """Every flood is found on the right MAC alone, scans are none, benign files are silent."""
    rows = list(read_folder(captures))

    assert [row for row in rows if not row.right] == []
    for row in rows:
        floods = [key for key in row.alerts if key.startswith(FLOODS)]
        assert (row.name, floods) == (row.name, [f"{row.expected}-{row.subject}"] * len(floods))
        assert bool(floods) is (row.expected in FLOODS)
        if row.kind.startswith("benign"):
            assert (row.name, row.alerts) == (row.name, [])


def test_a_folder_without_labels_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong folder is one sentence and exit code 2."""
    code = main([str(tmp_path / "nowhere")])

    assert code == 2
    assert "labels.tsv: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "table",
    [
        "",
        "file\tkind\n",
        "name\tkind\nflood.pcap\tflood\n",
        "\xff,\n",
        "file\tkind\n" + "x" * 200_000,
        "file\tkind\nx\0.pcap\tflood\n",
    ],
    ids=range(6),
)
def test_labels_that_name_no_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    """Nothing to judge is no success: one sentence says how the table looks."""
    (tmp_path / "labels.tsv").write_text(table, encoding="latin-1")

    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"monitorpi evaluate: {tmp_path}/labels.tsv: no file is named: its columns are file, kind, "
        "expected alert and attacker_mac, separated by tabs\n"
    )


def test_a_missing_file_fails_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that labels name and nobody has is a failed row, not a traceback."""
    labels = "file\tkind\texpected alert\tattacker_mac\ngone.pcap\tbenign\tnone\t-\n"
    (tmp_path / "labels.tsv").write_text(labels)

    code = main([str(tmp_path), "--json"])

    assert code == 1
    assert json.loads(capsys.readouterr().out)["rows"][0]["verdict"] == "failed"


def test_a_malformed_file_that_is_no_capture_is_refused_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Among malformed files one that cannot be read is judged right; elsewhere it has failed."""
    (tmp_path / "cut.pcap").write_bytes(b"\xd4\xc3\xb2")
    labels = "file\tkind\texpected alert\tattacker_mac\ncut.pcap\tmalformed fuzz\tnone\t-\n"
    (tmp_path / "labels.tsv").write_text(labels)

    code = main([str(tmp_path), "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["verdict"] == "refused"


def test_hours_are_those_that_were_watched() -> None:
    """Of a gap of months between two captures in one file a minute counts."""
    observer = AlertObserver(EvaluationRow("two.pcap", "benign", "none"))
    for second in (0, 1, 90 * 86400, 90 * 86400 + 1):
        observer.take(window(second))

    assert observer.judge().hours == round((60 + 4) / 3600, 4)


def flood_of(mac: str | None, macs: frozenset[str]) -> str:
    """Return the verdict on a flood whose alert names a MAC, or only the wire."""
    row = EvaluationRow("flood.pcap", "SYN flood", "syn-flood")
    observer, detector = AlertObserver(row, macs), Detector()
    rows = [syns(500, mac)] if mac else []
    for second in range(3):
        for alert in detector.take(window(second, *rows, counts={"syn": 500, "tcp": 500})):
            observer.take(alert)
    return observer.judge().verdict


def test_a_flood_is_found_only_on_the_right_subject() -> None:
    """Any attacker of the label is right, another one wrong; without MACs the wire is right."""
    other = "04:00:00:00:00:0f"

    assert flood_of(ATTACKER, frozenset({ATTACKER, other})) == "found"
    assert flood_of(ATTACKER, frozenset({other})) == "wrong-mac"
    assert flood_of(None, frozenset()) == "found"
    assert flood_of(None, frozenset({ATTACKER})) == "wrong-mac"
