// Elements of the page, made of text nodes only: names on a LAN are chosen by whoever joins it, so
// nothing foreign is ever read as markup. An element that says the same stays: less to draw, and
// what is selected in it stays so.
const HISTORY = 120; // windows the server keeps: the width of every small picture
export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const child of children) element.append(child instanceof Node ? child : String(child));
  return element;
}
export const cell = (content, kind) => make("td", kind ? { class: kind } : {}, content ?? "");
export const text = (id, value) => {
  if ($(id).textContent !== value) $(id).textContent = value;
};

export function renew(parent, list) {
  const old = [...parent.children];
  list.forEach((one, i) => {
    if (!old[i]) parent.append(one);
    else if (!old[i].isEqualNode(one)) old[i].replaceWith(one);
  });
  old.slice(list.length).forEach((one) => one.remove());
}
export const rows = (id, list) => renew($(id).tBodies[0], list);

// --- pictures -----------------------------------------------------------------------------------
const SVG = "http://www.w3.org/2000/svg";
export const svgElement = (tag) => document.createElementNS(SVG, tag);
export function draw(svg, values) {
  const points = values.length > 1 ? values : [0, 0];
  const top = Math.max(...points, 1),
    step = 100 / (HISTORY - 1),
    left = 100 - (points.length - 1) * step;
  const line = points
    .map((v, i) => `${(left + i * step).toFixed(1)},${(19 - (18 * v) / top).toFixed(1)}`)
    .join(" ");
  if (!svg.firstChild) {
    svg.setAttribute("viewBox", "0 0 100 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(svgElement("polygon"), svgElement("polyline"));
  }
  svg.firstChild.setAttribute("points", `${left.toFixed(1)},20 ${line} 100,20`);
  svg.lastChild.setAttribute("points", line);
  return svg;
}
export function spark(values) {
  const svg = svgElement("svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  return draw(svg, values);
}
export function sum(lists) {
  const length = Math.max(0, ...lists.map((l) => l.length));
  return Array.from({ length }, (_, i) =>
    lists.reduce((t, l) => t + (l[l.length - length + i] ?? 0), 0),
  );
}
export const last = (list) => (list.length ? list[list.length - 1] : 0);
