// The page: header, views, and the words that stand above each of them.
import { html, render, useEffect } from "./preact.js";
import { titleOf } from "./alert.js";
import { Alerts } from "./alerts.js";
import { Device } from "./device.js";
import { Devices } from "./devices.js";
import { Kiosk } from "./kiosk.js";
import { Now } from "./now.js";
import { Packets } from "./packets.js";
import { Tag } from "./parts.js";
import { link, useRoute } from "./route.js";
import { ServicesView } from "./services.js";
import { Threshold } from "./threshold.js";
import { isLost, level, openAlerts, page, reasons, start, useStore } from "./store.js";

const VIEWS = [
  ["now", "Now", Now],
  ["devices", "Devices", Devices],
  ["alerts", "Alerts", Alerts],
  ["packets", "Packets", Packets],
  ["services", "Services", ServicesView],
];
const BELOW = { device: ["devices", Device], threshold: ["alerts", Threshold] };
const KIOSK = location.pathname.endsWith("/kiosk");
const WORDS = {
  watching: "Watching, with a note:",
  partly: "Only a part is watched:",
  blind: "Nobody watches:",
};
const TITLES = {
  watching: "MonitorPi",
  partly: "MonitorPi sees a part",
  blind: "MonitorPi is BLIND",
};
const LIVE = {
  watching: ["good", "watching"],
  partly: ["wait", "sees a part"],
  blind: ["bad", "blind"],
};

function Watch() {
  const list = reasons(),
    word = level();
  if (!list.length) return null;
  return html`<section id="watch" class=${`watch ${word}`} aria-label="The watch">
    <p id="watch-word">${WORDS[word]}</p>
    <ul id="watch-reasons">
      ${list.map(
        (one) =>
          html`<li>${one.text}${one.remedy && html`<small>${" "}${one.remedy}</small>`}</li>`,
      )}
    </ul>
  </section>`;
}
function Header({ view }) {
  const [kind, word] = LIVE[level()],
    open = openAlerts();
  return html`<header class="top">
    <h1>
      <img src="icon.svg" alt="" width="28" height="28" /> MonitorPi${" "}
      <span id="site">${page.state?.site}</span>
    </h1>
    <nav aria-label="Views">
      ${VIEWS.map(
        ([name, text]) =>
          html`<a href=${link(name)} aria-current=${name === view ? "page" : null}
            >${text}${name === "alerts" && open > 0 && html`${" "}<${Tag} kind="critical">${open}<//>`}</a
          >`,
      )}
    </nav>
    <p id="live" class=${`live ${kind}`} role="status">${word}</p>
  </header>`;
}
// A screen reader says each alert once, when it opens.
function Announcer() {
  const open = page.state?.alerts.filter((one) => one.state === "open") ?? [];
  return html`<div class="unseen" role="log" aria-live="assertive" aria-relevant="additions">
    ${open.map((one) => html`<p key=${one.id}>${one.severity} alert: ${titleOf(one.rule)}</p>`)}
  </div>`;
}
function App() {
  const route = useRoute();
  useStore();
  const open = openAlerts();
  useEffect(() => {
    document.title = `${open ? `(${open}) ` : ""}${TITLES[level()]}`;
  });
  if (KIOSK) return html`<${Announcer} /><${Kiosk} />`;
  const [place, View] = BELOW[route.view] ?? [
    route.view,
    VIEWS.find(([name]) => name === route.view)?.[2] ?? Now,
  ];
  return html`<${Header} view=${place} />
    <${Announcer} />
    <main class=${isLost() ? "stale" : ""}>
      <${Watch} />
      ${page.state && html`<${View} key=${`${route.view}/${route.id}`} route=${route} />`}
    </main>`;
}
start();
render(html`<${App} />`, document.getElementById("app"));
