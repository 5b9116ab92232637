// Who gets alerts, what was sent last, and a test: the only thing that can be asked for here.
import { $, cell, make, rows, text } from "./elements.js";
import { span } from "./numbers.js";
import { ago, page } from "./state.js";

let answer = "";

export function drawMessages() {
  const notifier = page.state.notifier;
  $("messages-section").hidden = !notifier;
  if (!notifier) return;
  rows(
    "destinations",
    Object.entries(notifier.destinations).map(([name, d]) => {
      const word = d.failing_tries ? "failing" : d.delivered_total ? "delivers" : "not used yet";
      const kind = { failing: "down", delivers: "up" }[word] ?? "unknown";
      return make(
        "tr",
        {},
        cell(make("span", { class: `tag ${kind}` }, word)),
        cell(name, "wrap"),
        cell(d.delivered_s_ago == null ? "-" : `${span(d.delivered_s_ago)} ago`),
        cell(d.waiting, "num"),
        cell(d.delivered_total, "num"),
        cell(d.failed_total, "num"),
        cell(d.error ?? "", "wrap"),
      );
    }),
  );
  rows(
    "sent",
    notifier.sent.map((s) =>
      make(
        "tr",
        {},
        cell(make("span", { class: `tag ${s.ok ? "up" : "down"}` }, s.ok ? "taken" : "refused")),
        cell(ago(s.at)),
        cell(s.destination),
        cell(s.title, "wrap"),
        cell(s.error ?? "", "wrap"),
      ),
    ),
  );
  text("sent-empty", notifier.sent.length ? "" : "Nothing was sent since this page began.");
  text("test-answer", answer);
}

export async function sendTest() {
  $("test").disabled = true;
  try {
    const asked = await fetch("/api/test", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: "{}",
    });
    answer = asked.ok
      ? "A test is on its way: see below."
      : "Not now: there were enough tests. Wait ten seconds.";
  } catch {
    answer = "The page's server cannot be reached.";
  }
  $("test").disabled = false;
  if (page.state) drawMessages();
}
