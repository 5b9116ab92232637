"""What stands beside our own stack in ``bench detection``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitorpi_dev.bench import detection, fastnetmon

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SHIPPED = """\
# limits
ban_for_bandwidth = on
threshold_pps = 20000
interfaces = eth3,eth4
threshold_tcp_pps = 100000
notify_script_path = /usr/local/bin/notify_about_attack.sh
disable_usage_report = off
"""


@dataclass(frozen=True)
class Machine:
    """What is asked of a machine of the lab."""

    ip: str = "198.18.0.2"
    interface: str = "mirror0"


@dataclass(frozen=True)
class Wired:
    """A lab of which nothing runs."""

    hosts: tuple[Machine, ...] = (Machine("198.18.0.1"), Machine())
    sensor: Machine = Machine()


def test_a_program_that_is_not_installed_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a lab is made."""
    monkeypatch.setattr(fastnetmon, "PROGRAM", "/nonexistent/fastnetmon")

    assert detection.main(["--runs", "1", "--beside", "fastnetmon"]) == 3
    assert "FastNetMon is not installed: apt-get install fastnetmon" in capsys.readouterr().err


def test_its_own_settings_hold_but_for_what_it_must_be_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Interface, limit, script; it reports to nobody, and protects the victim alone."""
    shipped = tmp_path / "shipped"
    shipped.write_text(SHIPPED, encoding="utf-8")
    monkeypatch.setattr(fastnetmon, "_SETTINGS", shipped)
    lab: Any = Wired()

    given = fastnetmon.FastNetMon(lab, tmp_path)._settings(50.0).splitlines()

    assert given == [
        "# limits",
        "ban_for_bandwidth = off",
        "threshold_pps = 50",
        "interfaces = mirror0",
        "threshold_tcp_pps = 100000",
        f"notify_script_path = {tmp_path}/notify",
        "disable_usage_report = on",
    ]
    assert (tmp_path / "networks").read_text() == "198.18.0.2/32\n"
