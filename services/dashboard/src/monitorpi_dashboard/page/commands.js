// What can be commanded here: buttons whose answer stands beside them.
import { html, useState } from "./preact.js";

export async function command(service, name, args) {
  try {
    const asked = await fetch(`api/order/${service}/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(args),
    });
    if (asked.ok) return "";
    const { error } = await asked.json();
    return error ?? `HTTP ${asked.status}`;
  } catch {
    return "the page's server cannot be reached";
  }
}
const FOR = [
  [60, "1 hour"],
  [480, "8 hours"],
  [1440, "1 day"],
  [10080, "7 days"],
];
export function AlertCommands({ alert }) {
  const [said, setSaid] = useState(""),
    [busy, setBusy] = useState(false),
    [minutes, setMinutes] = useState("60");
  const give = async (name, args, done) => {
    setBusy(true);
    const error = await command("detector", name, { key: alert.key, ...args });
    setSaid(error ? `Not done: ${error}.` : done);
    setBusy(false);
  };
  const silence = () => {
    const time = FOR.find(([n]) => n === Number(minutes))[1];
    return give("silence", { minutes: Number(minutes) }, `Silenced for ${time}.`);
  };
  return html`<div class="commands">
    ${
      !alert.acknowledged &&
      html`<button
      type="button"
      class="acknowledge"
      disabled=${busy}
      onClick=${() => give("acknowledge", {}, "Marked as seen.")}
    >
      Acknowledge
    </button>`
    }
    <button type="button" class="silence" disabled=${busy} onClick=${silence}>Silence</button>
    <select
      aria-label=${`How long ${alert.key} is silenced`}
      value=${minutes}
      onChange=${(event) => setMinutes(event.currentTarget.value)}
    >
      ${FOR.map(([n, text]) => html`<option value=${n}>for ${text}</option>`)}
    </select>
    <span class="note" role="status">${said}</span>
  </div>`;
}
