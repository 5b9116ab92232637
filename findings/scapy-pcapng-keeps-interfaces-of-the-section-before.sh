#!/bin/sh
# scapy 2.8.0, PcapNgReader
#
# Expected (draft-ietf-opsawg-pcapng, Interface Description Block): interface IDs count from 0 in
#   each section, and the descriptions of one section say nothing of another, so that files joined
#   end to end are a valid file. if_tsoffset: seconds that are added to the interface's time stamps.
# Seen:
#   1. An interface description of a second section is put behind those of the first, and ID 0
#      goes on to mean the first one: here its clock of nanoseconds judges microseconds, and a
#      packet of 2023 is told to be of January 1970. Link type and name are the first one's too.
#   2. if_tsoffset is passed over: the packet stays at the fifth second of 1970.
# For a monitor: joined captures of two machines replay at times that never were.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scapy==2.8.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import struct
import sys

import scapy
from scapy.utils import PcapNgReader

MOMENT = 1_700_000_000
FRAME = bytes.fromhex("ffffffffffff" "020000000001" "88b5") + bytes(46)


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def section():
    return block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(code=0, value=b""):
    option = struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
    return block(1, struct.pack("<HHI", 1, 0, 0) + (option + bytes(4) if code else b""))


def packet(stamp):
    sizes = (len(FRAME), len(FRAME))
    return block(6, struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, *sizes) + FRAME)


def times(data):
    path = sys.argv[1] + "/capture.pcapng"
    with open(path, "wb") as file:
        file.write(data)
    with PcapNgReader(path) as reader:
        return [int(packet.time) for packet in reader]


nanoseconds = section() + interface(9, b"\x09") + packet(MOMENT * 10**9)
microseconds = section() + interface() + packet(MOMENT * 10**6)
joined = times(nanoseconds + microseconds)
offset = times(section() + interface(14, struct.pack("<q", MOMENT)) + packet(5 * 10**6))
print("scapy", scapy.__version__)
print("each alone:", times(nanoseconds), times(microseconds))
print("1. joined: expected", [MOMENT, MOMENT], "- seen", joined)
print("2. with an offset of", MOMENT, "s: expected", [MOMENT + 5], "- seen", offset)
sys.exit(0 if (joined, offset) == ([MOMENT, MOMENT // 1000], [5]) else 1)
PYTHON
