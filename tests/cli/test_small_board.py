"""The containers of a board with 512 MB: what is laid over compose.yaml fits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from tests.conftest import ROOT

from monitorpi_capture.settings import CaptureSettings
from monitorpi_common.messages import Service
from monitorpi_common.settings import load
from monitorpi_dashboard.settings import DashboardSettings

if TYPE_CHECKING:
    import pytest


def services(name: str) -> dict[str, Any]:
    """Return the services of a file."""
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())["services"]
    return found


WHOLE, SMALL = services("compose.yaml"), services("compose.small.yaml")


def test_it_changes_services_there_are_and_starts_without_history() -> None:
    """Nothing that starts by default is left waiting for what is left out."""
    started = [one for name, one in WHOLE.items() if "profiles" not in (one | SMALL.get(name, {}))]

    assert SMALL.keys() <= WHOLE.keys()
    assert SMALL["history"]["profiles"] == ["history"]
    assert not any("history" in one.get("depends_on", {}) for one in started)
    for name in ("capture", "broker"):
        assert int(SMALL[name]["mem_limit"][:-1]) < int(WHOLE[name]["mem_limit"][:-1])


def test_its_settings_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller tables, and a page that asks no history."""
    for name in ("capture", "dashboard"):
        for key, value in (WHOLE[name]["environment"] | SMALL[name]["environment"]).items():
            if key.startswith(f"MONITORPI_{name.upper()}__"):
                monkeypatch.setenv(key, "[]" if value.startswith("${") else value)

    capture = load(Service.CAPTURE, CaptureSettings).section
    dashboard = load(Service.DASHBOARD, DashboardSettings).section

    assert (capture.max_macs, capture.max_devices, capture.listed_devices) == (1024, 512, 128)
    assert dashboard.history_url is None
