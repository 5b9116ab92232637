// The page: one document a second, drawn with text nodes only. Names on a LAN are chosen by
// whoever joins it, so nothing foreign is ever read as markup.
"use strict";

const STALE_MS = 5000;
const SHOWN = 1024; // rows of a table: a phone still draws them within a second
const HISTORY = 120; // windows the server keeps: the width of every small picture
const $ = (id) => document.getElementById(id);
let state = null, heardAt = 0, sortBy = "tx", descending = true;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const child of children) element.append(child instanceof Node ? child : String(child));
  return element;
}
const cell = (content, kind) => make("td", kind ? { class: kind } : {}, content ?? "");
const text = (id, value) => { if ($(id).textContent !== value) $(id).textContent = value; };

// --- words for numbers -------------------------------------------------------------------------
function scaled(value, unit) {
  for (const [limit, prefix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (value >= limit) return `${(value / limit).toFixed(value / limit >= 100 ? 0 : 1)} ${prefix}${unit}`;
  return `${Math.round(value)} ${unit}`;
}
const bits = (value) => scaled(value, "bit/s");
const count = (value) => (value ?? 0).toLocaleString("en");
const rate = (value) => value >= 100 ? count(Math.round(value)) : String(value ?? 0);
const ms = (value) => value == null ? "-" : `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
const percent = (value) => value == null ? "-" : `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
function span(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return "-";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
const since = (time) => span((Date.parse(state.at) - Date.parse(time)) / 1000);
const ago = (time) => { const s = since(time); return s === "-" ? s : `${s} ago`; };

// --- pictures -----------------------------------------------------------------------------------
const SVG = "http://www.w3.org/2000/svg";
function draw(svg, values) {
  const points = values.length > 1 ? values : [0, 0];
  const top = Math.max(...points, 1), step = 100 / (HISTORY - 1), left = 100 - (points.length - 1) * step;
  const line = points.map((v, i) => `${(left + i * step).toFixed(1)},${(19 - 18 * v / top).toFixed(1)}`).join(" ");
  if (!svg.firstChild) {
    svg.setAttribute("viewBox", "0 0 100 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(document.createElementNS(SVG, "polygon"), document.createElementNS(SVG, "polyline"));
  }
  svg.firstChild.setAttribute("points", `${left.toFixed(1)},20 ${line} 100,20`);
  svg.lastChild.setAttribute("points", line);
  return svg;
}
function spark(values) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  return draw(svg, values);
}
function sum(lists) {
  const length = Math.max(0, ...lists.map((l) => l.length));
  return Array.from({ length }, (_, i) => lists.reduce((t, l) => t + (l[l.length - length + i] ?? 0), 0));
}
const last = (list) => list.length ? list[list.length - 1] : 0;

// --- sections -----------------------------------------------------------------------------------
function rows(id, list) { // a row that says the same stays: less to draw, and what is selected in it stays so
  const body = $(id).tBodies[0], old = [...body.rows];
  list.forEach((row, i) => { if (!old[i]) body.append(row); else if (!old[i].isEqualNode(row)) old[i].replaceWith(row); });
  old.slice(list.length).forEach((row) => row.remove());
}

function alertCard(alert) {
  const open = alert.state === "open", e = alert.evidence;
  const facts = [
    open ? `for ${since(alert.opened_at)}` : `closed ${ago(alert.closed_at ?? alert.at)} (${alert.close_reason ?? "quiet"}), lasted ${span((Date.parse(alert.closed_at ?? alert.at) - Date.parse(alert.opened_at)) / 1000)}`,
    `${rate(Math.round(e.value * 10) / 10)} ${e.unit}, threshold ${rate(e.threshold)}, peak ${rate(Math.round(e.peak))}`,
    e.sources.length ? `from ${e.sources.map((p) => p.mac ?? p.ip).join(", ")}` : "",
    e.victims.length ? `to ${e.victims.map((p) => [p.ip ?? p.mac, p.port].filter((x) => x != null).join(" port ")).join(", ")}` : "",
    e.spoofed ? "source addresses look forged" : "",
    e.kernel_drops ? `${count(e.kernel_drops)} frames lost meanwhile` : "",
    alert.acknowledged ? "seen" : "",
  ].filter(Boolean).join(" · ");
  return make("div", { class: `alert ${open ? alert.severity : "closed"}` },
    make("p", {}, make("strong", {}, open ? alert.severity.toUpperCase() : "closed"), make("strong", {}, alert.rule), alert.summary),
    make("p", { class: "facts" }, facts));
}
// --- the watch: whether anybody looks, told before what was seen -----------------------------------
const WORDS = { watching: "Watching, with a note:", partly: "Only a part is watched:", blind: "Nobody watches:" };
const lost = () => !heardAt || Date.now() - heardAt > STALE_MS;
const level = () => lost() ? "blind" : state.watch.state;
function reasons() {
  if (!lost()) return state.watch.reasons;
  return [{ text: heardAt ? `This page has had no news for ${span((Date.now() - heardAt) / 1000)}.` : "This page has no news yet.",
    remedy: "does the dashboard run, and is it reached from here?" }];
}
function drawWatch() {
  const list = reasons(), word = level();
  $("watch").hidden = !list.length;
  $("watch").className = `watch ${word}`;
  text("watch-word", list.length ? WORDS[word] : "");
  const items = list.map((r) => make("li", {}, r.text, r.remedy ? make("small", {}, ` ${r.remedy}`) : ""));
  const old = [...$("watch-reasons").children];
  items.forEach((one, i) => { if (!old[i]) $("watch-reasons").append(one); else if (!old[i].isEqualNode(one)) old[i].replaceWith(one); });
  old.slice(items.length).forEach((one) => one.remove());
  show({ watching: "good", partly: "wait", blind: "bad" }[word], { watching: "watching", partly: "sees a part", blind: "blind" }[word]);
}
function drawAlerts() {
  const byTime = (a, b) => Date.parse(b.opened_at) - Date.parse(a.opened_at);
  const open = state.alerts.filter((a) => a.state === "open").sort(byTime);
  const closed = state.alerts.filter((a) => a.state !== "open").sort(byTime);
  $("open").replaceChildren(...(open.length ? open.map(alertCard) : [calm()]));
  text("closed-title", closed.length ? `${closed.length} closed in the last 24 hours` : "");
  $("closed").replaceChildren(...closed.slice(0, 50).map(alertCard));
  const name = { watching: "MonitorPi", partly: "MonitorPi sees a part", blind: "MonitorPi is BLIND" }[level()];
  document.title = open.length ? `(${open.length}) ${name}` : name;
}
function calm() {
  if (level() === "watching") return make("p", { class: "calm" }, "Nothing is wrong.");
  return make("p", { class: "unsure" }, level() === "partly" ? "No alert in what is seen." : "No alert: but nobody watches.");
}
function drawTiles() {
  const frames = sum(state.interfaces.map((i) => i.packets)), traffic = sum(state.interfaces.map((i) => i.bits));
  const quiet = state.silent_s == null || state.silent_s > STALE_MS / 1000;
  text("t-frames", quiet ? "-" : `${rate(Math.round(last(frames)))}/s`);
  text("t-bits", quiet ? "-" : bits(last(traffic)));
  draw($("s-frames"), frames); draw($("s-bits"), traffic);
  const present = state.devices.filter((d) => d.present).length;
  text("t-devices", String(present));
  text("n-devices", `${state.devices.length} known`);
  const up = state.targets.filter((t) => t.state === "up").length;
  text("t-targets", `${up} of ${state.targets.length}`);
  text("n-targets", state.probing ? `${state.probing.echo_per_s} probes/s` : "");
  const drops = state.interfaces.reduce((t, i) => t + i.kernel_drops, 0);
  text("t-drops", `${count(drops)}/s`);
  text("n-drops", state.interfaces.map((i) => `${i.name}: ${i.engine}${i.sees_replies === false ? ", sees one direction only" : ""}`).join("; "));
}
function drawClasses() {
  const names = new Map();
  for (const one of state.interfaces)
    for (const [name, c] of Object.entries(one.classes)) {
      const known = names.get(name) ?? { rate: 0, lists: [], total: 0 };
      known.rate += c.rate; known.lists.push(c.history); known.total += one.totals[name] ?? 0;
      names.set(name, known);
    }
  const silent = state.silent_s;
  text("classes-empty", silent == null ? "No frames yet: is the mirror port connected?"
    : silent > 5 ? `No window for ${span(silent)}: does capture run, is the mirror port connected?` : "");
  rows("classes", [...names].map(([name, c]) => make("tr", {},
    make("th", { scope: "row" }, name.replace("_", " ")), cell(rate(Math.round(c.rate * 10) / 10), "num"),
    cell(spark(sum(c.lists))), cell(count(c.total), "num"))));
}
const shortened = (list) => list.length > SHOWN ? `The first ${SHOWN} of ${list.length}: filter to see others.` : "";
function flow(side) { return make("span", {}, bits(rx8(side)), make("small", {}, ` ${rate(side.packets ?? 0)} fr/s`)); }
function use(d) {
  const link = state.interfaces.find((i) => i.name === d.interface)?.link_bps;
  return link ? Math.max(rx8(d.tx), rx8(d.rx)) / link : null;
}
const rx8 = (side) => (side.bytes ?? 0) * 8;
function mostly(tx) {
  return Object.entries(tx).filter(([n]) => !["packets", "bytes", "ipv4", "ipv6", "tcp", "udp"].includes(n))
    .sort((a, b) => b[1] - a[1]).slice(0, 3).map(([n, v]) => `${n.replace("_", " ")} ${rate(v)}/s`).join(", ");
}
function deviceRows() {
  const targets = new Map(state.targets.map((t) => [t.mac ?? t.address, t]));
  const wanted = $("filter").value.trim().toLowerCase();
  return [...state.devices, ...state.strangers.map((s) => ({ ...s, ips: [], stranger: true }))]
    .map((d) => {
      const target = targets.get(d.mac) ?? d.ips.map((ip) => targets.get(ip)).find(Boolean);
      return { ...d, target, name: d.hostname ?? target?.name ?? d.vendor ?? (d.stranger ? "not known yet" : "-"), ip: d.ips.join(", "),
        txBits: rx8(d.tx), rxBits: rx8(d.rx), use: use(d), rtt: target?.last.rtt_avg_ms ?? null, seen: d.last_seen ?? "" };
    })
    .filter((d) => !wanted || [d.name, d.mac, d.ip, d.vendor ?? ""].some((x) => x.toLowerCase().includes(wanted)))
    .sort((a, b) => {
      const key = { tx: "txBits", rx: "rxBits" }[sortBy] ?? sortBy, x = a[key] ?? "", y = b[key] ?? "";
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return (descending ? -order : order) || a.mac.localeCompare(b.mac);
    });
}
function drawDevices() {
  const list = deviceRows();
  text("devices-empty", list.length ? shortened(list) : "No device yet: one counts as known when it was seen in several windows.");
  rows("devices", list.slice(0, SHOWN).map((d) => make("tr", d.present === false ? { class: "dim" } : {},
    cell(make("span", {}, d.name, d.role === "router" ? " (router)" : "", d.randomised ? " (private MAC)" : ""), "wrap"),
    cell(d.mac, "mono"), cell(d.ip, "wrap mono"), cell(flow(d.tx), "num"), cell(flow(d.rx), "num"), cell(percent(d.use), "num"),
    cell(mostly(d.tx), "wrap"), cell(ms(d.rtt), "num"), cell(d.last_seen ? ago(d.last_seen) : "now"))));
  for (const head of document.querySelectorAll("th[data-sort]"))
    head.setAttribute("aria-sort", head.dataset.sort === sortBy ? (descending ? "descending" : "ascending") : "none");
}
function drawTargets() {
  const loads = new Map(state.devices.map((d) => [d.mac, d]));
  const order = { down: 0, flapping: 1, unknown: 2, up: 3 };
  const wanted = $("filter-targets").value.trim().toLowerCase();
  const list = state.targets.filter((t) => !wanted || [t.state, t.name, t.address, t.mac ?? "", t.vendor ?? ""].some((x) => x.toLowerCase().includes(wanted))).sort((a, b) => order[a.state] - order[b.state] || a.address.localeCompare(b.address, "en", { numeric: true }));
  text("targets-empty", state.targets.length ? shortened(list) : "Nothing is probed yet: devices are, once their addresses are known.");
  rows("targets", list.slice(0, SHOWN).map((t) => { const d = loads.get(t.mac); return make("tr", {},
    cell(make("span", { class: `tag ${t.state}` }, t.state)), cell(t.name, "wrap"), cell(t.address, "mono"),
    cell(percent(t.last.loss_ratio), "num"), cell(ms(t.last.rtt_avg_ms), "num"), cell(ms(t.last.rtt_p95_ms), "num"),
    cell(ms(t.last.jitter_ms), "num"), cell(t.last.mos?.toFixed(1) ?? "-", "num"),
    cell(d ? flow(d.tx) : "-", "num"), cell(d ? flow(d.rx) : "-", "num"), cell(percent(d ? use(d) : null), "num"),
    cell(t.last.error ? t.last.error : since(t.since), "wrap")); }));
}
function drawServices() {
  rows("services", state.services.map((s) => {
    const h = s.health, word = s.online ? "online" : "offline";
    return make("tr", {}, cell(make("span", { class: `tag ${word}` }, word)), cell(s.name.replace(/\/main$/, "")),
      cell(h?.version ?? "-"), cell(h ? span(h.uptime_s) : "-", "num"), cell(h ? `${(h.rss_bytes / 1e6).toFixed(0)} MB` : "-", "num"),
      cell(h ? count(h.published_total) : "-", "num"), cell(h ? count(h.received_total) : "-", "num"),
      cell(h ? count(h.rejected_total) : "-", "num"), cell(h ? count(h.refused_total) : "-", "num"), cell(h ? count(h.queue_dropped_total) : "-", "num"));
  }));
}
function drawAll() {
  if (!state) return;
  text("site", state.site);
  drawWatch(); drawAlerts(); drawTiles(); drawClasses(); drawDevices(); drawTargets(); drawServices();
}

// --- life ---------------------------------------------------------------------------------------
function show(kind, words) { $("live").className = `live ${kind}`; text("live", words); }
function watch() { if (lost()) { drawWatch(); if (state) drawAlerts(); } }
function connect() {
  const stream = new EventSource("/api/stream");
  stream.onmessage = (event) => { state = JSON.parse(event.data); heardAt = Date.now(); drawAll(); };
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000); };
}
document.addEventListener("DOMContentLoaded", () => {
  for (const head of document.querySelectorAll("th[data-sort]")) {
    head.tabIndex = 0;
    const choose = () => { descending = head.dataset.sort === sortBy ? !descending : true; sortBy = head.dataset.sort; drawAll(); };
    head.addEventListener("click", choose);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); } });
  }
  for (const id of ["filter", "filter-targets"]) $(id).addEventListener("input", drawAll);
  setInterval(watch, 1000);
  connect();
});
