// One device: what it sends and receives, how it answers, its alerts and changes on one time axis.
import { html, useEffect, useState } from "./preact.js";
import { AlertCard, byTime, markOf } from "./alert.js";
import { Chart, LOSSES } from "./chart.js";
import { hostOf } from "./lan.js";
import { Marks } from "./marks.js";
import { bits, className, frames, ms, percent, rate, when } from "./numbers.js";
import { Changes, SpanChoice, zoomer } from "./now.js";
import { Empty, Save, Section, Select, Tag } from "./parts.js";
import * as past from "./past.js";
import { choose } from "./route.js";
import { ago, since } from "./store.js";

const RATES_MS = 2000;
const isMac = (id) => /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(id);
const COLUMNS = [...past.PART_COLUMNS, "bytes"];

function Facts({ one }) {
  const d = one.device;
  const lines = [
    ["MAC", one.mac && `${one.mac}${one.randomised ? " (made up by the device)" : ""}`],
    ["Vendor", one.vendor],
    ["Addresses", one.ips.join(", ")],
    [
      "Role",
      [one.role === "router" && "router", d.dhcp_server && "DHCP server"]
        .filter(Boolean)
        .join(", "),
    ],
    ["First seen", one.first && `${when(one.first)} (${ago(one.first)})`],
    ["Last seen", one.seen && ago(one.seen)],
    ["Seen on", d.interface],
    ["Sends", d.tx && `${bits(one.tx)}, ${rate(d.tx.packets ?? 0)} frames/s`],
    ["Receives", d.rx && `${bits(one.rx)}, ${rate(d.rx.packets ?? 0)} frames/s`],
    ["Use of the link", one.use == null ? "" : percent(one.use)],
  ];
  return html`<dl class="facts">
    ${lines.filter(([, text]) => text).map(([word, text]) => html`<dt>${word}</dt><dd>${text}</dd>`)}
    ${one.targets.map(
      (t) =>
        html`<dt>Ping ${t.address}</dt>
          <dd>
            <${Tag} kind=${t.state}>${t.state}<//> for ${since(t.since)}, RTT
            ${" "}${ms(t.last.rtt_avg_ms)}, loss ${percent(t.last.loss_ratio)}, jitter
            ${" "}${ms(t.last.jitter_ms)}, MOS
            ${" "}${t.last.mos?.toFixed(1) ?? "-"}${t.last.error ? `: ${t.last.error}` : ""}
          </dd>`,
    )}
  </dl>`;
}
// Every class, of one device: asked for while it is looked at.
function useRates(mac) {
  const [found, setFound] = useState({});
  useEffect(() => {
    if (!mac) return undefined;
    const ask = async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(`api/rates/${mac}`);
        if (answer.ok) setFound(await answer.json());
      } catch {
        // the page says that it has no news
      }
    };
    ask();
    const timer = setInterval(ask, RATES_MS);
    return () => clearInterval(timer);
  }, [mac]);
  return found;
}
function Live({ mac }) {
  const device = useRates(mac);
  const names = [
    ...new Set([...Object.keys(device.tx ?? {}), ...Object.keys(device.rx ?? {})]),
  ].filter((name) => name !== "packets" && name !== "bytes");
  if (!names.length) return null;
  return html`<div class="scroll"><table id="live-classes" class="narrow">
    <thead><tr><th scope="col">Class, now</th><th scope="col" class="num">Sends</th><th scope="col" class="num">Receives</th></tr></thead>
    <tbody>
      ${names.map(
        (name) =>
          html`<tr key=${name}>
            <th scope="row">${className(name)}</th>
            <td class="num">${rate(device.tx?.[name] ?? 0)}/s</td>
            <td class="num">${rate(device.rx?.[name] ?? 0)}/s</td>
          </tr>`,
      )}
    </tbody></table></div>`;
}
const inBits = (values) => values.map((value) => (value == null ? null : value * 8));
function Counts({ answer, common }) {
  const rates = past.perSecond(answer, "device", [
    ...COLUMNS.map((name) => `tx_${name}`),
    ...COLUMNS.map((name) => `rx_${name}`),
  ]);
  const note = `${percent(past.watchedRatio(answer))} of the time was watched.`;
  return html`<${Chart}
      id="d-traffic"
      title="Traffic"
      data=${{
        layers: [
          { name: "sent", kind: "a", values: inBits(rates.tx_bytes), fill: true },
          { name: "received", kind: "b", values: inBits(rates.rx_bytes) },
        ],
      }}
      unit=${bits}
      note=${note}
      ...${common}
    />
    <${Chart} id="d-sent" title="Sent, by class" data=${{ stack: past.parts(rates, "tx_") }} unit=${frames} ...${common} />
    <${Chart} id="d-received" title="Received, by class" data=${{ stack: past.parts(rates, "rx_") }} unit=${frames} ...${common} />`;
}
function Probes({ answer, common, address }) {
  const axis = past.axisOf(answer),
    found = answer.series.filter((one) => one.kind === "target" && one.columns.sent?.length);
  if (!found.length) return html`<${Empty}>${address} was not probed in this time.<//>`;
  const c = found.at(-1).columns,
    here = { ...common, axis },
    sent = c.sent.map((value, at) => (value ? c.loss_ratio[at] : null));
  const smoke = {
    min: c.rtt_min_ms,
    max: c.rtt_max_ms,
    p95: c.rtt_p95_ms,
    median: c.rtt_p50_ms,
    loss: sent,
  };
  return html`<${Chart} id="d-rtt" title=${`Round trip of ${address}`} data=${{ smoke }} unit=${ms}
      note="Median in the colour of its loss, within the smoke of all replies." ...${here} />
    <ul class="keys" aria-label="Loss">${LOSSES.map(([, kind, text]) => html`<li><i class=${`mark ${kind}`}></i>loss ${text}</li>`)}</ul>
    <div class="pair">
      <${Chart} id="d-jitter" title="Jitter" data=${{ layers: [{ name: "jitter", kind: "b", values: c.jitter_ms }] }} unit=${ms} ...${here} />
      <${Chart} id="d-mos" title="MOS" top=${5} data=${{ layers: [{ name: "MOS", kind: "a", values: c.mos }] }} unit=${(v) => v.toFixed(1)} ...${here} />
    </div>`;
}
// Which of its addresses were probed: of a device that is not here, the history knows them.
function useProbed(one, id) {
  const asks = !one && isMac(id),
    { answers } = past.usePast(asks ? { devices: ["devices", {}] } : {}, { fixed: true });
  if (one) return one.targets.map((t) => t.address);
  if (!asks) return [id];
  return answers?.devices?.devices.find((d) => d.mac === id)?.ips ?? [];
}
function Past({ route, one, id }) {
  const now = past.spanOf(route.words),
    mac = one?.mac || (isMac(id) ? id : ""),
    addresses = useProbed(one, id),
    address = addresses.includes(route.words.address) ? route.words.address : addresses[0],
    points = { ...now.asked, points: 300 };
  const questions = {
    alerts: ["alerts", { ...now.asked, limit: 200, ...(mac && { mac }) }],
    changes: ["changes", { ...now.asked, limit: 50, subject: mac || id }],
  };
  if (mac) {
    const columns = COLUMNS.flatMap((name) => [`tx_${name}`, `rx_${name}`]).join(",");
    questions.traffic = ["traffic", { ...points, mac, columns }];
  }
  if (address) questions.probes = ["probes", { ...points, address }];
  const { error, answers } = past.usePast(questions, now);
  const bar = html`<div class="choices">
    ${
      addresses.length > 1 &&
      html`<${Select} id="address" label="Address" value=${address} options=${addresses.map((a) => [a, a])}
      choose=${(word) => choose(route, { address: word })} />`
    }
    <${SpanChoice} route=${route} now=${now} />
  </div>`;
  if (!answers)
    return html`<${Section} id="past" title="Over time" bar=${bar}><${Empty}>${error}<//><//>`;
  const first = answers.traffic ?? answers.probes;
  const alerts = answers.alerts.alerts.filter(
    (alert) => mac || alert.subject === id.replaceAll(/[.:]/g, "-"),
  );
  const common = first && {
    axis: past.axisOf(first),
    from: Date.parse(first.from),
    to: Date.parse(first.to),
    marks: alerts.map(markOf),
    zoom: zoomer(route),
  };
  const files = [["alerts", "alerts", { ...now.asked, ...(mac && { mac }) }]];
  if (mac) files.unshift(["counts", "traffic", { ...now.asked, mac }]);
  if (address) files.push(["probes", "probes", { ...now.asked, address }]);
  return html`<${Section} id="past" title="Over time" bar=${bar}>
      <${Empty}>${error}<//>
      ${answers.traffic && html`<${Counts} answer=${answers.traffic} common=${common} />`}
      ${answers.probes && html`<${Probes} answer=${answers.probes} common=${common} address=${address} />`}
      <${Save} links=${files} />
    <//>
    <div class="pair">
      <${Section} id="past-alerts" title="Alerts of this time">
        ${
          alerts.length
            ? alerts
                .sort(byTime)
                .slice(0, 50)
                .map((alert) => html`<${AlertCard} key=${alert.id} alert=${alert} />`)
            : html`<${Empty}>None.<//>`
        }
      <//>
      <${Section} id="past-changes" title="Changes of this time"><${Changes} changes=${answers.changes.changes} /><//>
    </div>`;
}
export function Device({ route }) {
  const one = hostOf(route.id);
  return html`<${Section} id="device" title=${one?.name || route.id} bar=${one && html`<${Tag} kind=${one.state}>${one.state}<//>`}>
      ${
        one
          ? html`${one.device.marks && html`<${Marks} device=${one.device} />`}<div class="pair"><${Facts} one=${one} /><${Live} mac=${one.mac} /></div>`
          : html`<${Empty}>It is not here now; what is remembered of it stands below.<//>`
      }
    <//>
    <${Past} route=${route} one=${one} id=${route.id} />`;
}
