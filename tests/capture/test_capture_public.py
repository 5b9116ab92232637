"""Agreement with tshark's counts of public captures, where they are at hand."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING

from monitorpi_capture.filesource import FileSource
from monitorpi_capture.listing import tally_of
from monitorpi_capture.window import WindowCounts
from monitorpi_common.log import Log

if TYPE_CHECKING:
    from pathlib import Path

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
            total.update(tally_of(window.wire))
            sources |= {row.mac for row in window.rows if row.tx}
    return total, len(sources)


def test_print(captures: Path) -> None:
    with (captures / "counts.tsv").open() as table:
        for row in csv.DictReader(table, delimiter="\t"):
            counted, sources = totals(captures / row["file"])
            got = {theirs: counted[ours] for theirs, ours in COLUMNS.items()}
            got["src_macs"] = sources
            got["icmp+6"] = counted["icmp"]
            row["icmp+6"] = int(row["icmp"]) + int(row["icmpv6"])
            diff = {k: (int(row[k]), v) for k, v in got.items() if int(row[k]) != v}
            print(row["file"], diff, "mal", counted["malformed"], counted["igmp"], row["igmp"])
