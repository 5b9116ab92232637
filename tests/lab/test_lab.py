"""The lab: who sees what on its switch, and what its hosts do."""

from __future__ import annotations

import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.lab.labs import wait_until

from monitorpi_lab import flood, frames, namespace
from monitorpi_lab.background import BackgroundTraffic, ping
from monitorpi_lab.lan import Lab, LabError

pytestmark = pytest.mark.lab

EXPERIMENT = 0x88B5  # an EtherType for local experiments (IEEE 802): nobody else sends it


def listen(interface: str, ethertype: int = 0x0003) -> socket.socket:
    """Open a packet socket on an interface of the calling thread's namespace."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
    wire.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    wire.bind((interface, ethertype))
    wire.settimeout(0.5)
    return wire


def heard(wire: socket.socket) -> list[bytes]:
    """Read a packet socket until nothing more comes for half a second."""
    found = []
    with wire:
        while True:
            try:
                found.append(wire.recv(65535))
            except TimeoutError:
                return found


def send(interface: str, sent: list[bytes]) -> None:
    """Send frames on an interface of the calling thread's namespace."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((interface, 0))
        for frame in sent:
            wire.send(frame)


def numbered(source: str, destination: str, count: int) -> list[bytes]:
    """Build frames that can be told apart."""
    return [
        frames.ethernet(source, destination, EXPERIMENT, i.to_bytes(4, "big")) for i in range(count)
    ]


@pytest.mark.parametrize("kind", ["unicast", "unknown unicast", "broadcast", "multicast"])
def test_the_mirror_port_shows_every_frame_exactly_once(lab: Lab, kind: str) -> None:
    """Frames of three hosts, to whatever destination, are at the mirror port once each."""
    destination = {
        "unicast": lab.hosts[0].mac,
        "unknown unicast": "00:00:5e:00:53:fd",
        "broadcast": frames.BROADCAST_MAC,
        "multicast": frames.multicast_mac("239.1.2.3"),
    }[kind]
    wire = lab.sensor.call(listen, lab.sensor.interface, EXPERIMENT)
    expected: list[bytes] = []

    for host in lab.hosts[1:4]:
        one_hosts = numbered(host.mac, destination, 2000)
        host.call(send, host.interface, one_hosts)
        expected += one_hosts

    assert Counter(expected) == Counter(heard(wire))


def test_the_mirror_port_shows_both_directions(lab: Lab) -> None:
    """A ping between two hosts shows its request and its reply, with the hosts' own MACs."""
    asking, answering = lab.hosts[2], lab.hosts[3]
    wire = lab.sensor.call(listen, lab.sensor.interface)

    asking.call(ping, answering.ip)

    echoes = [frame for frame in heard(wire) if frame[12:14] == b"\x08\x00" and frame[23] == 1]
    assert [
        (frames.mac_bytes(asking.mac), 8),
        (frames.mac_bytes(answering.mac), 0),
    ] == [(frame[6:12], frame[34]) for frame in echoes]


def test_a_host_is_not_shown_what_is_for_another(lab: Lab) -> None:
    """The bridge is a switch: a bystander's interface hears no unicast of two others."""
    lab.hosts[0].call(ping, lab.hosts[1].ip)
    wire = lab.hosts[2].call(listen, "eth0", EXPERIMENT)

    lab.hosts[0].call(send, "eth0", numbered(lab.hosts[0].mac, lab.hosts[1].mac, 100))

    assert heard(wire) == []


def test_the_sensor_reaches_hosts_by_its_management_port_and_is_mirrored_too(lab: Lab) -> None:
    """A ping of the sensor's is answered, and its own request stands at the mirror port once."""
    wire = lab.sensor.call(listen, lab.sensor.interface)

    lab.sensor.call(ping, lab.hosts[4].ip)

    own = [frame for frame in heard(wire) if frame[6:12] == frames.mac_bytes(lab.sensor.mac)]
    assert sum(frame[12:14] == b"\x08\x00" and frame[34] == 8 for frame in own) == 1


def test_a_silent_lab_is_silent(lab: Lab) -> None:
    """No frame is on the mirror port that no host has sent: no IPv6, no switch chatter."""
    wire = lab.sensor.call(listen, lab.sensor.interface)

    known = {frames.mac_bytes(host.mac) for host in (*lab.hosts, lab.sensor)}

    assert set() == {frame[6:12] for frame in heard(wire)} - known


def longest_of_a_transfer(lab: Lab) -> int:
    """Send 200 kB from one host to another; returns the longest frame at the mirror port."""
    server = lab.hosts[0].call(socket.create_server, (lab.hosts[0].ip, 0))
    wire = lab.sensor.call(listen, lab.sensor.interface)
    with lab.hosts[1].call(socket.create_connection, server.getsockname()[:2]) as client:
        peer, _ = server.accept()
        with server, peer:
            client.sendall(bytes(200_000))
            received = 0
            while received < 200_000:
                received += len(peer.recv(65535))
    return max(len(frame) for frame in heard(wire))


