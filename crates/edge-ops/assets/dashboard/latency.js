// Times from `/metrics`: the histograms of two looks, subtracted, say what happened between them.

const MOST_LOOKS = 300;
// Looks between the two, so that slow traffic has a time too.
const OVER = 15;
const SAMPLE = /^mmsgw_message_stage_seconds_bucket\{(.*)\} (\S+)/;
const looks = [];

export function forget() {
  looks.length = 0;
}

/** Takes in what `/metrics` said. */
export function note(text) {
  const rows = new Map();
  for (const line of text.split("\n")) {
    const found = SAMPLE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...found[1].matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    const key = `${labels.gateway_group} ${labels.stage}`;
    const row = rows.get(key) ?? [];
    row.push({ le: labels.le === "+Inf" ? Infinity : Number(labels.le), count: Number(found[2]) });
    rows.set(key, row);
  }
  looks.push({ at: performance.now() / 1000, rows });
  if (looks.length > MOST_LOOKS) looks.shift();
}

/** Within which time so large a share of a group's messages came to a stage: points of seconds before now and seconds. */
export function quantiles(share, group, stage) {
  const now = looks.at(-1)?.at ?? 0;
  const key = `${group} ${stage}`;
  const points = [];
  for (let index = 1; index < looks.length; index += 1) {
    const value = quantile(share, looks[index].rows.get(key), looks[Math.max(0, index - OVER)].rows.get(key));
    if (value !== null) points.push({ x: looks[index].at - now, y: value });
  }
  return points;
}

function quantile(share, row, before) {
  if (!row || row.length === 0) return null;
  const more = row.map(({ le, count }, index) => ({ le, count: count - (before?.[index]?.count ?? 0) }));
  const total = more.at(-1).count;
  if (total <= 0) return null;
  const wanted = share * total;
  const index = more.findIndex(({ count }) => count >= wanted);
  const [low, below] = index === 0 ? [0, 0] : [more[index - 1].le, more[index - 1].count];
  const { le, count } = more[index];
  // Beyond the last bound nothing is known but that.
  if (le === Infinity) return low;
  return low + (le - low) * ((wanted - below) / Math.max(1, count - below));
}
