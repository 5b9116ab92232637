// A detector of one rule, in the place of MonitorPi's: SYN floods over a fixed floor.
//
// Given, as for the service it replaces: MONITORPI_SITE, MONITORPI_INSTANCE, MONITORPI_BROKER__HOST,
// __PORT, __USERNAME, __PASSWORD, MONITORPI_SECRETS_DIR and MONITORPI_DETECTOR__RULES. Every message is held against the
// schemas of contracts/, coming in and going out. What is open stands retained at the broker, and
// is read back from there at the start; there is no file.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import Ajv from "ajv/dist/2020.js";
import mqtt from "mqtt";

const env = process.env;
const site = env.MONITORPI_SITE ?? "home";
const instance = env.MONITORPI_INSTANCE ?? "main";
const root = `monitorpi/v1/${site}`;
const own = `${root}/detector`;
const limits = {
  floor: 100, // SYN frames a second of one MAC
  quiet_s: 10, // below half the floor for so long: over
  ...JSON.parse(env.MONITORPI_DETECTOR__RULES ?? "{}")["syn-flood"],
};

function secret(name) {
  try {
    return readFileSync(`${env.MONITORPI_SECRETS_DIR ?? "/run/secrets"}/${name}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
const password = env.MONITORPI_BROKER__PASSWORD ?? secret("broker__password");

const ajv = new Ajv({ strict: false });
const fits = (name) =>
  ajv.compile(JSON.parse(readFileSync(new URL(`../../contracts/${name}.schema.json`, import.meta.url))));
const kinds = Object.fromEntries(
  ["traffic", "device", "probe", "alert", "health", "result", "command"].map((kind) => [kind, fits(kind)]),
);
const commands = Object.fromEntries(
  ["acknowledge", "silence", "set_threshold"].map((name) => [name, fits(`commands/detector.${name}`)]),
);

const started = new Date();
const totals = { published: 0, received: 0, rejected: 0 };
const alerts = new Map(); // key -> the alert, as published last
const lastOver = new Map(); // key -> end of the last window over the floor, in ms
const silencedUntil = new Map(); // key -> ms

const client = mqtt.connect({
  host: env.MONITORPI_BROKER__HOST ?? "127.0.0.1",
  port: Number(env.MONITORPI_BROKER__PORT ?? 1883),
  username: env.MONITORPI_BROKER__USERNAME ?? (password && "detector"),
  password,
  protocolVersion: 5,
  keepalive: 10,
  reconnectPeriod: 1000,
  will: { topic: `${own}/status/${instance}`, payload: Buffer.from("offline"), qos: 1, retain: true },
});

function publish(kind, id, message, retain = false) {
  if (!kinds[kind](message)) throw new Error(`${kind}: ${ajv.errorsText(kinds[kind].errors)}`);
  totals.published += 1;
  client.publish(`${own}/${kind}/${id}`, JSON.stringify(message), { qos: 1, retain });
}

// --- the rule ------------------------------------------------------------------------------------

const flat = (mac) => mac.replaceAll(":", "");

function judge(window) {
  if (window.has_times === false) return; // of a capture file: no rate can be made of it
  const end = Date.parse(window.end);
  const over = new Set();
  for (const device of window.devices) {
    const rate = ((device.tx.syn ?? 0) - (device.rx.syn_ack ?? 0)) / window.window_s;
    const key = `syn-flood-${flat(device.mac)}`;
    const open = alerts.get(key)?.state === "open";
    if (rate < limits.floor * (open ? 0.5 : 1)) continue;
    over.add(key);
    lastOver.set(key, end);
    if (!open && (silencedUntil.get(key) ?? 0) < end) raise(key, device, rate, window);
  }
  for (const [key, alert] of alerts) {
    if (alert.state !== "open" || over.has(key)) continue;
    if (end - (lastOver.get(key) ?? Date.parse(alert.at)) >= limits.quiet_s * 1000) close(key, "quiet", window.end);
  }
}

function raise(key, device, rate, window) {
  const peer = device.top_peer?.syn;
  const at = window.end;
  alerts.set(key, {
    id: uuid5(`${site}/${key}/${at}`), key, rule: "syn-flood", severity: "critical", state: "open",
    subject: flat(device.mac), interface: window.interface, opened_at: at, at,
    summary: `${device.mac} sends ${Math.round(rate)} SYN/s to ${peer?.ip ?? "many"} that nobody answers`,
    evidence: {
      value: rate, threshold: limits.floor, window_s: window.window_s, peak: rate,
      sources: [{ mac: device.mac }],
      victims: peer ? [{ mac: peer.mac, ip: peer.ip, port: peer.port, packets: peer.packets }] : [],
    },
  });
  publish("alert", key, alerts.get(key), true);
}

function close(key, reason, at) {
  const closed = { ...alerts.get(key), state: "closed", close_reason: reason, closed_at: at, at };
  alerts.set(key, closed);
  publish("alert", key, closed, true);
}

function uuid5(name) {
  const hash = createHash("sha1").update(Buffer.from("6ba7b8129dad11d180b400c04fd430c8", "hex")).update(name).digest();
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  return hash.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// --- commands ------------------------------------------------------------------------------------

function obey({ name, args = {} }) {
  const check = commands[name];
  if (!check) return `there is no command '${name}'`;
  if (!check(args)) return ajv.errorsText(check.errors);
  if (name === "set_threshold") {
    if (args.rule !== "syn-flood") return `there is no rule '${args.rule}'`;
    limits.floor = args.floor ?? limits.floor;
    limits.quiet_s = args.quiet_s ?? limits.quiet_s;
    return null;
  }
  const alert = alerts.get(args.key);
  const at = new Date();
  if (name === "silence") {
    silencedUntil.set(args.key, at.getTime() + args.minutes * 60_000);
    if (alert?.state === "open") close(args.key, "silenced", at.toISOString());
    return null;
  }
  if (alert?.state !== "open") return `no alert '${args.key}' is open`;
  alerts.set(args.key, { ...alert, acknowledged: true, at: at.toISOString() });
  publish("alert", args.key, alerts.get(args.key), true);
  return null;
}

// --- the bus -------------------------------------------------------------------------------------

client.on("connect", () => {
  client.subscribe(
    [`${own}/alert/+`, `${own}/command/+`, `${root}/capture/traffic/+`, `${root}/capture/device/+`,
      `${root}/capture/status/+`, `${root}/prober/probe/+`],
    { qos: 1 },
    () => client.publish(`${own}/status/${instance}`, "online", { qos: 1, retain: true }),
  );
});
client.on("error", (error) => console.error(`broker: ${error.message}`)); // it tries again by itself

client.on("message", (topic, payload, packet) => {
  const [, , , service, kind, id] = topic.split("/");
  if (service === "detector" && kind === "alert") {
    if (packet.retain && payload.length && !alerts.has(id)) recall(id, payload);
    return;
  }
  totals.received += 1;
  if (kind === "status") {
    if (!["", "online", "offline"].includes(payload.toString())) totals.rejected += 1;
    return;
  }
  if (!payload.length) return; // taken back
  const message = parsed(payload);
  if (kind === "command") return answer(id, message, packet.retain);
  if (!kinds[kind](message)) totals.rejected += 1;
  else if (kind === "traffic") judge(message);
});

function answer(id, message, retained) {
  const valid = !retained && kinds.command(message);
  const error = retained ? "a retained command is refused" : valid ? obey(message) : "no command of the contract";
  if (error) totals.rejected += 1;
  const name = valid ? message.name : "unknown";
  publish("result", id, { name, at: new Date().toISOString(), ok: !error, error: error?.slice(0, 255) ?? null });
}

function recall(id, payload) {
  const alert = parsed(payload);
  if (kinds.alert(alert) && alert.key === id) alerts.set(id, alert);
}

function parsed(payload) {
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}

const pulse = setInterval(() => {
  if (!client.connected) return;
  publish("health", instance, {
    at: new Date().toISOString(), version: "0.1.0", started_at: started.toISOString(),
    uptime_s: process.uptime(), published_total: totals.published, received_total: totals.received,
    rejected_total: totals.rejected, refused_total: 0, queue_depth: 0, queue_dropped_total: 0,
    rss_bytes: process.memoryUsage.rss(), clock_synced: true,
    detail: { open_alerts: [...alerts.values()].filter(({ state }) => state === "open").length },
  });
}, 5000);

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    clearInterval(pulse);
    client.publish(`${own}/status/${instance}`, "offline", { qos: 1, retain: true }, () =>
      client.end(false, () => process.exit(0)),
    );
  });
}
