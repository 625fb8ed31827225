// Live: what happens to messages in this process, as it happens.

import { badge } from "./gateways.js";
import { h } from "./dom.js";
import { count, time } from "./words.js";

export const title = "Live";

const MOST = 500;
const STATES = ["SCHEDULED", "SENT", "ACKNOWLEDGED", "RECEIVED", "FORWARDED", "DEFERRED", "DELIVERED", "READ", "REJECTED", "EXPIRED", "FAILED", "CANCELLED"];
const filter = { group: "", state: "" };
let source = null;
let app = null;
let events = [];
// While it is stopped, new events are kept aside.
let stopped = false;
let aside = [];
let missed = 0;
let state = "connecting";
let drawing = false;
let number = 0;

export function enter(_path, page) {
  app = page;
  listen();
}

/** Nobody looks any more: what happens meanwhile is not heard. */
export function leave() {
  source?.close();
  source = null;
}

function listen() {
  leave();
  const asked = new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== ""));
  source = new EventSource(`/admin/v1/events?${asked}`);
  state = "connecting";
  source.onopen = () => become("listening");
  // The browser tries again by itself, unless it was refused.
  source.onerror = () => become(source?.readyState === EventSource.CLOSED ? "refused" : "away");
  source.addEventListener("message", ({ data }) => take({ ...JSON.parse(data), number: (number += 1) }));
  source.addEventListener("missed", ({ data }) => {
    missed += Number(data);
    soon();
  });
}

function become(next) {
  state = next;
  soon();
}

function take(event) {
  const list = stopped ? aside : events;
  list.unshift(event);
  if (list.length > MOST) list.pop();
  soon();
}

/** Many events make one picture. */
function soon() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    if (source !== null) app.draw();
  }, 200);
}

function stop() {
  stopped = !stopped;
  if (!stopped) {
    events = [...aside, ...events].slice(0, MOST);
    aside = [];
  }
  app.draw();
}

function clear() {
  [events, aside, missed] = [[], [], 0];
  app.draw();
}

const WORDS = {
  connecting: "Connecting…",
  listening: "Listening. What happens from now on is shown, the newest first.",
  away: "The gateway does not answer; trying again.",
  refused: "The gateway refused it.",
};

export function draw({ gateways }) {
  const choose = (name, label, all, values) => h("label", { key: name }, label, h("select", {
    id: `live-${name}`,
    onchange: (event) => {
      filter[name] = event.target.value;
      clear();
      listen();
    },
  }, h("option", { value: "" }, all), values.map((value) => h("option", { key: value, value, selected: value === filter[name] }, value))));
  return [
    h("div", { class: "card", key: "what" },
      h("div", { class: "row" },
        choose("group", "Gateway", "all", gateways.map((gateway) => gateway.group)),
        choose("state", "State", "all", STATES),
        h("button", { id: "live-stop", "aria-pressed": String(stopped), onclick: stop }, stopped ? `Go on${aside.length > 0 ? `, ${count(aside.length)} new` : ""}` : "Stop scrolling"),
        h("button", { id: "live-clear", onclick: clear }, "Clear")),
      h("p", { class: state === "listening" ? "hint" : "hint failed", role: "status" }, WORDS[state],
        missed > 0 && ` ${count(missed)} events were missed, as there were too many.`)),
    events.length === 0
      ? h("div", { class: "empty", key: "none" }, h("h2", null, "Nothing yet"), h("p", null, "Events of messages stand here as soon as they are on disk. Only those of this process, and none from before the page was opened."))
      : h("section", { class: "card", key: "events" }, h("ul", { class: "live" }, events.map(line))),
  ];
}

function line(event) {
  return h("li", { key: event.number },
    h("time", null, time(event.at_ms / 1000)),
    badge(event.state),
    h("span", { class: "words" }, h("b", null, event.group), ` ${event.description}`,
      h("small", null, [`code ${event.code}`, event.carrier_status && `carrier says ${event.carrier_status}`, event.destinations !== "*" && event.destinations].filter(Boolean).join(" · ")),
      h("a", { href: `#/messages/${event.message}` }, h("code", null, event.message))));
}
