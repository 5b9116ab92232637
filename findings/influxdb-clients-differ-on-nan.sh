#!/bin/sh
# influxdb 5.3.2 (the client of InfluxDB 1.x) and influxdb-client 1.50.0 (that of 2.x)
#
# Expected: the line protocol has no NaN: a float is a number with or without exponent (InfluxDB,
#   "Line protocol", Float), and clients leave such a field out, as Telegraf's serializer documents
#   ("Float fields that are NaN or Inf are skipped"). A point without fields is no point.
# Seen: the older client, which leaves out None, writes `rtt=nan`. (InfluxDB 1.6 answers 400 to it,
#   "invalid number", and stores the other lines.) The newer one leaves the field out, and of a
#   point with no other field nothing remains: an empty line, without an error.
# For a monitor: the round trip of a lost probe is often NaN. With one client the row is refused by
#   the server, with the other it is never sent; write the loss as a field of its own.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    influxdb==5.3.2 influxdb-client==1.50.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import influxdb
import influxdb_client
from influxdb.line_protocol import make_lines

NAN = float("nan")


def older(**fields):
    return make_lines({"points": [{"measurement": "probe", "fields": fields, "time": 1}]}).strip()


def newer(**fields):
    point = influxdb_client.Point("probe").time(1)
    for name, value in fields.items():
        point.field(name, value)
    return point.to_line_protocol()


print("influxdb", influxdb.__version__, "- influxdb-client", influxdb_client.__version__)
rows = {}
for fields in ({"rtt": 1.5}, {"rtt": NAN, "loss": 1.0}, {"rtt": None, "loss": 1.0}, {"rtt": NAN}):
    rows[str(fields)] = older(**fields), newer(**fields)
    print(f"{fields}: {rows[str(fields)][0]!r} and {rows[str(fields)][1]!r}")
print("expected: no `nan` in any, and an error or a row for the last")
as_found = list(rows.values()) == [
    ("probe rtt=1.5 1", "probe rtt=1.5 1"),
    ("probe loss=1.0,rtt=nan 1", "probe loss=1 1"),
    ("probe loss=1.0 1", "probe loss=1 1"),
    ("probe rtt=nan 1", ""),
]
sys.exit(0 if as_found else 1)
PYTHON
