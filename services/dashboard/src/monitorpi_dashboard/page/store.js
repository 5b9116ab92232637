// What the server sent last. A page that is seen has a stream; one in a hidden tab asks now and
// then for the two things that stand in its title, since browsers give one server six connections.
import { useEffect, useState } from "./preact.js";
import { span } from "./numbers.js";

const STALE_MS = 5000;
const HIDDEN_MS = 10000;
const AGAIN_MS = 3000;
const HISTORY = 120; // windows the server keeps
export const page = { state: null, receivedAt: 0, glance: null };
const watchers = new Set();
let stream = null,
  timer = null;

function changed() {
  for (const one of watchers) one();
}
// Tables come keyed, so that changes are small; views read lists.
const TABLES = ["services", "interfaces", "devices", "strangers", "targets", "alerts"];
let keyed = null;

function take(picture) {
  keyed = picture;
  const lists = TABLES.map((name) => [name, Object.values(keyed[name])]);
  page.state = { ...keyed, ...Object.fromEntries(lists) };
  page.state.services.sort((a, b) => (a.name < b.name ? -1 : 1));
  page.glance = null;
  page.receivedAt = Date.now();
  changed();
}
// A merge patch (RFC 7396): what is null has gone. Lists and values are taken as they come.
export function patched(old, change) {
  if (change === null || typeof change !== "object" || Array.isArray(change)) return change;
  const isPart = old !== null && typeof old === "object" && !Array.isArray(old);
  const found = isPart ? { ...old } : {};
  for (const [name, value] of Object.entries(change)) {
    if (value === null) delete found[name];
    else found[name] = patched(found[name], value);
  }
  return found;
}
// The two minutes of an interface are sent once; from then on they are made of its newest values.
function goneOn(before, after) {
  const fresh = after.windows - before.windows;
  if (!(fresh > 0) || after.two_minutes !== before.two_minutes) return after;
  const longer = (list, value) => [...list, ...Array(fresh).fill(value)].slice(-HISTORY),
    old = after.two_minutes,
    length = old.packets.length,
    classes = {};
  for (const [name, value] of Object.entries(after.classes))
    classes[name] = longer(old.classes[name] ?? Array(length).fill(0), value);
  const longest = {
    packets: longer(old.packets, after.packets),
    bits: longer(old.bits, after.bits),
    classes,
  };
  return { ...after, two_minutes: longest };
}
function takePatch(change) {
  if (!keyed) return;
  const next = patched(keyed, change);
  for (const [name, one] of Object.entries(next.interfaces))
    if (keyed.interfaces[name] && one !== keyed.interfaces[name])
      next.interfaces[name] = goneOn(keyed.interfaces[name], one);
  take(next);
}
function connect() {
  clearTimeout(timer);
  stream?.close();
  const mine = new EventSource("api/stream");
  stream = mine;
  mine.addEventListener("whole", (event) => take(JSON.parse(event.data)));
  mine.addEventListener("patch", (event) => takePatch(JSON.parse(event.data)));
  mine.addEventListener("error", () => {
    if (mine.readyState !== EventSource.CLOSED || mine !== stream) return;
    timer = setTimeout(pollOnce, AGAIN_MS);
  });
}
// Where there is no place for one more stream, ask for the picture; then try again.
async function pollOnce() {
  try {
    const answer = await fetch("api/state");
    if (answer.ok) take(await answer.json());
  } catch {
    // the page says for itself that it has no news
  }
  if (!document.hidden) connect();
}
async function glance() {
  try {
    const answer = await fetch("api/glance");
    if (answer.ok && document.hidden) {
      page.glance = await answer.json();
      page.receivedAt = Date.now();
    }
  } catch {
    // the title says so once the news is old
  }
  changed();
  if (document.hidden) timer = setTimeout(glance, HIDDEN_MS);
}
function show() {
  clearTimeout(timer);
  if (document.hidden) {
    stream?.close();
    stream = null;
    timer = setTimeout(glance, HIDDEN_MS / 2);
  } else connect();
}
export function start() {
  document.addEventListener("visibilitychange", show);
  setInterval(() => isLost() && changed(), 1000);
  show();
}

// --- for the views --------------------------------------------------------------------------------
export function useStore() {
  const [, again] = useState(0);
  useEffect(() => {
    const one = () => again((n) => n + 1);
    watchers.add(one);
    return () => watchers.delete(one);
  }, []);
  return page;
}
const stale = () => (page.glance ? 3 * HIDDEN_MS : STALE_MS);
export const isLost = () => !page.receivedAt || Date.now() - page.receivedAt > stale();
export const level = () =>
  isLost() ? "blind" : (page.glance?.state ?? page.state?.watch.state ?? "blind");
export const openAlerts = () =>
  page.glance
    ? page.glance.open
    : (page.state?.alerts ?? []).filter((a) => a.state === "open").length;
export function reasons() {
  if (!isLost()) return page.state?.watch.reasons ?? [];
  return [
    {
      text: page.receivedAt
        ? `This page has had no news for ${span((Date.now() - page.receivedAt) / 1000)}.`
        : "This page has no news yet.",
      remedy: "does the dashboard run, and is it reached from here?",
    },
  ];
}
export const nowMs = () => (page.state ? Date.parse(page.state.at) : Date.now());
export const since = (time) => span((nowMs() - Date.parse(time)) / 1000);
export const ago = (time) => (since(time) === "-" ? "-" : `${since(time)} ago`);
export const hasHistory = () =>
  (page.state?.services ?? []).some((s) => s.name.startsWith("history/") && s.online && s.health);
