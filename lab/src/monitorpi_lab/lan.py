"""The lab: a small LAN on one machine, with a mirror port for the sensor.

Theory of operation. Every host is a network namespace with one interface ``eth0``, joined by a
veth pair to a Linux bridge in a namespace of its own, the switch. A copy of every frame that
enters the switch at any port goes out of the mirror port, to the sensor's ``mirror0``. Copying at
ingress only is what makes the sensor see both directions of unicast traffic and each frame exactly
once; copying at egress too would show each unicast frame twice. The sensor cannot send on the
mirror port, as on a real one: it has ``mgmt0``, a port of the switch like any other.

Nothing leaves the machine: no namespace has a way out, and the host's own network is not touched.
Addresses are of 198.18.0.0/15 (RFC 2544, for benchmarks), MAC addresses of 00:00:5e:00:53:00/40
(RFC 7042, for documentation).
"""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from monitorpi_lab.namespace import LabError, Namespace, check_privileges, reap, safe_alias

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["MAX_HOSTS", "Host", "Lab", "LabError", "Sensor"]

MAX_HOSTS: Final = 250
"""The documentation MAC addresses of RFC 7042 are 256; the sensor's ports take two."""

NETWORK: Final = ipaddress.IPv4Network("198.18.0.0/22")
_MODULES: Final = "veth bridge sch_ingress cls_u32 act_mirred"
_NAMES: Final = ("gateway", "nas", "laptop", "phone", "printer", "camera", "desk", "tv")
_SENSOR_NUMBER: Final = 254
_MIRROR_NUMBER: Final = 255

_T = TypeVar("_T")


@dataclass(frozen=True)
class Host:
    """One machine of the lab."""

    namespace: Namespace
    name: str
    mac: str
    ip: str
    interface: str = "eth0"

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program on this host to its end; see :meth:`Namespace.run`."""
        return self.namespace.run(command, **options)

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on this host; see :meth:`Namespace.popen`."""
        return self.namespace.popen(command, **options)

    def call(self, function: Callable[..., _T], *args: Any) -> _T:
        """Run a function on this host: its sockets are this host's; see :meth:`Namespace.call`."""
        return self.namespace.call(function, *args)


@dataclass(frozen=True)
class Sensor(Host):
    """The machine at the mirror port.

    ``interface`` is the mirror port, where it only listens; ``management`` is its way to the
    hosts, with ``mac`` and ``ip``.
    """

    management: str = "mgmt0"


