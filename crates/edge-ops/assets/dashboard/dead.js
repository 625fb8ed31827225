// Dead jobs and callbacks: looked at, tried again, forgotten; many at once only after they were counted.

import { get, post } from "./api.js";
import { ask, say, tried } from "./dialog.js";
import { h } from "./dom.js";
import { KINDS, count, moment } from "./words.js";

export const title = "Dead";

const PAGE = 50;
let shown = { queue: null, jobs: [], next: null, matching: "", whole: new Map() };

export async function enter(path, app) {
  const queue = path || null;
  if (queue !== shown.queue) shown = { queue, jobs: [], next: null, matching: "", whole: new Map() };
  if (queue === null) return;
  const page = await get(`dead?max=${PAGE}&queue=${encodeURIComponent(queue)}`);
  if (shown.queue !== queue) return;
  shown.jobs = page.jobs;
  shown.next = page.next ?? null;
  app.draw();
}

export function draw({ gateways }, app) {
  const queues = gateways.flatMap((gateway) => gateway.queues).filter((queue) => queue.dead > 0);
  const total = queues.reduce((sum, queue) => sum + queue.dead, 0);
  return [
    total === 0 && shown.jobs.length === 0 && h("div", { class: "empty", key: "none" }, h("h2", null, "Nobody died"),
      h("p", null, "Jobs that were given up stand here: messages that failed, callbacks that no application took, and what a carrier sent and nobody could read.")),
    queues.length > 0 && h("nav", { class: "chips", "aria-label": "Queues with dead jobs", key: "chips" }, queues.map((queue) => h("a", {
      key: queue.queue, href: `#/dead/${queue.queue}`, "aria-current": queue.queue === shown.queue ? "true" : null,
    }, queue.queue, h("b", null, count(queue.dead))))),
    shown.queue === null && total > 0 && h("p", { class: "hint", key: "choose" }, "Choose a queue."),
    shown.queue !== null && (shown.jobs.length > 0 || total > 0) && list(app),
  ];
}

const isCallback = (queue) => queue.endsWith("/callback");

function list(app) {
  const { queue, jobs, next } = shown;
  const [group, kind] = queue.split("/");
  const again = isCallback(queue) ? "Post again" : "Retry";
  return h("section", { class: "card", key: queue },
    h("div", { class: "title" }, h("h2", null, group, h("small", null, ` ${KINDS[kind] ?? kind}`))),
    jobs.length > 0 && h("form", { class: "row", key: "many", onsubmit: (event) => event.preventDefault() },
      h("label", null, "Only those with this in reason, peer or address",
        h("input", { id: "matching", initial: "", autocomplete: "off", oninput: (event) => { shown.matching = event.target.value; } })),
      h("button", { type: "button", id: "retry-all", onclick: () => many("retry", again, app) }, `${again} many…`),
      h("button", { type: "button", id: "purge-all", class: "danger", onclick: () => many("purge", "Forget", app) }, "Forget many…")),
    jobs.length === 0 && h("p", { class: "hint", key: "empty" }, "No dead job here any more."),
    h("ul", { class: "jobs", key: "jobs" }, jobs.map((job) => line(job, again, app))),
    next !== null && h("button", { key: "more", onclick: () => more(app) }, "More"));
}

function line(job, again, app) {
  const whole = shown.whole.get(job.id);
  return h("li", { key: job.id, "data-job": job.id },
    h("div", { class: "what" },
      h("p", { class: "words" }, job.reason),
      h("small", null, [
        `${job.job}, given up ${moment(job.died_ts)} after ${count(job.tries)} ${job.tries === 1 ? "try" : "tries"}`,
        job.peer && `from ${job.peer}`, job.size !== undefined && `${count(job.size)} octets`, job.address && `to ${job.address}`,
      ].filter(Boolean).join(" · ")),
      job.message && h("small", { key: "message" }, "message ", h("a", { href: `#/messages/${job.message}` }, h("code", null, job.message))),
      whole && h("pre", { key: "octets", tabindex: "0" }, whole)),
    h("div", { class: "actions" },
      job.job === "intake" && h("button", { key: "look", onclick: () => look(job, app), "aria-expanded": whole ? "true" : "false" }, whole ? "Hide" : "Look"),
      h("button", { key: "retry", class: "retry", onclick: () => one(job, "retry", again, app) }, `${again}…`),
      h("button", { key: "purge", class: "danger purge", onclick: () => one(job, "purge", "Forget", app) }, "Forget…")));
}

