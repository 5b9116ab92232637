from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from monitorpi_lab import frames

ME, YOU = "00:00:5e:00:53:01", "00:00:5e:00:53:02"
MACS = (ME, YOU)
ips = st.ip_addresses(v=4).map(str)
ports = st.integers(1, 65535)


def dissect(frame: bytes) -> Ether:
    """Read a frame with scapy, which built none of it."""
    return Ether(frame)


def checked(frame: bytes) -> bytes:
    """Build the frame again from scapy's dissection, with checksums computed anew."""
    packet = dissect(frame)
    for layer in (IP, TCP, UDP, ICMP):
        if layer in packet:
            del packet[layer].chksum
    return bytes(packet)


@given(ips, ips, ports, ports, st.integers(0, 2**32 - 1))
def test_a_syn_is_one_to_a_dissector(
    source: str, destination: str, port: int, to: int, sequence: int
) -> None:
    """Addresses, ports and the SYN flag are read back as given, and every checksum is right."""
    frame = frames.tcp_syn(MACS, (source, destination), (port, to), sequence)

    packet = dissect(frame)

    assert (packet.src, packet.dst, packet[IP].src, packet[IP].dst) == (
        *MACS,
        source,
        destination,
    )
    assert (packet[TCP].sport, packet[TCP].dport, packet[TCP].seq) == (port, to, sequence)
    assert packet[TCP].flags == "S"
    assert checked(frame) == frame


@given(ips, ips, st.integers(0, 65535), st.integers(0, 65535))
def test_an_echo_request_is_one_to_a_dissector(
    source: str, destination: str, identifier: int, sequence: int
) -> None:
    """Type, identifier and sequence number are read back, and every checksum is right."""
    frame = frames.icmp_echo(MACS, (source, destination), identifier, sequence)

    packet = dissect(frame)

    assert (packet[ICMP].type, packet[ICMP].id, packet[ICMP].seq) == (8, identifier, sequence)
    assert checked(frame) == frame


@given(ips, ips, ports, ports, st.binary(max_size=100))
def test_a_datagram_is_one_to_a_dissector(
    source: str, destination: str, port: int, to: int, payload: bytes
) -> None:
    """Ports and payload are read back, and every checksum is right."""
    frame = frames.udp(MACS, (source, destination), (port, to), payload)

    packet = dissect(frame)

    assert (packet[UDP].sport, packet[UDP].dport) == (port, to)
    assert bytes(packet[UDP].payload)[: len(payload)] == payload
    assert checked(frame) == frame


def test_an_arp_request_asks_everybody() -> None:
    """The question is broadcast and names who asks and who is sought."""
    packet = dissect(frames.arp_request(ME, "198.18.0.1", "198.18.0.2"))

    assert (packet.dst, packet[ARP].op) == ("ff:ff:ff:ff:ff:ff", 1)
    assert (packet[ARP].hwsrc, packet[ARP].psrc, packet[ARP].pdst) == (
        ME,
        "198.18.0.1",
        "198.18.0.2",
    )


def test_a_discover_is_a_clients_first_word() -> None:
    """A DHCP server would read it as a discover of the client's hardware address."""
    packet = dissect(frames.dhcp_discover(ME, YOU, 0x1234))

    assert packet[BOOTP].chaddr[:6] == frames.mac_bytes(YOU)
    assert packet[BOOTP].xid == 0x1234
    assert ("message-type", 1) in packet[DHCP].options


def test_a_membership_report_goes_to_its_group() -> None:
    """Protocol 2, TTL 1, the router alert option, and the group's own MAC address."""
    packet = dissect(frames.igmp_report(ME, "198.18.0.1", "239.129.2.3"))

    assert packet.dst == "01:00:5e:01:02:03"
    assert (packet[IP].proto, packet[IP].ttl, packet[IP].ihl) == (2, 1, 6)
    assert frames.checksum(bytes(packet[IP].payload)[:8]) == 0


@given(st.binary(min_size=2, max_size=64))
def test_data_with_its_checksum_sums_to_zero(data: bytes) -> None:
    """RFC 1071: the checksum over data that contains its own checksum is zero."""
    data = data[: len(data) // 2 * 2]

    whole = data + frames.checksum(data).to_bytes(2, "big")

    assert frames.checksum(whole) == 0


@pytest.mark.parametrize(
    "frame",
    [
        frames.arp_request(ME, "198.18.0.1", "198.18.0.2"),
        frames.tcp_syn(MACS, ("198.18.0.1", "198.18.0.2"), (1, 2), 3),
    ],
)
def test_no_frame_is_shorter_than_ethernet_allows(frame: bytes) -> None:
    """Short frames are padded to 60 bytes, as a network card would."""
    assert len(frame) == 60
