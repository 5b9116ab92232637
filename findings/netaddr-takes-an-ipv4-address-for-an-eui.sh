#!/bin/sh
# netaddr 1.3.0
#
# Expected: EUI() takes "an EUI-48 (MAC) or EUI-64 address in string format" (its documentation)
#   and raises AddrFormatError for other text, so that a column of "IP or MAC" is told apart by
#   trying. Nobody writes an EUI-64 as four short decimal numbers.
# Seen: every IPv4 address in dotted form is an EUI-64: each number is read as a group of four
#   hexadecimal digits. 192.0.2.1 becomes 01-92-00-00-00-02-00-01, and valid_eui64() agrees.
#   macaddress 2.0.2 refuses it.
# For a monitor: try IPAddress() first and EUI() then, never the other way, and pass version=48.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check netaddr==1.3.0 macaddress==2.0.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import macaddress
import netaddr


def outcome(read, *arguments, **options):
    try:
        return str(read(*arguments, **options))
    except (netaddr.AddrFormatError, ValueError) as error:
        return type(error).__name__


print("netaddr", netaddr.__version__)
as_found = True
for address, taken_for in (
    ("192.0.2.1", "01-92-00-00-00-02-00-01"),
    ("10.20.30.40", "00-10-00-20-00-30-00-40"),
):
    seen = outcome(netaddr.EUI, address)
    with_version = outcome(netaddr.EUI, address, version=48)
    other = outcome(macaddress.parse, address, macaddress.EUI48, macaddress.EUI64)
    print(f"EUI({address!r}): expected AddrFormatError - seen {seen}")
    print("  valid_eui64:", netaddr.valid_eui64(address))
    print("  with version=48:", with_version, "- macaddress:", other)
    as_found &= (seen, with_version, other) == (taken_for, "AddrFormatError", "ValueError")
    as_found &= netaddr.valid_eui64(address)
sys.exit(0 if as_found else 1)
PYTHON
