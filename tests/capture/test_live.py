"""Live capture in network namespaces of our own: every frame that was sent is counted, once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys

import pytest
from tests.capture.livewire import ARP, SENDER, TARGET, Wire, frame
from tests.conftest import wait_for

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

SPOOFED = "02:00:00:00:00:99"
IPV4 = "45000028000000004006000001010101c0000202"
SYN = IPV4 + "9c400050" + "00" * 8 + "5002" + "00" * 6
PING = "4500001c00000000400100000101010102020202" + "0800" + "00" * 6


def test_every_frame_is_counted_for_mac_and_class(wire: Wire) -> None:
    """Known frames in, the same numbers out: per MAC, class and direction, no loss, no more."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]')
    wait_for(sensor.windows)

    wire.send(
        (1000, frame("0800", SYN)),
        (300, frame("0800", PING, src=SPOOFED)),
        (100, frame("0806", ARP, dst="ff:ff:ff:ff:ff:ff")),
        (70, frame("8100", "00050800" + SYN)),
        (50, frame("88a8", "000681000005" + "0800" + SYN)),
        (20, frame("0026", "424203")),
    )
    wait_for(lambda: sensor.total()["packets"] >= 1540)
    code, _ = sensor.stop()

    tagged = 70 * 64 + 50 * 64  # the frames with tags are padded to 46 bytes behind the first type
    assert code == 0
    assert sensor.total() == {
        "packets": 1540, "bytes": sensor.total()["bytes"], "syn": 1120, "tcp": 1120, "http": 1120,
        "ipv4": 1420, "icmp": 300, "icmp_echo": 300, "arp": 100, "broadcast": 100, "vlan": 120,
    }  # fmt: skip
    assert sensor.total()["bytes"] - tagged in range(1420 * 60 - 120 * 8, 1420 * 60 + 120 * 8)
    assert sensor.total(SENDER)["syn"] == 1120
    assert sensor.total(SENDER)["arp"] == 100
    assert sensor.total(SPOOFED) == {
        "packets": 300, "bytes": 18_000, "icmp": 300, "icmp_echo": 300, "ipv4": 300,
    }  # fmt: skip
    assert sensor.total(TARGET, "rx")["packets"] == 1440
    assert sensor.total(TARGET) == {}
    assert sum(window.kernel_drops for window in sensor.windows()) == 0
    assert [window.seq for window in sensor.windows()] == list(range(len(sensor.windows())))
    for before, after in zip(sensor.windows(), sensor.windows()[1:], strict=False):
        assert before.end == after.start
    peer = next(
        device.top_peer["syn"]
        for window in sensor.windows()
        for device in window.devices
        if "syn" in device.top_peer
    )
    assert (peer.mac, peer.ip, peer.port) == (TARGET, "192.0.2.2", 80)


def test_what_the_sensor_sends_is_not_counted(wire: Wire) -> None:
    """A mirror port sends nothing; what this machine sends is not counted, what it gets is."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]')
    wait_for(sensor.windows)

    wire.send((100, frame("0800", SYN)), far="eth0")
    wire.send((10, frame("0800", PING)))
    wait_for(lambda: sensor.total()["packets"] >= 10)
    sensor.stop()

    assert sensor.total()["packets"] == 10
    assert sensor.total()["icmp_echo"] == 10


def test_an_interface_is_unplugged_and_comes_back(wire: Wire) -> None:
    """Its windows stop, the other's go on, and both count again when it is made anew."""
    wire.plug()
    wire.plug("eth1", "far1")
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0", "eth1"]')
    wait_for(sensor.windows)
    wait_for(lambda: sensor.windows("eth1"))

    wire.ip("link", "delete", "eth0")
    others = len(sensor.windows("eth1"))
    wait_for(lambda: len(sensor.windows("eth1")) >= others + 3)
    gone = len(sensor.windows())
    wire.plug()
    wait_for(lambda: len(sensor.windows()) > gone + 1)
    wire.send((500, frame("0800", PING)))
    wait_for(lambda: sensor.total()["icmp_echo"] >= 500)
    code, log = sensor.stop()

    assert code == 0
    assert sensor.total()["icmp_echo"] == 500
    assert gone <= others + 2
    assert len({window.epoch for window in sensor.windows()}) == 1
    assert 'reason="the interface is gone"' in log
    assert 'event="interface is counted again"' in log


def test_an_interface_goes_down_and_up(wire: Wire) -> None:
    """A switched-off interface gives no windows; switched on it is counted again."""
    wire.plug()
    wire.plug("eth1", "far1")
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0", "eth1"]')
    wait_for(sensor.windows)
    wait_for(lambda: sensor.windows("eth1"))

    wire.ip("link", "set", "eth0", "down")
    others = len(sensor.windows("eth1"))
    wait_for(lambda: len(sensor.windows("eth1")) >= others + 3)
    before = len(sensor.windows())
    wire.ip("link", "set", "eth0", "up")
    wait_for(lambda: len(sensor.windows()) > before)
    wire.send((200, frame("0800", PING)))
    wait_for(lambda: sensor.total()["icmp_echo"] >= 200)

    assert sensor.stop()[0] == 0
    assert before <= others + 2
    assert sensor.total()["icmp_echo"] == 200


def test_merged_segments_count_as_the_frames_they_were(wire: Wire) -> None:
    """With offload on, a TCP transfer counts as the segments TCP itself says it sent."""
    peer = f"{wire.name}-peer"
    subprocess.run(["ip", "netns", "add", peer], check=True, timeout=10)
    try:
        wire.plug()
        wire.ip("link", "set", "far0", "netns", peer)
        wire.ip("address", "add", "198.18.7.1/24", "dev", "eth0")
        for setup in (
            ["address", "add", "198.18.7.2/24", "dev", "far0"],
            ["link", "set", "far0", "up"],
        ):
            subprocess.run(["ip", "-n", peer, *setup], check=True, timeout=10)
        sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]')
        wait_for(sensor.windows)

        sent = transfer(wire.name, peer)
        wait_for(lambda: sensor.total()["tcp"] >= sent)
        sensor.stop()
    finally:
        subprocess.run(["ip", "netns", "delete", peer], check=True, timeout=10)

    assert sensor.total()["tcp"] == sent


RECEIVE = """
import socket
server = socket.create_server(("198.18.7.1", 5001))
print("ready", flush=True)
client, _ = server.accept()
while client.recv(1 << 20):
    pass
"""
TRANSFER = """
import socket, struct
client = socket.create_connection(("198.18.7.1", 5001))
client.sendall(bytes(3_000_000))
client.shutdown(socket.SHUT_WR)
client.recv(1)
info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
print(struct.unpack_from("I", info, 136)[0])
"""


def transfer(receiver: str, sender: str) -> int:
    """Send 3 MB over TCP and return the segments sent (tcp_info: tcpi_segs_out)."""
    run = ["ip", "netns", "exec"]
    with subprocess.Popen(
        [*run, receiver, sys.executable, "-c", RECEIVE], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        done = subprocess.run(
            [*run, sender, sys.executable, "-c", TRANSFER],
            check=True, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        server.wait(timeout=10)
    return int(done.stdout)


assert socket.AF_PACKET  # this module is for Linux only
