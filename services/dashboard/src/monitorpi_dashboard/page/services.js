// Services: who runs, what they count, who is told of alerts, how far the history reaches.
import { html, useState } from "./preact.js";
import { bits, bytes, count, span } from "./numbers.js";
import { command } from "./commands.js";
import { Empty, Row, Section, Table, Tag, cell } from "./parts.js";
import { ago, page } from "./store.js";

const SERVICES = [
  ["State"],
  ["Service"],
  ["Version"],
  ["Up for", null, "num"],
  ["Memory", null, "num"],
  ["Published", null, "num"],
  ["Received", null, "num"],
  ["Rejected", null, "num"],
  ["Refused", null, "num"],
  ["Dropped", null, "num"],
];
function Services() {
  return html`<${Section} id="services-section" title="Services">
    <${Table} id="services" kind="cards" columns=${SERVICES}>
      ${page.state.services.map((s) => {
        const h = s.health,
          word = s.online ? "online" : "offline",
          counts = ["published", "received", "rejected", "refused", "queue_dropped"];
        const shown = [
          s.name.replace(/\/main$/, ""),
          h?.version ?? "-",
          h ? span(h.uptime_s) : "-",
          h ? bytes(h.rss_bytes) : "-",
          ...counts.map((name) => (h ? count(h[`${name}_total`]) : "-")),
        ];
        return html`<${Row} key=${s.name} mark=${[word, ...shown].join("|")} cells=${[
          cell("State", html`<${Tag} kind=${word}>${word}<//>`),
          ...shown.map((text, i) => cell(SERVICES[i + 1][0], text, i > 1 ? "num" : "")),
        ]} />`;
      })}
    <//>
  <//>`;
}
const WIRES = [
  ["Interface"],
  ["Engine"],
  ["Link", null, "num"],
  ["Both directions"],
  ["MAC addresses", null, "num"],
  ["Lost frames/s", null, "num"],
  ["Lost windows", null, "num"],
  ["Frames since start", null, "num"],
];
const DIRECTIONS = { true: "yes", false: "one only", null: "not known yet" };
function Interfaces() {
  return html`<${Section} id="interfaces-section" title="Interfaces that are watched">
    ${!page.state.interfaces.length && html`<${Empty}>None yet.<//>`}
    <${Table} id="interfaces" kind="cards" columns=${WIRES}>
      ${page.state.interfaces.map((one) => {
        const shown = [
          one.name,
          one.engine,
          one.link_bps ? bits(one.link_bps) : "-",
          DIRECTIONS[one.sees_replies],
          count(one.source_macs),
          count(one.kernel_drops),
          count(one.lost_windows),
          count(one.totals.packets),
        ];
        return html`<${Row} key=${one.name} mark=${shown.join("|")}
          cells=${shown.map((text, i) => cell(WIRES[i][0], text, WIRES[i][2]))} />`;
      })}
    <//>
  <//>`;
}
const TIERS = { 10: "10 seconds", 60: "minutes", 3600: "hours" };
function History() {
  const one = page.state.services.find((s) => s.name.startsWith("history/")),
    detail = one?.health?.detail ?? {},
    tiers = Object.entries(detail.tiers ?? {});
  if (!one) return null;
  return html`<${Section} id="history-section" title="What is remembered">
    <dl class="facts">
      ${detail.trouble && html`<dt>Trouble</dt><dd>${String(detail.trouble)}</dd>`}
      ${tiers.map(
        ([step, tier]) =>
          html`<dt>In ${TIERS[step] ?? `${step} s`}</dt>
            <dd>
              back to ${span(tier.reaches_s)} ago, in time to ${span(tier.will_reach_s)}${" "}
              (${bytes(tier.bytes ?? 0)})
            </dd>`,
      )}
      ${
        detail.budget_bytes &&
        html`<dt>Room</dt>
        <dd>${bytes(detail.used_bytes)} of ${bytes(detail.budget_bytes)} are used</dd>`
      }
    </dl>
  <//>`;
}

// --- messages ---------------------------------------------------------------------------------
const DESTINATIONS = [
  ["State"],
  ["Destination"],
  ["Last"],
  ["Waiting", null, "num"],
  ["Delivered", null, "num"],
  ["Failed tries", null, "num"],
  ["Why"],
];
const SENT = [["Try"], ["When"], ["To"], ["Message"], ["Why"]];
function destination([name, d]) {
  const word = d.failing_tries ? "failing" : d.delivered_total ? "delivers" : "not used yet",
    kind = { failing: "down", delivers: "up" }[word] ?? "unknown",
    lastly = d.delivered_s_ago == null ? "-" : `${span(d.delivered_s_ago)} ago`;
  const shown = [name, lastly, d.waiting, d.delivered_total, d.failed_total, d.error ?? ""];
  return html`<${Row} key=${name} mark=${[word, ...shown].join("|")} cells=${[
    cell("State", html`<${Tag} kind=${kind}>${word}<//>`),
    ...shown.map((text, i) =>
      cell(DESTINATIONS[i + 1][0], text, [2, 3, 4].includes(i) ? "num" : "wrap"),
    ),
  ]} />`;
}
function Sent({ sent }) {
  return html`<${Table} id="sent" kind="cards" columns=${SENT}>
      ${sent.map((s) => {
        const shown = [ago(s.at), s.destination, s.title, s.error ?? ""];
        return html`<${Row} key=${`${s.at}${s.destination}`} mark=${[s.ok, ...shown].join("|")} cells=${[
          cell("Try", html`<${Tag} kind=${s.ok ? "up" : "down"}>${s.ok ? "taken" : "refused"}<//>`),
          ...shown.map((text, i) => cell(SENT[i + 1][0], text, i > 1 ? "wrap" : "")),
        ]} />`;
      })}
    <//>`;
}
function Messages() {
  const [answer, setAnswer] = useState(""),
    [busy, setBusy] = useState(false),
    { notifier } = page.state;
  if (!notifier) return null;
  const ask = async () => {
    setBusy(true);
    const error = await command("notifier", "test", {});
    setAnswer(error ? `Not done: ${error}.` : "A test is on its way: see below.");
    setBusy(false);
  };
  const bar = html`<button id="test" type="button" disabled=${busy} onClick=${ask}>Send a test</button>`;
  return html`<${Section} id="messages-section" title="Messages" bar=${bar}>
    <p class="empty" id="test-answer" role="status">${answer}</p>
    <${Table} id="destinations" kind="cards" columns=${DESTINATIONS}>
      ${Object.entries(notifier.destinations).map(destination)}
    <//>
    ${
      notifier.sent.length
        ? html`<${Sent} sent=${notifier.sent} />`
        : html`<${Empty}>Nothing was sent since this page began.<//>`
    }
  <//>`;
}
export const ServicesView = () =>
  html`<${Services} /><${Interfaces} /><${Messages} /><${History} />`;
