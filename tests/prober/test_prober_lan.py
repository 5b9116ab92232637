"""The prober as a program on a LAN of namespaces: it finds, names and probes, and stays calm.

The sensor has two interfaces: ``eth0`` only listens, ``wlan0`` talks. At the other end of
``wlan0`` one machine answers at three addresses, with a name server and a device that speaks mDNS.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import wait_for

from monitorpi_common.messages import Probe, Target
from monitorpi_lab.namespace import LabError, Namespace
from monitorpi_prober.sources.exits import place

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

OWN = "198.19.0.2"
ROUTER, PRINTER, CAMERA, SILENT = "198.19.0.1", "198.19.0.5", "198.19.0.6", "198.19.0.77"
FAR_MAC = "b8:27:eb:00:00:07"
PROGRAM = str(Path(sys.executable).parent / "monitorpi-prober")
NAME_SERVER = [
    *("dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"),
    *("--pid-file=", f"--listen-address={ROUTER}", "--bind-interfaces"),
    *(f"--host-record=router.lan.test,{ROUTER}", f"--host-record=camera.lan.test,{CAMERA}"),
]


@dataclass
class Lan:
    """The sensor and the machine it sees, with what the sensor's prober says."""

    sensor: Namespace
    far: Namespace
    folder: Path
    probes: list[Probe] = field(default_factory=list)
    targets: dict[str, Target] = field(default_factory=dict)

    @contextlib.contextmanager
    def prober(self, name_server: str, settings: str = "") -> Iterator[None]:
        """Run the prober and read what it says."""
        resolver = self.folder / "resolv.conf"
        resolver.write_text(f"nameserver {name_server}\n")
        config = self.folder / "monitorpi.toml"
        config.write_text(
            'site = "lab"\n[prober]\ninterval_s = 1\nprobes = 4\ntimeout_s = 0.3\n'
            f"discover_rate = 500\nmax_arp_rate = 1000\n{settings}\n"
        )
        self.sensor.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"])
        process = self.sensor.popen(
            [PROGRAM, "--config", str(config), "--bus", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            process.kill()
            reader.join(5)
            process.communicate()
            self.sensor.run(["umount", "/etc/resolv.conf"])

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            kind = said["topic"].split("/")[4]
            if kind == "probe":
                self.probes.append(Probe.model_validate(said["payload"]))
            elif kind == "target":
                target = Target.model_validate(said["payload"])
                self.targets[target.address] = target

    def rounds(self) -> list[Probe]:
        """Return the rounds so far, without mere announcements."""
        return [probe for probe in self.probes if probe.targets]

    def last(self, address: str) -> Any:
        """Return the latest result of a target; None: there is none yet."""
        results = [t for probe in self.rounds()[-1:] for t in probe.targets]
        return next((t for t in results if t.address == address), None)

    def names(self) -> dict[str, str]:
        """Return the names of the last round."""
        return {t.address: t.name for probe in self.rounds()[-1:] for t in probe.targets}


def cable(one: Namespace, name: str, other: Namespace, other_name: str) -> None:
    """Join two namespaces."""
    holder = other.popen(["sleep", "infinity"])
    one.run(["ip", "link", "add", name, "type", "veth", "peer", "name", other_name])
    one.run(["ip", "link", "set", other_name, "netns", str(holder.pid)])
    for space, end in ((one, name), (other, other_name)):
        space.run(["ip", "link", "set", "lo", "up"])
        space.run(["sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1"])
        space.run(["ip", "link", "set", end, "up"])


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    """Build the LAN; the switch that ``eth0`` hangs on answers nothing."""
    with contextlib.ExitStack() as held:
        try:
            spaces = [Namespace(name) for name in ("sensor", "far", "switch")]
        except LabError as error:
            pytest.skip(f"no network namespaces here: {error}")
        for space in spaces:
            held.callback(space.close)
        sensor, far, switch = spaces
        cable(sensor, "wlan0", far, "far0")
        cable(sensor, "eth0", switch, "port0")
        sensor.run(["ip", "address", "add", f"{OWN}/24", "dev", "wlan0"])
        far.run(["ip", "link", "set", "far0", "address", FAR_MAC])
        for address in (ROUTER, PRINTER, CAMERA):
            far.run(["ip", "address", "add", f"{address}/24", "dev", "far0"])
        held.callback(far.popen(NAME_SERVER).terminate)
        sockets = Path("/proc/thread-self/net/udp")
        wait_for(lambda: ":0035 " in far.call(sockets.read_text), 10, "the name server")
        device = far.popen(
            [sys.executable, str(Path(__file__).with_name("mdns_device.py")), PRINTER, "printer"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert device.stdout is not None
        held.enter_context(device.stdout)
        device.stdout.readline()
        yield Lan(sensor, far, tmp_path)


def sent_on(space: Namespace, interface: str) -> int:
    """Return the frames an interface has sent."""
    file = Path(f"/sys/class/net/{interface}/statistics/tx_packets")
    return space.call(lambda: int(file.read_text()))


def test_devices_are_found_and_named_without_configuration(lan: Lan) -> None:
    """A sweep finds them; names come from DNS, mDNS or the vendor; eth0 sends nothing."""
    lan.far.run(["ip", "address", "add", "198.19.0.9/24", "dev", "far0"])

    with lan.prober(ROUTER):
        wanted = {
            ROUTER: "router.lan.test",
            PRINTER: "printer",
            CAMERA: "camera.lan.test",
            "198.19.0.9": "Raspberry Pi Foundation 00:00:07",
        }
        wait_for(lambda: lan.names() == wanted, 30, f"the names {wanted}")

    found = lan.targets[PRINTER]
    assert (found.mac, found.vendor, found.state) == (FAR_MAC, "Raspberry Pi Foundation", "up")
    assert sent_on(lan.sensor, "eth0") == 0
    first = lan.probes[0]
    assert (first.targets, first.source.ip, first.source.arp_per_s) == ([], OWN, 500)


def test_a_dead_name_server_holds_up_no_round(lan: Lan) -> None:
    """Rounds go on while names are asked in vain; a device that knows its own name tells it."""
    hosts = [*(f"host{n}.test" for n in range(4)), ROUTER]
    targets = json.dumps([{"address": host} for host in hosts]).replace('":', '" =')

    with lan.prober(SILENT, f"targets = {targets}"):
        wait_for(lambda: lan.names().get(PRINTER) == "printer", 40, "the name by mDNS")
        wait_for(lambda: len(lan.rounds()) >= 8, 20, "rounds")

    rounds = lan.rounds()[1:]
    gaps = [
        (second.round_start - first.round_start).total_seconds()
        for first, second in itertools.pairwise(rounds)
    ]
    assert max(gaps) < 2
    router = lan.last(ROUTER)
    assert (router.sent, router.received, router.state) == (4, 4, "up")
    assert lan.last("host1.test").sent == 0
    assert lan.last("host1.test").error in (
        "the host name is being resolved",
        "the host name host1.test does not resolve",
    )


@pytest.mark.parametrize("source", ["wlan0", OWN])
def test_a_wired_port_that_only_listens_is_left_alone(lan: Lan, source: str) -> None:
    """With an address on both ports and the route through the dead one, ``source`` decides."""
    lan.sensor.run(["ip", "address", "add", "198.19.0.3/24", "dev", "eth0", "noprefixroute"])
    lan.sensor.run(["ip", "route", "del", "198.19.0.0/24", "dev", "wlan0"])
    for name, metric in (("eth0", "100"), ("wlan0", "600")):
        route = ["ip", "route", "add", "198.19.0.0/24", "dev", name, "metric", metric]
        lan.sensor.run(route)
    before = sent_on(lan.sensor, "eth0")

    # no name server: its questions would follow the routing table
    with lan.prober("127.0.0.1", f'source = "{source}"'):
        wait_for(lambda: lan.targets.get(PRINTER), 30, "the printer")
        wait_for(lambda: lan.names()[PRINTER] == "printer", 30, "its name")

    assert lan.targets[PRINTER].state == "up"
    assert sent_on(lan.sensor, "eth0") == before


def test_an_own_address_means_its_interface_too(lan: Lan) -> None:
    """``source`` as an address pins the interface: the routing table alone might choose another."""
    found = lan.sensor.call(place, OWN)

    assert (found.address, found.interface) == (OWN, "wlan0")
