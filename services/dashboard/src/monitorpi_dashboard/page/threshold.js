// A rule's floor: what holds, where it comes from, and what the last week would have raised by
// another one, as far as the history can tell.
import { html, useEffect, useState } from "./preact.js";
import { titleOf } from "./alert.js";
import { command } from "./commands.js";
import { classOf, columnOf, isMeasured } from "./counted.js";
import { hostOf, nameOf } from "./lan.js";
import { className, count, rate, span, when } from "./numbers.js";
import { Empty, HostLink, Row, Save, Section, Select, Table, cell } from "./parts.js";
import * as past from "./past.js";
import { choose, link } from "./route.js";
import { page } from "./store.js";

const WEEK = "-7d",
  PAUSE_MS = 400,
  MOST = 2000,
  SHOWN = 50;
const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/; // what an address says goes into lines people copy
const WAYS = { tx: "sent", rx: "received", wire: "on the wire" };

function limitsSaid() {
  const one = page.state.services.find((s) => s.name.startsWith("detector/")),
    detail = one?.health?.detail ?? {};
  return { changed: detail.thresholds ?? {}, configured: detail.configured_floors ?? {} };
}
// What holds for a device, else for all: what was changed last wins over what is configured.
function floorsOf(rule, mac) {
  const { changed, configured } = limitsSaid(),
    own = `${rule} ${mac}`,
    all = { set: changed[rule]?.floor, configured: configured[rule] };
  const mine = mac ? { set: changed[own]?.floor, configured: configured[own] } : all,
    below = all.set ?? all.configured;
  return {
    set: mine.set,
    configured: mine.configured ?? below,
    now: mine.set ?? mine.configured ?? below,
  };
}
const whom = (mac) => (mac ? nameOf(mac) : "everybody");

export function ChangedThresholds() {
  const { changed } = limitsSaid(),
    rows = Object.entries(changed).filter(([, change]) => change.floor != null);
  if (!rows.length) return null;
  return html`<${Section} id="changed-thresholds" title="Thresholds changed while it runs">
    <ul>
      ${rows.map(([key, change]) => {
        const [rule, mac] = key.split(" ");
        return html`<li key=${key}><a href=${link("threshold", rule, { mac })}>${titleOf(rule)}, ${whom(mac)}</a>:
            ${" "}${rate(change.floor)} instead of ${rate(floorsOf(rule, mac).configured)}</li>`;
      })}
    </ul>
  <//>`;
}

// --- the preview ------------------------------------------------------------------------------
function bySubject(found) {
  const rows = new Map();
  for (const one of found) {
    const { subject, name } = one,
      row = rows.get(subject) ?? { subject, name, lasting: 0, possible: 0, mean: 0 };
    row[one.lasting ? "lasting" : "possible"] += 1;
    row.mean = Math.max(row.mean, one.mean_per_s);
    row.last = one.to;
    rows.set(one.subject, row);
  }
  return [...rows.values()].sort((a, b) => b.lasting - a.lasting || b.mean - a.mean);
}
const times = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