def test_without_offload_no_frame_is_merged(lab: Lab) -> None:
    """A bulk transfer shows as frames of at most an Ethernet frame's size."""
    assert longest_of_a_transfer(lab) == 1514


def test_with_offload_frames_are_merged(privileged: None) -> None:
    """The same transfer with offload left on shows the merged frames a sensor must cope with."""
    del privileged
    with Lab(2, offload=True) as lab:
        assert longest_of_a_transfer(lab) > 1514


def test_two_labs_run_side_by_side(lab: Lab) -> None:
    """A second lab with the same addresses neither fails nor is heard in the first."""
    wire = lab.sensor.call(listen, lab.sensor.interface)

    with Lab(2) as second:
        second.hosts[0].call(ping, second.hosts[1].ip)

    assert [frame for frame in heard(wire) if frame[12:14] == b"\x08\x00"] == []


def test_the_machine_itself_has_no_part_in_it(lab: Lab) -> None:
    """No interface, no route and no named namespace appears on the machine."""
    interfaces = {name for _, name in socket.if_nameindex()}
    routes = Path("/proc/net/route").read_text(encoding="ascii")

    assert interfaces.isdisjoint({lab.sensor.interface, "mgmt0", "br0", "port1"})
    assert "000012C6" not in routes  # 198.18.0.0, as the file writes it


def test_a_host_that_is_asked_to_reach_the_world_reaches_nothing(lab: Lab) -> None:
    """A packet for an address outside ends at the gateway, which forwards nothing."""
    wire = lab.sensor.call(listen, lab.sensor.interface)

    with pytest.raises(OSError, match=r"timed out|unreachable"):
        lab.hosts[3].call(ping, "192.0.2.1", 1.0)

    to_world = [f for f in heard(wire) if f[12:14] == b"\x08\x00" and f[30:34] == b"\xc0\x00\x02\1"]
    assert {frames.mac_bytes(lab.hosts[0].mac)} == {frame[:6] for frame in to_world}


def test_a_command_of_another_process_runs_in_a_namespace_by_its_prefix(lab: Lab) -> None:
    """The prefix takes any program into the namespace, with the /sys of that network."""
    command = [*lab.sensor.namespace.prefix, "ls", "/sys/class/net"]

    shown = subprocess.run(command, capture_output=True, text=True, check=True)

    assert {"lo", "mgmt0", "mirror0"} == set(shown.stdout.split())


def test_a_lab_of_250_hosts_starts_and_each_answers(privileged: None) -> None:
    """The largest lab there is answers pings from its first to its last host."""
    del privileged
    with Lab(250) as lab:
        first = [lab.sensor.call(ping, host.ip) for host in lab.hosts]
        again = [lab.sensor.call(ping, host.ip) for host in lab.hosts]

    # the better of two: a machine that stalls can only slow an answer down
    assert max(map(min, first, again)) < 1.0


# --- what the hosts do ---------------------------------------------------------------------------


def test_the_household_makes_every_kind_of_traffic_at_a_low_rate(lab: Lab) -> None:
    """ARP, DHCP, DNS, HTTP, IGMP, mDNS and pings are on the wire, answered, below any flood."""
    wire = lab.sensor.call(listen, lab.sensor.interface)
    everything = {"arp", "dhcp", "dns", "http", "igmp", "mdns", "ping"}

    start = time.monotonic()
    with BackgroundTraffic(lab, pace=10) as background:
        assert wait_until(lambda: everything <= background.done.keys(), 20)
    seconds = time.monotonic() - start

    seen = heard(wire)
    syns = sum(
        frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[47] & 0x12 == 0x02
        for frame in seen
    )
    assert background.failed == {}
    assert {67, 68, 53, 80, 5353} <= {int.from_bytes(f[36:38], "big") for f in seen if len(f) > 38}
    assert 0 < syns / seconds < 25  # ten times a home's rate, and still below what floods are


def test_a_household_that_leaves_waits_for_its_answers(lab: Lab) -> None:
    """What is under way when it ends still finds its servers: leaving is no failure."""
    for seed in range(5):
        with BackgroundTraffic(lab, pace=100, seed=seed) as background:
            assert wait_until(lambda: background.done.get("http", 0) >= 20, 20)
        assert background.failed == {}


def test_a_household_needs_three_hosts(privileged: None) -> None:
    """A gateway, a server and somebody who uses them, or it is refused."""
    del privileged
    with Lab(2) as lab, pytest.raises(LabError, match="3 hosts"), BackgroundTraffic(lab):
        pass


def test_a_flood_is_refused_outside_the_lab() -> None:
    """On the machine's own interfaces no flood is sent, whatever they are called."""
    for _, interface in socket.if_nameindex():
        with pytest.raises(LabError, match="in the lab only"):
            flood.require_lab(interface)


def test_a_lab_of_a_container_is_not_ours_to_judge() -> None:
    """Process ids of another PID namespace say nothing here: such a lab is left alone."""
    assert namespace._is_running("1-1-1")
    assert not namespace._is_running(f"1-1-{namespace._pid_namespace()}")
    assert namespace._is_running(namespace._own_mark())
