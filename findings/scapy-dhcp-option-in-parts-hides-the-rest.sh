#!/bin/sh
# scapy 2.8.0
#
# Expected (RFC 3396): an option of more than 255 octets comes in parts, of which all but
#   the last are full, wherever that cuts the value; who decodes joins the parts before looking at
#   it. RFC 3442 names this for the classless static routes (121), which are often long.
# Seen: with 32 routes of 8 octets the first part ends within a route. From its first octet to the
#   end of the packet all options are then one lump of bytes without a name: the routes, and the
#   name server behind them, which is whole. A long option of text is listed part by part, as is
#   fit for joining, and the name server is there.
# For a monitor: what a DHCP server hands out behind its routes seems not to be there.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scapy==2.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import scapy
from scapy.layers.dhcp import BOOTP, DHCP

MAGIC_COOKIE = bytes.fromhex("63825363")
ACK, END = b"\x35\x01\x05", b"\xff"
NAME_SERVER = bytes.fromhex("0604" "c0000235")  # 192.0.2.53
ROUTES, ROOT_PATH = 121, 17


def parts(code, value):
    pieces = (value[start : start + 255] for start in range(0, len(value), 255))
    return b"".join(bytes([code, len(piece)]) + piece for piece in pieces)


def options(long):
    fixed = bytes([2, 1, 6, 0]) + bytes(232)
    return BOOTP(fixed + MAGIC_COOKIE + ACK + long + NAME_SERVER + END)[DHCP].options


def shown(found):
    return [f"{len(one)} bytes" if isinstance(one, bytes) else one[0] for one in found[:-1]]


def routes(count):
    net_and_router = (bytes([24, 10, 0, net, 192, 0, 2, 1]) for net in range(count))
    return parts(ROUTES, b"".join(net_and_router))


short, long, text = options(routes(31)), options(routes(32)), options(parts(ROOT_PATH, b"p" * 300))
lump = routes(32) + NAME_SERVER + END
server = ("name_server", "192.0.2.53")
print("scapy", scapy.__version__)
print("31 routes, one part:", shown(short))
print("text in two parts:  ", shown(text))
print("32 routes, two parts: expected two parts to join, and name_server - seen", long[0][0], "and",
      *(f"{len(one)} bytes without a name" for one in long[1:]))
as_found = long == [("message-type", 5), lump] and server in short and server in text
sys.exit(0 if as_found else 1)
PYTHON
