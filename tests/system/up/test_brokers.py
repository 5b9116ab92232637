"""Whose broker, which port, which state directory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from tests.conftest import wait_for

from monitorpi_lab import flood

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitorpi_lab.lan import Lab

from tests.system.up.conftest import SITE, Start

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_another_port_is_taken_when_1883_is(up: Start, lab: Lab) -> None:
    """Somebody else's broker is left alone unless its port was asked for."""
    listener = [sys.executable, "-c", (
        "import socket, time\ns = socket.socket()\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "s.bind(('127.0.0.1', 1883)); s.listen(); print('taken', flush=True); time.sleep(120)"
    )]  # fmt: skip
    other = lab.sensor.popen(listener, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "taken\n"
    try:
        one = up()
        one.online("capture")

        assert one.port == 1884
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


def test_variables_in_any_case_do_not_beat_what_is_set_for_services(up: Start) -> None:
    """The accounts of our own broker, which ``up`` gives them, are not those of the shell."""
    one = up(
        monitorpi_broker__own="true", monitorpi_broker__password="another",
        Monitorpi_Broker__Username="somebody",
    )  # fmt: skip

    one.online("capture")
    one.online("history")


def test_one_stack_has_a_state_directory(up: Start, lab: Lab) -> None:
    """A second ``up`` with the same one says so and leaves the first alone."""
    one = up()
    one.online("capture")
    before = one.children()

    second = lab.sensor.popen(
        [sys.executable, "-m", "monitorpi_cli", "up"],
        env=os.environ | {"MONITORPI_STATE_DIR": str(one.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = second.communicate(timeout=30)

    assert second.returncode == 3
    assert said.strip() == (
        f"monitorpi: another MonitorPi runs with the state directory {one.state}: stop it, or set "
        "another one (MONITORPI_STATE_DIR)"
    )
    assert one.children() == before


def test_a_broker_that_is_there_already_is_used(lab: Lab, tmp_path: Path) -> None:
    """A broker on this machine with a user of its own: the services log in there as that user."""
    passwords, rules = tmp_path / "passwords", tmp_path / "mosquitto.conf"
    passwords.write_text("somebody:theirs\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, capture_output=True)
    rules.write_text(f"listener 1884 127.0.0.1\nuser root\npassword_file {passwords}\n")
    theirs = lab.sensor.popen(["mosquitto", "-c", str(rules)], stderr=subprocess.DEVNULL)
    account = {"HOST": "127.0.0.1", "PORT": "1884", "USERNAME": "somebody", "PASSWORD": "theirs"}
    process = lab.sensor.popen(
        [sys.executable, "-m", "monitorpi_cli", "up", "--interface", lab.sensor.interface],
        env=os.environ
        | {"MONITORPI_STATE_DIR": str(tmp_path / "state")}
        | {f"MONITORPI_BROKER__{name}": value for name, value in account.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with lines_of(process) as lines:
            greeting = "  broker    127.0.0.1:1884 (as configured)"
            wait_for(lambda: greeting in lines, 30, "the greeting")
            reader = ["mosquitto_sub", "-p", "1884", "-u", "somebody", "-P", "theirs", "-W", "30"]
            for service in ("capture", "detector", "prober", "dashboard"):
                topic = f"monitorpi/v1/+/{service}/status/main"
                said = lab.sensor.run([*reader, "-C", "1", "-t", topic])
                assert said.stdout.strip() == "online"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
    finally:
        theirs.kill()
        theirs.wait()


@contextlib.contextmanager
def lines_of(program: subprocess.Popen[str]) -> Iterator[list[str]]:
    """Collect what a program prints until the block ends, and the program with it."""
    lines: list[str] = []
    assert program.stdout is not None
    reader = threading.Thread(
        target=lambda: lines.extend(line.rstrip() for line in program.stdout or ()), daemon=True
    )
    reader.start()
    try:
        yield lines
    finally:
        program.kill()
        program.wait()
        reader.join(5)
        program.stdout.close()
        sys.stdout.write("\n".join([*lines, ""]))  # shown where a test fails


def test_a_broker_elsewhere_is_used_as_configured(lab: Lab, tmp_path: Path) -> None:
    """With another machine's broker there is no own one, and alerts are still told here."""
    there = lab.hosts[1]
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(f"listener 1999 {there.ip}\nallow_anonymous true\nuser root\n")
    broker = there.popen(["mosquitto", "-c", str(conf)], stderr=subprocess.DEVNULL)
    environment = os.environ | {
        "MONITORPI_STATE_DIR": str(tmp_path / "state"),
        "MONITORPI_BROKER__HOST": there.ip,
        "MONITORPI_BROKER__PORT": "1999",
    }
    command = [sys.executable, "-m", "monitorpi_cli", "up", "--site", SITE]
    process = lab.sensor.popen(
        [*command, "--interface", lab.sensor.interface],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with lines_of(process) as lines:
        wait_for(lambda: any("(as configured)" in line for line in lines), 30, "the greeting")
        wait_for(lambda: sum("connected" in line for line in lines) >= 4, 30, "all to be connected")
        flood.start(lab.hosts[3], flood.flood_between(lab.hosts[3], there, "syn", 500)).wait()
        wait_for(lambda: any(" syn-flood: " in line for line in lines), 15, "the alert")
        process.send_signal(signal.SIGTERM)

        assert process.wait(30) == 0
    broker.terminate()
    broker.wait()
    assert f"  broker    {there.ip}:1999 (as configured)" in lines
    assert not (tmp_path / "state" / "broker").exists()
    assert not (tmp_path / "state" / "secrets").exists()
