// What the server sent last, and what the viewer chose.
import { span } from "./numbers.js";

export const STALE_MS = 5000;
export const page = { state: null, receivedAt: 0, sortBy: "tx", descending: true };

export const since = (time) => span((Date.parse(page.state.at) - Date.parse(time)) / 1000);
export const ago = (time) => {
  const s = since(time);
  return s === "-" ? s : `${s} ago`;
};

export const lost = () => !page.receivedAt || Date.now() - page.receivedAt > STALE_MS;
export const level = () => (lost() ? "blind" : page.state.watch.state);
export function reasons() {
  if (!lost()) return page.state.watch.reasons;
  return [
    {
      text: page.receivedAt
        ? `This page has had no news for ${span((Date.now() - page.receivedAt) / 1000)}.`
        : "This page has no news yet.",
      remedy: "does the dashboard run, and is it reached from here?",
    },
  ];
}
