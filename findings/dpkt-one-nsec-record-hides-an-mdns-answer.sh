#!/bin/sh
# dpkt 1.9.8, dns.DNS
#
# Expected: a record of a type that a program does not know is data of a length that it knows, and
#   the rest of the message stands (RFC 3597, 3: unknown RDATA is unstructured binary data). mDNS
#   answers bring NSEC records along, to say which types a name does not have (RFC 6762, 6.1).
# Seen: one NSEC record, and DNS() raises UnpackError for the whole message. The address in the
#   answer section before it is not to be had.
# For a monitor: names that devices announce by mDNS are lost just where the answer is complete.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dpkt==1.9.8
"$folder/venv/bin/python" - <<'PYTHON'
import struct
import sys

import dpkt

A, NSEC, FLUSH_IN, POINTER = 1, 47, 0x8001, b"\xc0\x0c"


def record(name, kind, data):
    return name + struct.pack("!HHIH", kind, FLUSH_IN, 120, len(data)) + data


def answer(*additional):
    header = struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, len(additional))
    address = record(b"\x07printer\x05local\x00", A, bytes([192, 0, 2, 9]))
    return header + address + b"".join(additional)


def read(message):
    try:
        return [(found.name, ".".join(map(str, found.ip))) for found in dpkt.dns.DNS(message).an]
    except dpkt.UnpackError as error:
        return f"{type(error).__name__}: {error}"


only_ipv4 = POINTER + bytes([0, 1, 0x40])  # next name, window 0, one octet, type 1
alone = read(answer())
with_nsec = read(answer(record(POINTER, NSEC, only_ipv4)))
print("dpkt", dpkt.__version__)
print("an address:               ", alone)
print("and NSEC: expected the same - seen", with_nsec)
as_found = alone == [("printer.local", "192.0.2.9")] and with_nsec.startswith("UnpackError")
sys.exit(0 if as_found else 1)
PYTHON
