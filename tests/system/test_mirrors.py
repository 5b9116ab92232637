"""Real mirrors that show frames twice, on two ports, or again and again: what is told of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_lab.lan import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitorpi_lab.lan import Host

pytestmark = [pytest.mark.lab, pytest.mark.calm]

ALL = "protocol all u32 match u32 0 0"
SEND = """
import socket, sys, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((sys.argv[1], 0))
rate, seconds = float(sys.argv[2]), float(sys.argv[3])
frames = [bytes.fromhex(line) for line in sys.stdin.read().split()]
start, sent = time.monotonic(), 0
while (now := time.monotonic() - start) < seconds:
    while sent < now * rate:
        wire.send(frames[sent % len(frames)])
        sent += 1
    time.sleep(0.002)
"""
"""Sends frames in turn, for ever the same ones: what a loop makes of them, without its violence."""


class Watch:
    """Capture and detector in the sensor's namespace, joined by a pipe."""

    def __init__(self, host: Host, interfaces: list[str], engine: str, out: IO[str]) -> None:
        env = os.environ | {
            "MONITORPI_SITE": "lab",
            "MONITORPI_CAPTURE__ENGINE": engine,
            "MONITORPI_CAPTURE__INTERFACES": json.dumps(interfaces),
        }
        python = [*host.namespace.prefix, sys.executable, "-m"]
        self._out = out
        self._copy = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close
        self.capture = subprocess.Popen(
            [*python, "monitorpi_capture", "--bus", "-"], stdout=subprocess.PIPE, env=env
        )
        self.tee = subprocess.Popen(
            ["tee", f"/dev/fd/{self._copy.fileno()}"], stdin=self.capture.stdout,
            stdout=subprocess.PIPE, pass_fds=[self._copy.fileno()],
        )  # fmt: skip
        self.detector = subprocess.Popen(
            [*python, "monitorpi_detector", "--bus", "-"],
            stdin=self.tee.stdout,
            stdout=out,
            env=env,
        )

    def _said(self, stream: IO[str], kind: str) -> list[dict[str, Any]]:
        text = os.pread(stream.fileno(), 1 << 26, 0).decode()
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [one["payload"] for one in lines if f"/{kind}/" in one["topic"]]

    def windows(self) -> list[dict[str, Any]]:
        """Return what capture counted."""
        return self._said(self._copy, "capture/traffic")

    def alerts(self) -> list[dict[str, Any]]:
        """Return what the detector told."""
        return self._said(self._out, "detector/alert")

    def close(self) -> None:
        """End all three."""
        for process in (self.capture, self.tee, self.detector):
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._copy.close()


@contextmanager
def watching(lab: Lab, engine: str, *interfaces: str) -> Iterator[Watch]:
    """Watch the sensor's mirror ports."""
    with tempfile.TemporaryFile("w+") as out:
        watch = Watch(lab.sensor, list(interfaces) or [lab.sensor.interface], engine, out)
        try:
            wait_for(watch.windows)
            yield watch
        finally:
            watch.close()


def tc(lab: Lab, *lines: str) -> None:
    """Change the switch's mirror."""
    lab.switch.run(["tc", "-batch", "-"], input="\n".join(lines) + "\n")


def send(host: Host, frames: list[str], rate: float, seconds: float) -> None:
    """Send frames in turn, evenly."""
    host.run(
        [sys.executable, "-c", SEND, host.interface, str(rate), str(seconds)],
        input="\n".join(frames),
    )


def ping(host: Host, target: Host, rate: float, seconds: float) -> None:
    """Send echo requests evenly, each with a number of its own."""
    ends = "".join(f"{int(part):02x}" for ip in (host.ip, target.ip) for part in ip.split("."))
    macs = (target.mac + host.mac).replace(":", "")
    frames = []
    for number in range(int(rate * seconds) + 100):
        body = f"0800{(0xF7FE - number) & 0xFFFF:04x}0001{number:04x}".ljust(80, "0")
        words = f"4500003c{number:04x}00004001"
        parts = words + "0000" + ends
        total = sum(int(parts[at : at + 4], 16) for at in range(0, 40, 4))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        frames.append(f"{macs}0800{words}{0xFFFF - total:04x}{ends}{body}")
    send(host, frames, rate, seconds)


