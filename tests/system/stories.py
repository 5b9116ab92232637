"""What hosts do in a LAN: move, end, share, forge."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitorpi_common.messages import Alert, Device, Target, Traffic
from monitorpi_common.topics import slug
from monitorpi_dev.week.home import next_mac
from monitorpi_lab import discovery, frames
from monitorpi_lab.demo.testbed import running_testbed
from monitorpi_lab.lan import NETWORK

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from monitorpi_common.messages import Message
    from monitorpi_lab.demo.testbed import Testbed
    from monitorpi_lab.lan import Host

HOSTS: Final = 20
LEARNING_S: Final = 25.0
PREFIX: Final = "2001:db8:53::"
VIRTUAL: Final = {"good": ("00:00:5e:00:01:0a", "198.18.1.10"),
                  "bad": ("00:00:5e:00:01:0b", "198.18.1.11")}  # fmt: skip
"""Two virtual routers of VRRP (RFC 5798): MAC and address."""
FAR: Final = "203.0.113."
SETTINGS: Final = {
    "prober": "interval_s = 2\nprobes = 4\ntimeout_s = 0.5\ndiscover = false",
    "detector": f"learning_s = {LEARNING_S}",
}


@dataclass
class Ear:
    """Listens on a testbed in a thread of its own, and remembers."""

    testbed: Testbed
    alerts: dict[str, list[tuple[float, Alert]]] = field(default_factory=dict)
    """By id: when each message of it arrived."""
    targets: dict[str, Target | None] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    first_window_s: float | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Take in messages until told to stop."""
        while not self._ended.is_set():
            heard = self.testbed.viewer.next(0.1)
            if heard is None:
                continue
            if heard.topic.kind == "target" and not heard.payload:
                self.targets[heard.topic.id] = None
            self._take(heard.at_s, heard.topic.id, heard.message())

    def _take(self, at_s: float, name: str, message: Message | None) -> None:
        match message:
            case Alert():
                self.alerts.setdefault(message.id, []).append((at_s, message))
            case Target():
                self.targets[name] = message
            case Device():
                self.devices[message.mac] = message
            case Traffic() if self.first_window_s is None:
                self.first_window_s = at_s
            case _:
                pass

    def end(self) -> None:
        """Stop listening."""
        self._ended.set()

    def calls(self, since_s: float = 0.0, until_s: float = math.inf) -> list[Alert]:
        """Return the alerts that call somebody: no notices, and none that names its cause."""
        last = [
            told[-1][1] for told in list(self.alerts.values()) if since_s <= told[0][0] < until_s
        ]
        return [one for one in last if one.severity != "info" and one.caused_by is None]


@dataclass
class Told:
    """What came of all stories."""

    ear: Ear
    hosts: list[Host]
    cable: list[Alert] = field(default_factory=list)
    cable_s: float = math.inf
    """When the Pi's own cable was pulled out."""
    gone: list[str] = field(default_factory=list)
    """Ids of targets that were to end, and have."""

    def about(self, *subjects: str) -> set[tuple[str, str]]:
        """Return rule and severity of the alerts that call somebody, on these subjects."""
        names = [slug(one) for one in subjects]
        return {
            (alert.rule, alert.severity)
            for alert in self.ear.calls(until_s=self.cable_s)
            if any(alert.subject.endswith(name) for name in names)
        }


# --- what hosts do --------------------------------------------------------------------------------


def put(host: Host, *sent: bytes) -> None:
    """Put frames on a host's wire."""
    host.call(_put, host.interface, sent)


