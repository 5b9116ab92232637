// The page's addresses: #/device/b8:27:eb:12:34:56?span=24h. They stand behind the hash, so that
// they work under any path a proxy may put before them, and can be sent to somebody.
import { useEffect, useState } from "./preact.js";

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
export function parse(hash) {
  const text = hash.replace(/^#\/?/, "");
  if (!hash.startsWith("#/") && text.includes("=")) {
    const words = Object.fromEntries(new URLSearchParams(text)); // as it was until 2026
    const { device, ...rest } = words;
    return device ? { view: "device", id: device, words: rest } : { view: "now", words: rest };
  }
  const [path, query = ""] = text.split("?");
  const [view, ...id] = path.split("/").map(decoded);
  return {
    view: view || "now",
    id: id.join("/"),
    words: Object.fromEntries(new URLSearchParams(query)),
  };
}
export function link(view, id = "", words = {}) {
  const given = Object.entries(words).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(given).toString().replaceAll("%3A", ":");
  const place = id ? `/${encodeURIComponent(id).replaceAll("%3A", ":")}` : "";
  return `#/${view}${place}${query ? `?${query}` : ""}`;
}
export function useRoute() {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const follow = () => setRoute(parse(location.hash));
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  return route;
}
export function choose(route, words) {
  const hash = link(route.view, route.id, { ...route.words, ...words });
  history.replaceState(null, "", hash); // typing in a filter makes no list of pages to go back
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
