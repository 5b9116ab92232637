"""What the lab's hosts do all day: ARP, DHCP, DNS, HTTP, IGMP, mDNS and pings at a home's rates.

The gateway serves DHCP and DNS (dnsmasq), the second host serves web pages; the others use them
through their own kernels, so that every handshake and every reply is a real one.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import heapq
import http.server
import random
import socket
import socketserver
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from monitorpi_lab import frames
from monitorpi_lab.lan import NETWORK, LabError
from monitorpi_lab.namespace import scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from monitorpi_lab.lan import Host, Lab

DOMAIN: Final = "lab.test"
_TIMEOUT_S: Final = 3.0  # the kernel asks a second time by ARP after one
_START_S: Final = 10.0
_MDNS: Final = ("224.0.0.251", 5353)  # RFC 6762
_SSDP_GROUP: Final = "239.255.255.250"
_PAGE: Final = b"<!doctype html><title>NAS</title>" + b"<p>Nothing to see here.</p>" * 100
_LEAST_HOSTS: Final = 3
_MOST_CLIENTS: Final = 32
"""The kernel has one neighbour table for all namespaces, of 1,024 entries unless the machine says
otherwise (arp(7), gc_thresh3): were 250 hosts busy, pings would fail for want of buffer space."""


class BackgroundTraffic:
    """The background traffic of a lab, from entering to leaving the ``with`` block.

    In a large lab only the first hosts are busy, the others answer and are silent.

    Args:
        lab: a running lab of at least three hosts.
        pace: how many times faster than a quiet home; 1 is about 2 frames/s per host.
        clients: how many hosts are busy, beside the gateway and the server.
        seed: the same seed gives the same schedule.

    Raises:
        LabError: dnsmasq or udhcpc is not installed.

    """

    def __init__(
        self, lab: Lab, *, pace: float = 1.0, clients: int = _MOST_CLIENTS, seed: int = 1
    ) -> None:
        self._lab = lab
        self._busy = min(clients, _MOST_CLIENTS)
        self._pace = pace
        self._dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._stopped = threading.Event()
        self._under_way: set[Future[object]] = set()
        self._resources = contextlib.ExitStack()
        self.done: dict[str, int] = {}
        """Activities carried out so far, by name."""
        self.failed: dict[str, int] = {}
        """Of those, the ones that got no answer."""

    def __enter__(self) -> Self:
        if len(self._lab.hosts) < _LEAST_HOSTS:
            raise LabError(f"background traffic needs a lab of {_LEAST_HOSTS} hosts")
        gateway, server, *clients = self._lab.hosts[: 2 + self._busy]
        try:
            self._serve_names(gateway)
            self._serve_pages(server)
        except BaseException:
            self._resources.close()
            raise
        plan = self._plan(gateway, server, clients)
        thread = threading.Thread(target=self._live, args=(plan,), name="background", daemon=True)
        thread.start()
        self._resources.callback(self._await_answers)  # before the servers go
        self._resources.callback(thread.join)
        self._resources.callback(self._stopped.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    # --- servers ----------------------------------------------------------------------------

    def _serve_names(self, gateway: Host) -> None:
        """Start DHCP with a fixed address per host, and DNS for their names."""
        leases = self._resources.enter_context(scratch())
        command = [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
            "--pid-file=", "--no-ping", "--no-resolv", "--no-hosts", "--no-daemon",
            f"--interface={gateway.interface}", "--bind-interfaces", "--except-interface=lo",
            f"--domain={DOMAIN}", f"--dhcp-leasefile={leases}/leases",
            f"--dhcp-range={NETWORK[1]},static,{NETWORK.netmask},1h",
            f"--address=/{DOMAIN}/{self._lab.hosts[1].ip}",
        ]  # fmt: skip
        for host in self._lab.hosts[1:]:
            command += [f"--dhcp-host={host.mac},{host.ip},{host.name}"]
        self._start(gateway, command)
        gateway.call(_await_names, gateway.ip)

    def _start(self, host: Host, command: list[str]) -> None:
        program = host.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._resources.callback(program.wait)
        self._resources.callback(program.terminate)

    def _serve_pages(self, host: Host) -> None:
        server = host.call(_PageServer, (host.ip, 80), _PageHandler)
        thread = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
        thread.start()
        self._resources.callback(server.server_close)
        self._resources.callback(server.shutdown)

    # --- the day's plan ---------------------------------------------------------------------

    def _plan(self, gateway: Host, server: Host, clients: list[Host]) -> list[_Activity]:
        """List who does what how often; every period is a home's, in seconds at pace 1."""
        plan: list[_Activity] = []
        for host in clients:
            plan += [
                _Activity("dns", host, 4.0, lambda me: _look_up(gateway.ip, f"{me.name}.{DOMAIN}")),
                _Activity("http", host, 6.0, lambda _: _fetch(server.ip)),
                _Activity("ping", host, 5.0, lambda _: ping(gateway.ip)),
                _Activity("dhcp", host, 45.0, _renew),
                _Activity("igmp", host, 30.0, lambda me: _join(me.ip)),
                _Activity("mdns", host, 20.0, _announce),
                _Activity("arp", host, 15.0, _ask_around),
            ]
        return plan

    def _live(self, plan: list[_Activity]) -> None:
        """Carry out each activity when it is due, in its host's own thread."""
        start = time.monotonic()
        for activity in plan:
            activity.due_s = start + self._dice.uniform(0.0, activity.period_s) / self._pace
        heapq.heapify(plan)
        while not self._stopped.wait(max(0.0, plan[0].due_s - time.monotonic())):
            activity = plan[0]
            activity.due_s += activity.period_s * self._dice.uniform(0.8, 1.2) / self._pace
            heapq.heapreplace(plan, activity)
            self.done[activity.name] = self.done.get(activity.name, 0) + 1
            future = activity.host.namespace.submit(activity.act, activity.host)
            self._under_way = {one for one in self._under_way if not one.done()} | {future}
            future.add_done_callback(partial(self._note, activity.name))

    def _await_answers(self) -> None:
        """Let what is under way end; every activity has time limits of its own."""
        concurrent.futures.wait(self._under_way)

    def _note(self, name: str, ended: Future[object]) -> None:
        if not ended.cancelled() and ended.exception() is not None:
            self.failed[name] = self.failed.get(name, 0) + 1


