from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from tests.conftest import wait_for
from tests.notifier.counterparts import MailServer
from tests.system.conftest import ON_LOOPBACK, running_up

from monitorpi_cli.stack.viewer import Arrival, Viewer
from monitorpi_common.messages import Device, Traffic
from monitorpi_common.settings import BrokerSettings
from monitorpi_common.topics import pattern
from monitorpi_lab.demo.steps import ALERT_WITHIN_S
from monitorpi_lab.drill import INTERFACE, RULES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.calm, pytest.mark.timeout(180)]

QUIET_S = 3
QUICK = ("syn-flood",)
DRILL = (sys.executable, "-m", "monitorpi_cli", "drill")


def settings(state: Path) -> str:
    """Write a configuration with a short quiet time for every rule that can be drilled."""
    quiet = "".join(f"[detector.rules.{rule}]\nquiet_s = {QUIET_S}\n" for rule in RULES)
    return f'site = "werk"\nstate_dir = "{state}"\n{ON_LOOPBACK}{quiet}'


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Path]:
    """Run `up` on this machine's loopback until the test ends; returns its configuration file."""
    config = tmp_path / "monitorpi.toml"
    config.write_text(settings(tmp_path / "state"))
    with running_up(config):
        yield config


def listen(config: Path) -> Viewer:
    """Return a listener to everything the stack says."""
    state = config.parent / "state"
    written = (state / "broker" / "mosquitto.conf").read_text()
    port = int(written.split("listener ", 1)[1].split()[0])
    password = (state / "secrets" / "viewer" / "broker__password").read_text().strip()
    account = BrokerSettings(port=port, username="viewer", password=SecretStr(password))
    return Viewer(account, [pattern("+")])


def collect(viewer: Viewer, seconds: float) -> list[Arrival]:
    """Return what comes, and has come, until nothing more comes for so long."""
    heard = []
    while (one := viewer.next(seconds)) is not None:
        heard.append(one)
    return heard


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, marks=() if rule in QUICK else pytest.mark.soak) for rule in RULES]
)
def test_a_drill_goes_through_the_whole_pipeline(stack: Path, rule: str) -> None:
    """The running detector raises the drilled rule on the drill's MAC within 3 s and closes it."""
    with listen(stack) as viewer:
        while not any(h.topic.service == "detector" for h in collect(viewer, 0.2)):
            pass
        ended = subprocess.run(
            [*DRILL, "--config", str(stack), "--json", "--rule", rule],
            capture_output=True,
            text=True,
            check=False,
        )
        heard = collect(viewer, 1.0)

    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["rule"] == rule
    assert 0 < result["seconds_to_alert"] <= ALERT_WITHIN_S
    assert 0 < result["seconds_to_close"] <= QUIET_S + 4
    assert "drill0" in ended.stderr
    check_traces(heard, result["attacker_mac"])


def check_traces(heard: list[Arrival], attacker: str) -> None:
    """Nothing of the drill is on another interface, and nothing but its alert stays behind."""
    windows = [m for m in map(Arrival.message, heard) if isinstance(m, Traffic)]
    told = {(w.interface, d.mac) for w in windows for d in w.devices}
    assert (INTERFACE, attacker) in told
    assert attacker not in {mac for interface, mac in told if interface != INTERFACE}
    assert [m for m in map(Arrival.message, heard) if isinstance(m, Device)] == []
    last = {h.topic: h.payload for h in heard}
    assert [payload for topic, payload in last.items() if topic.id == "drill" and payload] == []


def test_a_drill_follows_its_alert_to_who_is_told(tmp_path: Path) -> None:
    """A mail server takes it; before that a test message arrives there, too."""
    config = tmp_path / "monitorpi.toml"
    with MailServer() as mail:
        desk = f'[notifier.destinations.desk]\nurl = "{mail.url}"\n'
        config.write_text(settings(tmp_path / "state") + desk)
        with running_up(config):
            command = [sys.executable, "-m", "monitorpi_cli"]
            ended: list[subprocess.CompletedProcess[str]] = []

            def told() -> bool:  # the notifier may still be starting
                ended.append(
                    subprocess.run(
                        [*command, "notify", "test", "desk", "--config", str(config)],
                        capture_output=True, text=True, check=False,
                    )
                )  # fmt: skip
                return ended[-1].returncode == 0

            wait_for(told, 60, "the test message")
            drill = subprocess.run(
                [*DRILL, "--config", str(config), "--json"], capture_output=True, text=True,
                check=False,
            )  # fmt: skip

    assert ended[-1].stdout.startswith("desk: delivered after")
    assert mail.mails[0].subject == "MonitorPi test"
    assert drill.returncode == 0, drill.stderr
    result = json.loads(drill.stdout)
    assert result["seconds_to_alert"] < result["seconds_to_deliveries"]["desk"] < 10
    assert any("SYN flood" in one.subject for one in mail.mails)
