from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from monitorpi_lab import flood, frames
from monitorpi_lab.flood import Flood
from monitorpi_lab.lan import LabError

if TYPE_CHECKING:
    from monitorpi_lab.lan import Lab

ME, YOU = "00:00:5e:00:53:01", "00:00:5e:00:53:02"


def build(kind: str = "syn", **changes: Any) -> Flood:
    """Build a flood of 100 frames, changed as wished."""
    base = Flood("syn", 100, 1.0, ME, "198.18.0.1", YOU, "198.18.0.2")
    return dataclasses.replace(base, **{"kind": kind, **changes})


def sources(pool: list[bytes]) -> set[bytes]:
    """Return the source MAC addresses of frames."""
    return {frame[6:12] for frame in pool}


@pytest.mark.parametrize("kind", flood.KINDS)
def test_a_flood_names_its_source_unless_asked_otherwise(kind: str) -> None:
    """Every kind carries the given source MAC, or as many random ones as it has frames."""
    assert sources(flood.pool(build(kind))) == {frames.mac_bytes(ME)}
    assert len(sources(flood.pool(build(kind, source_mac="random")))) == 100


def test_source_addresses_can_be_forged() -> None:
    """With a random source address, 100 SYNs come from 100 addresses and one MAC."""
    pool = flood.pool(build(source_ip="random"))

    assert len({frame[26:30] for frame in pool}) > 95
    assert sources(pool) == {frames.mac_bytes(ME)}


def test_ports_are_fixed_or_random() -> None:
    """Port 0 means a random one in each frame, anything else is that port."""
    assert {frame[36:38] for frame in flood.pool(build(port=443))} == {b"\x01\xbb"}
    assert len({frame[36:38] for frame in flood.pool(build(port=0))}) > 95
    assert {frame[34:36] for frame in flood.pool(build(source_port=7))} == {b"\0\7"}


def test_the_same_seed_gives_the_same_flood() -> None:
    """A flood can be repeated frame by frame, and another seed is another flood."""
    assert flood.pool(build(seed=3)) == flood.pool(build(seed=3))
    assert flood.pool(build(seed=3)) != flood.pool(build(seed=4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 0}, "at most 200000 frames/s"),
        ({"rate": 300_000}, "at most 200000 frames/s"),
        ({"seconds": 0}, "at most 600 s"),
        ({"seconds": 3600}, "at most 600 s"),
        ({"kind": "smurf"}, "no flood is called 'smurf'; there are syn,"),
    ],
)
def test_a_flood_without_bounds_is_refused(changes: dict[str, Any], said: str) -> None:
    """Rate, time and kind are checked before anything is sent."""
    with pytest.raises(LabError, match=said):
        build(**changes)


def test_a_count_ends_a_flood_early() -> None:
    """The smaller of count and time is what is sent."""
    assert build(count=7).total == 7
    assert build(count=1000).total == 100


def test_outside_the_lab_the_program_refuses() -> None:
    """Started by hand on the machine itself, it ends with one line and exit code 2."""
    _, interface = socket.if_nameindex()[0]
    described = json.dumps(dataclasses.asdict(build(interface=interface)))

    ended = subprocess.run(
        [sys.executable, "-m", "monitorpi_lab.flood", described],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"flood: {interface} here is not the lab's: a flood is sent in the lab only\n"
    )


@pytest.mark.lab
def test_an_interface_that_the_lab_did_not_make_is_refused(lab: Lab) -> None:
    """Even in the lab's namespace: a veth of somebody else, and one with another lab's alias."""
    host = lab.hosts[5]
    host.run(["ip", "link", "add", "mine", "type", "veth", "peer", "name", "yours"])

    for alias in ("", "monitorpi-lab", "monitorpi-lab-4026531840"):
        host.run(["ip", "link", "set", "mine", "up", "alias", alias])
        with pytest.raises(LabError, match="in the lab only"):
            host.call(flood.require_lab, "mine")
    host.call(flood.require_lab, "eth0")
    host.run(["ip", "link", "del", "mine"])


def count(wire: socket.socket, expected: int, source: str) -> int:
    """Count a host's frames at the mirror until all have come or nothing comes for a second."""
    wanted, seen = frames.mac_bytes(source), 0
    while seen < expected:
        try:
            seen += wire.recv(2048)[6:12] == wanted
        except TimeoutError:
            break
    return seen


def open_mirror(interface: str) -> socket.socket:
    """Open a packet socket with room for a burst."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    wire.bind((interface, 0))
    wire.settimeout(1.0)
    return wire


@pytest.mark.lab
@pytest.mark.parametrize(("kind", "rate"), [("syn", 100), ("icmp_echo", 1000), ("dhcp", 10_000)])
def test_a_flood_has_the_rate_asked_for(lab: Lab, kind: flood.Kind, rate: int) -> None:
    """What is said to be sent is at the mirror, at the rate asked for, from the first frame on."""
    attacker, victim = lab.hosts[4], lab.hosts[1]
    rates = []
    for _ in range(3):  # the best of three: a machine that stalls can only slow a flood down
        with lab.sensor.call(open_mirror, lab.sensor.interface) as wire:
            before = time.time()
            running = flood.start(
                attacker, flood.flood_between(attacker, victim, kind, rate, seconds=1.0)
            )
            first_s = running.first_frame_s()
            seen = count(wire, rate, attacker.mac)
            sent = running.wait()

        assert (sent.frames, sent.refused, seen) == (rate, 0, rate)
        assert before < first_s < before + 5
        rates.append(sent.rate)
        if sent.rate > 0.9 * rate:
            break
    assert max(rates) == pytest.approx(rate, rel=0.1)


@pytest.mark.lab
def test_a_flood_can_carry_somebody_elses_mac(lab: Lab) -> None:
    """A host that forges the sensor's MAC shows at the mirror as the sensor."""
    attacker, victim = lab.hosts[4], lab.hosts[1]
    forged = flood.flood_between(
        attacker, victim, "icmp_echo", 100, seconds=0.5, source_mac=lab.sensor.mac
    )
    with lab.sensor.call(open_mirror, lab.sensor.interface) as wire:
        running = flood.start(attacker, forged)

        assert count(wire, 50, lab.sensor.mac) == 50
    assert running.wait().frames == 50


@pytest.mark.lab
def test_a_flood_can_be_stopped(lab: Lab) -> None:
    """Stopping ends a flood of ten minutes at once: the mirror port falls silent."""
    running = flood.start(
        lab.hosts[4], flood.flood_between(lab.hosts[4], lab.hosts[1], "arp", 200, seconds=600)
    )
    running.first_frame_s()

    running.stop()

    with lab.sensor.call(open_mirror, lab.sensor.interface) as wire:
        assert count(wire, 1, lab.hosts[4].mac) == 0
