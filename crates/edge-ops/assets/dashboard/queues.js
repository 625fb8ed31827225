// Queues: what waits where, the jobs of one, and where callbacks do not get through.

import { h } from "./dom.js";
import * as endpoints from "./endpoints.js";
import * as waiting from "./waiting.js";
import { KINDS, ago, count, moment, span } from "./words.js";

export const title = "Queues";

let open = "";

export async function enter(path, app) {
  open = path ?? "";
  await Promise.all([waiting.enter(open, app), endpoints.look(app)]);
}

export async function tick(app) {
  await enter(open, app);
}

export function draw({ gateways }, app) {
  return [table(gateways), waiting.draw(app), endpoints.draw(app)];
}

function table(gateways) {
  const queues = gateways.flatMap((gateway) => gateway.queues);
  if (queues.length === 0) {
    return h("div", { class: "empty", key: "queues" }, h("h2", null, "Nothing waits"), h("p", null, "A queue stands here while it holds a job or is paused."));
  }
  return h("section", { class: "card", key: "queues" }, h("div", { class: "wide" }, h("table", null,
    h("thead", null, h("tr", null, ["Queue", "Waiting", "In hand", "Dead", "Overdue", "State"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, queues.map((queue) => h("tr", { key: queue.queue },
      h("td", null, h("b", null, queue.queue), h("small", null, KINDS[queue.kind] ?? queue.kind)),
      h("td", { class: "n" }, queue.waiting + queue.leased > 0 ? h("a", { href: `#/queues/${queue.queue}` }, count(queue.waiting)) : "0"),
      h("td", { class: "n" }, count(queue.leased)),
      h("td", { class: "n" }, queue.dead > 0 ? h("a", { href: `#/dead/${queue.queue}` }, count(queue.dead)) : "0"),
      h("td", { class: "n" }, queue.age_seconds === undefined ? "–" : span(queue.age_seconds)),
      h("td", { class: "words" }, state(queue))))))));
}

function state({ paused, held_until_ts: held }) {
  if (paused) return `paused ${ago(paused.since_ts)}: ${paused.reason}`;
  if (held !== undefined && held * 1000 > Date.now()) return `held back until ${moment(held)}`;
  return "open";
}
