from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FLOODS = {"syn-flood", "icmp-flood"}
KINDS = ("flood", "malformed", "other", "scan")


def alerts(file: Path) -> set[tuple[str, str]]:
    """Replay a file as a user would; returns the rules and subjects of its alerts."""
    ended = subprocess.run(
        [sys.executable, "-m", "monitorpi_cli", "replay", str(file), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    records = [json.loads(line) for line in ended.stdout.splitlines()]
    told = [r["payload"] for r in records if "/detector/alert/" in r["topic"]]
    return {(alert["rule"], alert["subject"]) for alert in told}


def test_public_captures_are_judged_as_they_are_labelled(captures: Path) -> None:
    """Floods name their attacker (or the wire), scans and odd formats are no floods.

    One file of each kind: all are judged through the same pipe in the detector's tests.
    """
    with (captures / "labels.tsv").open(newline="") as table:
        labels = list(csv.DictReader(table, delimiter="\t"))
    kinds = {row["kind"]: row for row in labels if any(kind in row["kind"] for kind in KINDS)}
    chosen = list(kinds.values())
    if not chosen:
        pytest.skip(f"{captures} labels no floods")

    for row in chosen:
        found = {
            (rule, subject) for rule, subject in alerts(captures / row["file"]) if rule in FLOODS
        }

        mac = row["attacker_mac"].replace(":", "")
        if row["expected alert"] not in FLOODS:
            assert found == set(), row["file"]
        elif mac == "-":
            assert [rule for rule, _ in found] == [row["expected alert"]], row["file"]
            assert all(subject.startswith("wire-") for _, subject in found), row["file"]
        else:
            assert found == {(row["expected alert"], mac)}, row["file"]
