"""Where set-up tells people to put lines: no table twice, no key twice."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.stack.paste import locate, paste

if TYPE_CHECKING:
    from pathlib import Path

LINES = ["channels = { traffic = 1 }", "interval_s = 30    # why"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Put this into FILE and start MonitorPi again:\n\n[cloud-bridge]\n"),
        ("#[cloud-bridge]\n#channels = {}\n", "FILE and start MonitorPi again:\n\n[cloud-bridge]"),
        ("site = 'a'\n[cloud-bridge]\nalerts = true\n", "FILE, below [cloud-bridge] (line 2), and"),
        (
            "[cloud-bridge]  # mine\nchannels = { health = 2 }\n",
            "below [cloud-bridge] (line 1), in place of channels there (line 2), and",
        ),
        (
            "[ cloud_bridge ]\ninterval_s = 20\nchannels = {}\n",
            "in place of channels there (line 3) and interval_s there (line 2), and",
        ),
        (
            "[cloud-bridge.channels]\ntraffic = 1\n",
            "for cloud-bridge, in place of channels there (line 1), and",
        ),
        (
            "cloud-bridge.interval_s = 9\n",
            "for cloud-bridge, in place of interval_s there (line 1)",
        ),
        ("[detector]\nchannels = 1\n", "again:\n\n[cloud-bridge]\n"),
        ("[cloud-bridge.influx]\nurl = 'http://x'\n", "again:\n\n[cloud-bridge]\n"),
    ],
)
def test_lines_go_where_they_may_stand(tmp_path: Path, text: str, said: str) -> None:
    """A table that is there is named with its line, and so is a key to be replaced."""
    file = tmp_path / "monitorpi.toml"
    file.write_text(text)

    told = "\n".join(paste(file, LINES))

    assert said in told.replace(str(file), "FILE")
    assert told.count("[cloud-bridge]\n") <= 1


def test_what_is_told_makes_valid_settings(tmp_path: Path) -> None:
    """Followed to the letter, in a file that has a table and one of the keys."""
    file = tmp_path / "monitorpi.toml"
    before = ["site = 'a'", "[cloud-bridge]", "channels = { health = 2 }", "[detector]"]
    file.write_text("\n".join(before))
    places = locate(file.read_text())
    before[places["channels"] - 1] = ""

    after = [*before[: places[""]], *LINES, *before[places[""] :]]

    assert tomllib.loads("\n".join(after))["cloud-bridge"] == {
        "channels": {"traffic": 1},
        "interval_s": 30,
    }


def test_a_file_that_is_not_there_is_begun(tmp_path: Path) -> None:
    """As on a new machine."""
    assert "[cloud-bridge]" in paste(tmp_path / "none.toml", LINES)
