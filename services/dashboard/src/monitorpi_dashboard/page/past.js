// Questions to the history, and what its answers come to per second.
import { useEffect, useState } from "./preact.js";
import { hasHistory, nowMs, page } from "./store.js";

export const SPANS = [
  ["15m", "15 minutes", 900],
  ["1h", "1 hour", 3600],
  ["6h", "6 hours", 21600],
  ["24h", "24 hours", 86400],
  ["7d", "7 days", 604800],
  ["30d", "30 days", 2592000],
  ["1y", "1 year", 31536000],
  ["2y", "2 years", 63072000],
];
const REFRESH_MS = { "15m": 10000, "1h": 15000 };
const secondsOf = (name) => SPANS.find(([word]) => word === name)?.[2] ?? 86400;

// The span of an address: `from` and `to` stand still, `span` ends now and follows.
export function spanOf(words, fallback = "24h") {
  if (words.from && words.to) {
    const from = Date.parse(words.from),
      to = Date.parse(words.to);
    if (from < to) return { from, to, asked: { from: words.from, to: words.to }, fixed: true };
  }
  const name = SPANS.some(([word]) => word === words.span) ? words.span : fallback,
    to = nowMs();
  return { name, from: to - secondsOf(name) * 1000, to, asked: { from: `-${secondsOf(name)}s` } };
}
async function ask(table, words) {
  const answer = await fetch(`api/history/${table}?${new URLSearchParams(words)}`);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `HTTP ${answer.status}`);
  return body;
}

// usePast({traffic: ["traffic", {...}], ...}, span): the answers, renewed while the span ends now.
export function usePast(questions, words) {
  const [found, setFound] = useState({ error: "", answers: null });
  const key = JSON.stringify(questions),
    known = page.state != null,
    there = hasHistory();
  useEffect(() => {
    if (!known) return undefined;
    let left = false;
    const begin = async () => {
      if (document.hidden) return;
      if (!there) return setFound({ error: "No history runs here.", answers: null });
      try {
        const names = Object.keys(questions);
        const answers = await Promise.all(names.map((name) => ask(...questions[name])));
        if (!left)
          setFound({
            error: "",
            key,
            answers: Object.fromEntries(names.map((name, i) => [name, answers[i]])),
          });
      } catch (error) {
        if (!left)
          setFound((old) => ({ ...old, error: `The past cannot be shown: ${error.message}.` }));
      }
    };
    begin();
    const every = words.fixed ? null : setInterval(begin, REFRESH_MS[words.name] ?? 60000);
    return () => {
      left = true;
      clearInterval(every);
    };
  }, [key, known, there, words.fixed, words.name]);
  return found;
}

// --- what was counted, per second: null where nobody counted -------------------------------------
export function axisOf(answer) {
  const start = Date.parse(answer.from),
    steps = Math.round((Date.parse(answer.to) - start) / 1000 / answer.step_s);
  return { start, step: answer.step_s * 1000, steps };
}
export function perSecond(answer, kind, names) {
  const { steps } = axisOf(answer),
    found = Object.fromEntries(names.map((name) => [name, Array(steps).fill(null)])),
    covered = new Map();
  for (const wire of answer.series.filter((one) => one.kind === "wire")) {
    covered.set(wire.interface, wire.covered_s);
    wire.covered_s.forEach((seconds, at) => {
      if (seconds > 0) for (const name of names) found[name][at] ??= 0;
    });
  }
  for (const one of answer.series.filter((s) => s.kind === kind))
    for (const name of names)
      (one.columns[name] ?? []).forEach((value, at) => {
        const seconds = covered.get(one.interface)?.[at] ?? 0;
        if (seconds > 0) found[name][at] += value / seconds;
      });
  return found;
}
export function watchedRatio(answer) {
  const wires = answer.series.filter((one) => one.kind === "wire"),
    { steps } = axisOf(answer);
  if (!wires.length || !steps) return 0;
  let seen = 0;
  for (let at = 0; at < steps; at++) if (wires.some((one) => one.covered_s[at] > 0)) seen++;
  return seen / steps;
}
export const lostFrames = (answer) =>
  answer.series
    .filter((one) => one.kind === "wire")
    .reduce((t, one) => t + (one.drops ?? []).reduce((a, b) => a + b, 0), 0);

// Classes overlap; these parts do not, and together are all frames.
// SYNs stand first and apart, since floods are made of them.
const PARTS = [
  ["syn", ["syn"]],
  ["web", ["http", "https"]],
  ["names", ["dns", "mdns"]],
  ["dhcp", ["dhcp"]],
  ["arp", ["arp"]],
  ["icmp", ["icmp"]],
  ["igmp", ["igmp"]],
];
export const PART_COLUMNS = [...PARTS.flatMap(([, columns]) => columns), "tcp", "udp", "packets"];
export function parts(rates, prefix = "") {
  const all = rates[`${prefix}packets`],
    of = (name, at) => rates[`${prefix}${name}`][at] ?? 0;
  const shares = all.map((packets, at) => {
    if (packets == null) return null;
    const one = Object.fromEntries(
      PARTS.map(([name, columns]) => [name, columns.reduce((t, c) => t + of(c, at), 0)]),
    );
    one.web = Math.max(0, one.web - one.syn);
    const held = one.syn + one.web + one.names + one.dhcp;
    one["other tcp, udp"] = Math.max(0, of("tcp", at) + of("udp", at) - held);
    const named = Object.values(one).reduce((a, b) => a + b, 0);
    return { ...one, rest: Math.max(0, packets - named) };
  });
  const names = [...PARTS.map(([name]) => name), "other tcp, udp", "rest"];
  return names
    .map((name, i) => ({
      name,
      kind: `s${i}`,
      values: shares.map((one) => (one ? one[name] : null)),
    }))
    .filter((one) => one.values.some((value) => value > 0));
}