def _put(interface: str, sent: Sequence[bytes]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((interface, 0))
        for frame in sent:
            wire.send(frame)


async def on(host: Host, *sent: bytes, after_s: float = 0.0) -> None:
    """Put frames on a host's wire, without holding up the other stories."""
    await asyncio.to_thread(put, host, *sent)
    await asyncio.sleep(after_s)


def ip(host: Host, *words: str) -> None:
    """Run ``ip`` on a host."""
    host.run(["ip", *words])


def speak6(namespace_of: Host, interface: str, address: str) -> None:
    """Give a host IPv6 and an address."""
    namespace_of.call(_enable6, interface)
    ip(namespace_of, "addr", "add", f"{address}/64", "dev", interface, "nodad")


def _enable6(interface: str) -> None:
    Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("0", encoding="ascii")


async def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until something is so; False: it was not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        await asyncio.sleep(0.1)
    return False


# --- the stories ----------------------------------------------------------------------------------


async def lease_changes(told: Told) -> None:
    """A printer is given another address; the old one ends."""
    gateway, host = told.hosts[0], told.hosts[6]
    old, new = host.ip, "198.18.1.77"
    mask = str(NETWORK.netmask)
    server = (gateway.mac, gateway.ip)
    await on(gateway, discovery.dhcp_answer(discovery.DHCP_ACK, server, host.mac, old, mask=mask))
    assert await until(lambda: told.ear.targets.get(slug(old)), 20), "the printer is no target"
    # in this order: a first address takes the others of its network with it
    ip(host, "addr", "del", f"{old}/{NETWORK.prefixlen}", "dev", host.interface)
    ip(host, "addr", "add", f"{new}/{NETWORK.prefixlen}", "dev", host.interface)
    await on(host, discovery.dhcp_ask(discovery.REQUEST, host.mac, hostname="printer", wanted=new))
    await on(gateway, discovery.dhcp_answer(discovery.DHCP_ACK, server, host.mac, new, mask=mask))
    for _ in range(15):
        await on(host, frames.arp_request(host.mac, new, new), after_s=2)
    if await until(lambda: told.ear.targets.get(slug(old)) is None, 15):
        told.gone.append(old)


async def temporary_address_ends(told: Told) -> None:
    """A computer uses a temporary IPv6 address, and a day later another one."""
    host, sensor = told.hosts[7], told.ear.testbed.lab.sensor
    stable, first, second = f"{PREFIX}7", f"{PREFIX}a:1", f"{PREFIX}a:2"
    speak6(sensor, sensor.management, f"{PREFIX}fe")
    speak6(host, host.interface, stable)
    ip(host, "addr", "add", f"{first}/64", "dev", host.interface, "nodad")
    macs = (host.mac, sensor.mac)
    for address in (stable, first):
        await on(host, discovery.neighbour_advertisement(macs, address))
    for _ in range(6):
        await on(host, *[discovery.neighbour_advertisement(macs, one) for one in (stable, first)],
                 after_s=2)  # fmt: skip
    ip(host, "addr", "del", f"{first}/64", "dev", host.interface)
    ip(host, "addr", "add", f"{second}/64", "dev", host.interface, "nodad")
    for _ in range(10):
        await on(host, *[discovery.neighbour_advertisement(macs, one) for one in (stable, second)],
                 after_s=2)  # fmt: skip


async def phone_roams(told: Told) -> None:
    """A phone goes to where a repeater answers for it under its own MAC, and comes back."""
    phone, repeater = told.hosts[8], told.hosts[9]
    address = f"{phone.ip}/{NETWORK.prefixlen}"
    for _ in range(2):
        for leaves, comes in ((phone, repeater), (repeater, phone)):
            ip(leaves, "addr", "del", address, "dev", leaves.interface)
            ip(comes, "addr", "add", address, "dev", comes.interface)
            claim = frames.arp_request(comes.mac, phone.ip, phone.ip)
            for _ in range(4):
                await on(comes, claim, after_s=2)


async def nas_bonds(told: Told) -> None:
    """A NAS with two cards answers some clients from one and some from the other."""
    nas, client = told.hosts[-1], told.hosts[3]
    sibling = second_card(nas)
    for _ in range(12):
        for mac in (nas.mac, sibling):
            answer = discovery.arp_reply((mac, client.mac), (nas.ip, client.ip))
            await on(nas, answer, after_s=1.5)


def second_card(nas: Host) -> str:
    """Return the MAC address of the other card of a NAS that bonds: the next one of its maker."""
    return next_mac(nas.mac)


async def virtual_router_fails_over(told: Told) -> None:
    """One of two routers dies; the other answers for the virtual address, under its virtual MAC."""
    mac, address = VIRTUAL["good"]
    for router in (told.hosts[11], told.hosts[12]):
        for _ in range(8):
            await on(router, advert(mac, router.ip), frames.arp_request(mac, address, address),
                     after_s=1)  # fmt: skip


async def virtual_router_is_poisoned(told: Told) -> None:
    """A stranger claims the virtual router's address."""
    mac, address = VIRTUAL["bad"]
    router, stranger, client = told.hosts[11], told.hosts[13], told.hosts[3]
    for number in range(20):
        await on(router, advert(mac, router.ip), frames.arp_request(mac, address, address))
        if number >= 8:
            lie = discovery.arp_reply((stranger.mac, client.mac), (address, client.ip))
            await on(stranger, lie)
        await asyncio.sleep(1)


def advert(mac: str, own: str) -> bytes:
    """Return what a master of VRRP says each second (RFC 5798, 5.2)."""
    macs = (mac, frames.multicast_mac("224.0.0.18"))
    words = bytes((0x31, 10, 100, 1, 0, 100, 0, 0))
    return frames.ipv4_frame(macs, (own, "224.0.0.18"), 112, words, ttl=255)


async def newcomers_are_denied(told: Told) -> None:
    """A host says of each address that another one is about to take that it is taken."""
    denier, newcomer = told.hosts[17], told.hosts[5]
    macs = (denier.mac, newcomer.mac)
    for number in range(100, 108):
        wanted = f"198.18.3.{number}"
        await on(newcomer, frames.arp_request(newcomer.mac, "0.0.0.0", wanted))
        await on(denier, discovery.arp_reply(macs, (wanted, "0.0.0.0")), after_s=1.5)


async def host_asks_for_all_addresses(told: Told) -> None:
    """A host looks for others by ARP, three addresses a second."""
    host = told.hosts[18]
    for number in range(100, 170):
        await on(host, frames.arp_request(host.mac, host.ip, f"198.18.2.{number}"), after_s=0.33)


async def rogue_router_then_scan(told: Told) -> None:
    """A host advertises itself as router, hands out IPv6 addresses, and then looks for hosts."""
    rogue, client, gateway = told.hosts[14], told.hosts[4], told.hosts[0]
    own, there = discovery.link_local(rogue.mac), discovery.link_local(client.mac)
    for number in range(5):
        reply = discovery.dhcp6_reply(
            (rogue.mac, client.mac), (own, there), f"fd00:bad::{number + 1}"
        )
        await on(rogue, discovery.router_advertisement(rogue.mac, own, "fd00:bad::/64"), reply,
                 after_s=1)  # fmt: skip
    await sweep(rogue, gateway)


async def dual_stack_host_scans(told: Told) -> None:
    """A host that others reach at four addresses looks for hosts."""
    host, peer, gateway = told.hosts[15], told.hosts[16], told.hosts[0]
    others = [discovery.link_local(host.mac), f"{PREFIX}15", f"{PREFIX}15:1"]
    macs = (peer.mac, host.mac)
    for address in others:
        await on(host, discovery.neighbour_advertisement((host.mac, peer.mac), address))
        syns = [
            discovery.tcp(macs, (f"{PREFIX}16", address), (4000 + number, 22), discovery.SYN)
            for number in range(20)
        ]
        await on(peer, *syns, after_s=1.2)
    syns = [frames.tcp_syn(macs, (peer.ip, host.ip), (4000 + n, 22), n) for n in range(20)]
    await on(peer, *syns, after_s=1.2)
    await sweep(host, gateway)


async def sweep(host: Host, gateway: Host) -> None:
    """Try telnet at a hundred hosts a second."""
    macs = (host.mac, gateway.mac)
    for second in range(5):
        syns = [
            frames.tcp_syn(macs, (host.ip, f"{FAR}{number}"), (5000 + second, 23), number)
            for number in range(1, 121)
        ]
        for start in range(0, len(syns), 12):
            await on(host, *syns[start : start + 12], after_s=0.1)


STORIES: Final = (
    lease_changes, temporary_address_ends, phone_roams, nas_bonds, virtual_router_fails_over,
    virtual_router_is_poisoned, newcomers_are_denied, host_asks_for_all_addresses,
    rogue_router_then_scan, dual_stack_host_scans,
)  # fmt: skip


async def own_cable_out(told: Told) -> None:
    """The prober's own link goes away for half a minute."""
    switch = told.ear.testbed.lab.switch
    since_s = told.cable_s = time.time()
    await asyncio.to_thread(switch.run, ["ip", "link", "set", "mgmt", "down"])
    await asyncio.sleep(30)
    await asyncio.to_thread(switch.run, ["ip", "link", "set", "mgmt", "up"])
    await asyncio.sleep(8)
    told.cable = told.ear.calls(since_s)


async def tell_all() -> Told:
    """Set the testbed, let it be learned, let everything happen."""
    async with running_testbed(
        lambda _: None, hosts=HOSTS, clients=4, settings=SETTINGS
    ) as testbed:
        ear = Ear(testbed)
        told = Told(ear, testbed.lab.hosts)
        listening = threading.Thread(target=ear.listen, daemon=True)
        listening.start()
        try:
            assert await until(lambda: ear.first_window_s, 60), "no window"
            await learn(told)
            stories: list[Coroutine[None, None, None]] = [story(told) for story in STORIES]
            await asyncio.gather(*stories)
            await asyncio.sleep(4)
            await own_cable_out(told)
        finally:
            ear.end()
            listening.join()
    return told


async def learn(told: Told) -> None:
    """Let the LAN be as it is for the time in which all is taken as known."""
    gateway = told.hosts[0]
    own = discovery.link_local(gateway.mac)
    for _ in range(int(LEARNING_S) + 5):
        await on(gateway, discovery.router_advertisement(gateway.mac, own, f"{PREFIX}/64"))
        for host in told.hosts:
            await on(host, frames.arp_request(host.mac, host.ip, gateway.ip))
        await asyncio.sleep(1)
