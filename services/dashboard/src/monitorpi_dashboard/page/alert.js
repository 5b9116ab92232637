// One alert for people: what, who, since when, on what it rests.
import { html, useState } from "./preact.js";
import { hostOf, macOfSubject, nameOf } from "./lan.js";
import { count, percent, rate, span, when } from "./numbers.js";
import { AlertCommands } from "./commands.js";
import { isMeasured, wayOf } from "./counted.js";
import { HostLink, Tag } from "./parts.js";
import { link } from "./route.js";
import { ago, page, since } from "./store.js";

const REASONS = {
  quiet: "it is quiet again",
  "sensor-lost": "the sensor was lost",
  silenced: "silenced by a person",
  replaced: "another alert tells of it",
  usual: "it has become usual",
  "lost-sight": "that was the last of it, nobody saw it close",
};
export const titleOf = (rule) => page.state.rules?.[rule]?.title ?? rule;
export const endOf = (alert) => Date.parse(alert.closed_at ?? alert.at);
export const lasted = (alert) => span((endOf(alert) - Date.parse(alert.opened_at)) / 1000);
const whole = (value) => rate(Math.round(value * 10) / 10);

function Peer({ peer }) {
  const id = hostOf(peer.mac)?.id ?? hostOf(peer.ip)?.id,
    name = nameOf(peer);
  const more = [peer.mac, peer.ip].filter((one) => one && one !== name).join(", ");
  const port = peer.port == null ? "" : ` port ${peer.port}`;
  return html`<span
    >${id ? html`<${HostLink} id=${id}>${name}<//>` : name}${more && ` (${more})`}${port}</span
  >`;
}
function Peers({ word, peers }) {
  if (!peers.length) return null;
  return html`<dt>${word}</dt>
    <dd>${peers.slice(0, 8).map((peer, i) => html`${i ? "; " : ""}<${Peer} peer=${peer} />`)}
      ${peers.length > 8 && `; ${peers.length - 8} more`}</dd>`;
}
export function Subject({ alert }) {
  const mac = macOfSubject(alert.subject),
    host = hostOf(mac);
  if (host) return html`<${HostLink} id=${host.id}>${host.name || mac}<//>`;
  return html`<span>${mac || alert.subject}</span>`;
}
function ThresholdLink({ alert }) {
  if (!isMeasured(alert.rule)) return null;
  const way = wayOf(alert.subject),
    words = { mac: macOfSubject(alert.subject), way: way === "tx" ? null : way };
  return html`<a class="change" href=${link("threshold", alert.rule, words)}>change it</a>`;
}
export function Evidence({ alert }) {
  const e = alert.evidence;
  const lines = [
    ["Peak", `${whole(e.peak)} ${e.unit}`],
    ["Last", `${whole(e.value)} ${e.unit} over ${whole(e.window_s)} s`],
    ["Threshold", html`${whole(e.threshold)} <${ThresholdLink} alert=${alert} />`],
    ["Usual", e.baseline == null ? "" : whole(e.baseline)],
    ["Answered", e.answered_ratio == null ? "" : percent(e.answered_ratio)],
    ["Forged", e.spoofed ? "the source addresses look forged" : ""],
    ["Origin", e.beyond_router ? "from beyond the router" : ""],
    ["Sensor", e.kernel_drops ? `${count(e.kernel_drops)} frames lost meanwhile` : ""],
    ["One way", e.sees_replies === false ? "only one direction is mirrored" : ""],
    [
      "Victim",
      e.victim_rtt_ms == null && e.victim_loss_ratio == null
        ? ""
        : `RTT ${e.victim_rtt_ms ?? "-"} ms, loss ${percent(e.victim_loss_ratio)}`,
    ],
    ["Because of", alert.caused_by ?? ""],
    ["Rule", alert.rule],
    ["Key", alert.key],
  ];
  return html`<dl class="facts">
    <${Peers} word="From" peers=${e.sources} />
    <${Peers} word="To" peers=${e.victims} />
    ${lines.filter(([, text]) => text).map(([word, text]) => html`<dt>${word}</dt><dd>${text}</dd>`)}
  </dl>`;
}
export function AlertCard({ alert, children }) {
  const open = alert.state === "open",
    [opened, setOpened] = useState(false);
  const { todo } = page.state.rules?.[alert.rule] ?? {};
  const time = open
    ? `for ${since(alert.opened_at)}`
    : `lasted ${lasted(alert)}, closed ${ago(alert.closed_at ?? alert.at)}: ${REASONS[alert.close_reason] ?? alert.close_reason ?? "quiet"}`;
  return html`<article class=${`alert ${open ? alert.severity : "closed"}`}>
    <header>
      <${Tag} kind=${open ? alert.severity : "closed"}>${open ? alert.severity : "closed"}<//>
      <strong>${titleOf(alert.rule)}</strong> <${Subject} alert=${alert} />
      <span class="note" title=${when(alert.opened_at)}
        >${open ? "" : `${when(alert.opened_at)}, `}${time}</span
      >
      ${alert.acknowledged && html`<${Tag} kind="up">seen<//>`}
    </header>
    <p>${alert.summary}</p>
    ${open && todo && html`<p class="todo"><strong>What to do:</strong> ${todo}</p>`}
    ${open && html`<${AlertCommands} alert=${alert} />`}
    <details onToggle=${(event) => setOpened(event.currentTarget.open)}>
      <summary>Evidence</summary>
      ${opened && html`<${Evidence} alert=${alert} />${children?.(alert)}`}
    </details>
  </article>`;
}
export const byTime = (a, b) => Date.parse(b.opened_at) - Date.parse(a.opened_at);
// One that the history has as open, and the bus does not, ended unseen: at the last word of it.
const isLive = (alert) =>
  page.state.alerts.some((one) => one.id === alert.id && one.state === "open");
export const markOf = (alert) => ({
  from: Date.parse(alert.opened_at),
  to: isLive(alert) ? Number.MAX_SAFE_INTEGER : endOf(alert),
  kind: alert.severity,
});
