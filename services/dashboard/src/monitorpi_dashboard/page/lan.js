// Devices and targets as one list: who is there, what it sends, how it answers.
import { page } from "./store.js";
import { rate } from "./numbers.js";

const BEST = ["up", "flapping", "down", "unknown"];
const bitsOf = (side) => (side?.bytes ?? 0) * 8;

// A device may be probed at several addresses: it is up where one of them answers.
function targetsOf(device, byMac, byAddress) {
  const found = [...(byMac.get(device.mac) ?? [])];
  for (const ip of device.ips) {
    const one = byAddress.get(ip);
    if (one && !found.includes(one)) found.push(one);
  }
  return found.sort((a, b) => BEST.indexOf(a.state) - BEST.indexOf(b.state));
}
const mostly = (list = []) =>
  list.map(([name, value]) => `${name.replaceAll("_", " ")} ${rate(value)}/s`).join(", ");
function host(device, targets, links, state) {
  const target = targets[0],
    link = links.get(device.interface),
    tx = bitsOf(device.tx),
    rx = bitsOf(device.rx);
  const standing = target?.state ?? (device.stranger ? "new" : "unknown");
  return {
    id: device.mac ?? target.address,
    mac: device.mac ?? "",
    name: device.hostname ?? target?.name ?? device.vendor ?? "",
    vendor: device.vendor ?? target?.vendor ?? "",
    ips: device.ips.length ? device.ips : targets.map((one) => one.address),
    state: device.present === false && standing !== "up" ? "gone" : standing,
    role: device.role ?? "",
    marks: device.marks ?? {},
    randomised: device.randomised ?? target?.randomised ?? false,
    tx,
    rx,
    frames: (device.tx?.packets ?? 0) + (device.rx?.packets ?? 0),
    use: link ? Math.max(tx, rx) / link : null,
    mostly: mostly(device.mostly),
    loss: target?.last.loss_ratio ?? null,
    rtt: target?.last.rtt_avg_ms ?? null,
    jitter: target?.last.jitter_ms ?? null,
    mos: target?.last.mos ?? null,
    error: target?.last.error ?? "",
    first: device.first_seen ?? "",
    seen: device.last_seen ?? (device.tx?.packets ? state.at : ""),
    since: target?.since ?? "",
    targets,
    device,
  };
}
function joined(state) {
  const byMac = new Map(),
    byAddress = new Map(state.targets.map((one) => [one.address, one])),
    links = new Map(state.interfaces.map((one) => [one.name, one.link_bps])),
    used = new Set();
  for (const one of state.targets)
    if (one.mac) byMac.set(one.mac, [...(byMac.get(one.mac) ?? []), one]);
  const strangers = state.strangers.map((one) => ({ ...one, ips: [], stranger: true }));
  const known = [...state.devices, ...strangers].map((device) => {
    const targets = targetsOf(device, byMac, byAddress);
    for (const one of targets) used.add(one);
    return host(device, targets, links, state);
  });
  const others = state.targets
    .filter((one) => !used.has(one))
    .map((one) => host({ mac: one.mac, ips: [], tx: {}, rx: {} }, [one], links, state));
  return [...known, ...others];
}
let made = null,
  list = [];
export function hosts() {
  if (made !== page.state) {
    made = page.state;
    list = made ? joined(made) : [];
  }
  return list;
}
export const hostOf = (id) =>
  hosts().find((one) => one.id === id || one.mac === id || one.ips.includes(id));
export function nameOf(peer) {
  const mac = typeof peer === "string" ? peer : peer.mac,
    ip = typeof peer === "string" ? peer : peer.ip;
  const found = hosts().find((one) => one.mac === mac || (ip != null && one.ips.includes(ip)));
  return found?.name || mac || ip || "";
}
// An alert's subject is b827eb123456, victim-b827eb123456, wire-eth0 or an address.
export function macOfSubject(subject) {
  const hex = /(?:^|-)([0-9a-f]{12})$/.exec(subject)?.[1];
  return hex ? hex.match(/../g).join(":") : "";
}
