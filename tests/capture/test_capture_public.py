"""Agreement with tshark's counts of public captures, where they are at hand."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING

from monitorpi_capture.items import WindowCounts, counts_by_name
from monitorpi_capture.sources.capfile.source import FileSource
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from pathlib import Path

EXPLAINED: dict[str, dict[str, str]] = {
    "amplification-amp.UDP.snmp.src161.pcapng": dict.fromkeys(
        ("tcp", "udp"), "tshark counts what ICMP errors quote"
    ),
    "benign-output-eve-ftp-data-input.pcap": {
        "dhcp": "DHCPv6 counts here",
        "ipv6": "tshark looks into Teredo tunnels",
        "icmp": "tshark looks into Teredo tunnels",
    },
    "benign-smb2-ntlmssp-negotiateflags-input.pcap": {"dhcp": "DHCPv6 counts here"},
    "benign-test-test.pcap": dict.fromkeys(
        ("udp", "vlan", "ipv4", "dns", "icmp"), "tshark looks into MPLS and quoted packets"
    ),
    "benign-alexa-app.pcapng": dict.fromkeys(
        ("tcp", "https443"), "tshark counts what ICMP errors quote"
    ),
    "benign-android.pcap": {"dhcp": "DHCPv6 counts here"},
    "benign-teams.pcap": {"udp": "tshark counts what ICMP errors quote"},
    "benign-telegram.pcap": {"https443": "QUIC counts here, tshark's column is TCP only"},
    "malformed-decode-too-small-test.pcap": dict.fromkeys(
        ("tcp", "udp", "dns"), "headers that are not all there"
    ),
    "malformed-fuzz-2006-06-26-2594.pcap": dict.fromkeys(
        ("tcp", "udp", "ipv4", "ipv6", "fragments", "tcp_syn_noack", "dns"),
        "broken headers end the reading here, tshark reads on",
    ),
    "other-ip4_fragments.pcap": {"udp": "later fragments count by their protocol here"},
    "other-sll.pcap": {
        "broadcast": "a cooked header tells of broadcasts, tshark's column is Ethernet only",
        "wire_bytes": "a cooked frame counts with an Ethernet header",
        "src_macs": "a cooked header names the sender, tshark's column is Ethernet only",
    },
}
"""Where our numbers mean something else than tshark's; every other number is the same."""

COLUMNS = {
    "packets": "packets",
    "wire_bytes": "bytes",
    "broadcast": "broadcast",
    "multicast": "multicast",
    "arp": "arp",
    "dhcp": "dhcp",
    "tcp": "tcp",
    "udp": "udp",
    "vlan": "vlan",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "fragments": "fragment",
    "tcp_syn_noack": "syn",
    "http80": "http",
    "https443": "https",
    "dns": "dns",
}


def totals(path: Path) -> tuple[Counter[str], int]:
    """Return the counts of all windows of a file, and its distinct source MACs."""
    windows: list[object] = []
    sources = set()
    total: Counter[str] = Counter()
    with path.open("rb") as stream:
        FileSource(stream, path.name, "file", Log("capture"), max_rows=65536).run(windows.append)
    for window in windows:
        if isinstance(window, WindowCounts):
            total.update(counts_by_name(window.wire))
            sources |= {row.mac for row in window.rows if row.tx}
    return total, len(sources)


def test_agrees_with_tshark(captures: Path) -> None:
    """Every column that means the same has the same number, in every file."""
    wrong = []
    with (captures / "counts.tsv").open() as table:
        for row in csv.DictReader(table, delimiter="\t"):
            counted, sources = totals(captures / row["file"])
            ours = {theirs: counted[name] for theirs, name in COLUMNS.items()}
            ours |= {"src_macs": sources, "icmp": counted["icmp"]}
            theirs = {name: int(row[name]) for name in ours}
            theirs["icmp"] += int(row["icmpv6"])
            wrong += [
                f"{row['file']}: {name} is {ours[name]}, not {count}"
                for name, count in theirs.items()
                if ours[name] != count and name not in EXPLAINED.get(row["file"], {})
            ]

    assert wrong == []
