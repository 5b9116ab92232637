// Which counts a rule looks at, as far as the history keeps them.
import { macOfSubject } from "./lan.js";

const COUNTED = {
  "syn-flood": "syn",
  "icmp-flood": "icmp",
  "broadcast-storm": "broadcast",
  "arp-storm": "arp",
  "igmp-storm": "igmp",
  "dhcp-starvation": "dhcp",
};
const OTHERS = new Set(["mac-flood", "port-scan", "host-sweep"]); // measured, and not kept as a count
export function classOf(rule) {
  if (rule.startsWith("surge-")) return rule.slice("surge-".length).replaceAll("-", "_");
  return COUNTED[rule] ?? null;
}
// Rules of so many a second: those whose floor one would change.
export const isMeasured = (rule) => classOf(rule) != null || OTHERS.has(rule);

export function wayOf(subject) {
  if (!macOfSubject(subject)) return "wire";
  return subject.startsWith("victim-") ? "rx" : "tx";
}
export const columnOf = (name, way) => (way === "wire" ? name : `${way}_${name}`);