async function look(job, app) {
  if (!shown.whole.delete(job.id)) {
    await tried(async () => {
      const { intake } = await get(`dead/${job.id}`);
      const octets = Uint8Array.from(atob(intake.octets), (character) => character.charCodeAt(0));
      const head = intake.form === "mail" ? `MAIL FROM ${intake.mail_from}\nRCPT TO ${intake.rcpt_to.join(", ")}` : `Content-Type: ${intake.content_type}`;
      shown.whole.set(job.id, `${head}\n\n${new TextDecoder().decode(octets.subarray(0, MOST_SHOWN))}${octets.length > MOST_SHOWN ? "\n…" : ""}`);
    });
  }
  app.draw();
}

async function more(app) {
  const { queue, next } = shown;
  await tried(async () => {
    const page = await get(`dead?max=${PAGE}&queue=${encodeURIComponent(queue)}&after=${next}`);
    if (shown.queue !== queue) return;
    shown.jobs = [...shown.jobs, ...page.jobs];
    shown.next = page.next ?? null;
  });
  app.draw();
}

async function one(job, deed, word, app) {
  const text = deed === "purge" ? "It cannot be brought back." : job.job === "transmit"
    ? "The message is sent again to the numbers that failed. The application is told." : "It goes back into its queue, due at once.";
  const reason = await ask({ title: `${word} this job?`, text, deed: word, danger: deed === "purge" });
  if (reason === null) return;
  if (await tried(() => post(`dead/${job.id}/${deed}`, { reason }), deed === "purge" ? "Forgotten." : "It waits in its queue again.")) {
    shown.jobs = shown.jobs.filter((other) => other.id !== job.id);
  }
  await app.look();
}

async function many(deed, word, app) {
  const { queue, matching } = shown;
  const which = { queue, max: 100_000, ...(matching === "" ? {} : { matching }) };
  let meant = 0;
  const counted = await tried(async () => {
    ({ matched: meant } = await inTurn(deed, { ...which, dry_run: true, reason: "counted first" }));
  });
  if (!counted) return;
  if (meant === 0) return say("No job is meant.");
  const text = `${count(meant)} ${meant === 1 ? "job is" : "jobs are"} meant${matching === "" ? "" : `, with “${matching}” in them`}. ${
    deed === "purge" ? "They cannot be brought back." : "They go back into their queue, due at once."}`;
  const reason = await ask({ title: `${word} ${count(meant)} of ${queue}?`, text, deed: word, danger: deed === "purge" });
  if (reason === null) return;
  await tried(() => inTurn(deed, { ...which, dry_run: false, reason }), ({ matched, done, refused }) =>
    `${count(done)} of ${count(matched)} done.${refused.length > 0 ? ` ${refused[0].why}.` : ""}`);
  await Promise.all([app.look(), enter(queue, app)]);
}

/** An order that takes long ends with what is left to be ordered again. */
async function inTurn(deed, order) {
  const whole = { matched: 0, done: 0, refused: [] };
  for (let after; ;) {
    const part = await post(`dead/${deed}`, after === undefined ? order : { ...order, after });
    whole.matched += part.matched;
    whole.done += part.done;
    whole.refused.push(...part.refused);
    if (part.next === undefined) return whole;
    after = part.next;
  }
}

const MOST_SHOWN = 16_384;
