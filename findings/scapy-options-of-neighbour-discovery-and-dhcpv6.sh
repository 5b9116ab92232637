#!/bin/sh
# scapy 2.8.0
#
# 1. A neighbour discovery option with length 0 is shown with a link-layer address all the same.
#    RFC 4861, 4.6: "Nodes MUST silently discard an ND packet that contains an option with length
#    zero." Whoever reads `lladdr` of such a frame believes what no host does.
# 2. In a DHCPv6 identity association, an IA Address behind a Status Code is not the next option
#    in `ianaopts`: it becomes the Status Code's payload. Whoever walks the list misses it.
#    (RFC 8415, 21.4: the options of an IA_NA are a sequence; their order means nothing.)
# 3. ICMPv6NDOptDstLLAddr is a subclass of ICMPv6NDOptSrcLLAddr, and DHCP6OptServerId one of
#    DHCP6OptClientId: isinstance() takes a target's address for a source's, a server for a client.
#
# Prints what it saw; exit 0 while all of this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scapy==2.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import scapy
from scapy.layers.dhcp6 import (
    DHCP6_Reply,
    DHCP6OptClientId,
    DHCP6OptIA_NA,
    DHCP6OptServerId,
)
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr

print("scapy", scapy.__version__)

solicitation = bytes.fromhex("87000000" "00000000" + "fe80" + "00" * 13 + "02" + "0100" "020000000001")
option = ICMPv6ND_NS(solicitation)[ICMPv6NDOptSrcLLAddr]
print("1. option of length", option.len, "shows", option.lladdr)

status = "000d" "0002" "0000"
address = "0005" "0018" + "20010db8" + "00" * 11 + "07" + "00000e10" "00000e10"
inner = bytes.fromhex(status + address)
association = bytes.fromhex("0003") + (12 + len(inner)).to_bytes(2, "big") + bytes(12) + inner
listed = DHCP6_Reply(bytes.fromhex("07000000") + association)[DHCP6OptIA_NA].ianaopts
print("2. options in the list:", len(listed), "- payload of the first:", listed[0].payload.name)

subclasses = (
    issubclass(ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr),
    issubclass(DHCP6OptServerId, DHCP6OptClientId),
)
print("3. target option is a source option, server id is a client id:", *subclasses)

as_found = (
    option.len == 0
    and option.lladdr == "02:00:00:00:00:01"
    and len(listed) == 1
    and "IA Address" in listed[0].payload.name
    and subclasses == (True, True)
)
sys.exit(0 if as_found else 1)
PYTHON