class Lab:
    """A LAN of ``hosts`` machines and a sensor, for as long as the ``with`` block runs.

    Args:
        hosts: how many, at most 250. ``hosts[0]`` has the name gateway.
        mirror: name of the sensor's mirror port.
        ipv6: hosts speak IPv6 too (the sensor never does, or its own neighbour discovery would
            show as stray traffic).
        offload: leave segmentation and checksum offload on, so that the sensor is handed merged
            frames of up to 64 kB with unfinished checksums, as on some real ports.

    Raises:
        LabError: not root, a tool or a kernel module is missing; the text names the remedy.

    """

    def __init__(
        self,
        hosts: int = 6,
        *,
        mirror: str = "mirror0",
        ipv6: bool = False,
        offload: bool = False,
    ) -> None:
        if not 1 <= hosts <= MAX_HOSTS:
            raise LabError(f"a lab has 1 to {MAX_HOSTS} hosts, not {hosts}")
        self._size = hosts
        self._mirror = mirror
        self._ipv6 = ipv6
        self._offload = offload
        self._resources = contextlib.ExitStack()
        self.hosts: list[Host] = []
        self.switch: Namespace
        self.sensor: Sensor

    def __enter__(self) -> Self:
        check_privileges()
        reap()
        try:
            self._build()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def keep(self, release: Callable[[], object]) -> None:
        """Call ``release`` when the lab ends, before its namespaces go."""
        self._resources.callback(release)

    # --- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        self.switch = self._namespace("switch", ipv6=False)
        self.hosts = [self._host(number) for number in range(1, self._size + 1)]
        self.sensor = self._sensor()
        self._wire()
        for host in (*self.hosts, self.sensor):
            self._start(host)

    def _namespace(self, label: str, *, ipv6: bool) -> Namespace:
        namespace = Namespace(label)
        self._resources.callback(namespace.close)
        if not ipv6:
            namespace.call(_set, "ipv6/conf/all/disable_ipv6", "1")
            namespace.call(_set, "ipv6/conf/default/disable_ipv6", "1")
        # a machine that forwards hands that on to new namespaces
        namespace.call(_set, "ipv4/ip_forward", "0")
        # a new namespace lets nobody open an unprivileged ping socket
        namespace.call(_set, "ipv4/ping_group_range", "0 2147483647")
        return namespace

    def _host(self, number: int) -> Host:
        name = _NAMES[number - 1] if number <= len(_NAMES) else f"host-{number}"
        return Host(self._namespace(name, ipv6=self._ipv6), name, _mac(number), _ip(number))

    def _sensor(self) -> Sensor:
        namespace = self._namespace("sensor", ipv6=False)
        # broadcasts of the LAN arrive at the mirror port too: only mgmt0 may answer them
        namespace.call(_set, "ipv4/conf/all/arp_ignore", "1")
        number = _SENSOR_NUMBER
        return Sensor(namespace, "sensor", _mac(number), _ip(number), self._mirror)

    def _wire(self) -> None:
        """Make the bridge, a port per host and one for the sensor, and the mirror of them all."""
        ports = [
            *((f"port{i}", host, host.interface) for i, host in enumerate(self.hosts, 1)),
            ("mgmt", self.sensor, self.sensor.management),
        ]
        links = ["link add br0 type bridge mcast_snooping 0 stp_state 0"]
        for port, host, interface in ports:
            links += _veth(port, host.namespace, interface, host.mac)
            links += [f"link set {port} master br0 up"]
        links += _veth("mirror", self.sensor.namespace, self._mirror, _mac(_MIRROR_NUMBER))
        links += ["link set mirror up", "link set br0 up"]
        _batch(self.switch, "ip", links)
        _batch(self.switch, "tc", [line for port, _, _ in ports for line in _mirror_ingress(port)])

    def _start(self, host: Host) -> None:
        """Give a host its address and a way out, which ends at the gateway, and take it up."""
        own = host.management if isinstance(host, Sensor) else host.interface
        alias = host.call(safe_alias)
        lines = ["link set lo up", f"link set {own} up alias {alias}"]
        lines += [f"addr add {host.ip}/{NETWORK.prefixlen} brd + dev {own}"]
        if host is not self.hosts[0]:
            lines += [f"route add default via {self.hosts[0].ip}"]
        if isinstance(host, Sensor):
            lines += [f"link set {self._mirror} arp off up"]
        if not self._offload:
            host.run(["ethtool", "-K", own, *_OFFLOADS])
        _batch(host.namespace, "ip", lines)


_OFFLOADS: Final = tuple(
    word for feature in ("tx", "rx", "tso", "gso", "gro") for word in (feature, "off")
)


def _veth(port: str, namespace: Namespace, interface: str, mac: str) -> list[str]:
    far = f"name {interface} address {mac} netns {namespace.path}"
    return [f"link add {port} type veth peer {far}"]


def _mirror_ingress(port: str) -> list[str]:
    """Copy what enters a port to the mirror port, whatever its protocol."""
    everything = "protocol all u32 match u32 0 0"
    return [
        f"qdisc add dev {port} clsact",
        f"filter add dev {port} ingress {everything} action mirred egress mirror dev mirror",
    ]


def _batch(namespace: Namespace, tool: str, lines: Iterable[str]) -> None:
    """Feed a whole batch to ``ip`` or ``tc``: one process instead of one per line."""
    try:
        namespace.run([tool, "-batch", "-"], input="\n".join(lines) + "\n")
    except LabError as error:
        if "not supported" in str(error) or "Unknown" in str(error) or "No such" in str(error):
            remedy = f"load the kernel's modules: modprobe -a {_MODULES}"
            raise LabError(
                f"the kernel cannot make the lab's network; {remedy} ({error})"
            ) from None
        raise


def _set(name: str, value: str) -> None:
    """Write a network setting of the calling thread's namespace."""
    file = Path("/proc/sys/net") / name
    if not file.exists():
        return  # a kernel without IPv6
    try:
        file.write_text(value, encoding="ascii")
    except OSError as error:
        raise LabError(
            f"{file} cannot be written ({error.strerror}): run it as root, in a container with "
            "--privileged"
        ) from None


def _mac(number: int) -> str:
    return f"00:00:5e:00:53:{number:02x}"


def _ip(number: int) -> str:
    return str(NETWORK[number])