@dataclass(order=True)
class _Activity:
    """Something one host does every ``period_s`` seconds; ordered by when it is due."""

    name: str = field(compare=False)
    host: Host = field(compare=False)
    period_s: float = field(compare=False)
    act: Callable[[Host], object] = field(compare=False)
    due_s: float = 0.0


class _PageServer(http.server.ThreadingHTTPServer):
    """A web server that lives in the namespace it was made in."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking the machine's resolver for the host's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "nas", 80


class _PageHandler(http.server.BaseHTTPRequestHandler):
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Answer every path with the same page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: the lab's owner reads its own output."""


# --- what a host does, called in its namespace ---------------------------------------------------


def _look_up(server: str, name: str) -> None:
    """Ask the gateway for a name's address (RFC 1035 section 4)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!HHHHHH", 0x4D50, 0x0100, 1, 0, 0, 0) + labels + b"\0" + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_TIMEOUT_S)
        asking.connect((server, 53))
        asking.send(query)
        asking.recv(512)


def _await_names(server: str) -> None:
    """Wait until names are served.

    Raises:
        LabError: they are not, after seconds.

    """
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return _look_up(server, DOMAIN)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"dnsmasq does not answer ({error})") from None
            time.sleep(0.02)


def _fetch(server: str) -> None:
    """Load a page."""
    with socket.create_connection((server, 80), _TIMEOUT_S) as reading:
        reading.sendall(b"GET / HTTP/1.0\r\nHost: nas\r\n\r\n")
        while reading.recv(4096):
            pass


def ping(address: str, timeout_s: float = _TIMEOUT_S) -> float:
    """Send one echo request from the calling thread's namespace; returns the time it took, s."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as asking:
        asking.settimeout(timeout_s)
        asking.connect((address, 0))
        start = time.monotonic()
        asking.send(b"\x08\0\0\0\0\0\0\1" + bytes(range(32)))  # the kernel fills in the rest
        asking.recv(256)
        return time.monotonic() - start


def _renew(me: Host) -> None:
    """Get a lease as at start-up; the address stays the one the lab gave."""
    quit_after_lease = ["-f", "-n", "-q", "-t", "2", "-T", "1"]
    name = ["-x", f"hostname:{me.name}"]
    me.run(["udhcpc", "-i", me.interface, *quit_after_lease, *name, "-s", "/bin/true"])


def _join(own_ip: str) -> None:
    """Join and leave the group of UPnP discovery: the kernel reports both by IGMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
        group = socket.inet_aton(_SSDP_GROUP) + socket.inet_aton(own_ip)
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)


def _announce(me: Host) -> None:
    """Announce this host's name by multicast DNS."""
    label = me.name.encode()
    name = bytes([len(label)]) + label + b"\5local\0"
    record = name + struct.pack("!HHIH", 1, 0x8001, 120, 4) + socket.inet_aton(me.ip)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        interface = socket.inet_aton(me.ip)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        sender.bind((me.ip, _MDNS[1]))
        sender.sendto(struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 0) + record, _MDNS)


def _ask_around(me: Host) -> None:
    """Announce the own address (gratuitous ARP), as after waking up."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((me.interface, 0))
        wire.send(frames.arp_request(me.mac, me.ip, me.ip))
