// The past: what the history answers, as a picture and a list. The choice stands in the page's
// address (#span=24h&device=b8:27:eb:12:34:56), so that it can be sent to somebody.
import { $, cell, make, rows, svgElement, text } from "./elements.js";
import { bits, percent, rate, span } from "./numbers.js";
import { page } from "./state.js";

const CHART = { width: 720, height: 160 };
const REFRESH_MS = 60000;
let pastAsked = 0,
  shownAt = 0;

const when = (time) =>
  new Date(time).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
const ends = (alert) => Date.parse(alert.closed_at ?? alert.at);
function pastChoice() {
  const given = new URLSearchParams(location.hash.slice(1));
  return { span: given.get("span") ?? "24h", device: given.get("device") ?? "" };
}
async function askPast(table, words) {
  const answer = await fetch(`/api/history/${table}?${new URLSearchParams(words)}`);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `HTTP ${answer.status}`);
  return body;
}

// --- the picture: a line for each direction, broken where nobody counted ---------------------------
function perSecond(found, name) {
  const wires = found.series.filter((one) => one.kind === "wire");
  const length = Math.max(0, ...wires.map((one) => one.covered_s.length));
  const rates = Array(length).fill(null);
  for (const wire of wires)
    wire.covered_s.forEach((seconds, at) => {
      if (seconds > 0) rates[at] ??= 0;
    });
  for (const one of found.series) {
    const covered = wires.find((wire) => wire.interface === one.interface)?.covered_s ?? [];
    (one.columns[name] ?? []).forEach((value, at) => {
      if (covered[at] > 0) rates[at] += (value * 8) / covered[at];
    });
  }
  return rates;
}
function stretches(rates) {
  const found = [];
  rates.forEach((value, at) => {
    if (value == null) return;
    if (at === 0 || rates[at - 1] == null) found.push([]);
    found[found.length - 1].push([at, value]);
  });
  return found;
}
function drawPast(found, lines) {
  const svg = $("past-chart"),
    all = lines.map(([name]) => perSecond(found, name));
  const most = Math.max(1, ...all.flat().map((value) => value ?? 0)),
    length = Math.max(2, all[0].length);
  svg.setAttribute("viewBox", `0 0 ${CHART.width} ${CHART.height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren();
  all.forEach((rates, line) => {
    for (const stretch of stretches(rates)) {
      const mark = svgElement("polyline");
      mark.setAttribute("class", lines[line][1]);
      const points =
        stretch.length > 1 ? stretch : [stretch[0], [stretch[0][0] + 0.5, stretch[0][1]]];
      mark.setAttribute(
        "points",
        points
          .map(
            ([at, value]) =>
              `${((at * CHART.width) / (length - 1)).toFixed(1)},${(CHART.height - 2 - ((CHART.height - 4) * value) / most).toFixed(1)}`,
          )
          .join(" "),
      );
      svg.append(mark);
    }
  });
  const seen = all[0].filter((value) => value != null).length;
  const names = lines.length > 1 ? "sent (solid) and received (dashed)" : "on the wire";
  text(
    "past-caption",
    `${names}, ${when(found.from)} to ${when(found.to)}, a point ${span(found.step_s)}; at most ${bits(most)}; ${percent(seen / all[0].length)} of the time was watched`,
  );
}

// --- the list -------------------------------------------------------------------------------------
function drawPastAlerts(alerts) {
  rows(
    "past-alerts",
    alerts.map((alert) =>
      make(
        "tr",
        {},
        cell(
          new Date(alert.opened_at).toLocaleString([], { dateStyle: "short", timeStyle: "medium" }),
        ),
        cell(make("span", { class: `tag ${alert.state === "open" ? "down" : "up"}` }, alert.rule)),
        cell(alert.summary, "wrap"),
        cell(`${rate(Math.round(alert.evidence.peak))} ${alert.evidence.unit}`, "num"),
        cell(
          alert.state === "open"
            ? "still open"
            : span((ends(alert) - Date.parse(alert.opened_at)) / 1000),
        ),
      ),
    ),
  );
}
function offerDevices(devices, chosen) {
  const known = new Map(devices.map((one) => [one.mac, one.hostname ?? one.vendor ?? ""]));
  if (chosen && !known.has(chosen)) known.set(chosen, "");
  const options = [...known]
    .sort((a, b) => (a[1] || "~").localeCompare(b[1] || "~"))
    .map(([mac, name]) => make("option", { value: mac }, name ? `${name} (${mac})` : mac));
  $("past-device").replaceChildren(make("option", { value: "" }, "the whole wire"), ...options);
  $("past-device").value = chosen;
}
function offerSaving(chosen) {
  const words = { from: `-${chosen.span}`, format: "csv" },
    who = chosen.device ? { mac: chosen.device } : {};
  const link = (table, more, label) =>
    make(
      "a",
      { href: `/api/history/${table}?${new URLSearchParams({ ...words, ...more })}`, download: "" },
      label,
    );
  $("past-save").replaceChildren(
    "Save as CSV: ",
    link(chosen.device ? "traffic" : "wire", who, "counts"),
    ", ",
    link("alerts", who, "alerts"),
    ", ",
    link("changes", {}, "changes"),
    ", ",
    make("a", { href: "/api/history/devices?format=csv", download: "" }, "devices"),
  );
}

async function showPast() {
  const chosen = pastChoice(),
    asked = ++pastAsked,
    from = `-${chosen.span}`;
  $("past-span").value = chosen.span;
  const counts = chosen.device
    ? askPast("traffic", { from, mac: chosen.device, columns: "tx_bytes,rx_bytes", points: 360 })
    : askPast("wire", { from, columns: "bytes", points: 360 });
  const who = chosen.device ? { mac: chosen.device } : {};
  try {
    const [found, alerts, devices] = await Promise.all([
      counts,
      askPast("alerts", { from, limit: 200, ...who }),
      askPast("devices", {}),
    ]);
    if (asked !== pastAsked) return; // somebody has chosen anew meanwhile
    text("past-empty", found.series.length ? "" : "Nothing was counted in this time.");
    offerDevices(devices.devices, chosen.device);
    offerSaving(chosen);
    drawPast(
      found,
      chosen.device
        ? [
            ["tx_bytes", "sent"],
            ["rx_bytes", "received"],
          ]
        : [["bytes", "sent"]],
    );
    drawPastAlerts(alerts.alerts);
  } catch (error) {
    if (asked === pastAsked) text("past-empty", `The past cannot be shown: ${error.message}.`);
  }
}
function choosePast() {
  const words = new URLSearchParams({ span: $("past-span").value });
  if ($("past-device").value) words.set("device", $("past-device").value);
  location.hash = words.toString();
}
const hasHistory = () =>
  page.state?.services.some((one) => one.name.startsWith("history/") && one.online && one.health);
function refresh() {
  if (document.hidden || !page.state) return;
  if (!hasHistory()) {
    shownAt = 0;
    text("past-empty", "No history runs here.");
  } else if (Date.now() - shownAt > REFRESH_MS) {
    shownAt = Date.now();
    showPast();
  }
}
document.addEventListener("DOMContentLoaded", () => {
  for (const id of ["past-span", "past-device"]) $(id).addEventListener("change", choosePast);
  window.addEventListener("hashchange", () => {
    shownAt = 0;
    refresh();
  });
  setInterval(refresh, 1000);
});
