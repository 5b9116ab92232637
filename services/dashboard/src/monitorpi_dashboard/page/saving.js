// What stands on the page as a file: made here, so that it is what was seen.
import { html } from "./preact.js";

// RFC 4180; what a spreadsheet would take for a formula is quoted, as the history does.
function cellOf(value) {
  const text = value == null ? "" : String(value),
    safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
export function csv(columns, rows) {
  const lines = [columns, ...rows.map((row) => columns.map((name) => row[name]))];
  return lines.map((line) => `${line.map(cellOf).join(",")}\r\n`).join("");
}
export const jsonl = (columns, rows) =>
  rows
    .map((row) => `${JSON.stringify(Object.fromEntries(columns.map((n) => [n, row[n]])))}\n`)
    .join("");

function save(name, kind, text) {
  const address = URL.createObjectURL(new Blob([text], { type: kind })),
    link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(":", "");

export function SaveRows({ id, name, columns, rows }) {
  const write = (ending, kind, form) =>
    save(`${name}-${stamp()}.${ending}`, kind, form(columns, rows));
  const ways = [
    ["CSV", "csv", "text/csv", csv],
    ["JSONL", "jsonl", "application/x-ndjson", jsonl],
  ];
  return html`<p class="save" id=${id}>
    Save as${" "}
    ${ways.map(
      ([text, ending, kind, form], i) =>
        html`${i ? " or " : ""}<button
            type="button"
            class="plain"
            disabled=${!rows.length}
            onClick=${() => write(ending, kind, form)}
          >
            ${text}
          </button>`,
    )}
  </p>`;
}