function OfAlerts({ alerts, floor }) {
  const over = alerts.filter((one) => one.evidence.peak >= floor).length,
    under = alerts.length - over;
  const more = alerts.length >= MOST ? " (the newest)" : "";
  return html`<p id="of-alerts">
    <strong>${times(alerts.length, "alert", "alerts")}</strong>${more} of this rule${" "}
    ${alerts.length === 1 ? "was" : "were"} raised:${" "}
    <strong>${count(over)}</strong> peaked at ${rate(floor)} or more,${" "}
    <strong>${count(under)}</strong> would not have been raised.
  </p>`;
}
const COLUMNS = [
  ["Who"],
  ["Certain", null, "num"],
  ["Possible", null, "num"],
  ["Highest mean of 10 s", null, "num"],
  ["Last"],
];
function OfCounts({ found, floor, name, rule, way }) {
  const lasting = found.filter((one) => one.lasting).length,
    rows = bySubject(found);
  return html`<p id="of-counts">
      ${className(name)} ${WAYS[way]}:${" "}
      <strong>${times(lasting, "stretch", "stretches")}</strong> with seconds of ${rate(floor)} or more for certain,${" "}
      <strong>${count(found.length - lasting)}</strong> in which a burst of seconds may have
      reached it${found.length >= MOST ? " (the first of more)" : ""}. Nobody else did.
    </p>
    ${
      rows.length > 0 &&
      html`<${Table} id="exceedances" kind="cards" columns=${COLUMNS}>
        ${rows.slice(0, SHOWN).map((row) => {
          const shown = [
            count(row.lasting),
            count(row.possible),
            `${rate(row.mean)}/s`,
            when(row.last),
          ];
          const known = hostOf(row.subject),
            words = way === "wire" ? null : { mac: row.subject, floor, way };
          const who = html`${known ? html`<${HostLink} id=${known.id}>${nameOf(row.subject)}<//>` : (row.name ?? row.subject)}
            ${words && html`${" "}<a href=${link("threshold", rule, words)}>only its own</a>`}`;
          return html`<${Row} key=${row.subject} mark=${[row.subject, known?.name, floor, ...shown].join("|")} cells=${[
            cell("Who", who),
            ...shown.map((text, i) => cell(COLUMNS[i + 1][0], text, COLUMNS[i + 1][2])),
          ]} />`;
        })}
      <//>`
    }
    <p class="note">
      The history keeps ten seconds, not seconds: a burst shorter than that is possible, never
      certain. A rule raises at most what its counts show: it leaves out what is answered, asked for
      or usual, and needs more than one second.
    </p>`;
}
function Preview({ rule, mac, way, floor }) {
  const name = classOf(rule),
    column = name && columnOf(name, way);
  const asked = {
    alerts: ["alerts", { from: WEEK, rule, limit: MOST, ...(mac && { mac }) }],
    wire: ["wire", { from: WEEK, step: 3600, columns: "packets" }],
  };
  const question = { from: WEEK, column, level: floor, limit: MOST, ...(mac && { mac }) };
  if (column) asked.counts = ["exceedances", question];
  const { error, answers, key } = past.usePast(asked, { fixed: true });
  if (!answers || key !== JSON.stringify(asked))
    return html`<${Empty}>${error || "Looking at the last week ..."}<//>`;
  const watched = answers.wire.series.map((one) => one.covered_s.reduce((t, s) => t + s, 0));
  return html`<div id="preview" role="status">
      <p>Of the last 7 days <strong>${span(Math.max(0, ...watched))}</strong> were watched.</p>
      <${OfAlerts} alerts=${answers.alerts.alerts} floor=${floor} />
      ${
        column
          ? html`<${OfCounts} found=${answers.counts.exceedances} floor=${floor} name=${name} rule=${rule} way=${way} />`
          : html`<p class="note">The history keeps no counts of what this rule measures: of a lower floor it can tell nothing.</p>`
      }
    </div>
    ${column && html`<${Save} links=${[["stretches", "exceedances", question]]} />`}`;
}

// --- the change -------------------------------------------------------------------------------
function Lines({ rule, mac, floor }) {
  const table = mac ? `detector.devices."${mac}".${rule}` : `detector.rules.${rule}`;
  return html`<details>
    <summary>As lines of the configuration</summary>
    <p>
      They hold for every detector that reads the file, and are what is gone back to; a change made
      here wins over them until it is taken back.
    </p>
    <pre id="toml">${`[${table}]\nfloor = ${floor}`}</pre>
  </details>`;
}
function Commands({ rule, mac, floor, floors }) {
  const [said, setSaid] = useState(""),
    [busy, setBusy] = useState(false);
  const give = async (args, done) => {
    setBusy(true);
    const error = await command("detector", "set_threshold", {
      rule,
      ...(mac && { mac }),
      ...args,
    });
    setSaid(error ? `Not done: ${error}.` : done);
    setBusy(false);
  };
  return html`<div class="commands">
    <button type="button" id="set" disabled=${busy || !(floor > 0) || floor === floors.now}
      onClick=${() => give({ floor }, `From now on ${rate(floor)} holds for ${whom(mac)}, also after a restart.`)}>
      Use ${rate(floor)}</button>
    <button type="button" id="take-back" disabled=${busy || floors.set == null}
      onClick=${() => give({ reset: true }, `What is configured holds again for ${whom(mac)}.`)}>
      Back to ${rate(floors.configured)}, as configured</button>
    <span class="note" role="status">${said}</span>
  </div>`;
}
export function Threshold({ route }) {
  const { id: rule, words } = route,
    mac = hostOf(words.mac)?.mac ?? (MAC.test(words.mac) ? words.mac : ""),
    whose = words.all ? "" : mac,
    floors = floorsOf(rule, whose),
    [typed, setTyped] = useState(null);
  const text = typed ?? words.floor ?? String(floors.now ?? ""),
    floor = Number(text);
  useEffect(() => {
    if (typed == null) return undefined;
    const later = setTimeout(() => choose(route, { floor: typed }), PAUSE_MS);
    return () => clearTimeout(later);
  }, [typed]);
  if (!isMeasured(rule)) return html`<${Empty}>There is no threshold of that name to change.<//>`;
  const asked = Number(words.floor ?? floors.now);
  const whomWords = [["all", "everybody"], ...(mac ? [["own", nameOf(mac)]] : [])];
  return html`<${Section} id="threshold" title=${`Threshold of ${titleOf(rule)}`}>
    <dl class="facts">
      <dt>Holds now</dt><dd id="holds">${floors.now == null ? "not known: the detector has not said it" : `${rate(floors.now)} per second, for ${whom(whose)}`}</dd>
      <dt>Configured</dt><dd id="configured">${floors.configured == null ? "-" : rate(floors.configured)}</dd>
      ${floors.set != null && html`<dt>Changed</dt><dd>while it runs, to ${rate(floors.set)}</dd>`}
    </dl>
    <div class="choices">
      <${Select} id="whose" label="For" value=${whose ? "own" : "all"} options=${whomWords}
        choose=${(one) => choose(route, { all: one === "all" ? 1 : null })} />
      <label class="filter">Threshold${" "}<input id="floor" type="number" min="0.1" step="any" inputmode="decimal" value=${text}
        onInput=${(event) => setTyped(event.currentTarget.value)} /> per second</label>
    </div>
    <h3>What the last week would have raised</h3>
    ${
      asked > 0
        ? html`<${Preview} rule=${rule} mac=${whose} way=${words.way ?? "tx"} floor=${asked} />`
        : html`<${Empty}>Give a number above 0.<//>`
    }
    <p class="note">Where several times what is usual for a device is more, that is its threshold.</p>
    <${Commands} rule=${rule} mac=${whose} floor=${floor} floors=${floors} />
    ${floor > 0 && html`<${Lines} rule=${rule} mac=${whose} floor=${floor} />`}
  <//>`;
}
