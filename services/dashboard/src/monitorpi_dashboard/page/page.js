// The page: one document a second.
import { drawAlerts, drawWatch } from "./alerts.js";
import { $, text } from "./elements.js";
import { drawMessages, sendTest } from "./messages.js";
import { lost, page } from "./state.js";
import { drawClasses, drawDevices, drawServices, drawTargets, drawTiles } from "./tables.js";

function drawAll() {
  if (!page.state) return;
  text("site", page.state.site);
  drawWatch();
  drawAlerts();
  drawTiles();
  drawClasses();
  drawDevices();
  drawTargets();
  drawMessages();
  drawServices();
}
function watch() {
  if (lost()) {
    drawWatch();
    if (page.state) drawAlerts();
  }
}
function connect() {
  const stream = new EventSource("/api/stream");
  stream.addEventListener("message", (event) => {
    page.state = JSON.parse(event.data);
    page.receivedAt = Date.now();
    drawAll();
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  });
}
document.addEventListener("DOMContentLoaded", () => {
  for (const head of document.querySelectorAll("th[data-sort]")) {
    head.tabIndex = 0;
    const choose = () => {
      page.descending = head.dataset.sort === page.sortBy ? !page.descending : true;
      page.sortBy = head.dataset.sort;
      drawAll();
    };
    head.addEventListener("click", choose);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose();
      }
    });
  }
  for (const id of ["filter", "filter-targets"]) $(id).addEventListener("input", drawAll);
  $("test").addEventListener("click", sendTest);
  setInterval(watch, 1000);
  connect();
});
