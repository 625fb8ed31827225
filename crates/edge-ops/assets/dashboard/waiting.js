// Jobs of one queue that wait or are in work: looked at, had done at once, forgotten.

import { get, post } from "./api.js";
import { ask, say, tried } from "./dialog.js";
import { h } from "./dom.js";
import { count, moment, span } from "./words.js";

const PAGE = 50;

let shown = { queue: "", jobs: null, next: null };

export async function enter(queue, app) {
  if (queue !== shown.queue) shown = { queue, jobs: null, next: null };
  if (queue === "") return;
  const page = await get(`queues/${queue}/jobs?limit=${PAGE}`);
  if (shown.queue !== queue) return;
  Object.assign(shown, { jobs: page.jobs, next: page.next ?? null });
  app.draw();
}

/** The jobs, where a queue is open. */
export function draw(app) {
  const { queue, jobs, next } = shown;
  if (queue === "" || jobs === null) return null;
  if (jobs.length === 0) {
    return h("div", { class: "empty", key: "jobs" }, h("h2", null, `Nothing waits in ${queue}`), h("p", null, "What comes now stands here at once."));
  }
  return h("section", { class: "card waiting", key: "jobs" },
    h("div", { class: "title" }, h("h2", null, queue), h("div", { class: "actions" },
      h("button", { id: "retry-put-off", onclick: () => many("retry", "Retry now", app) }, "Retry now what was put off…"),
      h("button", { id: "purge-waiting", class: "danger", onclick: () => many("purge", "Forget", app) }, "Forget all…"))),
    h("div", { class: "wide" }, h("table", null,
      h("thead", null, h("tr", null, ["Due", "What", "Tries", "Message or address", "In work at", ""].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, jobs.map((job) => row(job, app))))),
    next !== null && h("p", { class: "hint", key: "more" }, `These are the first ${count(jobs.length)}.`));
}

function row(job, app) {
  const later = job.due_ts * 1000 - Date.now();
  const waits = job.holder === undefined;
  return h("tr", { key: job.id },
    h("td", null, moment(job.due_ts), later > 0 && h("small", null, `in ${span(later / 1000)}`)),
    h("td", null, job.job, job.lane !== "normal" && h("small", null, job.lane)),
    h("td", { class: "n" }, count(job.tries)),
    h("td", { class: "words" }, job.message && h("a", { href: `#/messages/${job.message}` }, h("code", null, job.message)),
      (job.address ?? job.peer) && h("small", null, job.address ?? job.peer)),
    h("td", { class: "words" }, job.holder ?? "–"),
    h("td", null, waits && later > 0 && h("button", { key: "retry", class: "retry", onclick: () => now(job, app) }, "Retry now…")));
}

async function now(job, app) {
  const text = "It is due at once, whatever it waits for, and handed out where its queue is neither paused nor held back.";
  const reason = await ask({ title: "Retry this job now?", text, deed: "Retry now" });
  if (reason === null) return;
  await tried(() => post(`queues/${job.queue}/jobs/${job.id}/retry`, { reason }), "It is due.");
  await Promise.all([app.look(), tried(() => enter(job.queue, app))]);
}

async function many(deed, word, app) {
  const { queue } = shown;
  let meant = 0;
  const counted = await tried(async () => {
    ({ matched: meant } = await inTurn(queue, deed, { dry_run: true, reason: "counted first" }));
  });
  if (!counted) return;
  if (meant === 0) return say("No job is meant.");
  const text = `${count(meant)} ${meant === 1 ? "job is" : "jobs are"} meant. ${deed === "purge"
    ? "Messages that were to be sent end as CANCELLED; their applications are told."
    : "What waits for a time that an application gave is left alone."}`;
  const reason = await ask({ title: `${word}: ${count(meant)} of ${queue}?`, text, deed: word, danger: deed === "purge" });
  if (reason === null) return;
  await tried(() => inTurn(queue, deed, { dry_run: false, reason }), ({ matched, done, refused }) =>
    `${count(done)} of ${count(matched)} done.${refused.length > 0 ? ` ${refused[0].why}.` : ""}`);
  await Promise.all([app.look(), tried(() => enter(queue, app))]);
}

/** An order that takes long ends with what is left to be ordered again. */
async function inTurn(queue, deed, order) {
  const whole = { matched: 0, done: 0, refused: [] };
  for (let after; ;) {
    const part = await post(`queues/${queue}/${deed}`, { max: 100_000, ...order, ...(after === undefined ? {} : { after }) });
    whole.matched += part.matched;
    whole.done += part.done;
    whole.refused.push(...part.refused);
    if (part.next === undefined) return whole;
    after = part.next;
  }
}
