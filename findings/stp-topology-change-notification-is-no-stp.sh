#!/bin/sh
# scapy 2.8.0 and dpkt 1.9.8
#
# Expected (IEEE 802.1D-2004, 9.3.2): the BPDU by which a bridge tells of a changed topology has
#   four octets: protocol, version, type 0x80. It is a valid BPDU as it stands; the 31 octets more
#   of a configuration BPDU (9.3.1) belong to type 0 alone.
# Seen: both libraries know one length.
#   scapy: LLC, and bare bytes behind it: no STP layer, no bpdutype. Filters on STP pass it over.
#   dpkt: Ethernet() raises NeedData; the frame is lost with the address of the bridge that sent it.
#   Both read the configuration BPDU of the same bridge.
# For a monitor: the one frame that says that a LAN is being rewired is the one that is not seen.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scapy==2.8.0 dpkt==1.9.8
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import dpkt
import scapy
from scapy.layers.l2 import STP, Dot3

LLC = bytes.fromhex("424203")
BRIDGE = bytes.fromhex("8000" "020000000001")
TIMES = bytes.fromhex("0000" "1400" "0200" "0f00")
CONFIGURATION = bytes(5) + BRIDGE + bytes(4) + BRIDGE + bytes.fromhex("8001") + TIMES
NOTIFICATION = bytes.fromhex("0000" "00" "80")


def frame(bpdu):
    addresses = bytes.fromhex("0180c2000000" "020000000001")
    return addresses + (len(LLC + bpdu)).to_bytes(2, "big") + (LLC + bpdu).ljust(46, b"\x00")


def by_scapy(bpdu):
    layers = Dot3(frame(bpdu))
    return f"STP of type {layers[STP].bpdutype}" if STP in layers else layers.summary()


def by_dpkt(bpdu):
    try:
        return type(dpkt.ethernet.Ethernet(frame(bpdu)).data.data).__name__
    except dpkt.NeedData as error:
        return f"NeedData: {error}"


print("scapy", scapy.__version__, "dpkt", dpkt.__version__)
configuration = by_scapy(CONFIGURATION), by_dpkt(CONFIGURATION)
notification = by_scapy(NOTIFICATION), by_dpkt(NOTIFICATION)
print("configuration:", *configuration, sep="\n  ")
print("notification: expected STP of type 128 - seen", *notification, sep="\n  ")
as_found = (
    configuration == ("STP of type 0", "STP")
    and "STP" not in notification[0]
    and notification[1].startswith("NeedData")
)
sys.exit(0 if as_found else 1)
PYTHON
