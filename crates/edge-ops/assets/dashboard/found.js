// Messages by what is known of them, newest first, a page at a time.

import { get } from "./api.js";
import { tried } from "./dialog.js";
import { h } from "./dom.js";
import { badge } from "./gateways.js";
import { count, moment } from "./words.js";

const STATES = ["SCHEDULED", "RECEIVED", "SENT", "ACKNOWLEDGED", "FORWARDED", "DEFERRED", "UNDEFINED", "DELIVERED", "READ", "DELETED", "REJECTED", "EXPIRED", "FAILED", "CANCELLED"];
const TOGETHER = [["On their way", "SCHEDULED,SENT,ACKNOWLEDGED,FORWARDED,DEFERRED,UNDEFINED"], ["Not delivered", "REJECTED,EXPIRED,FAILED,CANCELLED"], ["Delivered or read", "DELIVERED,READ"]];
const FIELDS = ["state", "gateway", "direction", "destination", "origin", "since", "until"];
// What only a link can ask for.
const LINKED = ["batch", "linked_id", "instance"];
const PAGE = 50;
// Pages may be empty while older messages are still to be looked at: so long it goes on by itself.
const PATIENCE = 10_000;

let shown = fresh("");

function fresh(query) {
  return { query, messages: [], next: null, busy: false, done: false };
}

/** Opens what a query asks for, such as `state=FAILED&gateway=east`. */
export async function enter(query, app) {
  shown = fresh(query);
  await more(app);
}

/** Nobody looks at the list any more. */
export function leave() {
  shown = fresh("");
}

async function more(app) {
  const mine = shown;
  if (mine.busy) return;
  mine.busy = true;
  app.draw();
  await tried(async () => {
    const [before, until] = [mine.messages.length, Date.now() + PATIENCE];
    do {
      const asked = asQuery(mine.query);
      asked.set("limit", PAGE);
      if (mine.next !== null) asked.set("cursor", mine.next);
      const page = await get(`messages?${asked}`);
      mine.messages = [...mine.messages, ...page.messages];
      mine.next = page.next_cursor;
      mine.done = true;
    } while (mine === shown && mine.next !== null && mine.messages.length === before && Date.now() < until);
  });
  mine.busy = false;
  if (mine === shown) app.draw();
}

/** What the address says, without what nobody can ask for. */
function asQuery(text) {
  const all = new URLSearchParams(text);
  const known = [...FIELDS, ...LINKED].filter((name) => all.get(name));
  return new URLSearchParams(known.map((name) => [name, all.get(name)]));
}

export function draw({ gateways }, app) {
  const asked = asQuery(shown.query);
  const linked = LINKED.filter((name) => asked.has(name));
  const groups = gateways.map((gateway) => gateway.group);
  return [
    h("form", { class: "card filters", id: "filters", key: `filters ${shown.query}`, "aria-label": "Filters", onsubmit: (event) => seek(event, app) },
      choice("state", "State", asked, [...TOGETHER, ...STATES.map((state) => [state, state])]),
      choice("gateway", "Gateway", asked, groups.map((group) => [group, group])),
      field("destination", "To", asked, { inputmode: "tel" }),
      field("origin", "From", asked, { inputmode: "tel" }),
      choice("direction", "Way", asked, [["Out", "outbound"], ["In", "inbound"]]),
      time("since", "Accepted since", asked),
      time("until", "Accepted before", asked),
      linked.map((name) => h("input", { key: name, type: "hidden", name, initial: asked.get(name) })),
      h("div", { class: "actions" },
        asked.size > 0 && h("button", { key: "all", type: "button", id: "all", onclick: () => { location.hash = "#/messages"; } }, "Clear"),
        h("button", { key: "find", type: "submit", class: "primary" }, "Find"))),
    linked.map((name) => h("p", { class: "hint", key: name }, `Only those with ${name} `, h("code", null, asked.get(name)), ".")),
    shown.done && shown.messages.length === 0 && !shown.busy && (shown.next === null
      ? h("div", { class: "empty", key: "nothing" }, h("h2", null, asked.size > 0 ? "No message is like that" : "No message yet"), h("p", null, "Messages are forgotten some time after they have come to an end."))
      : h("p", { class: "hint", key: "nothing" }, "Nothing so far. Older messages have not been looked at yet.")),
    shown.messages.length > 0 && h("section", { class: "card", key: "list" }, table(shown.messages)),
    h("p", { class: "hint", role: "status", key: "status" }, shown.busy ? "Looking…" : shown.messages.length > 0 ? `${count(shown.messages.length)} ${shown.messages.length === 1 ? "message" : "messages"}${shown.next === null ? "" : ", and perhaps older ones"}` : ""),
    shown.next !== null && h("button", { key: "more", id: "more", disabled: shown.busy, onclick: () => more(app) }, "More"),
  ];
}

function choice(name, label, asked, options) {
  const chosen = asked.get(name) ?? "";
  const known = options.some(([, value]) => value === chosen) || chosen === "" ? options : [...options, [chosen, chosen]];
  return h("label", { key: name }, label, h("select", { name, id: `by-${name}`, initial: chosen }, [["Any", ""], ...known].map(([text, value]) => h("option", { key: value, value }, text))));
}

function field(name, label, asked, more) {
  return h("label", { key: name }, label, h("input", { name, id: `by-${name}`, initial: asked.get(name) ?? "", autocomplete: "off", spellcheck: "false", ...more }));
}

function time(name, label, asked) {
  return h("label", { key: name, class: "when-field" }, label, h("input", { name, id: `by-${name}`, type: "datetime-local", initial: local(asked.get(name)) }));
}

/** A time of the address as the field has it: in the browser's zone, to the minute. */
function local(text) {
  const at = new Date(text ?? "");
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function seek(event, app) {
  event.preventDefault();
  const form = new FormData(event.target);
  const query = new URLSearchParams();
  for (const name of [...FIELDS, ...LINKED]) {
    const value = (form.get(name) ?? "").trim();
    if (value !== "") query.set(name, name === "since" || name === "until" ? new Date(value).toISOString() : value);
  }
  const hash = query.size > 0 ? `#/messages/?${query}` : "#/messages";
  if (location.hash === hash) return enter(shown.query, app);
  location.hash = hash;
}

function table(messages) {
  return h("div", { class: "wide" }, h("table", { id: "found" },
    h("thead", null, h("tr", null, ["Accepted", "State", "Gateway", "From", "To"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, messages.map((message) => h("tr", { key: message.id, "data-message": message.id },
      h("td", null, h("a", { href: `#/messages/${message.id}` }, moment(message.created_ts)), h("small", null, h("code", null, message.id))),
      h("td", null, badge(message.state ?? "unknown")),
      h("td", null, message.gateway, h("small", null, message.direction < 0 ? "out" : "in")),
      h("td", null, message.origin),
      h("td", null, numbers(message)))))));
}

function numbers({ recipients }) {
  const [first, ...others] = recipients;
  if (first === undefined) return "–";
  return [first.number, others.length > 0 && h("small", null, `and ${count(others.length)} more`)];
}
