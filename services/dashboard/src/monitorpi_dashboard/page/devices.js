// Devices: everything that is seen or probed, as one list; sort, filter and search stand in its
// address.
import { html } from "./preact.js";
import { hosts } from "./lan.js";
import { bits, ms, percent } from "./numbers.js";
import { Empty, HostLink, Row, Section, Select, Table, Tag, cell } from "./parts.js";
import { choose } from "./route.js";
import { ago, page } from "./store.js";

const SHOWN = 1024; // rows: a phone still draws them within a second
const ORDER = ["down", "flapping", "new", "unknown", "up", "gone"];
const COLUMNS = [
  ["State", "state"],
  ["Device", "name"],
  ["Addresses", "ip"],
  ["Vendor", "vendor"],
  ["Sends", "tx", "num"],
  ["Receives", "rx", "num"],
  ["Use", "use", "num"],
  ["Loss", "loss", "num"],
  ["RTT", "rtt", "num"],
  ["Jitter", "jitter", "num"],
  ["MOS", "mos", "num"],
  ["First seen", "first"],
  ["Last seen", "seen"],
];
const WORDS = { known: "known", strange: "not known yet", ignored: "ignored" };
const DOWNWARDS = new Set(["tx", "rx", "use", "loss", "rtt", "jitter", "first", "seen"]);
const KEYS = {
  state: (one) => ORDER.indexOf(one.state),
  name: (one) => one.name || "~",
  ip: (one) => one.ips[0] ?? "~",
  vendor: (one) => one.vendor || "~",
};
function compared(x, y) {
  if (typeof x === "number" && typeof y === "number") return x - y;
  return String(x).localeCompare(String(y), "en", { numeric: true });
}
const pinned = (one) => Number(one.marks.pinned ?? false);
const address = (one) => one.ips[0] ?? "~";
function sorted(list, sort, descending) {
  const key = KEYS[sort] ?? ((one) => one[sort]);
  return list.sort((a, b) => {
    const x = key(a) ?? "",
      y = key(b) ?? "";
    if ((x === "") !== (y === "")) return x === "" ? 1 : -1; // what is not known stands last
    const order = compared(x, y);
    return (
      pinned(b) - pinned(a) ||
      (descending ? -order : order) ||
      compared(address(a), address(b)) ||
      compared(a.id, b.id)
    );
  });
}
function matches(one, wanted) {
  return [one.name, one.mac, one.vendor, one.state, one.role, ...one.ips].some((text) =>
    text.toLowerCase().includes(wanted),
  );
}
// By state, or by what people said; who is ignored shows where that is asked for, or the state is.
function fits(one, word) {
  if (word === "known" || word === "ignored") return one.marks[word] === true;
  if (word === "strange") return !one.marks.known;
  return word ? one.state === word : !one.marks.ignored;
}
function DeviceRow({ one }) {
  const more = [
    one.marks.pinned && "pinned",
    one.marks.known && "known",
    one.marks.ignored && "ignored",
    one.role === "router" && "router",
    one.randomised && "private MAC",
    one.device.dhcp_server && "DHCP server",
  ].filter(Boolean);
  const shown = {
    name: one.name || one.id,
    ips: one.ips.slice(0, 3).join(", ") + (one.ips.length > 3 ? ` and ${one.ips.length - 3}` : ""),
    tx: bits(one.tx),
    rx: bits(one.rx),
    use: percent(one.use),
    loss: percent(one.loss),
    rtt: ms(one.rtt),
    jitter: ms(one.jitter),
    mos: one.mos?.toFixed(1) ?? "-",
    first: one.first ? ago(one.first) : "-",
    seen: one.seen ? ago(one.seen) : "-",
  };
  const cells = [
    cell("State", html`<${Tag} kind=${one.state}>${one.state}<//>`),
    cell(
      "Device",
      html`<${HostLink} id=${one.id}>${shown.name}<//>
        <small>${[one.mac !== shown.name && one.mac, ...more].filter(Boolean).join(", ")}</small>`,
      "wrap who",
    ),
    cell("Addresses", shown.ips, "wrap mono"),
    cell("Vendor", one.vendor, "wrap"),
    ...["tx", "rx", "use", "loss", "rtt", "jitter", "mos"].map((key) =>
      cell(COLUMNS.find((column) => column[1] === key)[0], shown[key], "num"),
    ),
    cell("First seen", shown.first),
    cell("Last seen", shown.seen),
  ];
  const mark = [one.state, one.mac, one.vendor, ...more, ...Object.values(shown)].join("|");
  return html`<${Row}
    mark=${mark}
    kind=${one.state === "gone" ? "dim" : ""}
    cells=${cells}
  />`;
}
export function Devices({ route }) {
  const { q = "", state = "", sort = "state" } = route.words,
    descending = route.words.order === "down",
    all = hosts(),
    wanted = q.trim().toLowerCase();
  const list = sorted(
    all.filter((one) => fits(one, state) && (!wanted || matches(one, wanted))),
    sort,
    descending,
  );
  const pick = (key) => {
    const down = key === sort ? !descending : DOWNWARDS.has(key);
    choose(route, { sort: key, order: down ? "down" : "" });
  };
  const number = (word) => all.filter((one) => fits(one, word)).length,
    counts = [...ORDER, ...Object.keys(WORDS)].map((word) => [word, number(word)]);
  const bar = html`<div class="choices">
    <${Select}
      id="state"
      label="State"
      value=${state}
      options=${[["", `all (${number("")})`], ...counts.filter(([word, n]) => n || word === state).map(([word, n]) => [word, `${WORDS[word] ?? word} (${n})`])]}
      choose=${(word) => choose(route, { state: word })}
    />
    <label class="filter"
      >Search${" "}<input
        id="filter"
        type="search"
        autocomplete="off"
        spellcheck="false"
        value=${q}
        onInput=${(event) => choose(route, { q: event.currentTarget.value })}
    /></label>
  </div>`;
  return html`<${Section} id="devices-section" title="Devices" bar=${bar}>
    <${Empty}>${emptiness(all, list)}<//>
    <${Table}
      id="devices"
      kind="cards"
      columns=${COLUMNS}
      sort=${sort}
      descending=${descending}
      choose=${pick}
    >
      ${list.slice(0, SHOWN).map((one) => html`<${DeviceRow} key=${one.id} one=${one} />`)}
    <//>
    <p class="save">
      Save as CSV: <a href="api/history/devices?format=csv" download="">devices</a>
    </p>
  <//>`;
}
function emptiness(all, list) {
  if (!page.state || !all.length)
    return "No device yet: one counts as known when it was seen in several windows.";
  if (!list.length) return "No device is like that.";
  return list.length > SHOWN ? `The first ${SHOWN} of ${list.length}: search to see others.` : "";
}
