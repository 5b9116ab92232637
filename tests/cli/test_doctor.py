"""The doctor: what it says of a port, and of a real mirror port and a real ordinary one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitorpi_capture.copies import CopyReport, Repeats
from monitorpi_capture.window import COLUMN, WIDTH, Instant, MacCounts, WindowCounts
from monitorpi_cli.doctor import (
    judge_copies,
    judge_port,
    look_at_broker,
    look_at_disk,
    look_at_settings,
)
from monitorpi_cli.lab.hosts import Household
from monitorpi_cli.lab.lan import Host, Lab
from monitorpi_cli.stack import broker
from monitorpi_common.service import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN, LAPTOP, NAS = (bytes.fromhex(f"0400000000{number}") for number in ("01", "0a", "0b"))
ALL = bytes.fromhex("ffffffffffff")


def tally(packets: int, tcp: int = 0) -> tuple[int, ...]:
    """Return the numbers of a row."""
    numbers = [0] * WIDTH
    numbers[COLUMN["packets"]], numbers[COLUMN["tcp"]] = packets, tcp
    return tuple(numbers)


def window(packets: int, *rows: MacCounts) -> WindowCounts:
    """Return two seconds of counts."""
    start, end = Instant(100.0, 0.0), Instant(102.0, 2.0)
    return WindowCounts("eth0", "socket", start, end, 2.0, wire=tally(packets), rows=rows)


def said(*windows: WindowCounts) -> list[tuple[str, str]]:
    """Return marks and texts."""
    return [(one.mark, one.text) for one in judge_port(windows, OWN.hex())]


def test_a_dead_port_is_wrong() -> None:
    """No frame at all: a cable, or a port that sends nothing."""
    [(mark, text)] = said(window(0))

    assert mark == "wrong"
    assert text.startswith("eth0: no frame in 2 s: is the cable in")


def test_an_ordinary_port_is_wrong() -> None:
    """Broadcasts, and traffic of this machine itself, are what any port of a switch shows."""
    broadcasts = MacCounts(LAPTOP, tally(30), ())
    own = MacCounts(OWN, (), tally(50, 40))
    [(mark, text)] = said(window(80, broadcasts, own))

    assert mark == "wrong"
    assert "80 frames in 2 s, none from one device to another" in text


def test_a_mirror_port_with_both_directions_is_well() -> None:
    """TCP from a device and to it: nothing is missing."""
    laptop = MacCounts(LAPTOP, tally(100, 90), tally(60, 60))
    nas = MacCounts(NAS, tally(60, 60), tally(100, 90))

    assert said(window(160, laptop, nas)) == [
        ("ok", "eth0: a mirror port: 80 frames/s from 2 devices"),
        ("ok", "eth0: both directions of conversations are mirrored"),
    ]


def test_a_mirror_port_with_one_direction_is_noted() -> None:
    """TCP from some and to others only: the switch mirrors one direction."""
    laptop = MacCounts(LAPTOP, tally(100, 90), ())
    nas = MacCounts(NAS, (), tally(100, 90))

    [_, (mark, text)] = said(window(100, laptop, nas))

    assert mark == "note"
    assert "only one direction" in text


def test_a_port_without_tcp_leaves_the_directions_open() -> None:
    """Pings between devices prove the mirror, and nothing about directions."""
    [_, (mark, text)] = said(window(4, MacCounts(NAS, (), tally(4))))

    assert mark == "note"
    assert "not known" in text


def test_wrong_settings_are_told_once(tmp_path: Path) -> None:
    """A key that several services read is one finding, each other mistake one of its own."""
    file = tmp_path / "monitorpi.toml"
    file.write_text('site = "Not A Site"\n[capture]\nmax_macs = 1\n')

    found = [one.text for one in look_at_settings(file)]

    assert len(found) == 2
    assert all(text.startswith("settings: ") for text in found)


def test_secrets_are_looked_for_where_up_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page beyond loopback is well when its password stands where the page will find it."""
    monkeypatch.setenv("MONITORPI_STATE_DIR", str(tmp_path))
    file = tmp_path / "monitorpi.toml"
    file.write_text('[dashboard]\nlisten = "0.0.0.0"\n')
    assert "password: missing" in next(look_at_settings(file)).text

    secrets = tmp_path / "secrets" / "dashboard"
    secrets.mkdir(parents=True)
    (secrets / "dashboard__password").write_text("of-a-test")

    assert list(look_at_settings(file)) == []


def test_a_broker_that_up_will_install_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks the doctor first has no Mosquitto yet."""

    def missing() -> str:
        raise ResourceError("Mosquitto is not installed")

    monkeypatch.setenv("MONITORPI_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(broker, "program", missing)

    found = look_at_broker(None)

    assert (found.mark, "./monitorpi up does that" in found.text) == ("note", True)


def test_a_state_folder_that_is_not_there_yet_is_looked_up(tmp_path: Path) -> None:
    """The disk is that of the nearest folder there is."""
    assert look_at_disk(tmp_path / "not" / "yet").mark in ("ok", "note")


@pytest.fixture(scope="module")
def lab(privileged: None) -> Iterator[Lab]:
    """Run a lab of six hosts that live their lives."""
    del privileged
    with Lab(6) as one, Household(one, pace=4.0):
        yield one


def examine(host: Host, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor in a host's namespace."""
    command = [sys.executable, "-m", "monitorpi_cli", "doctor", "--interface", host.interface]
    return subprocess.run(
        [*host.namespace.prefix, *command, *options], capture_output=True, text=True, check=False
    )


@pytest.mark.lab
def test_the_labs_mirror_port_is_well(lab: Lab) -> None:
    """A real mirror port passes, and no line is wrong."""
    done = examine(lab.sensor)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "mirror0: a mirror port: " in done.stdout
    assert "mirror0: both directions" in done.stdout
    assert "wrong" not in done.stdout


@pytest.mark.lab
def test_an_ordinary_port_of_the_lab_is_not(lab: Lab) -> None:
    """The printer's port shows broadcasts and its own traffic: the remedy is named, exit 1."""
    done = examine(lab.hosts[4], "--seconds", "6")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "make it the mirror port" in done.stdout


# --- copies and loops -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "mark", "words"),
    [
        (CopyReport(0.0), "ok", "each frame is shown once"),
        (CopyReport(0.5), "note", "mirror only what comes in (ingress, rx) at each port"),
        (CopyReport(None), "note", "too few frames"),
        (CopyReport(0.0, repeats=Repeats(0.98, 12)), "note", "a cable leads back"),
    ],
)
def test_copies_and_loops_are_told_with_their_remedy(
    report: CopyReport, mark: str, words: str
) -> None:
    """A port that shows frames twice, or a loop, is worth a line each."""
    found = next(judge_copies("eth0", report))

    assert found.mark == mark
    assert words in found.text
