"""What ``thingspeak status`` says beside the outbox: whether rows wait for the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitorpi_cli import thingspeak
from monitorpi_cloud_bridge.items import OutboxRow
from monitorpi_cloud_bridge.sinks.outbox import RowOutbox
from monitorpi_common import clock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("synchronised", "trusted", "waits"),
    [(False, False, True), (True, False, False), (False, True, False)],
)
def test_rows_that_wait_for_the_clock_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    synchronised: bool,
    trusted: bool,
    waits: bool,
) -> None:
    """They stand in no outbox yet, so that it looks as if nothing were counted."""
    monkeypatch.setattr(clock, "synchronised", lambda: synchronised)
    file = tmp_path / "monitorpi.toml"
    file.write_text(f"state_dir = '{tmp_path}'\ntrust_clock = {str(trusted).lower()}\n")

    assert thingspeak.main(["status", "--config", str(file)]) == 0

    assert ("waits until it is" in capsys.readouterr().out) is waits


def test_why_rows_were_set_aside_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each reason once, with how many rows it took and when the newest was."""
    folder = tmp_path / "cloud-bridge"
    folder.mkdir()
    outbox = RowOutbox(folder / "outbox.sqlite")
    rows = [OutboxRow("influx/lan", second, {"field1": "x"}) for second in range(100, 115)]
    outbox.add(rows, {})
    outbox.dead_letter("influx/lan", {100: "HTTP 400: no number", 101: "HTTP 400: no number"})
    outbox.dead_letter("influx/lan", {1_000_000_000 + n: f"HTTP 422: {n}" for n in range(10)})
    outbox.close()
    file = tmp_path / "monitorpi.toml"
    file.write_text(f"state_dir = '{tmp_path}'\n")

    assert thingspeak.main(["status", "--config", str(file)]) == 0

    said = capsys.readouterr().out.splitlines()
    reasons = [line for line in said if line.startswith("set aside of influx/lan")]
    assert reasons[0].endswith("a row, the newest of 2001-09-09 01:46:49 UTC: HTTP 422: 9")
    assert len(reasons) == 10
    assert "and 1 more reasons" in said


def test_rows_of_one_reason_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A destination that refuses all of them does not fill the screen."""
    folder = tmp_path / "cloud-bridge"
    folder.mkdir()
    outbox = RowOutbox(folder / "outbox.sqlite")
    outbox.dead_letter("influx/lan", dict.fromkeys(range(2000), "HTTP 400: no number"))
    outbox.add([OutboxRow("influx/lan", 5000, {})], {})
    outbox.close()
    file = tmp_path / "monitorpi.toml"
    file.write_text(f"state_dir = '{tmp_path}'\n")

    thingspeak.main(["status", "--config", str(file)])

    assert (
        "set aside of influx/lan: 2,000 rows, the newest of 1970-01-01 00:33:19 UTC: "
        "HTTP 400: no number"
    ) in capsys.readouterr().out
