// Trace: what this process says with a carrier, line by line, for a while.

import { get, post, remove } from "./api.js";
import { say, tried } from "./dialog.js";
import { h } from "./dom.js";
import { badge } from "./gateways.js";
import { count, moment, span, time } from "./words.js";

export const title = "Trace";

const SPANS = [60, 300, 900, 3_600];
// Entries that the page shows; the file has all of them.
const MOST_SHOWN = 400;
let traces = [];
let shown = { id: null, trace: null, entries: [] };
// What the form begins with, where a link said it.
let wanted = { group: "", message: "" };
let fault = null;

/** `group/<name>` and `message/<id>` fill in the form, a number shows a trace. */
export async function enter(path, app) {
  const [what, name] = (path ?? "").split("/").map(decodeURIComponent);
  wanted = { group: what === "group" ? name : "", message: what === "message" ? name : "" };
  const id = /^\d+$/.test(what) ? Number(what) : null;
  if (id !== shown.id) shown = { id, trace: null, entries: [] };
  fault = null;
  await tick(app);
  app.draw();
}

export async function tick() {
  traces = (await get("trace")).traces;
  if (shown.id === null) return;
  const of = shown;
  for (;;) {
    let page;
    try {
      page = await get(`trace/${of.id}?after=${of.entries.at(-1)?.sequence ?? 0}`);
    } catch (error) {
      if (error.status !== 404) throw error;
      of.trace ??= "none";
      if (of.trace !== "none") of.trace.active = false;
      return;
    }
    if (shown !== of) return;
    of.trace = page.trace;
    // Two looks at the same time must not note it twice.
    const last = of.entries.at(-1)?.sequence ?? 0;
    of.entries.push(...page.entries.filter((entry) => entry.sequence > last));
    if (page.entries.length < PAGE) return;
  }
}

// Entries that the API gives at once.
const PAGE = 500;

export function draw({ gateways }, app) {
  const names = gateways.filter((gateway) => gateway.settings).map((gateway) => gateway.group);
  return [
    form(names, app),
    traces.length > 0 && h("section", { class: "card", key: "all" }, h("h3", null, "Traces of this process"),
      h("ul", { class: "jobs" }, traces.map((trace) => line(trace, app)))),
    shown.trace === "none" && h("p", { class: "hint", key: "gone" }, "There is no such trace any more."),
    shown.trace !== null && shown.trace !== "none" && conversation(app),
  ];
}

function form(names, app) {
  const key = `${wanted.group} ${wanted.message}`;
  return h("form", { class: "card", id: "trace", key: `form ${key}`, onsubmit: (event) => begin(event, app) },
    h("div", { class: "row" },
      h("label", null, "Gateway", h("select", { name: "group", id: "trace-group" },
        h("option", { value: "" }, "of the message"),
        names.map((name) => h("option", { key: name, value: name, selected: name === wanted.group }, name)))),
      h("label", null, "or message", h("input", { name: "message", id: "trace-message", initial: wanted.message, autocomplete: "off", spellcheck: "false" })),
      h("label", null, "For", h("select", { name: "seconds", id: "trace-seconds" }, SPANS.map((seconds) => h("option", { key: seconds, value: seconds }, span(seconds).replace(" 0 s", "").replace(" 0 min", ""))))),
      h("label", null, "Reason, for the log", h("input", { name: "reason", id: "trace-reason", required: true, maxlength: "500", autocomplete: "off" })),
      h("button", { type: "submit", class: "primary" }, "Begin")),
    h("p", { class: "fault", role: "alert" }, fault ?? ""),
    h("p", { class: "hint" }, "SMTP lines, heads and bodies of HTTP, both ways. Passwords are left out, content is cut. To see why a message failed, begin a trace of it and have its dead job tried again."));
}

async function begin(event, app) {
  event.preventDefault();
  const form = new FormData(event.target);
  const order = { seconds: Number(form.get("seconds")), reason: form.get("reason").trim() };
  for (const name of ["group", "message"]) if (form.get(name).trim() !== "") order[name] = form.get(name).trim();
  try {
    const trace = await post("trace", order);
    location.hash = `#/trace/${trace.id}`;
  } catch (error) {
    fault = error.message;
    app.draw();
  }
}

const what = (trace) => (trace.message ? h("span", null, trace.group, ", message ", h("a", { href: `#/messages/${trace.message}` }, h("code", null, trace.message))) : h("span", null, trace.group));

function line(trace, app) {
  return h("li", { key: trace.id, "data-trace": trace.id },
    h("div", { class: "what" }, h("p", null, h("b", null, what(trace))),
      h("small", null, `${moment(trace.since_ts)}, ${trace.active ? `until ${time(trace.until_ts)}` : `ended ${time(trace.until_ts)}`}`)),
    h("div", { class: "actions" },
      trace.active && h("button", { key: "stop", class: "stop", onclick: () => stop(trace, app) }, "Stop"),
      h("button", { key: "show", class: "show", onclick: () => { location.hash = `#/trace/${trace.id}`; } }, "Show")));
}

async function stop(trace, app) {
  await tried(() => remove(`trace/${trace.id}`), "It has ended. What was said can still be read.");
  await app.look();
}

function conversation(app) {
  const { trace, entries } = shown;
  const hidden = Math.max(0, entries.length - MOST_SHOWN);
  return h("section", { class: "card", key: `conversation ${trace.id}` },
    h("div", { class: "title" }, h("h2", null, what(trace)),
      h("span", { key: "state" }, badge(trace.active ? "active" : "ended")),
      h("button", { key: "save", id: "trace-save", disabled: entries.length === 0, onclick: save }, "Save as a file"),
      trace.active && h("button", { key: "stop", id: "trace-stop", onclick: () => stop(trace, app) }, "Stop")),
    trace.dropped > 0 && h("p", { class: "note", key: "dropped" }, `${count(trace.dropped)} of the oldest entries were dropped, as there were too many.`),
    hidden > 0 && h("p", { class: "hint", key: "hidden" }, `The newest ${count(MOST_SHOWN)} entries; ${count(hidden)} more are in the file.`),
    entries.length === 0
      ? h("p", { class: "hint", key: "none" }, trace.active ? "Nothing was said yet." : "Nothing was said.")
      : h("ol", { class: "wire", key: "wire", tabindex: "0" }, entries.slice(-MOST_SHOWN).map(entry)));
}

const MARKS = { us: ">", carrier: "<", nobody: "*" };

function entry(entry, index, all) {
  const isNew = entry.exchange !== all[index - 1]?.exchange;
  return h("li", { key: entry.sequence, class: entry.by },
    isNew && h("small", { key: "head" }, `${time(entry.at_ms / 1000)} ${entry.group}, exchange ${entry.exchange}${entry.message ? `, message ${entry.message}` : ""}`),
    h("pre", null, marked(entry)));
}

const marked = ({ by, text }) => text.split("\n").map((line) => `${MARKS[by]} ${line.replaceAll("\r", "")}`).join("\n");

/** All of it as text, as `mmsgw trace` prints it. */
function save() {
  const { trace, entries } = shown;
  const lines = entries.flatMap((entry, index) => {
    const at = new Date(entry.at_ms).toISOString();
    const head = `-- ${at} ${entry.group}, exchange ${entry.exchange}${entry.message ? `, message ${entry.message}` : ""}`;
    return entry.exchange === entries[index - 1]?.exchange ? [marked(entry)] : [head, marked(entry)];
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/plain" }));
  link.download = `mmsgw-trace-${trace.group}-${trace.id}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(`${link.download} holds ${count(entries.length)} entries.`);
}
