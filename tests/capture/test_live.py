"""Live capture in network namespaces of our own: every frame that was sent is counted, once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for
from tests.system.crowd import dhcp_answer

from monitorpi_common.messages import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (iproute2) is not installed"),
]

SENDER = "02:00:00:00:00:01"
SPOOFED = "02:00:00:00:00:99"
TARGET = "02:00:00:00:00:02"

SEND = """
import socket, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((sys.argv[1], 0))
pause = float(sys.argv[2])
for line in sys.stdin:
    count, data = line.split()
    frame = bytes.fromhex(data)
    for number in range(int(count)):
        sock.send(frame)
        if number % 50 == 49:
            time.sleep(pause)
"""


@dataclass
class Wire:
    """A namespace with a sensor's interface, a cable, and its far end."""

    name: str
    sensors: list[Sensor] = field(default_factory=list)

    def ip(self, *arguments: str) -> None:
        """Configure something in the namespace."""
        subprocess.run(["ip", "-n", self.name, *arguments], check=True, timeout=10)

    def plug(self, near: str = "eth0", far: str = "far0") -> None:
        """Make a cable with both ends up."""
        self.ip("link", "add", near, "type", "veth", "peer", "name", far)
        for end in (near, far):
            self.ip("link", "set", end, "up")

    def send(self, *frames: tuple[int, str], far: str = "far0", pause_s: float = 0.002) -> None:
        """Send frames (count, hexadecimal) into the far end."""
        subprocess.run(
            ["ip", "netns", "exec", self.name, sys.executable, "-c", SEND, far, str(pause_s)],
            input="".join(f"{count} {data}\n" for count, data in frames),
            text=True, check=True, timeout=30,
        )  # fmt: skip

    def start(self, **settings: str) -> Sensor:
        """Start the capture service in the namespace, its messages on a pipe."""
        said, log = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115 - closed below
        run = ["ip", "netns", "exec", self.name, sys.executable, "-m", "monitorpi_capture"]
        ours = {"MONITORPI_SITE": "lab", "MONITORPI_CAPTURE__ENGINE": "socket"}
        process = subprocess.Popen(
            [*run, "--bus", "-"], stdout=said, stderr=log, env=os.environ | ours | settings
        )
        sensor = Sensor(process, said, log)
        self.sensors.append(sensor)
        return sensor


@dataclass
class Sensor:
    """A running capture service."""

    process: subprocess.Popen[bytes]
    said: IO[str]
    log: IO[str]

    def poll(self) -> list[dict[str, Any]]:
        """Return everything said so far, whole lines only."""
        self.said.seek(0)
        return [json.loads(line) for line in self.said if line.endswith("\n")]

    def windows(self, interface: str = "eth0") -> list[Traffic]:
        """Return the traffic messages of an interface, validated."""
        return [
            Traffic.model_validate(one["payload"])
            for one in self.poll()
            if one["topic"].endswith(f"/traffic/{interface}")
        ]

    def total(self, mac: str | None = None, side: str = "tx") -> Counter[str]:
        """Return all counts of one MAC, or of the wire, over all windows."""
        total: Counter[str] = Counter()
        for window in self.windows():
            if mac is None:
                total.update(window.counts | {"packets": window.packets, "bytes": window.bytes})
            for device in window.devices:
                if device.mac == mac:
                    total.update(getattr(device, side))
        return total

    def stop(self) -> tuple[int, str]:
        """Ask it to end and return exit code and log."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Wait until it ends by itself and return exit code and log."""
        code = self.process.wait(timeout=15)
        self.log.seek(0)
        return code, self.log.read()

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        self.said.close()
        self.log.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Make a namespace without IPv6, so that nothing but the test's frames is on its wires."""
    one = Wire(f"mp-capture-{os.getpid()}-{time.monotonic_ns() % 100_000}")
    subprocess.run(["ip", "netns", "add", one.name], check=True, timeout=10)
    try:
        for scope in ("all", "default"):
            setting = f"net.ipv6.conf.{scope}.disable_ipv6=1"
            subprocess.run(
                ["ip", "netns", "exec", one.name, "sysctl", "-q", "-w", setting],
                check=False, timeout=10,
            )  # fmt: skip
        one.ip("link", "set", "lo", "up")
        yield one
    finally:
        for sensor in one.sensors:
            sensor.close()
        subprocess.run(["ip", "netns", "delete", one.name], check=True, timeout=10)


def frame(ether_type: str, body: str, *, src: str = SENDER, dst: str = TARGET) -> str:
    """Return a frame of at least 60 bytes, hexadecimal."""
    return (dst + src).replace(":", "") + ether_type + body.ljust(92, "0")


