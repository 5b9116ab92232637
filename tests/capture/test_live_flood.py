"""Live capture in a flood: tags, discovery and samples keep their room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from tests.capture.livewire import ARP, SENDER, Wire, frame, written
from tests.conftest import wait_for
from tests.system.crowd import dhcp_answer

from monitorpi_capture.engine.choice import BEST_FIRST

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

LISTEN = """
import sys, threading, time
from monitorpi_capture.engine.choice import BEST_FIRST
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.sources.listener import Listener
from monitorpi_capture.sources.pacing import Sightings

def emit(item):
    for one in item.each if isinstance(item, Sightings) else ():
        print(one.mac.hex(), *one.vlan, *one.ips, flush=True)

engine = BEST_FIRST[sys.argv[1]](["eth0"], 64)
engine.open()
listener = Listener(engine.feeds, Dissector(), 200)
threading.Thread(target=listener.run, args=(emit,), daemon=True).start()
while True:
    engine.count_until(time.clock_gettime(time.CLOCK_BOOTTIME) + 0.1)
    engine.close_windows()
"""
EVERY_ENGINE = pytest.mark.parametrize("engine", BEST_FIRST)


@EVERY_ENGINE
def test_the_vlan_of_a_frame_is_known_whoever_takes_its_tags_out(wire: Wire, engine: str) -> None:
    """The stack takes out one of 802.1Q or 802.1ad; the rest, and older kinds, are in the data."""
    wire.plug()
    inner = "0806" + ARP
    frames = (
        frame("0806", ARP),
        frame("8100", "e005" + inner),
        frame("88a8", "0064" + "81000005" + inner),
        frame("9100", "0064" + "81000005" + inner),
        frame("88a8", "0001" + "91000064" + "81000005" + inner),
        frame("8100", "e000" + inner),
    )
    run = ["ip", "netns", "exec", wire.name, sys.executable, "-c", LISTEN, engine]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(run, stdout=said)

        def lines(address: str) -> list[str]:
            return [line for line in written(said).splitlines() if line.endswith(address)]

        first = frame("0806", ARP.replace("c0000201", "c0000209"))
        try:
            wait_for(lambda: wire.send((1, first)) or lines("192.0.2.9"))
            wire.send(*((1, one) for one in frames))
            wait_for(lambda: len(lines("192.0.2.1")) >= len(frames))
        finally:
            process.kill()
            process.wait()
        found = lines("192.0.2.1")

    report = SENDER.replace(":", "")
    assert found == [
        f"{report} 192.0.2.1", f"{report} 5 192.0.2.1", f"{report} 100 5 192.0.2.1",
        f"{report} 100 5 192.0.2.1", f"{report} 1 100 5 192.0.2.1", f"{report} 192.0.2.1",
    ]  # fmt: skip


@EVERY_ENGINE
def test_a_flood_of_arp_leaves_room_for_who_hands_out_addresses(wire: Wire, engine: str) -> None:
    """Ten offers among a thousand ARP frames, more than can be dissected: all ten are seen."""
    wire.plug()
    server = "04:00:00:00:00:09"
    offer = dhcp_answer(server, "192.0.2.8", SENDER, "192.0.2.10", 2).hex()
    run = ["ip", "netns", "exec", wire.name, sys.executable, "-c", LISTEN, engine]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(run, stdout=said)

        def lines(word: str) -> list[str]:
            return [line for line in written(said).splitlines() if word in line.split()]

        first = frame("0806", ARP.replace("c0000201", "c0000209"))
        try:
            wait_for(lambda: wire.send((1, first)) or lines("192.0.2.9"))
            wire.send(*[(100, frame("0806", ARP)), (1, offer)] * 10, pause_s=0.1)
            wait_for(lambda: len(lines(server.replace(":", ""))) >= 10)
        finally:
            process.kill()
            process.wait()


@EVERY_ENGINE
def test_a_flood_of_arp_does_not_drown_the_sensor(wire: Wire, engine: str) -> None:
    """Thousands of ARP frames a second are counted; their dissection is bounded."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]', MONITORPI_CAPTURE__ENGINE=engine)
    wait_for(sensor.windows)

    wire.send((10_000, frame("0806", ARP, dst="ff:ff:ff:ff:ff:ff")), pause_s=0.005)
    wait_for(
        lambda: sensor.total()["arp"] + sum(w.kernel_drops for w in sensor.windows()) >= 10_000
    )

    assert sensor.stop()[0] == 0
