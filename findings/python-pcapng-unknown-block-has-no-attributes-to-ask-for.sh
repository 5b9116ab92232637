#!/bin/sh
# python-pcapng 2.1.1
#
# Expected: FileScanner yields blocks of many kinds, and a reader picks out packets by
#   `hasattr(block, "packet_data")` or `getattr(block, "packet_data", None)`: both are false for a
#   block without one (docs.python.org, `hasattr`: whether getattr() raises an AttributeError).
#   Custom Blocks and kinds unheard of are valid in any section (draft-ietf-opsawg-pcapng, Custom
#   Block, Block Types); readers pass over what they do not know.
# Seen: a block of a kind that the library does not know, the Custom Block among them, answers any
#   name it lacks with RecursionError, which hasattr() does not catch. Interface statistics, which
#   it does know, answer as expected. (isinstance() with the library's classes works.)
# For a monitor: one Custom Block between packets ends the reading of an otherwise plain file.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check python-pcapng==2.1.1
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import io
import struct
import sys

import pcapng


def block(kind, body):
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def has_packet(found):
    try:
        return hasattr(found, "packet_data")
    except RecursionError as error:
        return type(error).__name__


PRIVATE_ENTERPRISE_NUMBER_FOR_EXAMPLES = 32473  # RFC 5612
capture = (
    block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    + block(1, struct.pack("<HHI", 1, 0, 0))
    + block(5, struct.pack("<III", 0, 0, 0))
    + block(0xBAD, struct.pack("<I4s", PRIVATE_ENTERPRISE_NUMBER_FOR_EXAMPLES, b"note"))
)
*_, statistics, custom = pcapng.FileScanner(io.BytesIO(capture))
seen = has_packet(statistics), has_packet(custom)
print("python-pcapng", importlib.metadata.version("python-pcapng"))
print(type(statistics).__name__, "has a packet: expected False - seen", seen[0])
print(type(custom).__name__, "has a packet: expected False - seen", seen[1])
sys.exit(0 if seen == (False, "RecursionError") else 1)
PYTHON
