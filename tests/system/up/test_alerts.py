"""``up`` on real frames: floods are reported once, whatever else arrives."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_lab import flood

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitorpi_lab.lan import Lab

from tests.system.up.conftest import QUIET_S, SITE, Start

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_two_floods_are_two_alerts_on_the_attacker(
    up: Start, lab: Lab, record_property: Callable[[str, object], None]
) -> None:
    """Each flood of 1,000/s opens one alert within 3 s, on its MAC, which closes; nothing else."""
    one = up()
    for service in ("capture", "detector", "prober"):
        one.online(service)
    wait_for(lambda: len(one.of("capture/traffic/")) >= 4, 30, "some calm windows")
    assert one.alerts() == []
    attacker, victim = lab.hosts[3], lab.hosts[1]

    for kind, rule in (("syn", "syn-flood"), ("icmp_echo", "icmp-flood")):
        running = flood.start(
            attacker, flood.flood_between(attacker, victim, kind, 1000, seconds=3)
        )
        first = running.first_frame_s()

        def told(rule: str = rule, state: str = "open") -> list[tuple[float, dict[str, Any]]]:
            return [(at, a) for at, a in one.alerts() if a["rule"] == rule and a["state"] == state]

        opened_at, alert = wait_for(told, 10, f"{rule} to open")[0]
        running.wait()
        wait_for(lambda rule=rule: told(rule, "closed"), QUIET_S + 15, f"{rule} to close")

        assert opened_at - first <= 3
        assert alert["subject"] == attacker.mac.replace(":", "")
        assert alert["evidence"]["victims"][0]["mac"] == victim.mac
        assert len({a["id"] for _, a in one.alerts() if a["rule"] == rule}) == 1
        record_property(f"{rule}_seconds_to_alert", round(opened_at - first, 2))
    others = {a["key"] for _, a in one.alerts()} - {
        f"{rule}-{attacker.mac.replace(':', '')}" for rule in ("syn-flood", "icmp-flood")
    }
    assert others == set()

    def shown() -> list[str]:
        return [line for line in one.lines if "syn-flood" in line or "icmp-flood" in line]

    wait_for(lambda: sum("closed" in line for line in shown()) == 2, 5, "the lines people read")
    for rule in ("syn-flood", "icmp-flood"):
        said = [line.split()[1] for line in shown() if rule in line]
        # a line more where the first window was not yet critical
        assert said in (
            ["CRITICAL", "closed"],
            ["WARNING", "CRITICAL", "closed"],
            ["WARNING", "closed"],
        )
    assert one.stop() == 0
    assert one.children() == {}


def test_garbage_on_any_topic_kills_nobody(up: Start) -> None:
    """Each service publishes nonsense on its own topics: counted, and all live on."""
    one = up()
    for name in ("capture", "detector", "prober", "dashboard"):
        one.online(name)
    before = one.children()

    for service, kinds in {
        "capture": ("traffic", "device", "status", "health", "packet"),
        "prober": ("probe", "target", "status"),
        "detector": ("alert", "health", "result"),
    }.items():
        for kind in kinds:
            for text in ("garbage", "{}", "[]", "\x00\x01", '{"mac": {}}', "9" * 5000):
                one.publish(service, f"monitorpi/v1/{SITE}/{service}/{kind}/x", text)
    seen = len(one.of("capture/traffic/"))
    wait_for(lambda: len(one.of("capture/traffic/")) > seen + 2, 15, "windows go on")

    assert one.children() == before


def test_a_page_with_a_password_is_told_too(up: Start, tmp_path: Path) -> None:
    """Its password is in the service's own secrets, and the greeting still names the page."""
    secrets = tmp_path / "state" / "secrets" / "dashboard"
    secrets.mkdir(parents=True)
    (secrets / "dashboard__password").write_text("for-a-test")

    one = up(
        MONITORPI_DASHBOARD__LISTEN="0.0.0.0", MONITORPI_DASHBOARD__PORT="18081", SUDO_USER="pi"
    )

    one.online("dashboard")
    assert "  page      http://127.0.0.1:18081/" in one.lines
    # started with sudo: who pastes the line is not root
    assert any(line.strip().startswith('-P "$(sudo cat ') for line in one.lines)


def test_up_says_when_nobody_watches_and_that_it_is_over(up: Start, lab: Lab) -> None:
    """A detector that hangs, a cable that is out: said within ten seconds, and well again."""
    one = up()
    for service in ("capture", "detector", "prober"):
        one.online(service)

    def watches() -> list[dict[str, Any]]:
        return [json.loads(text) for _, text in one.of("detector/watch/") if text]

    def states() -> list[str]:
        return [payload["state"] for payload in watches()]

    def reasons() -> str:
        return " ".join(reason["text"] for reason in watches()[-1]["reasons"])

    def says(word: str, text: str, seconds: float) -> None:
        def said() -> bool:
            return any(f" {word}" in line and text in line for line in one.lines[before:])

        wait_for(said, seconds, f"{word} {text}: {one.lines}")

    def told(state: str) -> bool:
        seen = [alert for _, alert in one.alerts() if alert["rule"] == "sensor-blind"]
        return any(alert["state"] == state for alert in seen)

    wait_for(lambda: states()[-1:] == ["watching"], 30, "a sensor that works")
    interface = lab.sensor.interface
    before = len(one.lines)
    lab.sensor.run(["ip", "link", "set", interface, "down"])
    says("BLIND", interface, 12)
    wait_for(lambda: "the interface is down" in reasons(), 10, "the cause to be told")
    assert states()[-1] == "blind"
    wait_for(lambda: told("open"), 15, "the alert to open")
    lab.sensor.run(["ip", "link", "set", interface, "up"])
    says("WATCHING", "", 15)
    wait_for(lambda: told("closed"), 20, "the alert to close")

    before = len(one.lines)
    detector = one.children()["detector"]
    os.kill(detector, signal.SIGSTOP)
    says("BLIND", "The detector has said nothing for", 16)
    os.kill(detector, signal.SIGCONT)
    says("WATCHING", "", 15)
