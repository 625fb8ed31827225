// Rates from the counters of `/metrics`: what happened to messages by state, and how hand-overs ended by code.

const MOST_LOOKS = 300;
// Looks over which a rate is taken.
const OVER = 3;
const SAMPLE = /^mmsgw_(message_events|verdicts)_total\{(.*)\} (\S+)/;
const looks = [];

export function forget() {
  looks.length = 0;
}

/** Takes in what `/metrics` said. */
export function note(text) {
  const counts = new Map();
  for (const line of text.split("\n")) {
    const found = SAMPLE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...found[2].matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    counts.set(line.slice(0, line.lastIndexOf(" ")), { name: found[1], labels, value: Number(found[3]) });
  }
  looks.push({ at: performance.now() / 1000, counts });
  if (looks.length > MOST_LOOKS) looks.shift();
}

/** The states that something has reported since the process began, the commonest first. */
export const states = () => names("message_events", "state", () => true);

/** The codes of hand-overs to a group that did not go well, the commonest first. */
export const faults = (group) => names("verdicts", "code", (labels) => labels.gateway_group === group && labels.outcome !== "sent");

/** How often in a second something was in this state: points of seconds before now and rate. */
export const stateRate = (state) => rate("message_events", (labels) => labels.state === state);

/** How often in a second a hand-over to the group ended with this code. */
export const faultRate = (group, code) => rate("verdicts", (labels) => labels.gateway_group === group && labels.outcome !== "sent" && labels.code === code);

function names(name, label, fits) {
  const sums = new Map();
  for (const count of looks.at(-1)?.counts.values() ?? []) {
    if (count.name !== name || count.value === 0 || !fits(count.labels)) continue;
    const key = count.labels[label];
    sums.set(key, (sums.get(key) ?? 0) + count.value);
  }
  return [...sums].sort(([, a], [, b]) => b - a).map(([key]) => key);
}

function rate(name, fits) {
  const now = looks.at(-1)?.at ?? 0;
  const points = [];
  for (let index = 1; index < looks.length; index += 1) {
    const [look, before] = [looks[index], looks[Math.max(0, index - OVER)]];
    let more = 0;
    for (const [key, count] of look.counts) {
      // A counter that was not there was at zero.
      if (count.name === name && fits(count.labels)) more += Math.max(0, count.value - (before.counts.get(key)?.value ?? 0));
    }
    points.push({ x: look.at - now, y: more / Math.max(0.5, look.at - before.at) });
  }
  return points;
}
