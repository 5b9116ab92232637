"""What ``thingspeak status`` says beside the outbox: whether rows wait for the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitorpi_cli import thingspeak
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