@pytest.mark.parametrize("engine", ["tcx", "ebpf", "socket"])
def test_a_mirror_of_both_directions_is_judged_by_frames(engine: str) -> None:
    """Pings of 30/s that the port shows as 60 are no flood; 80/s are one, of 80/s."""
    with Lab(3) as lab:
        both = f"egress {ALL} action mirred egress mirror dev mirror"
        tc(lab, *(f"filter add dev port{n} {both}" for n in (1, 2, 3)))
        with watching(lab, engine) as watch:
            ping(lab.hosts[1], lab.hosts[2], 30, 6)
            last = watch.windows()[-2]
            assert watch.alerts() == []
            ping(lab.hosts[1], lab.hosts[2], 80, 4)
            wait_for(watch.alerts)
            [alert] = watch.alerts()[:1]

    assert last["counts"]["icmp_echo"] >= 50
    assert last["copies_ratio"] == pytest.approx(0.5, abs=0.1)
    assert alert["rule"] == "icmp-flood"
    assert 50 <= alert["evidence"]["value"] <= 90
    assert "each counted once" in alert["summary"]


def second_port(lab: Lab, split: bool) -> None:
    """Give the sensor a second mirror port: of host 3's frames, or of all as the first one."""
    lab.switch.run(
        ["ip", "link", "add", "mirror2", "type", "veth", "peer", "name", "mirror1", "netns",
         lab.sensor.namespace.path]
    )  # fmt: skip
    lab.switch.run(["ip", "link", "set", "mirror2", "up"])
    lab.sensor.run(["ip", "link", "set", "mirror1", "arp", "off", "up"])
    other = "action mirred egress mirror dev mirror2"
    if split:
        odd = "protocol ip pref 1 u32 match u16 0x0001 0x0001 at 4"
        tc(
            lab, "qdisc replace dev port2 clsact",
            "filter del dev port2 ingress",
            f"filter add dev port2 ingress {odd} {other}",
            f"filter add dev port2 ingress pref 2 {ALL} action mirred egress mirror dev mirror",
        )  # fmt: skip
    else:
        tc(
            lab,
            *(f"filter add dev port{n} ingress pref 1 {ALL} {other} continue" for n in (1, 2, 3)),
        )


@pytest.mark.parametrize("engine", ["ebpf", "socket"])
def test_a_flood_over_two_mirror_ports_adds_up(engine: str) -> None:
    """Half of 80 pings/s on each of two ports are told as 80/s, once."""
    with Lab(3) as lab:
        second_port(lab, split=True)
        with watching(lab, engine, lab.sensor.interface, "mirror1") as watch:
            ping(lab.hosts[1], lab.hosts[2], 80, 6)
            wait_for(watch.alerts)
            time.sleep(1)  # another window, which must not make a second alert
            keys = {one["key"] for one in watch.alerts()}
            [alert] = watch.alerts()[:1]
            parts = [w["counts"].get("icmp_echo", 0) for w in watch.windows()]

    assert keys == {f"icmp-flood-{lab.hosts[1].mac.replace(':', '')}"}
    assert max(parts) < 50
    assert alert["evidence"]["value"] >= 60


@pytest.mark.parametrize("engine", ["ebpf", "socket"])
def test_what_two_mirror_ports_both_show_counts_once(engine: str) -> None:
    """Pings of 30/s that two ports show are 30/s."""
    with Lab(3) as lab:
        second_port(lab, split=False)
        with watching(lab, engine, lab.sensor.interface, "mirror1") as watch:
            ping(lab.hosts[1], lab.hosts[2], 40, 8)
            told = watch.alerts()
            shares = [w["copies"]["elsewhere"] for w in watch.windows() if w["copies"]]

    assert told == []
    assert max(shares) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("engine", ["ebpf", "socket"])
def test_a_loop_is_one_alert(engine: str) -> None:
    """Broadcasts of many devices that come again and again: one alert, which says loop."""
    frames = []
    for n in range(40):
        mac = f"00005e0054{n:02x}"
        arp = "0001080006040001" + mac + f"c61201{n:02x}" + "00" * 6 + "c6120001"
        frames.append("ff" * 6 + mac + "0806" + arp + "00" * 18)
    with Lab(2) as lab, watching(lab, engine) as watch:
        lab.hosts[0].run(
            [sys.executable, "-c", SEND, lab.hosts[0].interface, "8000", "5"],
            input="\n".join(frames),
        )
        wait_for(watch.alerts)
        told = {one["key"]: one for one in watch.alerts() if one["caused_by"] is None}

    assert [one["rule"] for one in told.values()].count("loop") == 1
    assert len(told) <= 3
