#!/bin/sh
# parse-prometheus-text-format 1.1.1 of npm (seen with node 20)
#
# Expected (Prometheus text format, "Histograms and summaries"): a metric of a histogram is its
#   buckets, sum and count of one set of labels; `le` is the only label that tells buckets apart
#   within it. A family has as many histograms as there are sets of the other labels.
# Seen: a family whose histograms have a label comes out as one histogram. Its label is gone, its
#   buckets are those of the set that came last, and count and sum are missing. A family of
#   one histogram without labels is read whole, and so are counters with labels.
# For a monitor: probe times per target, as exporters give them, are those of one target, and
#   nothing says of which.
#
# Prints what it saw; exit 0 while this is so, 1 once it changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --loglevel=error --no-audit --no-fund --ignore-scripts --prefix . \
    parse-prometheus-text-format@1.1.1 >/dev/null
cat >look.js <<'JAVASCRIPT'
const assert = require("assert").strict;
const parse = require("parse-prometheus-text-format");
const { version } = require("parse-prometheus-text-format/package.json");

const histogram = (label, fast, all) => {
  const set = label ? `{${label}}` : "";
  const bucket = (le) => `{${label ? label + "," : ""}le="${le}"}`;
  return (
    `rtt_seconds_bucket${bucket("0.1")} ${fast}\nrtt_seconds_bucket${bucket("+Inf")} ${all}\n` +
    `rtt_seconds_sum${set} 2.5\nrtt_seconds_count${set} ${all}\n`
  );
};
const type = "# TYPE rtt_seconds histogram\n";
const metrics = (text) => JSON.parse(JSON.stringify(parse(text)[0].metrics));

const plain = metrics(type + histogram("", 3, 4));
const first = histogram('target="192.0.2.1"', 3, 4);
const second = histogram('target="192.0.2.2"', 70, 80);
const labelled = metrics(type + first + second);
console.log("parse-prometheus-text-format", version);
console.log("without labels:", JSON.stringify(plain));
console.log("of two targets: expected two metrics with labels, buckets, sum and count - seen");
console.log(" ", JSON.stringify(labelled));
assert.deepEqual(plain, [{ buckets: { 0.1: "3", "+Inf": "4" }, count: "4", sum: "2.5" }]);
assert.deepEqual(labelled, [{ buckets: { 0.1: "70", "+Inf": "80" } }]);
JAVASCRIPT
node look.js
