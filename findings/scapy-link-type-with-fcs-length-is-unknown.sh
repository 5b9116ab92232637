#!/bin/sh
# scapy 2.8.0 and dpkt 1.9.8
#
# Expected (draft-ietf-opsawg-pcap, File Header): the last word of a pcap file's header is not the
#   link type alone. Its lower 16 bits are; the upper ones may say that frames end with a frame check
#   sequence (bit 26), and of how many 16-bit words (the top 4 bits). libpcap takes it apart so.
# Seen: both take the whole word for the link type. scapy warns of an "unknown LL type" and gives
#   every packet as bare bytes; dpkt's datalink() is a number that is no link type.
# For a monitor: take `& 0xffff` of it, and the FCS off the end of each frame.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scapy==2.8.0 dpkt==1.9.8
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys
import zlib

import dpkt
import scapy
import scapy.layers.l2
from scapy.utils import PcapReader

ETHERNET = 1
FCS_LENGTH_PRESENT, TWO_WORDS = 1 << 26, 2 << 28
FRAME = bytes.fromhex("ffffffffffff" "020000000001" "0806" "0001" "0800" "0604" "0001") + bytes(38)
FCS = struct.pack("<I", zlib.crc32(FRAME))


def read(link_type, frame):
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    record = struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame
    capture = header + record
    (packet,) = PcapReader(io.BytesIO(capture))
    return type(packet).__name__, dpkt.pcap.Reader(io.BytesIO(capture)).datalink()


print("scapy", scapy.__version__, "dpkt", dpkt.__version__)
word = ETHERNET | FCS_LENGTH_PRESENT | TWO_WORDS
without, with_fcs = read(ETHERNET, FRAME), read(word, FRAME + FCS)
print("link type 1:", *without)
print(f"link type 1 and an FCS of 4 octets, 0x{word:08x}: expected Ether 1 - seen", *with_fcs)
sys.exit(0 if (without, with_fcs) == (("Ether", ETHERNET), ("Raw", word)) else 1)
PYTHON