IPV4 = "45000028000000004006000001010101c0000202"
SYN = IPV4 + "9c400050" + "00" * 8 + "5002" + "00" * 6
PING = "4500001c00000000400100000101010102020202" + "0800" + "00" * 6
ARP = "0001080006040001" + SENDER.replace(":", "") + "c0000201" + "00" * 10


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


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"MONITORPI_CAPTURE__INTERFACES": '["eth7"]'},
            "there is no interface 'eth7': plug it in, or set capture.interfaces to one",
        ),
        ({}, "plug the mirror port in"),
    ],
)
def test_a_missing_interface_is_exit_code_three(
    wire: Wire, settings: dict[str, str], text: str
) -> None:
    """One line says which are there; no traceback."""
    sensor = wire.start(**settings)
    code, log = sensor.end()

    assert code == 3
    assert text in log
    assert "Traceback" not in log


def test_without_permission_it_is_exit_code_three(wire: Wire) -> None:
    """The line names the capability that is missing."""
    wire.plug()
    reduced = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    service = [sys.executable, "-m", "monitorpi_capture", "--bus", "-"]
    ours = {"MONITORPI_CAPTURE__INTERFACES": "eth0", "MONITORPI_CAPTURE__ENGINE": "socket"}
    process = subprocess.run(
        ["ip", "netns", "exec", wire.name, *reduced, *service],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=os.environ | ours,
    )

    assert process.returncode == 3
    assert "CAP_NET_RAW" in process.stderr
    assert "Traceback" not in process.stderr


def test_without_configuration_the_wired_interface_is_chosen(wire: Wire) -> None:
    """It says which one it took."""
    wire.plug("eth10", "far10")
    wire.plug("eth2", "far2")
    sensor = wire.start()

    wait_for(lambda: sensor.windows("eth2"))
    _, log = sensor.stop()

    assert "interface=eth2" in log


def test_devices_are_told_by_a_live_sensor(wire: Wire) -> None:
    """Who does ARP for ten seconds is a device with its address."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]')
    wait_for(sensor.windows)

    def device() -> dict[str, Any] | None:
        wire.send((1, frame("0806", ARP, dst="ff:ff:ff:ff:ff:ff")))
        found = [one for one in sensor.poll() if one["topic"].endswith("/device/020000000001")]
        return found[-1]["payload"] if found else None

    report = wait_for(device, seconds=20)
    sensor.stop()

    assert report["ips"] == ["192.0.2.1"]
    assert report["present"]


LISTEN = """
import threading
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.sources.listener import Listener
from monitorpi_capture.items import Sighting

def emit(item):
    if isinstance(item, Sighting):
        print(item.mac.hex(), *item.vlan, *item.ips, flush=True)

Listener(["eth0"], Dissector(), 200).run(emit)
"""


def test_the_vlan_of_a_frame_is_known_whoever_takes_its_tags_out(wire: Wire) -> None:
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
    run = ["ip", "netns", "exec", wire.name, sys.executable, "-c", LISTEN]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(run, stdout=said)

        def lines(address: str) -> list[str]:
            said.seek(0)
            return [line for line in said.read().splitlines() if line.endswith(address)]

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


def test_a_flood_of_arp_leaves_room_for_who_hands_out_addresses(wire: Wire) -> None:
    """Ten offers among a thousand ARP frames, more than can be dissected: all ten are seen."""
    wire.plug()
    server = "04:00:00:00:00:09"
    offer = dhcp_answer(server, "192.0.2.8", SENDER, "192.0.2.10", 2).hex()
    run = ["ip", "netns", "exec", wire.name, sys.executable, "-c", LISTEN]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(run, stdout=said)

        def lines(word: str) -> list[str]:
            said.seek(0)
            return [line for line in said.read().splitlines() if word in line.split()]

        first = frame("0806", ARP.replace("c0000201", "c0000209"))
        try:
            wait_for(lambda: wire.send((1, first)) or lines("192.0.2.9"))
            wire.send(*[(100, frame("0806", ARP)), (1, offer)] * 10, pause_s=0.1)
            wait_for(lambda: len(lines(server.replace(":", ""))) >= 10)
        finally:
            process.kill()
            process.wait()


def test_a_flood_of_arp_does_not_drown_the_sensor(wire: Wire) -> None:
    """Thousands of ARP frames a second are counted; their dissection is bounded."""
    wire.plug()
    sensor = wire.start(MONITORPI_CAPTURE__INTERFACES='["eth0"]')
    wait_for(sensor.windows)

    wire.send((10_000, frame("0806", ARP, dst="ff:ff:ff:ff:ff:ff")), pause_s=0.005)
    wait_for(
        lambda: sensor.total()["arp"] + sum(w.kernel_drops for w in sensor.windows()) >= 10_000
    )

    assert sensor.stop()[0] == 0


assert socket.AF_PACKET  # this module is for Linux only
