// A chart over time: areas, lines, stacks and the smoke of round trips, all on one axis. It is SVG,
// so that it takes its colours from the style sheet, light or dark. Gaps are gaps, never zeros.
import { html, useRef, useState } from "./preact.js";
import { when } from "./numbers.js";

const WIDTH = 1000,
  HEIGHT = 100,
  MINUTE = 60000,
  DAY = 1440 * MINUTE;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((n) => n * MINUTE);
const DAYS = [1, 2, 7, 14, 30, 61, 122, 183, 365].map((n) => n * DAY);

function niceTop(most) {
  const power = 10 ** Math.floor(Math.log10(most || 1));
  return [1, 2, 5, 10].map((n) => n * power).find((top) => top >= most) ?? most;
}
function timeTicks(from, to, wanted) {
  const step = [...STEPS, ...DAYS].find((one) => (to - from) / one <= wanted) ?? DAYS.at(-1),
    zone = new Date(from).getTimezoneOffset() * MINUTE,
    first = Math.ceil((from - zone) / step) * step + zone,
    days = step >= DAY;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, i) => {
    const at = first + i * step;
    const text = days
      ? new Date(at).toLocaleDateString([], { day: "numeric", month: "short" })
      : new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    return { at, text };
  });
}
// Stretches of steps that have values: [first, last] pairs.
function stretches(values) {
  const found = [];
  values.forEach((value, at) => {
    if (value == null) return;
    if (at === 0 || values[at - 1] == null) found.push([at, at]);
    else found[found.length - 1][1] = at;
  });
  return found;
}

class Scale {
  constructor(from, to, top, axis) {
    Object.assign(this, { from, to, top, axis });
  }
  x(time) {
    return (((time - this.from) / (this.to - this.from)) * WIDTH).toFixed(1);
  }
  // A value stands for a whole step: it is drawn in its middle, and to the ends of a stretch.
  middle(at) {
    return this.x(this.axis.start + (at + 0.5) * this.axis.step);
  }
  y(value) {
    return (HEIGHT - (HEIGHT * Math.min(value, this.top)) / this.top).toFixed(2);
  }
  ends([first, last]) {
    return [
      this.x(this.axis.start + first * this.axis.step),
      this.x(this.axis.start + (last + 1) * this.axis.step),
    ];
  }
  line(values, stretch, backwards = false) {
    const points = [],
      [left, right] = this.ends(stretch);
    points.push(`${left},${this.y(values[stretch[0]])}`);
    for (let at = stretch[0]; at <= stretch[1]; at++)
      points.push(`${this.middle(at)},${this.y(values[at])}`);
    points.push(`${right},${this.y(values[stretch[1]])}`);
    return (backwards ? points.toReversed() : points).join(" L");
  }
  between(low, high) {
    return stretches(high)
      .map((one) => `M${this.line(high, one)} L${this.line(low, one, true)} Z`)
      .join(" ");
  }
  path(values) {
    return stretches(values)
      .map((one) => `M${this.line(values, one)}`)
      .join(" ");
  }
}
const zeros = (values) => values.map((value) => (value == null ? null : 0));

function stacked(layers) {
  let floor = null;
  return layers.map((layer) => {
    const low = floor ?? zeros(layer.values),
      high = layer.values.map((value, at) => (value == null ? null : value + (low[at] ?? 0)));
    floor = high;
    return { ...layer, low, high };
  });
}
// Loss colours, as SmokePing has them: of the median's mark in each step.
export const LOSSES = [
  [0, "l0", "none"],
  [0.05, "l1", "up to 5 %"],
  [0.2, "l2", "up to 20 %"],
  [0.5, "l3", "up to 50 %"],
  [1, "l4", "more"],
];
const lossKind = (ratio) => LOSSES.find(([limit]) => ratio <= limit)?.[1] ?? "l4";

function Smoke({ scale, smoke }) {
  const half = (n) => Math.max(Number(scale.x(scale.from + scale.axis.step)) - n, 1.5);
  return html`<path class="smoke outer" d=${scale.between(smoke.min, smoke.max)} />
    <path class="smoke inner" d=${scale.between(smoke.min, smoke.p95)} />
    ${smoke.loss.map((ratio, at) => {
      if (ratio == null) return null;
      const left = scale.x(scale.axis.start + at * scale.axis.step);
      if (smoke.median[at] == null)
        return ratio >= 1
          ? html`<rect class="mark l4 all" x=${left} y="0" width=${half(0.3)} height=${HEIGHT} />`
          : null;
      const y = scale.y(smoke.median[at]);
      return html`<path class=${`mark ${lossKind(ratio)}`} d=${`M${left},${y} h${half(0)}`} />`;
    })}`;
}
function draw(scale, { layers = [], stack = [], smoke, limits = [] }) {
  return html`${stacked(stack).map(
    (one) => html`<path class=${`stack ${one.kind}`} d=${scale.between(one.low, one.high)}></path>`,
  )}
    ${smoke && html`<${Smoke} scale=${scale} smoke=${smoke} />`}
    ${layers.map(
      (one) => html`
        ${
          one.fill &&
          html`<path class=${`area ${one.kind}`} d=${scale.between(zeros(one.values), one.values)} />`
        }
        <path class=${`line ${one.kind}`} d=${scale.path(one.values)} />
      `,
    )}
    ${limits.map(
      (one) =>
        html`<path class=${`limit ${one.kind}`} d=${`M0,${scale.y(one.value)} H${WIDTH}`} />`,
    )}`;
}
function highest({ layers = [], stack = [], smoke, limits = [] }) {
  const tops = stacked(stack).at(-1)?.high ?? [];
  const smoked = smoke ? [...smoke.p95, ...smoke.median] : [];
  const values = [
    ...layers.flatMap((one) => one.values),
    ...tops,
    ...smoked,
    ...limits.map((l) => l.value),
  ];
  return values.reduce((a, b) => (b != null && b > a ? b : a), 0);
}
function Keys({ stack = [], layers = [], limits = [] }) {
  const keys = [
    ...stack.map((one) => [`stack ${one.kind}`, one.name]),
    ...layers.map((one) => [`line ${one.kind}`, one.name]),
    ...limits.map((one) => [`limit ${one.kind}`, one.name]),
  ];
  if (keys.length < 2) return null;
  return html`<ul class="keys">
    ${keys.map(([kind, name]) => html`<li><i class=${kind}></i>${name}</li>`)}
  </ul>`;
}

