#!/bin/sh
# scapy 2.8.0, link types 0 (LINKTYPE_NULL) and 108 (LINKTYPE_LOOP)
#
# Expected (list of link types of tcpdump.org): frames of a BSD loopback begin with the address
#   family. For IPv6 it is 24, 28 or 30, by the system that captured; who reads must take all three.
#   The system that reads has no say in it.
# Seen: IPv6 stands behind the numbers of the system on which scapy runs. On Linux all three are
#   shown as `type=IPv6`, and the packet behind is bare bytes: captures of a Mac's or a FreeBSD's
#   loopback have no IPv6 there. IPv4, which is 2 everywhere, is read.
# For a monitor: look at the version in the first half octet behind the four.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed. For Linux.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scapy==2.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys

import scapy
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.utils import PcapReader

NULL, LOOP = 0, 108
FAMILIES = {"IPv4": 2, "IPv6 of NetBSD": 24, "IPv6 of FreeBSD": 28, "IPv6 of macOS": 30}
PACKETS = {
    "IPv4": bytes(IP(src="127.0.0.1", dst="127.0.0.1") / ICMP()),
    "IPv6": bytes(IPv6(src="::1", dst="::1") / ICMPv6EchoRequest()),
}


def read(link_type, order, family, packet):
    frame = struct.pack(order + "I", family) + packet
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    record = struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame
    (found,) = PcapReader(io.BytesIO(header + record))
    return found.sprintf("%type%"), type(found.payload).__name__


print("scapy", scapy.__version__)
as_found = True
for name, family in FAMILIES.items():
    version = name[:4]
    seen = [read(*kind, family, PACKETS[version]) for kind in ((NULL, "<"), (LOOP, ">"))]
    print(f"{name}, {family}: expected {version} - seen", *seen)
    as_found &= seen == [(version, "IP" if version == "IPv4" else "Raw")] * 2
sys.exit(0 if as_found else 1)
PYTHON
