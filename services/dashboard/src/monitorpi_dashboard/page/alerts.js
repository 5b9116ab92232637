// Whether anybody watches, reported before what was seen; and the alerts.
import { $, make, renew, text } from "./elements.js";
import { count, rate, span } from "./numbers.js";
import { ago, level, page, reasons, since } from "./state.js";

const WORDS = {
  watching: "Watching, with a note:",
  partly: "Only a part is watched:",
  blind: "Nobody watches:",
};
function show(kind, words) {
  $("live").className = `live ${kind}`;
  text("live", words);
}
export function drawWatch() {
  const list = reasons(),
    word = level();
  $("watch").hidden = !list.length;
  $("watch").className = `watch ${word}`;
  text("watch-word", list.length ? WORDS[word] : "");
  const items = list.map((r) =>
    make("li", {}, r.text, r.remedy ? make("small", {}, ` ${r.remedy}`) : ""),
  );
  renew($("watch-reasons"), items);
  show(
    { watching: "good", partly: "wait", blind: "bad" }[word],
    { watching: "watching", partly: "sees a part", blind: "blind" }[word],
  );
}
const byTime = (a, b) => Date.parse(b.opened_at) - Date.parse(a.opened_at);
export function drawAlerts() {
  const open = page.state.alerts.filter((a) => a.state === "open").sort(byTime);
  const closed = page.state.alerts.filter((a) => a.state !== "open").sort(byTime);
  $("open").replaceChildren(...(open.length ? open.map(alertCard) : [calm()]));
  text("closed-title", closed.length ? `${closed.length} closed in the last 24 hours` : "");
  $("closed").replaceChildren(...closed.slice(0, 50).map(alertCard));
  const name = {
    watching: "MonitorPi",
    partly: "MonitorPi sees a part",
    blind: "MonitorPi is BLIND",
  }[level()];
  document.title = open.length ? `(${open.length}) ${name}` : name;
}
function calm() {
  if (level() === "watching") return make("p", { class: "calm" }, "Nothing is wrong.");
  return make(
    "p",
    { class: "unsure" },
    level() === "partly" ? "No alert in what is seen." : "No alert: but nobody watches.",
  );
}
function alertCard(alert) {
  const open = alert.state === "open",
    e = alert.evidence;
  const facts = [
    open
      ? `for ${since(alert.opened_at)}`
      : `closed ${ago(alert.closed_at ?? alert.at)} (${alert.close_reason ?? "quiet"}), lasted ${span((Date.parse(alert.closed_at ?? alert.at) - Date.parse(alert.opened_at)) / 1000)}`,
    `${rate(Math.round(e.value * 10) / 10)} ${e.unit}, threshold ${rate(e.threshold)}, peak ${rate(Math.round(e.peak))}`,
    e.sources.length ? `from ${e.sources.map((p) => p.mac ?? p.ip).join(", ")}` : "",
    e.victims.length
      ? `to ${e.victims.map((p) => [p.ip ?? p.mac, p.port].filter((x) => x != null).join(" port ")).join(", ")}`
      : "",
    e.spoofed ? "source addresses look forged" : "",
    e.kernel_drops ? `${count(e.kernel_drops)} frames lost meanwhile` : "",
    alert.acknowledged ? "seen" : "",
  ]
    .filter(Boolean)
    .join(" · ");
  return make(
    "div",
    { class: `alert ${open ? alert.severity : "closed"}` },
    make(
      "p",
      {},
      make("strong", {}, open ? alert.severity.toUpperCase() : "closed"),
      make("strong", {}, alert.rule),
      alert.summary,
    ),
    make("p", { class: "facts" }, facts),
  );
}
