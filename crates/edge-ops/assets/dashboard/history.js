// What the page has seen since it was opened: one look every two seconds, the last ten minutes of them.

const MOST_LOOKS = 300;
const MOST_BEATS = 60;
const looks = [];
const beats = new Map();

/** Takes in what `/admin/v1/gateways` said. */
export function note(gateways) {
  looks.push({ at: performance.now() / 1000, groups: new Map(gateways.map((gateway) => [gateway.group, sums(gateway)])) });
  if (looks.length > MOST_LOOKS) looks.shift();
  const there = gateways.flatMap((gateway) => gateway.instances);
  for (const { id, heartbeat } of there) {
    if (!heartbeat) continue;
    const seen = beats.get(id) ?? [];
    if (seen.at(-1)?.at_ts !== heartbeat.at_ts) seen.push(heartbeat);
    if (seen.length > MOST_BEATS) seen.shift();
    beats.set(id, seen);
  }
  const ids = new Set(there.map((instance) => instance.id));
  for (const id of beats.keys()) if (!ids.has(id)) beats.delete(id);
}

/** Forgets everything, for another person. */
export function forget() {
  looks.length = 0;
  beats.clear();
}

export const heartbeats = (id) => beats.get(id) ?? [];

/** How many looks there are. */
export const seen = () => looks.length;

/**
 * What a group did per second, or all of them, look by look: points of seconds before now and value. Processes tell of
 * themselves every few seconds, so a rate is taken over the looks of that time.
 */
export function rates(name, group = null) {
  const points = [];
  const now = looks.at(-1)?.at ?? 0;
  for (let index = 1; index < looks.length; index += 1) {
    const look = looks[index];
    const before = looks[Math.max(0, index - OVER)];
    points.push({ x: look.at - now, y: sum(look, before, name, group) / Math.max(0.5, look.at - before.at) });
  }
  return points;
}

/** What a group held, or all of them, look by look. */
export function depths(name, group = null) {
  const now = looks.at(-1)?.at ?? 0;
  const held = (look) => [...look.groups].filter(([key]) => group === null || key === group);
  const total = (look) => held(look).reduce((sum, [, sums]) => (name === "age" ? Math.max(sum, sums.age) : sum + sums[name]), 0);
  return looks.map((look) => ({ x: look.at - now, y: total(look) }));
}

// Looks over which a rate is taken.
const OVER = 3;

function sum(look, before, name, group) {
  let total = 0;
  for (const [key, now] of look.groups) {
    const then = before.groups.get(key);
    if ((group !== null && key !== group) || !then) continue;
    // Counted per process, since one that starts anew begins at zero.
    for (const [id, value] of now.counts[name]) {
      const old = then.counts[name].get(id);
      if (old !== undefined) total += Math.max(0, value - old);
    }
  }
  return total;
}

function sums(gateway) {
  const counts = {};
  for (const name of ["sent", "deferred", "failed"]) {
    counts[name] = new Map(gateway.instances.map((instance) => [instance.id, instance[name]]));
  }
  for (const name of ["accepted", "received", "callbacks", "callbacks_failed"]) {
    counts[name] = new Map(gateway.counts ? [["here", gateway.counts[name]]] : []);
  }
  // The only instance tells of itself every few seconds; where it is in this process, its counts are known at once.
  const speakers = gateway.instances.filter((instance) => instance.protocol);
  if (gateway.counts && speakers.length === 1) {
    const [{ id, ...told }] = speakers;
    for (const name of ["sent", "deferred", "failed"]) counts[name].set(id, Math.max(told[name], gateway.counts[name]));
  }
  const of = (key) => gateway.queues.reduce((sum, queue) => sum + (queue[key] ?? 0), 0);
  const age = gateway.queues.reduce((most, queue) => Math.max(most, queue.age_seconds ?? 0), 0);
  return { counts, waiting: of("waiting"), dead: of("dead"), age };
}
