// Tiles and tables: traffic, devices, targets, services.
import { $, cell, draw, last, make, rows, spark, sum, text } from "./elements.js";
import { bits, count, ms, percent, rate, span } from "./numbers.js";
import { STALE_MS, ago, page, since } from "./state.js";

const SHOWN = 1024; // rows of a table: a phone still draws them within a second

export function drawTiles() {
  const frames = sum(page.state.interfaces.map((i) => i.packets)),
    traffic = sum(page.state.interfaces.map((i) => i.bits));
  const quiet = page.state.silent_s == null || page.state.silent_s > STALE_MS / 1000;
  text("t-frames", quiet ? "-" : `${rate(Math.round(last(frames)))}/s`);
  text("t-bits", quiet ? "-" : bits(last(traffic)));
  draw($("s-frames"), frames);
  draw($("s-bits"), traffic);
  const present = page.state.devices.filter((d) => d.present).length;
  text("t-devices", String(present));
  text("n-devices", `${page.state.devices.length} known`);
  const up = page.state.targets.filter((t) => t.state === "up").length;
  text("t-targets", `${up} of ${page.state.targets.length}`);
  text("n-targets", page.state.probing ? `${page.state.probing.echo_per_s} probes/s` : "");
  const drops = page.state.interfaces.reduce((t, i) => t + i.kernel_drops, 0);
  text("t-drops", `${count(drops)}/s`);
  text(
    "n-drops",
    page.state.interfaces
      .map(
        (i) =>
          `${i.name}: ${i.engine}${i.sees_replies === false ? ", sees one direction only" : ""}`,
      )
      .join("; "),
  );
}
export function drawClasses() {
  const names = new Map();
  for (const one of page.state.interfaces)
    for (const [name, c] of Object.entries(one.classes)) {
      const known = names.get(name) ?? { rate: 0, lists: [], total: 0 };
      known.rate += c.rate;
      known.lists.push(c.history);
      known.total += one.totals[name] ?? 0;
      names.set(name, known);
    }
  const silent = page.state.silent_s;
  text(
    "classes-empty",
    silent == null
      ? "No frames yet: is the mirror port connected?"
      : silent > 5
        ? `No window for ${span(silent)}: does capture run, is the mirror port connected?`
        : "",
  );
  rows(
    "classes",
    [...names].map(([name, c]) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, name.replace("_", " ")),
        cell(rate(Math.round(c.rate * 10) / 10), "num"),
        cell(spark(sum(c.lists))),
        cell(count(c.total), "num"),
      ),
    ),
  );
}
const shortened = (list) =>
  list.length > SHOWN ? `The first ${SHOWN} of ${list.length}: filter to see others.` : "";
