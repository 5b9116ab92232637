// Numbers and times in words, for people.
const YEAR_S = 365.25 * 86400;
function scaled(value, unit) {
  for (const [limit, prefix] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ])
    if (value >= limit)
      return `${(value / limit).toFixed(value / limit >= 100 ? 0 : 1)} ${prefix}${unit}`;
  return `${value > 0 && value < 10 ? Number(value.toPrecision(2)) : Math.round(value)} ${unit}`;
}
export const bits = (value) => scaled(value, "bit/s");
export const frames = (value) => scaled(value, "fr/s");
export const bytes = (value) => scaled(value, "B");
export const count = (value) => (value ?? 0).toLocaleString("en");
export const rate = (value) =>
  value >= 100 ? count(Math.round(value)) : String(Math.round((value ?? 0) * 10) / 10);
export const ms = (value) =>
  value == null ? "-" : `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
export const percent = (value) =>
  value == null ? "-" : `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
export function span(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return "-";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  if (seconds < 2 * YEAR_S) return `${Math.round(seconds / 86400)} d`;
  return `${Math.round(seconds / YEAR_S)} y`;
}
export const when = (time) =>
  new Date(time).toLocaleString([], { dateStyle: "short", timeStyle: "medium" });
export const className = (name) => name.replaceAll("_", " ");
