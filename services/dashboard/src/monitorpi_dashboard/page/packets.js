// Packets: frames as they come, a few a second, and what all of them are made of.
import { html, useEffect, useRef, useState } from "./preact.js";
import { command } from "./commands.js";
import { hostOf } from "./lan.js";
import { bytes, className, count, percent, rate } from "./numbers.js";
import { Empty, HostLink, Row, Section, Select, Table, cell, last, sum } from "./parts.js";
import { choose } from "./route.js";
import { SaveRows } from "./saving.js";
import { page } from "./store.js";

const KEPT = 2000; // lines a page keeps, and saves
const DRAWN = 200;
const ASK_MS = 1000;
const LEASE_S = 30; // capture sends lines for so long after it was asked last
const RENEW_MS = 20000;
const COLUMNS = ["at", "interface", "line", "mac_src", "mac_dst", "ip_src", "ip_dst", "length"];
const LINES = [
  ["Time"],
  ["From"],
  ["To"],
  ["Frame"],
  ["Classes"],
  ["Bytes", null, "num"],
  ["Interface"],
];
const CLASSES = (
  "arp broadcast dhcp dns fin fragment http https icmp icmp_echo igmp ipv4 ipv6 malformed mdns " +
  "multicast rst syn syn_ack tcp udp vlan"
).split(" ");

// Whether capture sends lines is a command with an end: it stops by itself when a page has gone.
function useLease(filter, runs) {
  const [said, setSaid] = useState("");
  const key = JSON.stringify(filter);
  useEffect(() => {
    if (!runs) return undefined;
    let left = false;
    const renew = async () => {
      if (document.hidden) return;
      const error = await command("capture", "watch", { seconds: LEASE_S, ...filter });
      if (!left) setSaid(error ? `No frames can be shown: ${error}.` : "");
    };
    const wait = setTimeout(renew, 300), // while somebody types
      timer = setInterval(renew, RENEW_MS);
    return () => {
      left = true;
      clearTimeout(wait);
      clearInterval(timer);
    };
  }, [key, runs]);
  return said;
}
function useLines(runs) {
  const [lines, setLines] = useState([]),
    seen = useRef(0),
    [missed, setMissed] = useState(0);
  useEffect(() => {
    if (!runs) return undefined;
    let left = false,
      begins = seen.current === 0; // what others watched before is none of ours
    const ask = async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(`api/packets?after=${seen.current}`);
        if (!answer.ok || left) return;
        const found = await answer.json();
        if (left) return;
        seen.current = found.number;
        if (begins) begins = false;
        else if (found.lines.length) {
          setMissed((n) => n + found.missed);
          setLines((old) => [...found.lines.toReversed(), ...old].slice(0, KEPT));
        }
      } catch {
        // the page says that it has no news
      }
    };
    ask();
    const timer = setInterval(ask, ASK_MS);
    return () => {
      left = true;
      clearInterval(timer);
    };
  }, [runs]);
  return { lines, missed, clear: () => setLines([]) };
}
const wordsOf = (line) => / > \S+( port \d+)? (.*) \d+ bytes$/.exec(line)?.[2] ?? "";
const portsOf = (line) => {
  const found = /^\S+(?: port (\d+))? > \S+(?: port (\d+))?/.exec(line) ?? [];
  return [found[1], found[2]];
};
function macIn(text) {
  const hex = text.toLowerCase().replaceAll(/[^0-9a-f]/g, "");
  return hex.length === 12 ? hex.match(/../g).join(":") : "";
}
function matches(line, mac, kind) {
  if (mac && line.mac_src !== mac && line.mac_dst !== mac) return false;
  return !kind || wordsOf(line.line).split(" ").includes(kind);
}
function End({ mac, ip, port }) {
  const host = hostOf(mac),
    text = [ip ?? mac, port].filter(Boolean).join(" port ");
  return html`${host?.name ? html`<${HostLink} id=${host.id}>${host.name}<//> ` : ""}<small
      >${text}</small
    >`;
}
const timeOf = (at) => at.slice(11, 23);

function Lines({ lines }) {
  return html`<${Table} id="lines" kind="cards lines" columns=${LINES}>
    ${lines.slice(0, DRAWN).map((one) => {
      const [from, to] = portsOf(one.line);
      return html`<${Row}
        key=${one.number}
        mark=${`${one.number} ${hostOf(one.mac_src)?.name} ${hostOf(one.mac_dst)?.name}`}
        cells=${[
          cell("Time", timeOf(one.at), "mono"),
          cell("From", html`<${End} mac=${one.mac_src} ip=${one.ip_src} port=${from} />`, "wrap"),
          cell("To", html`<${End} mac=${one.mac_dst} ip=${one.ip_dst} port=${to} />`, "wrap"),
          cell("Frame", html`<small>${one.mac_src} > ${one.mac_dst}</small>`, "mono"),
          cell("Classes", wordsOf(one.line).replaceAll("_", " "), "wrap"),
          cell("Bytes", count(one.length), "num"),
          cell("Interface", one.interface),
        ]}
      />`;
    })}
  <//>`;
}
function Live({ route }) {
  const [paused, setPaused] = useState(false);
  const { mac: typed = "", class: kind = "" } = route.words,
    mac = macIn(typed),
    unfit = typed.trim() !== "" && !mac;
  const filter = { ...(mac && { mac }), ...(kind && { class: kind }) };
  const said = useLease(filter, !paused && !unfit),
    { lines, missed, clear } = useLines(!paused);
  const shown = unfit ? [] : lines.filter((one) => matches(one, mac, kind));
  const bar = html`<div class="choices">
    <label class="filter"
      >MAC address${" "}<input
        id="mac"
        type="search"
        autocomplete="off"
        spellcheck="false"
        list="macs"
        value=${typed}
        aria-invalid=${unfit}
        onInput=${(event) => choose(route, { mac: event.currentTarget.value.trim() })}
    /></label>
    <datalist id="macs">
      ${page.state.devices.map((one) => html`<option value=${one.mac}>${one.hostname ?? one.vendor ?? ""}</option>`)}
    </datalist>
    <${Select}
      id="class"
      label="Class"
      value=${kind}
      options=${[["", "all"], ...CLASSES.map((name) => [name, className(name)])]}
      choose=${(word) => choose(route, { class: word })}
    />
    <button type="button" id="pause" aria-pressed=${paused} onClick=${() => setPaused(!paused)}>
      ${paused ? "Go on" : "Pause"}
    </button>
    <button type="button" id="clear" disabled=${!lines.length} onClick=${clear}>Clear</button>
  </div>`;
  const state = unfit
    ? "A MAC address has twelve digits: b8:27:eb:12:34:56."
    : said || (shown.length ? "" : paused ? "Paused." : "Waiting for frames of that kind.");
  return html`<${Section} id="packets-section" title="Frames as they come" bar=${bar}>
    <${Empty}>${state}<//>
    ${shown.length > 0 && html`<${Lines} lines=${shown} />`}
    <${SaveRows} id="save-packets" name="packets" columns=${COLUMNS} rows=${shown.toReversed()} />
    <p class="note">
      At most ten a second, headers only; the newest ${count(KEPT)} are kept here.${
        missed ? ` ${count(missed)} came and went unseen.` : ""
      }${" "}
      All who watch share one filter: the newest.
    </p>
  <//>`;
}

