// Alerts, open and past: filtered, with their evidence.
import { html } from "./preact.js";
import { AlertCard, byTime, titleOf } from "./alert.js";
import { isMeasured } from "./counted.js";
import { EvidenceChart } from "./evidence.js";
import { nameOf, macOfSubject } from "./lan.js";
import { SpanChoice } from "./now.js";
import { Empty, Save, Section, Select } from "./parts.js";
import * as past from "./past.js";
import { choose, link } from "./route.js";
import { page } from "./store.js";
import { ChangedThresholds } from "./threshold.js";

const SHOWN = 200;
const plot = (alert) => html`<${EvidenceChart} alert=${alert} />`;

function matches(alert, { rule = "", severity = "", q = "" }) {
  const wanted = q.trim().toLowerCase();
  const words = [
    alert.key,
    alert.rule,
    titleOf(alert.rule),
    alert.summary,
    nameOf(macOfSubject(alert.subject)),
  ];
  return (
    (!rule || alert.rule === rule) &&
    (!severity || alert.severity === severity) &&
    (!wanted || words.some((word) => word.toLowerCase().includes(wanted)))
  );
}
// What the bus says now wins over what the history wrote down last. What was open then, and is not
// on the bus, was never seen to close: a power cut, say.
function merged(remembered, live) {
  const lostSight = { state: "closed", close_reason: "lost-sight" };
  const found = new Map(
    remembered.map((one) => [
      one.id,
      one.state === "open" ? { ...one, ...lostSight, closed_at: one.at } : one,
    ]),
  );
  for (const one of live) found.set(one.id, one);
  return [...found.values()].sort(byTime);
}
export function Alerts({ route }) {
  const now = past.spanOf(route.words),
    { words } = route;
  const { error, answers } = past.usePast(
    { alerts: ["alerts", { ...now.asked, limit: 2000 }] },
    now,
  );
  const live = page.state.alerts,
    all = merged(
      answers?.alerts.alerts ?? [],
      live.filter((one) => one.state === "open" || Date.parse(one.closed_at ?? one.at) >= now.from),
    ),
    found = all.filter((one) => matches(one, words));
  const open = found.filter((one) => one.state === "open"),
    closed = found.filter((one) => one.state !== "open");
  const rules = [...new Set(all.map((one) => one.rule))].sort();
  const bar = html`<div class="choices">
    <${Select} id="rule" label="Rule" value=${words.rule ?? ""} options=${[["", "all"], ...rules.map((one) => [one, titleOf(one)])]}
      choose=${(rule) => choose(route, { rule })} />
    <${Select} id="severity" label="Severity" value=${words.severity ?? ""}
      options=${["", "critical", "warning", "info"].map((one) => [one, one || "all"])}
      choose=${(severity) => choose(route, { severity })} />
    <label class="filter">Search${" "}<input id="filter" type="search" autocomplete="off" spellcheck="false" value=${words.q ?? ""}
      onInput=${(event) => choose(route, { q: event.currentTarget.value })} /></label>
    <${SpanChoice} route=${route} now=${now} />
  </div>`;
  return html`<${Section} id="alerts" title="Alerts" bar=${bar}>
    ${
      isMeasured(words.rule ?? "") &&
      html`<p class="empty"><a href=${link("threshold", words.rule)}>Change the threshold of ${titleOf(words.rule)}</a></p>`
    }
    <${Empty}>${error || (found.length ? "" : "No alert in this time.")}<//>
    <h3>Open (${open.length})</h3>
    <div id="open">${open.map((one) => html`<${AlertCard} key=${one.id} alert=${one}>${plot}<//>`)}</div>
    <h3>Closed (${closed.length})</h3>
    <div id="closed">
      ${closed.slice(0, SHOWN).map((one) => html`<${AlertCard} key=${one.id} alert=${one}>${plot}<//>`)}
    </div>
    ${closed.length > SHOWN && html`<${Empty}>The newest ${SHOWN}: filter to see others.<//>`}
    <${Save} links=${[["alerts", "alerts", { ...now.asked, ...(words.rule && { rule: words.rule }) }]]} />
  <//>
    <${ChangedThresholds} />`;
}
