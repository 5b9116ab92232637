// Parts that several views are made of. Names on a LAN are chosen by whoever joins it: all of this
// goes through Preact, which makes text nodes and never reads markup.
import { Component, html } from "./preact.js";
import { link } from "./route.js";

const HISTORY = 120; // windows the server keeps: the width of every small picture

export const Tag = ({ kind, children }) => html`<span class=${`tag ${kind}`}>${children}</span>`;
export const Empty = ({ children }) => html`<p class="empty" role="status">${children}</p>`;

// A row that says the same is left as it is: less to draw, and what is selected in it stays so.
export class Row extends Component {
  shouldComponentUpdate(next) {
    return next.mark !== this.props.mark;
  }
  render({ kind, cells }) {
    return html`<tr class=${kind}>
      ${cells}
    </tr>`;
  }
}
export const cell = (label, content, kind) =>
  html`<td class=${kind} data-label=${label}>${content}</td>`;

export function Head({ columns, sort, descending, choose }) {
  return html`<thead>
    <tr>
      ${columns.map(
        ([label, key, kind]) =>
          html`<th
            scope="col"
            class=${kind}
            aria-sort=${key && (key === sort ? (descending ? "descending" : "ascending") : "none")}
          >
            ${
              key
                ? html`<button type="button" class="plain" onClick=${() => choose(key)}>
                  ${label}
                </button>`
                : label
            }
          </th>`,
      )}
    </tr>
  </thead>`;
}
export function Table({ id, columns, children, kind = "", ...sorting }) {
  return html`<div class="scroll">
    <table id=${id} class=${kind}>
      <${Head} columns=${columns} ...${sorting} />
      <tbody>
        ${children}
      </tbody>
    </table>
  </div>`;
}
export const HostLink = ({ id, words, children }) =>
  html`<a href=${link("device", id, words)}>${children}</a>`;

export function Section({ id, title, bar, children, kind = "" }) {
  return html`<section id=${id} class=${kind} aria-labelledby=${`${id}-title`}>
    <div class="bar">
      <h2 id=${`${id}-title`}>${title}</h2>
      ${bar}
    </div>
    ${children}
  </section>`;
}
export function Select({ label, id, value, options, choose }) {
  return html`<label class="filter"
    >${label}${" "}<select
      id=${id}
      value=${value}
      onChange=${(event) => choose(event.currentTarget.value)}
    >
      ${options.map(
        ([word, text]) => html`<option value=${word} selected=${word === value}>${text}</option>`,
      )}
    </select></label
  >`;
}
export function Spark({ values }) {
  const points = values.length > 1 ? values : [0, 0],
    top = Math.max(...points, 1),
    step = 100 / (HISTORY - 1),
    left = 100 - (points.length - 1) * step;
  const line = points
    .map((v, i) => `${(left + i * step).toFixed(1)},${(19 - (18 * v) / top).toFixed(1)}`)
    .join(" ");
  return html`<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">
    <polygon points=${`${left.toFixed(1)},20 ${line} 100,20`} />
    <polyline points=${line} />
  </svg>`;
}
export function sum(lists) {
  const length = Math.max(0, ...lists.map((l) => l.length));
  return Array.from({ length }, (_, i) =>
    lists.reduce((t, l) => t + (l[l.length - length + i] ?? 0), 0),
  );
}
export const last = (list) => (list.length ? list[list.length - 1] : 0);
export function Save({ links }) {
  return html`<p class="save">
    Save as CSV:
    ${links.map(
      ([text, table, words], i) =>
        html`${i ? ", " : " "}<a
            href=${`api/history/${table}?${new URLSearchParams({ ...words, format: "csv" })}`}
            download=""
            >${text}</a
          >`,
    )}
  </p>`;
}
