#!/bin/sh
# zeroconf 0.154.0 (python-zeroconf), ServiceInfo.properties
#
# Expected (RFC 6763, 6.4): case is ignored in the keys of a TXT record; of a key that comes more
#   than once all but the first are ignored, and so is a string that begins with "=", whose key is
#   missing. A receiver must do all this silently.
# Seen: keys that differ in case are two entries, so that properties[b"model"] may be the one that
#   is to be ignored; a string without a key is an entry with the key b"". A key repeated in the
#   same case is handled as it should be.
# For a monitor: fold the keys, in order, before a look-up, and leave out the empty one.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zeroconf==0.154.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import zeroconf

SERVICE = "_http._tcp.local."


def properties(*strings):
    record = b"".join(bytes([len(string)]) + string for string in strings)
    return zeroconf.ServiceInfo(SERVICE, f"printer.{SERVICE}", properties=record).properties


repeated = properties(b"model=first", b"model=second")
in_two_cases = properties(b"Model=first", b"model=second")
without_key = properties(b"=value", b"model=first")
print("zeroconf", zeroconf.__version__)
print("a key twice:  ", repeated)
print("in two cases: expected the first alone - seen", in_two_cases)
print("without a key: expected the model alone - seen", without_key)
as_found = (
    repeated == {b"model": b"first"}
    and in_two_cases == {b"Model": b"first", b"model": b"second"}
    and without_key == {b"": b"value", b"model": b"first"}
)
sys.exit(0 if as_found else 1)
PYTHON