export function Chart({ id, title, axis, from, to, data, unit, marks = [], zoom, top, note }) {
  const box = useRef(null),
    [at, setAt] = useState(null),
    [drag, setDrag] = useState(null);
  const scale = new Scale(from, to, top ?? niceTop(highest(data)), axis),
    steps = axis.steps;
  const timeAt = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - left) / width, 0), 1);
    return from + share * (to - from);
  };
  const move = (event) => {
    const time = timeAt(event);
    setAt(Math.min(Math.max(Math.floor((time - axis.start) / axis.step), 0), steps - 1));
    if (drag) setDrag([drag[0], time]);
  };
  const end = () => {
    if (drag && zoom && Math.abs(drag[1] - drag[0]) > (to - from) / 50)
      zoom(Math.min(...drag), Math.max(...drag));
    setDrag(null);
  };
  const keys = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!by) return;
    event.preventDefault();
    setAt((old) => Math.min(Math.max((old ?? steps - 1) + by, 0), steps - 1));
  };
  const shown = at != null && at < steps ? at : null;
  const left = (time) => ({ left: `${(100 * (time - from)) / (to - from)}%` });
  return html`<figure class="chart" id=${id}>
    <figcaption>
      <strong>${title}</strong>
      <output class="readout">${shown == null ? note : readout(data, axis, shown, unit)}</output>
    </figcaption>
    <div class="plot">
      <ol class="y" aria-hidden="true">
        ${[1, 0.5, 0].map((share) => html`<li>${unit(scale.top * share)}</li>`)}
      </ol>
      <div
        class="box"
        ref=${box}
        role="img"
        tabindex="0"
        aria-label=${`${title}: ${note ?? ""} The arrow keys read values.`}
        onPointerMove=${move}
        onPointerDown=${(event) => event.button === 0 && zoom && setDrag([timeAt(event), timeAt(event)])}
        onPointerUp=${end}
        onPointerLeave=${() => {
          setDrag(null);
          setAt(null);
        }}
        onKeyDown=${keys}
      >
        <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          ${marks.map(
            (one) =>
              html`<rect
                class=${`alerted ${one.kind}`}
                x=${scale.x(Math.max(one.from, from))}
                y="0"
                width=${Math.max(scale.x(Math.min(one.to, to)) - scale.x(Math.max(one.from, from)), 2)}
                height=${HEIGHT}
              />`,
          )}
          ${draw(scale, data)}
          ${
            drag &&
            html`<rect
            class="chosen"
            x=${scale.x(Math.min(...drag))}
            y="0"
            width=${scale.x(Math.max(...drag)) - scale.x(Math.min(...drag))}
            height=${HEIGHT}
          />`
          }
          ${
            shown != null &&
            html`<path class="cursor" d=${`M${scale.middle(shown)},0 V${HEIGHT}`} />`
          }
        </svg>
      </div>
      <ol class="x" aria-hidden="true">
        ${timeTicks(from, to, 7).map((tick) => html`<li style=${left(tick.at)}>${tick.text}</li>`)}
      </ol>
    </div>
    <${Keys} ...${data} />
  </figure>`;
}
function readout({ stack = [], layers = [], smoke }, axis, at, unit) {
  const said = [...layers, ...stack]
    .filter((one) => one.values[at] != null && (one.values[at] > 0 || layers.includes(one)))
    .map((one) => `${one.name} ${unit(one.values[at])}`);
  if (smoke?.loss[at] != null) {
    if (smoke.median[at] != null)
      said.push(
        `median ${unit(smoke.median[at])}`,
        `${unit(smoke.min[at])} to ${unit(smoke.max[at])}`,
      );
    said.push(`${Math.round(smoke.loss[at] * 1000) / 10} % lost`);
  }
  const time = when(axis.start + at * axis.step);
  return `${time}: ${said.length ? said.join(", ") : "nobody counted"}`;
}
