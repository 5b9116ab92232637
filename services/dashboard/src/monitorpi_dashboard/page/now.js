// Now: whether anybody watches, what is wrong, what the wire carries, who is busiest, what changed.
import { html } from "./preact.js";
import { AlertCard, byTime, markOf } from "./alert.js";
import { Chart } from "./chart.js";
import { hosts, hostOf } from "./lan.js";
import { bits, className, count, frames, percent, rate, span, when } from "./numbers.js";
import {
  Empty,
  HostLink,
  Row,
  Save,
  Section,
  Select,
  Spark,
  Table,
  cell,
  last,
  sum,
} from "./parts.js";
import * as past from "./past.js";
import { choose, link } from "./route.js";
import { level, page } from "./store.js";

const STALE_S = 5;
const CALM = {
  watching: ["calm", "Nothing is wrong."],
  partly: ["unsure", "No alert in what is seen."],
  blind: ["unsure", "No alert: but nobody watches."],
};
function Alerts() {
  const open = page.state.alerts.filter((a) => a.state === "open").sort(byTime),
    closed = page.state.alerts.length - open.length,
    [kind, word] = CALM[level()];
  return html`<${Section} id="alerts" title="Alerts">
    <div id="open">
      ${
        open.length
          ? open.map((alert) => html`<${AlertCard} key=${alert.key} alert=${alert} />`)
          : html`<p class=${kind}>${word}</p>`
      }
    </div>
    ${
      closed > 0 &&
      html`<p class="note"><a href=${link("alerts")}>${closed} closed in the last 24 hours</a></p>`
    }
  <//>`;
}
function Tile({ id, name, value, note, values }) {
  return html`<div class="tile" id=${id}>
    <span class="name">${name}</span><b>${value}</b>
    ${values && html`<${Spark} values=${values} />`}
    ${note && html`<span class="note">${note}</span>`}
  </div>`;
}
function Tiles() {
  const { interfaces, devices, targets, probing, silent_s: silent } = page.state;
  const all = sum(interfaces.map((one) => one.two_minutes.packets)),
    traffic = sum(interfaces.map((one) => one.two_minutes.bits)),
    quiet = silent == null || silent > STALE_S,
    up = targets.filter((one) => one.state === "up").length;
  const engines = interfaces.map(
    (one) =>
      `${one.name}: ${one.engine}${one.sees_replies === false ? ", sees one direction only" : ""}`,
  );
  return html`<section class="tiles" aria-label="At a glance">
    <${Tile}
      id="t-frames"
      name="Frames"
      value=${quiet ? "-" : `${rate(Math.round(last(all)))}/s`}
      values=${all}
    />
    <${Tile} id="t-bits" name="Traffic" value=${quiet ? "-" : bits(last(traffic))} values=${traffic} />
    <${Tile}
      id="t-devices"
      name="Devices present"
      value=${devices.filter((one) => one.present).length}
      note=${`${devices.length} known`}
    />
    <${Tile}
      id="t-targets"
      name="Targets up"
      value=${`${up} of ${targets.length}`}
      note=${probing ? `${rate(probing.echo_per_s)} probes/s` : ""}
    />
    <${Tile}
      id="t-drops"
      name="Frames lost by the sensor"
      value=${`${count(interfaces.reduce((t, one) => t + one.kernel_drops, 0))}/s`}
      note=${engines.join("; ")}
    />
  </section>`;
}
export function SpanChoice({ route, now }) {
  return html`<div class="choices">
    ${
      now.fixed
        ? html`<button type="button" onClick=${() => choose(route, { from: "", to: "" })}>
          ${when(now.from)} to ${when(now.to)}: back to now
        </button>`
        : html`<${Select}
          id="span"
          label="Span"
          value=${now.name}
          options=${past.SPANS}
          choose=${(word) => choose(route, { span: word })}
        />`
    }
  </div>`;
}
export const zoomer = (route) => (from, to) =>
  choose(route, { from: new Date(from).toISOString(), to: new Date(to).toISOString() });

