// What an alert rests on, as it was counted around it: against its threshold and what is usual.
import { html } from "./preact.js";
import { markOf } from "./alert.js";
import { Chart } from "./chart.js";
import { classOf, columnOf, wayOf } from "./counted.js";
import { macOfSubject } from "./lan.js";
import { Empty } from "./parts.js";
import * as past from "./past.js";

const AROUND_MS = 600000;
function countedBy(alert) {
  const name = classOf(alert.rule);
  if (!name) return null;
  const way = wayOf(alert.subject),
    column = columnOf(name, way);
  if (way === "wire") return { table: "wire", kind: "wire", column, words: {} };
  return { table: "traffic", kind: "device", column, words: { mac: macOfSubject(alert.subject) } };
}
const perSecond = (value) => `${Math.round(value * 10) / 10}/s`;

export function EvidenceChart({ alert }) {
  const counted = countedBy(alert),
    opened = Date.parse(alert.opened_at),
    closed = alert.state === "open" ? Date.now() : Date.parse(alert.closed_at ?? alert.at),
    width = Math.max(AROUND_MS, closed - opened);
  const asked = {
    from: new Date(opened - width).toISOString(),
    to: new Date(Math.ceil((closed + width / 4) / 60000) * 60000).toISOString(),
  };
  const questions = counted
    ? {
        counts: [
          counted.table,
          { ...asked, ...counted.words, columns: counted.column, points: 300 },
        ],
      }
    : {};
  const { error, answers } = past.usePast(questions, { fixed: alert.state !== "open", name: "1h" });
  if (!counted) return null;
  if (!answers) return html`<${Empty}>${error}<//>`;
  const rates = past.perSecond(answers.counts, counted.kind, [counted.column]),
    e = alert.evidence,
    limits = [{ name: "threshold", kind: "", value: e.threshold }];
  if (e.baseline != null) limits.push({ name: "usual", kind: "usual", value: e.baseline });
  const layer = {
    name: counted.column.replaceAll("_", " "),
    kind: "b",
    values: rates[counted.column],
  };
  return html`<${Chart}
    title="As it was counted"
    axis=${past.axisOf(answers.counts)}
    from=${Date.parse(answers.counts.from)}
    to=${Date.parse(answers.counts.to)}
    marks=${[markOf(alert)]}
    data=${{ layers: [layer], limits }}
    unit=${perSecond}
    note="Mean of each step: a flood of seconds stands lower than its peak."
  />`;
}
