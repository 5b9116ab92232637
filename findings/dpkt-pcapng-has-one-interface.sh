#!/bin/sh
# dpkt 1.9.8, pcapng.Reader
#
# Expected (draft-ietf-opsawg-pcapng): each interface has a resolution of its own (if_tsresol),
#   which counts for the packets that name it. Each section has a byte order of its own (Section
#   Header Block). A Simple Packet Block is a packet.
# Seen:
#   1. The resolution of the first interface counts for all: of two packets of one second, one by
#      an interface in microseconds and one by one in nanoseconds, the second is told to be of a
#      second 1000 times as late.
#   2. A second section of the other byte order, and
#   3. Simple Packet Blocks are left out. No error, no count: a list that is too short.
# For a monitor: a file of several cards, or one joined of several, needs another reader.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dpkt==1.9.8
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys

import dpkt

MOMENT = 1_700_000_000
FRAME = bytes.fromhex("ffffffffffff" "020000000001" "88b5") + bytes(46)


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, exponent=6):
    resolution = struct.pack(order + "HHB3xI", 9, 1, exponent, 0)
    return block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + resolution)


def packet(order, number, stamp):
    head = (number, stamp >> 32, stamp & 0xFFFFFFFF, len(FRAME), len(FRAME))
    return block(order, 6, struct.pack(order + "IIIII", *head) + FRAME)


def times(data):
    return [int(time) for time, _ in dpkt.pcapng.Reader(io.BytesIO(data))]


little = section("<") + interface("<")
packets = packet("<", 0, MOMENT * 10**6) + packet("<", 1, MOMENT * 10**9)
two_clocks = times(little + interface("<", 9) + packets)
big = section(">") + interface(">") + packet(">", 0, MOMENT * 10**6)
two_orders = times(little + packet("<", 0, MOMENT * 10**6) + big)
simple = times(little + block("<", 3, struct.pack("<I", len(FRAME)) + FRAME))
print("dpkt", dpkt.__version__)
print("1. two resolutions: expected", [MOMENT, MOMENT], "- seen", two_clocks)
print("2. two byte orders: expected", [MOMENT, MOMENT], "- seen", two_orders)
print("   the second section by itself:", times(big))
print("3. one simple packet: expected one entry - seen", simple)
as_found = two_clocks == [MOMENT, MOMENT * 1000] and two_orders == times(big) == [MOMENT]
sys.exit(0 if as_found and not simple else 1)
PYTHON