function Wire({ route }) {
  const now = past.spanOf(route.words, "1h"),
    columns = [...past.PART_COLUMNS, "bytes"];
  const { error, answers } = past.usePast(
    {
      wire: ["wire", { ...now.asked, points: 360, columns: columns.join(",") }],
      alerts: ["alerts", { ...now.asked, limit: 200 }],
    },
    now,
  );
  const bar = html`<${SpanChoice} route=${route} now=${now} />`;
  if (!answers)
    return html`<${Section} id="wire" title="The wire" bar=${bar}><${Empty}>${error}<//><//>`;
  const { wire, alerts } = answers,
    rates = past.perSecond(wire, "wire", columns),
    common = {
      axis: past.axisOf(wire),
      from: Date.parse(wire.from),
      to: Date.parse(wire.to),
      marks: alerts.alerts.filter((one) => one.severity === "critical").map(markOf),
      zoom: zoomer(route),
    };
  const lost = past.lostFrames(wire),
    seen = past.watchedRatio(wire);
  const note = `${percent(seen)} of the time was watched${lost ? `, ${count(lost)} frames were lost by the sensor` : ""}.`;
  const traffic = rates.bytes.map((value) => (value == null ? null : value * 8));
  return html`<${Section} id="wire" title="The wire" bar=${bar}>
    <${Empty}>${error || (seen ? "" : "Nothing was counted in this time.")}<//>
    <${Chart}
      id="wire-classes"
      title="Frames by class"
      data=${{ stack: past.parts(rates) }}
      unit=${frames}
      note=${note}
      ...${common}
    />
    <${Chart}
      id="wire-bits"
      title="Traffic"
      data=${{ layers: [{ name: "on the wire", kind: "a", values: traffic, fill: true }] }}
      unit=${bits}
      ...${common}
    />
    <${Save}
      links=${[
        ["counts", "wire", now.asked],
        ["counts of each device", "traffic", now.asked],
        ["alerts", "alerts", now.asked],
        ["changes", "changes", now.asked],
        ["devices", "devices", {}],
      ]}
    />
  <//>`;
}
function Busiest() {
  const busy = hosts()
    .filter((one) => one.tx + one.rx > 0)
    .sort((a, b) => b.tx + b.rx - (a.tx + a.rx))
    .slice(0, 8);
  const columns = [["Device"], ["Sends", null, "num"], ["Receives", null, "num"], ["Mostly"]];
  return html`<${Section} id="busiest" title="Busiest devices">
    ${!busy.length && html`<${Empty}>Nobody sends.<//>`}
    <${Table} id="busy" columns=${columns} kind="cards">
      ${busy.map((one) => {
        const shown = [one.name || one.id, bits(one.tx), bits(one.rx), one.mostly];
        return html`<${Row}
          key=${one.id}
          mark=${shown.join("|")}
          cells=${[
            cell("Device", html`<${HostLink} id=${one.id}>${shown[0]}<//>`, "wrap"),
            cell("Sends", shown[1], "num"),
            cell("Receives", shown[2], "num"),
            cell("Mostly", shown[3], "wrap"),
          ]}
        />`;
      })}
    <//>
  <//>`;
}
const WORDS = {
  new: "is new",
  gone: "has gone",
  back: "is back",
  moved: "has moved",
  renamed: "was renamed",
  forgotten: "was forgotten",
  up: "answers again",
  down: "answers no more",
};
export function Changes({ changes }) {
  if (!changes.length) return html`<${Empty}>Nothing has changed.<//>`;
  return html`<ul class="changes">
    ${changes.slice(0, 50).map((one) => {
      const host = hostOf(one.subject),
        name = host?.name || one.name || one.subject;
      const from = one.before && one.after ? `: ${one.before} → ${one.after}` : "";
      return html`<li>
        <time datetime=${one.at}>${when(one.at)}</time>${" "}
        ${host ? html`<${HostLink} id=${host.id}>${name}<//>` : name} ${WORDS[one.what] ?? one.what}
        ${from}
      </li>`;
    })}
  </ul>`;
}
function Changed() {
  const asked = { name: "24h", asked: { from: "-24h" } };
  const { error, answers } = past.usePast(
    { changes: ["changes", { ...asked.asked, limit: 30 }] },
    asked,
  );
  return html`<${Section} id="changed" title="What changed in 24 hours">
    ${answers ? html`<${Changes} changes=${answers.changes.changes} />` : html`<${Empty}>${error}<//>`}
  <//>`;
}
function silence() {
  const silent = page.state.silent_s;
  if (silent == null) return "No frames yet: is the mirror port connected?";
  return silent > STALE_S
    ? `No window for ${span(silent)}: does capture run, is the mirror port connected?`
    : "";
}
function Classes() {
  const names = new Map();
  for (const one of page.state.interfaces)
    for (const [name, c] of Object.entries(one.classes)) {
      const known = names.get(name) ?? { rate: 0, lists: [], total: 0 };
      known.rate += c;
      known.lists.push(one.two_minutes.classes[name] ?? []);
      known.total += one.totals[name] ?? 0;
      names.set(name, known);
    }
  const columns = [
    ["Class"],
    ["Frames/s", null, "num"],
    ["Last two minutes"],
    ["Since start", null, "num"],
  ];
  return html`<${Section} id="classes-section" title="Counts per class">
    <${Empty}>${silence()}<//>
    <${Table} id="classes" columns=${columns}>
      ${[...names].map(
        ([name, c]) =>
          html`<tr key=${name}>
            <th scope="row">${className(name)}</th>
            <td class="num">${rate(c.rate)}</td>
            <td><${Spark} values=${sum(c.lists)} /></td>
            <td class="num">${count(c.total)}</td>
          </tr>`,
      )}
    <//>
  <//>`;
}
export function Now({ route }) {
  return html`<${Alerts} />
    <${Tiles} />
    <${Wire} route=${route} />
    <div class="pair"><${Busiest} /><${Changed} /></div>
    <${Classes} />`;
}
