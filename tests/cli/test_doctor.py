"""The doctor on a real mirror port and a real ordinary one; what it prints and ends with."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from monitorpi_cli.doctor.command import exit_code
from monitorpi_cli.doctor.finding import CheckResult, parted
from monitorpi_cli.doctor.machine import check_settings
from monitorpi_lab.background import BackgroundTraffic
from monitorpi_lab.lan import Host, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_wrong_settings_are_told_once(tmp_path: Path) -> None:
    """A key that several services read is one finding, each other mistake one of its own."""
    file = tmp_path / "monitorpi.toml"
    file.write_text('site = "Not A Site"\n[capture]\nmax_macs = 1\n')

    found = [str(one) for one in check_settings(file)]

    assert len(found) == 2
    assert all(text.startswith("settings: ") for text in found)


def test_secrets_are_looked_for_where_up_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page beyond loopback is well when its password stands where the page will find it."""
    monkeypatch.setenv("MONITORPI_STATE_DIR", str(tmp_path))
    file = tmp_path / "monitorpi.toml"
    file.write_text('[dashboard]\nlisten = "0.0.0.0"\n')
    assert "password: missing" in str(next(check_settings(file)))

    secrets = tmp_path / "secrets" / "dashboard"
    secrets.mkdir(parents=True)
    (secrets / "dashboard__password").write_text("of-a-test")

    assert list(check_settings(file)) == []


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([CheckResult("ok", "clock", ""), CheckResult("note", "eth0", "")], 0),
        ([CheckResult("ok", "clock", ""), CheckResult("wrong", "eth0", "")], 1),
        ([CheckResult("wrong", "settings", "")], 2),
    ],
)
def test_the_exit_code_tells_settings_from_the_rest(found: list[CheckResult], code: int) -> None:
    """As for `up`: 2 is something to write differently."""
    assert exit_code(found) == code


def test_a_report_is_parted_into_text_and_remedy() -> None:
    """The remedy stands behind the last colon; addresses have colons of their own."""
    found = parted("broker", "no way to [::1]:1883: nobody listens: start it")

    assert (found.text, found.remedy) == ("no way to [::1]:1883: nobody listens", "start it")
    assert parted("broker", "just so").remedy is None


def run(*options: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the doctor."""
    command = [*prefix, sys.executable, "-m", "monitorpi_cli", "doctor", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_wrong_settings_end_with_2_and_nothing_else_is_tried(tmp_path: Path) -> None:
    """As JSON too: a list whose entries have the remedy."""
    file = tmp_path / "monitorpi.toml"
    file.write_text("[capture]\nmax_macs = 1\n")

    done = run("--config", str(file), "--json")

    assert done.returncode == 2
    [one] = json.loads(done.stdout)
    assert set(one) == {"mark", "topic", "text", "remedy"}
    assert (one["mark"], one["topic"]) == ("wrong", "settings")


@pytest.fixture(scope="module")
def lab(privileged: None) -> Iterator[Lab]:
    """Run a lab of six hosts that live their lives."""
    del privileged
    with Lab(6) as one, BackgroundTraffic(one, pace=4.0):
        yield one


def examine(host: Host, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor in a host's namespace."""
    return run("--interface", host.interface, *options, prefix=tuple(host.namespace.prefix))


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


@pytest.fixture
def mpls(lab: Lab) -> Iterator[None]:
    """Let a host send frames with MPLS labels, many more than all others send."""
    sender, receiver = lab.hosts[2], lab.hosts[1]
    addresses = bytes.fromhex(f"{receiver.mac}{sender.mac}".replace(":", ""))
    stopped = threading.Event()

    def send() -> None:
        for number in itertools.count():
            if stopped.wait(1 / 300):
                break
            sock.send(addresses + bytes.fromhex("8847 00064140") + number.to_bytes(60, "big"))

    with sender.namespace.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((sender.interface, 0))
        thread = threading.Thread(target=send)
        thread.start()
        yield
        stopped.set()
        thread.join()


@pytest.mark.lab
def test_a_mirror_port_inside_a_providers_network_is_not(lab: Lab, mpls: None) -> None:
    """What stands inside MPLS counts for no rule: the doctor says so by name."""
    del mpls
    done = examine(lab.sensor, "--seconds", "4", "--json")

    assert done.returncode == 1, done.stdout + done.stderr
    [wrong] = [one for one in json.loads(done.stdout) if one["mark"] == "wrong"]
    assert (wrong["topic"], "stand inside MPLS" in wrong["text"]) == ("mirror0", True)
