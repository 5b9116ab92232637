#!/bin/sh
# pypcapfile 0.12.0
#
# Expected (draft-ietf-opsawg-pcap, File Header): the magic number tells in which byte order a file
#   is written, and all its fields are in that order. tcpdump writes in the order of the machine
#   that it runs on: on a big-endian MIPS router, big-endian files.
# Seen: the header of such a file is read, and is told to be big-endian; its records are read as
#   little-endian ones all the same. The first seems longer than the file: no packet, no error.
#   The same packet in a little-endian file is found.
# For a monitor: an empty list from this library does not mean that nothing was captured.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pypcapfile==0.12.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import importlib.metadata
import struct
import sys

from pcapfile import savefile

FRAME = bytes.fromhex("ffffffffffff" "020000000001" "88b5") + bytes(46)


def read(order):
    path = sys.argv[1] + "/capture.pcap"
    with open(path, "wb") as file:
        file.write(struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        file.write(struct.pack(order + "IIII", 1_700_000_000, 0, len(FRAME), len(FRAME)) + FRAME)
    with open(path, "rb") as file:
        loaded = savefile.load_savefile(file)
    return loaded.header.byteorder.decode(), [packet.timestamp for packet in loaded.packets]


little, big = read("<"), read(">")
print("pypcapfile", importlib.metadata.version("pypcapfile"))
print("little-endian: expected the packet of 1700000000 - seen", *little)
print("big-endian:    expected the packet of 1700000000 - seen", *big)
sys.exit(0 if (little, big) == (("little", [1_700_000_000]), ("big", [])) else 1)
PYTHON
