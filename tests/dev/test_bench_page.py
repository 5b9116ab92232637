"""What the page costs is measured on a LAN of its own."""

from __future__ import annotations

import json

import pytest

from monitorpi_dev.bench.page import main

pytestmark = pytest.mark.calm


def test_nobody_costs_less_than_many_and_each_is_sent_little(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A few kB a second for each page, and far less work with none."""
    assert main(["--devices", "64", "--pages", "0", "4", "--seconds", "6", "--json"]) == 0

    none, four = json.loads(capsys.readouterr().out)
    assert (none["pages"], four["pages"]) == (0, 4)
    assert 0 < none["cpu_ms_per_s"] < four["cpu_ms_per_s"]
    assert 0 < four["kb_per_s"] < 15
    assert four["rss_bytes"] > 20_000_000


def test_it_tells_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    """For people."""
    assert main(["--devices", "4", "--pages", "1", "--seconds", "2"]) == 0

    assert capsys.readouterr().out.startswith(" 1 pages  ")
