"""A wire of frames that goes through dissection, inventory and detector, in event time."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Advertise,
    DHCP6_RelayReply,
    DHCP6_Reply,
    DHCP6OptClientId,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptRelayMsg,
    DHCP6OptServerId,
)
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from tests.drive import received

from monitorpi_capture.core import CaptureCore
from monitorpi_capture.frame.dissect import Dissector
from monitorpi_capture.settings import CaptureSettings
from monitorpi_capture.sources.capfile.source import FileSource
from monitorpi_common.log import Log
from monitorpi_common.messages import Alert, Device, Publication, Traffic
from monitorpi_detector.core import DetectorCore
from monitorpi_detector.settings import DetectorSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

T0 = 1_700_000_000.0
EVERYBODY = "ff:ff:ff:ff:ff:ff"
ALL_NODES = "33:33:00:00:00:01"
Vlan = int | None


def raw(mac: str) -> bytes:
    """Return a MAC address as bytes."""
    return bytes.fromhex(mac.replace(":", ""))


class Wire:
    """Frames by time; :meth:`run` reads them as a capture file is read."""

    def __init__(self) -> None:
        self._frames: list[tuple[float, bytes]] = []
        self.alerts: list[Alert] = []
        self.devices: dict[str, Device] = {}
        self.first: dict[str, Alert] = {}
        self.last: dict[str, Alert] = {}

    def put(self, at_s: float, source: str, to: str, payload: Any, vlan: Vlan = None) -> None:
        """Put one frame on the wire, so many seconds after the start."""
        link = Ether(src=source, dst=to)
        self._frames.append(
            (T0 + at_s, bytes((link if vlan is None else link / Dot1Q(vlan=vlan)) / payload))
        )

    def arp(
        self, at_s: float, mac: str, ip: str, vlan: Vlan = None, wanted: str = "198.18.0.1"
    ) -> None:
        """Ask for an address, and claim one's own by that."""
        self.put(at_s, mac, EVERYBODY, ARP(op=1, hwsrc=mac, psrc=ip, pdst=wanted), vlan)

    def answer(self, at_s: float, mac: str, ip: str, to: str, vlan: Vlan = None) -> None:
        """Answer an ARP request."""
        self.put(at_s, mac, to, ARP(op=2, hwsrc=mac, psrc=ip, hwdst=to, pdst="198.18.0.9"), vlan)

    def tries(self, at_s: float, mac: str, ip: str) -> None:
        """Ask whether anybody has an address, before it is taken."""
        if ":" in ip:
            head = IPv6(src="::", dst="ff02::1:ff00:9", hlim=255)
            self.put(at_s, mac, "33:33:ff:00:00:09", head / ICMPv6ND_NS(tgt=ip))
        else:
            self.arp(at_s, mac, "0.0.0.0", wanted=ip)

    def solicits(self, at_s: float, mac: str, ip: str, wanted: str) -> None:
        """Ask for a neighbour's IPv6 address, and claim one's own by that."""
        head = IPv6(src=ip, dst="ff02::1:ff00:9", hlim=255)
        body = ICMPv6ND_NS(tgt=wanted) / ICMPv6NDOptSrcLLAddr(lladdr=mac)
        self.put(at_s, mac, "33:33:ff:00:00:09", head / body)

    def na(self, at_s: float, mac: str, ip: str, to: str = ALL_NODES, **flags: int) -> None:
        """Advertise an IPv6 address."""
        self.na_for(at_s, mac, mac, ip, to, **flags)

    def na_for(
        self, at_s: float, sender: str, mac: str, ip: str, to: str = ALL_NODES, **flags: int
    ) -> None:
        """Advertise that an IPv6 address is at a MAC address, one's own or another."""
        head = IPv6(src=ip, dst="ff02::1", hlim=255)
        body = ICMPv6ND_NA(tgt=ip, **({"R": 0, "S": 0, "O": 1} | flags))
        self.put(at_s, sender, to, head / body / ICMPv6NDOptDstLLAddr(lladdr=mac))

    def ra(
        self, at_s: float, mac: str, ip: str, lifetime: int = 1800, hlim: int = 255,
        vlan: Vlan = None,
    ) -> None:  # fmt: skip
        """Advertise oneself as a router."""
        body = ICMPv6ND_RA(routerlifetime=lifetime) / ICMPv6NDOptSrcLLAddr(lladdr=mac)
        prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64)
        head = IPv6(src=ip, dst="ff02::1", hlim=hlim)
        self.put(at_s, mac, ALL_NODES, head / body / prefix, vlan)

    def dhcp(
        self, at_s: float, server: str, client: str, ip: str, *, kind: str = "ack",
        router: str | None = "198.18.0.1", mask: str | None = "255.255.255.0", to: str = "",
        vlan: Vlan = None, more: Sequence[tuple[Any, ...]] = (), itself: str = "198.18.0.1",
        relay: str = "0.0.0.0", boots: str = "",
    ) -> None:  # fmt: skip
        """Answer a DHCP client, as the server or as a relay that passes its answer on."""
        options: list[Any] = [("message-type", kind), ("server_id", itself)]
        options += [("subnet_mask", mask)] if mask else []
        options += [("router", router)] if router else []
        options += more
        head = IP(src="198.18.0.1", dst=ip) / UDP(sport=67, dport=68)
        boot = BOOTP(op=2, yiaddr=ip, chaddr=raw(client), giaddr=relay)
        if boots:
            boot.siaddr, boot.file = boots, b"pxelinux.0"
        self.put(at_s, server, to or client, head / boot / DHCP(options=[*options, "end"]), vlan)

    def asks(self, at_s: float, mac: str, kind: str, ip: str, client: str = "") -> None:
        """Send a client's DHCP message: RELEASE of an address, or DECLINE."""
        options: list[Any] = [("message-type", kind)]
        options += [("requested_addr", ip)] if kind == "decline" else []
        boot = BOOTP(op=1, ciaddr=ip if kind == "release" else "0.0.0.0", chaddr=raw(client or mac))
        head = IP(src=ip, dst="198.18.0.1") / UDP(sport=68, dport=67)
        self.put(at_s, mac, EVERYBODY, head / boot / DHCP(options=[*options, "end"]))

    def stateless(
        self, at_s: float, server: str, client: str, dns: str = "2001:db8::53", relays: int = 0
    ) -> None:
        """Answer an INFORMATION-REQUEST, or send that on its way through relays."""
        body: Any = DHCP6_Reply(trid=1) / DHCP6OptServerId(duid=DUID_LL(lladdr=server))
        body = body / DHCP6OptDNSServers(dnsservers=[dns])
        for _ in range(relays):
            body = DHCP6_RelayReply(peeraddr="fe80::9") / DHCP6OptRelayMsg(message=Raw(bytes(body)))
        head = IPv6(src="fe80::5", dst="fe80::9") / UDP(sport=547, dport=547 if relays else 546)
        self.put(at_s, server, client, head / body)

    def dhcpv6(
        self, at_s: float, server: str, client: str, ip: str, *, itself: str = "", dns: str = ""
    ) -> None:
        """Hand out an IPv6 address, as the server or as a relay that passes its answer on."""
        ids = DHCP6OptServerId(duid=DUID_LL(lladdr=itself or server)) / DHCP6OptClientId(
            duid=DUID_LL(lladdr=client)
        )
        ids = ids / DHCP6OptDNSServers(dnsservers=[dns]) if dns else ids
        lease = DHCP6OptIA_NA(
            iaid=1, ianaopts=[DHCP6OptIAAddress(addr=ip, preflft=300, validlft=600)]
        )
        for number, kind in enumerate((DHCP6_Advertise, DHCP6_Reply)):
            head = IPv6(src="fe80::5", dst="fe80::9") / UDP(sport=547, dport=546)
            self.put(at_s + number / 100, server, client, head / kind(trid=1) / ids / lease)

    def ping(self, at_s: float, mac: str, to: str, ip: str, target: str) -> None:
        """Send an echo request."""
        if ":" in target:
            self.put(at_s, mac, to, IPv6(src=ip, dst=target) / ICMPv6EchoRequest())
        else:
            self.put(at_s, mac, to, IP(src=ip, dst=target) / ICMP())

    def syn(self, at_s: float, mac: str, to: str, ip: str, target: str, port: int = 443) -> None:
        """Open a connection."""
        self.put(at_s, mac, to, IP(src=ip, dst=target) / TCP(sport=50000, dport=port, flags="S"))

    def sweep(self, at_s: float, mac: str, ip: str, to: str, seconds: int = 8) -> None:
        """Try a hundred and twenty hosts a second in vain."""
        for number in range(120 * seconds):
            host = f"10.{1 + number % 3}.{number // 250 % 250}.{1 + number % 250}"
            self.syn(at_s + number / 120, mac, to, ip, host, 445)

    def lives(self, mac: str, ip: str, until: int, each: int = 20, vlan: Vlan = None) -> None:
        """Have a device ask for the router now and then."""
        for second in range(0, until, each):
            self.arp(second + raw(mac)[5] / 300, mac, ip, vlan)

    def run(self, *, capture: dict[str, Any] | None = None, **detector: Any) -> Wire:
        """Read frames; what comes out stands in ``alerts``, ``devices``, ``first``, ``last``."""
        core = CaptureCore("e1", CaptureSettings(**capture or {}), clock_synced=True)
        judge = DetectorCore("lab", DetectorSettings(**detector))
        items: list[object] = []
        FileSource(
            io.BytesIO(pcap(sorted(self._frames))), "x", "file", Log("capture"),
            max_rows=4096, dissector=Dissector(),
        ).run(items.append)  # fmt: skip
        for item in items:
            self._take(list(core.handle(item)), judge)
        self._take(list(core.close()), judge)
        for alert in self.alerts:
            self.first.setdefault(alert.key, alert)
            self.last[alert.key] = alert
        return self

    def _take(self, published: list[Any], judge: DetectorCore) -> None:
        for one in published:
            if not isinstance(one, Publication):
                continue
            kind: type[Traffic | Device] = Device if isinstance(one.message, Device) else Traffic
            message = kind.model_validate_json(one.message.encode())
            if isinstance(message, Device):
                self.devices[message.mac] = message
            for reported in judge.handle(received(message, one.id)):
                if isinstance(reported, Publication) and isinstance(reported.message, Alert):
                    self.alerts.append(reported.message)

    # --- what was reported ------------------------------------------------------------------------

    def reported(self, rule: str) -> dict[str, str]:
        """Return the alerts of a rule: subject, and the highest severity it had."""
        order = ["info", "warning", "critical"]
        found: dict[str, str] = {}
        for alert in self.alerts:
            if alert.rule == rule:
                found[alert.subject] = max(
                    alert.severity, found.get(alert.subject, "info"), key=order.index
                )
        return found

    def after(self, key: str) -> float:
        """Return how many seconds after the start an alert opened."""
        return self.first[key].opened_at.timestamp() - T0

    def open(self) -> set[str]:
        """Return the alerts that were open at the end."""
        return {key for key, alert in self.last.items() if alert.state == "open"}

    def ips(self, mac: str) -> list[str]:
        """Return the addresses of a device as they were told last."""
        return self.devices[mac].ips if mac in self.devices else []


def pcap(frames: list[tuple[float, bytes]]) -> bytes:
    """Return a capture file."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    return head + b"".join(
        struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(data), len(data)) + data
        for at, data in frames
    )
