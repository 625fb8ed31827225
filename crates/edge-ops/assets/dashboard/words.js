// Numbers and times for people.

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const date = new Intl.DateTimeFormat("en", {
  year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

export const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));

/** A rate, with as many digits as say something. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  if (value < 10) return String(Number(value.toFixed(1)));
  return whole.format(Math.round(value));
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** A short time, to the millisecond. */
export function short(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : seconds < 10 ? `${Number(seconds.toFixed(1))} s` : span(seconds);
}

export const ago = (ts) => `${span(Math.max(0, Date.now() / 1000 - ts))} ago`;
export const time = (ts) => clock.format(new Date(ts * 1000));
export const moment = (ts) => date.format(new Date(ts * 1000));

export const KINDS = { tx: "messages out", ev: "reports out", rx: "from the carrier", callback: "callbacks" };
