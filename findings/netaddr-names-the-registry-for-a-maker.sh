#!/bin/sh
# netaddr 1.3.0
#
# Expected: EUI.info is "a record dict containing IEEE registration details for this EUI" (its
#   documentation). The IEEE gives blocks of 28 bits (MA-M) and 36 bits (MA-S) of prefixes that it
#   keeps for itself, and publishes whose they are, as it does for 24 bits (MA-L).
# Seen: the library has the table of 24 bits, and that of the IABs, which MA-S replaced. For an
#   address of an MA-M or MA-S block it names the IEEE Registration Authority, as if that had made
#   the card. For an IAB it has the maker too. manuf 1.1.5 brings all tables, and knows both.
# For a monitor: 342 prefixes, and the thousands of makers behind them, share one name.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check netaddr==1.3.0 manuf==1.1.5
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import manuf
import netaddr

REGISTRY = "IEEE Registration Authority"
ADDRESSES = {  # the first of a block, with an end made up
    "IAB": "00-50-C2-00-00-01",
    "MA-M": "00-55-DA-00-00-01",
    "MA-S": "70-B3-D5-00-10-01",
}


def by_netaddr(address):
    eui = netaddr.EUI(address)
    return eui.iab.registration().org if eui.is_iab() else eui.oui.registration().org


tables = manuf.MacParser()
print("netaddr", netaddr.__version__)
seen = {}
for kind, address in ADDRESSES.items():
    seen[kind] = by_netaddr(address), tables.get_manuf_long(address)
    print(f"{kind} {address}: expected a maker - seen {seen[kind][0]} (manuf: {seen[kind][1]})")
makers = {name for pair in seen.values() for name in pair} - {REGISTRY, None}
as_found = (
    seen["IAB"][0] != REGISTRY
    and seen["MA-M"][0] == seen["MA-S"][0] == REGISTRY
    and seen["MA-M"][1] in makers
    and seen["MA-S"][1] in makers
)
sys.exit(0 if as_found else 1)
PYTHON
