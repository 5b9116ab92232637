// What people say of a device: its name, that it is known, pinned or ignored. Capture keeps it.
import { html, useState } from "./preact.js";
import { command } from "./commands.js";

const WORDS = [
  ["known", "Known", "It belongs here: no alert calls it new."],
  ["pinned", "Pinned", "It stands first, and always keeps counters of its own."],
  ["ignored", "Ignored", "It is left out of the list. Alerts on it are raised all the same."],
];
export function Marks({ device }) {
  const { marks } = device,
    [typed, setTyped] = useState(null),
    [said, setSaid] = useState(""),
    [busy, setBusy] = useState(false);
  const name = typed ?? marks.name ?? "";
  const give = async (args, done) => {
    setBusy(true);
    const error = await command("capture", "mark", { mac: device.mac, ...args });
    setSaid(error ? `Not done: ${error}.` : done);
    setBusy(false);
    return !error;
  };
  const rename = async (event) => {
    event.preventDefault();
    const text = name.trim();
    if (await give({ name: text }, text ? `It is called ${text} now.` : "It is called as before."))
      setTyped(null);
  };
  return html`<form class="commands" id="marks" onSubmit=${rename}>
    <label class="filter"
      >Name${" "}<input
        id="name"
        autocomplete="off"
        spellcheck="false"
        maxlength="63"
        placeholder=${device.hostname ?? ""}
        value=${name}
        onInput=${(event) => setTyped(event.currentTarget.value)}
    /></label>
    <button id="rename" disabled=${busy || name.trim() === (marks.name ?? "")}>Rename</button>
    ${WORDS.map(
      ([word, text, title]) =>
        html`<button
          type="button"
          id=${word}
          class="toggle"
          title=${title}
          aria-pressed=${marks[word]}
          disabled=${busy}
          onClick=${() => give({ [word]: !marks[word] }, marks[word] ? `Not ${word} any more.` : `Marked as ${word}.`)}
        >
          ${text}
        </button>`,
    )}
    <span class="note" role="status">${said}</span>
  </form>`;
}
