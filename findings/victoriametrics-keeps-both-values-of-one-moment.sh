#!/bin/sh
# VictoriaMetrics 1.79.5 of Debian 12: of two values for the same series and second, written one
# after the other, both are kept, and an export gives them in either order. The one that was
# written last is in about half of the series not the last one of the export. InfluxDB keeps the
# last one written. Who writes a row again after an answer that never came must write the same
# values; a correction is none. (Without -dedup.minScrapeInterval, which is the default.)
#
# Needs Debian 12 with apt, python3 and curl. Nothing is installed on the system.
set -eu
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq 'victoria-metrics=1.79.5*' >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get download -qq 'victoria-metrics=1.79.5*' >/dev/null; }
dpkg -x victoria-metrics_*.deb root
echo "victoria-metrics $(dpkg-deb -f victoria-metrics_*.deb Version)"
url=http://127.0.0.1:18427
"$folder/root/usr/bin/victoria-metrics" -storageDataPath="$folder/data" \
    -httpListenAddr="${url#http://}" >log 2>&1 &
server=$!
curl -s --noproxy "*" --retry 20 --retry-connrefused --retry-delay 1 -o /dev/null "$url/metrics"

now=$(date +%s)
series=1
while [ "$series" -le 200 ]; do
    for value in 1 2; do
        curl -sS --noproxy '*' --fail --data-binary "power,meter=$series watts=$value $now" \
            "$url/api/v2/write?precision=s"
    done
    series=$((series + 1))
done
curl -sS --noproxy '*' --fail -o /dev/null "$url/internal/force_flush"
curl -sS --noproxy '*' --fail "$url/api/v1/export?match%5B%5D=power_watts" >export.jsonl

python3 - export.jsonl <<'PYTHON'
import collections
import json
import sys

with open(sys.argv[1], encoding="utf-8") as lines:
    orders = collections.Counter(tuple(json.loads(line)["values"]) for line in lines)
print("values of one second as exported, and in how many of 200 series:", dict(orders))
assert set(orders) == {(1, 2), (2, 1)}, "it behaves otherwise now"
assert sum(orders.values()) == 200
PYTHON
