// What the server sent last. A page that is seen has a stream; one in a hidden tab asks now and
// then for the two things that stand in its title, since browsers give one server six connections.
import { useEffect, useState } from "./preact.js";
import { span } from "./numbers.js";

const STALE_MS = 5000;
const HIDDEN_MS = 10000;
const AGAIN_MS = 3000;
export const page = { state: null, receivedAt: 0, glance: null };
const watchers = new Set();
let stream = null,
  timer = null;

function changed() {
  for (const one of watchers) one();
}
function take(state) {
  page.state = state;
  page.glance = null;
  page.receivedAt = Date.now();
  changed();
}
function connect() {
  clearTimeout(timer);
  stream?.close();
  const mine = new EventSource("api/stream");
  stream = mine;
  mine.addEventListener("message", (event) => take(JSON.parse(event.data)));
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
