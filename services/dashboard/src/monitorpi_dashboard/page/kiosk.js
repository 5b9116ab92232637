// The kiosk: a small screen on a wall, read from two metres. Nothing is pressed here.
import { html } from "./preact.js";
import { byTime, titleOf } from "./alert.js";
import { hosts, nameOf, macOfSubject } from "./lan.js";
import { bits, rate } from "./numbers.js";
import { last, sum } from "./parts.js";
import { level, openAlerts, page, reasons, since } from "./store.js";

const SHOWN = 3;
const WORDS = { watching: "All is well", partly: "Only a part is watched", blind: "BLIND" };

function headline(open) {
  const state = level();
  if (state === "blind") return ["blind", WORDS.blind, reasons()[0]?.text ?? ""];
  if (open.length) {
    const word = open.length === 1 ? "1 alert" : `${open.length} alerts`;
    const worst = ["critical", "warning", "info"].find((s) => open.some((a) => a.severity === s));
    return [worst, word, state === "partly" ? WORDS.partly : ""];
  }
  return [state, WORDS[state], state === "partly" ? (reasons()[0]?.text ?? "") : ""];
}
function Alert({ alert }) {
  const mac = macOfSubject(alert.subject);
  return html`<li class=${alert.severity}>
    <strong>${titleOf(alert.rule)}</strong> ${mac ? nameOf(mac) : alert.subject}${" "}
    <small>${since(alert.opened_at)}</small>
  </li>`;
}
function Fact({ name, value }) {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}
export function Kiosk() {
  if (!page.state)
    return html`<main class="kiosk blind"><h1>MonitorPi</h1><p>${reasons()[0]?.text}</p></main>`;
  const open = page.state.alerts.filter((one) => one.state === "open").sort(byTime),
    [kind, word, why] = headline(open),
    all = sum(page.state.interfaces.map((one) => one.two_minutes.packets)),
    traffic = sum(page.state.interfaces.map((one) => one.two_minutes.bits)),
    down = hosts().filter((one) => one.state === "down").length;
  return html`<main class=${`kiosk ${kind}`} data-open=${openAlerts()}>
    <h1>${word}</h1>
    ${why && html`<p>${why}</p>`}
    <ul>
      ${open.slice(0, SHOWN).map((one) => html`<${Alert} key=${one.id} alert=${one} />`)}
    </ul>
    <dl>
      <${Fact} name="frames/s" value=${rate(Math.round(last(all)))} />
      <${Fact} name="traffic" value=${bits(last(traffic))} />
      <${Fact} name="devices" value=${page.state.devices.filter((one) => one.present).length} />
      <${Fact} name="down" value=${down} />
    </dl>
  </main>`;
}