// --- what all frames are made of ------------------------------------------------------------------
const PROTOCOLS = [
  ["Class"],
  ["Now", null, "num"],
  ["Share", null, "num"],
  ["Two minutes' mean", null, "num"],
  ["Peak", null, "num"],
  ["Total", null, "num"],
];
const mean = (list) => (list.length ? list.reduce((a, b) => a + b, 0) / list.length : 0);

function protocols(wires) {
  const names = new Set(wires.flatMap((one) => Object.keys(one.totals)));
  const total = (name) => wires.reduce((t, one) => t + (one.totals[name] ?? 0), 0);
  const all = sum(wires.map((one) => one.two_minutes.packets));
  const row = (name, rates, label = name) => ({
    class: label,
    now_per_s: last(rates),
    share: last(all) ? last(rates) / last(all) : 0,
    mean_per_s: Math.round(mean(rates) * 10) / 10,
    peak_per_s: Math.max(0, ...rates),
    total: total(name),
  });
  const rows = [...names]
    .filter((name) => name !== "packets" && name !== "bytes")
    .map((name) => row(name, sum(wires.map((one) => one.two_minutes.classes[name] ?? []))));
  rows.sort((a, b) => b.total - a.total || (a.class < b.class ? -1 : 1));
  return { rows: [row("packets", all, "all frames"), ...rows], bytes: total("bytes") };
}
function Protocols({ route }) {
  const wires = page.state.interfaces,
    chosen = wires.filter((one) => !route.words.wire || one.name === route.words.wire),
    { rows, bytes: size } = protocols(chosen);
  const bar =
    wires.length > 1 &&
    html`<${Select}
      id="wire-choice"
      label="Interface"
      value=${route.words.wire ?? ""}
      options=${[["", "all"], ...wires.map((one) => [one.name, one.name])]}
      choose=${(word) => choose(route, { wire: word })}
    />`;
  return html`<${Section} id="protocols-section" title="What the wire carries" bar=${bar}>
    <${Table} id="protocols" kind="cards" columns=${PROTOCOLS}>
      ${rows.map((one) => {
        const shown = [
          `${rate(one.now_per_s)}/s`,
          percent(one.share),
          `${rate(one.mean_per_s)}/s`,
          `${rate(one.peak_per_s)}/s`,
          count(one.total),
        ];
        return html`<${Row}
          key=${one.class}
          mark=${shown.join("|")}
          kind=${one.total || one.now_per_s ? "" : "dim"}
          cells=${[
            cell("Class", html`<strong>${className(one.class)}</strong>`),
            ...shown.map((text, i) => cell(PROTOCOLS[i + 1][0], text, "num")),
          ]}
        />`;
      })}
    <//>
    <${SaveRows}
      id="save-protocols"
      name="protocols"
      columns=${["class", "now_per_s", "share", "mean_per_s", "peak_per_s", "total"]}
      rows=${rows}
    />
    <p class="note">
      ${bytes(size)} in all. Totals are since capture began to count; a frame is of several classes, so shares
      add up to more than all.
    </p>
  <//>`;
}
export function Packets({ route }) {
  return html`<${Live} route=${route} /><${Protocols} route=${route} />`;
}