function flow(side) {
  return make("span", {}, bits(rx8(side)), make("small", {}, ` ${rate(side.packets ?? 0)} fr/s`));
}
function use(d) {
  const link = page.state.interfaces.find((i) => i.name === d.interface)?.link_bps;
  return link ? Math.max(rx8(d.tx), rx8(d.rx)) / link : null;
}
const rx8 = (side) => (side.bytes ?? 0) * 8;
function mostly(tx) {
  return Object.entries(tx)
    .filter(([n]) => !["packets", "bytes", "ipv4", "ipv6", "tcp", "udp"].includes(n))
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3)
    .map(([n, v]) => `${n.replace("_", " ")} ${rate(v)}/s`)
    .join(", ");
}
function deviceRows() {
  const targets = new Map(page.state.targets.map((t) => [t.mac ?? t.address, t]));
  const wanted = $("filter").value.trim().toLowerCase();
  return [
    ...page.state.devices,
    ...page.state.strangers.map((s) => ({ ...s, ips: [], stranger: true })),
  ]
    .map((d) => {
      const target = targets.get(d.mac) ?? d.ips.map((ip) => targets.get(ip)).find(Boolean);
      return {
        ...d,
        target,
        name: d.hostname ?? target?.name ?? d.vendor ?? (d.stranger ? "not known yet" : "-"),
        ip: d.ips.join(", "),
        txBits: rx8(d.tx),
        rxBits: rx8(d.rx),
        use: use(d),
        rtt: target?.last.rtt_avg_ms ?? null,
        seen: d.last_seen ?? "",
      };
    })
    .filter(
      (d) =>
        !wanted ||
        [d.name, d.mac, d.ip, d.vendor ?? ""].some((x) => x.toLowerCase().includes(wanted)),
    )
    .sort((a, b) => {
      const key = { tx: "txBits", rx: "rxBits" }[page.sortBy] ?? page.sortBy,
        x = a[key] ?? "",
        y = b[key] ?? "";
      const order =
        typeof x === "number" && typeof y === "number"
          ? x - y
          : String(x).localeCompare(String(y), "en", { numeric: true });
      return (page.descending ? -order : order) || a.mac.localeCompare(b.mac);
    });
}
export function drawDevices() {
  const list = deviceRows();
  text(
    "devices-empty",
    list.length
      ? shortened(list)
      : "No device yet: one counts as known when it was seen in several windows.",
  );
  rows(
    "devices",
    list
      .slice(0, SHOWN)
      .map((d) =>
        make(
          "tr",
          d.present === false ? { class: "dim" } : {},
          cell(
            make(
              "span",
              {},
              d.name,
              d.role === "router" ? " (router)" : "",
              d.randomised ? " (private MAC)" : "",
            ),
            "wrap",
          ),
          cell(d.mac, "mono"),
          cell(d.ip, "wrap mono"),
          cell(flow(d.tx), "num"),
          cell(flow(d.rx), "num"),
          cell(percent(d.use), "num"),
          cell(mostly(d.tx), "wrap"),
          cell(ms(d.rtt), "num"),
          cell(d.last_seen ? ago(d.last_seen) : "now"),
        ),
      ),
  );
  for (const head of document.querySelectorAll("th[data-sort]"))
    head.setAttribute(
      "aria-sort",
      head.dataset.sort === page.sortBy ? (page.descending ? "descending" : "ascending") : "none",
    );
}
export function drawTargets() {
  const loads = new Map(page.state.devices.map((d) => [d.mac, d]));
  const order = { down: 0, flapping: 1, unknown: 2, up: 3 };
  const wanted = $("filter-targets").value.trim().toLowerCase();
  const list = page.state.targets
    .filter(
      (t) =>
        !wanted ||
        [t.state, t.name, t.address, t.mac ?? "", t.vendor ?? ""].some((x) =>
          x.toLowerCase().includes(wanted),
        ),
    )
    .sort(
      (a, b) =>
        order[a.state] - order[b.state] ||
        a.address.localeCompare(b.address, "en", { numeric: true }),
    );
  text(
    "targets-empty",
    page.state.targets.length
      ? shortened(list)
      : "Nothing is probed yet: devices are, once their addresses are known.",
  );
  rows(
    "targets",
    list.slice(0, SHOWN).map((t) => {
      const d = loads.get(t.mac);
      return make(
        "tr",
        {},
        cell(make("span", { class: `tag ${t.state}` }, t.state)),
        cell(t.name, "wrap"),
        cell(t.address, "mono"),
        cell(percent(t.last.loss_ratio), "num"),
        cell(ms(t.last.rtt_avg_ms), "num"),
        cell(ms(t.last.rtt_p95_ms), "num"),
        cell(ms(t.last.jitter_ms), "num"),
        cell(t.last.mos?.toFixed(1) ?? "-", "num"),
        cell(d ? flow(d.tx) : "-", "num"),
        cell(d ? flow(d.rx) : "-", "num"),
        cell(percent(d ? use(d) : null), "num"),
        cell(t.last.error ? t.last.error : since(t.since), "wrap"),
      );
    }),
  );
}
export function drawServices() {
  rows(
    "services",
    page.state.services.map((s) => {
      const h = s.health,
        word = s.online ? "online" : "offline";
      return make(
        "tr",
        {},
        cell(make("span", { class: `tag ${word}` }, word)),
        cell(s.name.replace(/\/main$/, "")),
        cell(h?.version ?? "-"),
        cell(h ? span(h.uptime_s) : "-", "num"),
        cell(h ? `${(h.rss_bytes / 1e6).toFixed(0)} MB` : "-", "num"),
        cell(h ? count(h.published_total) : "-", "num"),
        cell(h ? count(h.received_total) : "-", "num"),
        cell(h ? count(h.rejected_total) : "-", "num"),
        cell(h ? count(h.refused_total) : "-", "num"),
        cell(h ? count(h.queue_dropped_total) : "-", "num"),
      );
    }),
  );
}
