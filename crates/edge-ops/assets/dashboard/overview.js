// Overview: how all of it is, and what each carrier does.

import { faultRate, faults, stateRate, states } from "./counters.js";
import { h } from "./dom.js";
import { depths, rates, seen } from "./history.js";
import { quantiles } from "./latency.js";
import { plot } from "./plot.js";
import { count, rate, short, span } from "./words.js";

export const title = "Overview";

export function draw({ gateways }, app) {
  if (gateways.length === 0) return noGateways();
  const redraw = app.draw;
  const names = gateways.map((gateway) => gateway.group);
  const each = (points) => names.slice(0, 8).map((name, index) => ({ name, look: `c${index}`, points: points(name) }));
  return [
    tiles(),
    seen() < 3 && h("p", { class: "hint", key: "hint" }, "The plots grow while this page is open."),
    h("div", { class: "plots", key: "plots" },
      plot({ id: "sent", title: "Taken by carriers, per second", say: rate, redraw, lines: each((name) => rates("sent", name)) }),
      plot({ id: "waiting", title: "Jobs that wait", say: count, least: 4, redraw, lines: each((name) => depths("waiting", name)) }),
      plot({ id: "age", title: "Longest overdue", say: span, least: 10, redraw, lines: each((name) => depths("age", name)) }),
      plot({ id: "taken in", title: "Accepted until taken, 95 of 100", say: short, least: 0.1, redraw, lines: each((name) => quantiles(0.95, name, "sent")) }),
      plot({ id: "delivered in", title: "Accepted until delivered, 95 of 100", say: short, least: 0.1, redraw, lines: each((name) => quantiles(0.95, name, "delivered")) }),
      plot({ id: "callbacks", title: "Callbacks, per second", say: rate, redraw, lines: [
        { name: "taken", look: "good", points: rates("callbacks") },
        { name: "put off or given up", look: "failed", points: rates("callbacks_failed") },
      ] }),
      plot({ id: "states", title: "What happens to messages here, per second", say: rate, redraw, lines:
        states().slice(0, 8).map((name, index) => ({ name: name.toUpperCase(), look: `c${index}`, points: stateRate(name) })) })),
    h("h2", { key: "by" }, "By carrier"),
    h("div", { class: "plots", key: "carriers" }, gateways.map((gateway) => carrier(gateway, redraw))),
    names.some((name) => faults(name).length > 0) && h("h2", { key: "faults" }, "What went wrong, by carrier"),
    h("div", { class: "plots", key: "codes" }, names.map((name) => errors(name, redraw))),
  ];
}

export function noGateways() {
  return h("div", { class: "empty" },
    h("h2", null, "No gateway yet"),
    h("p", null, "Put a gateway file into the directory that ", h("code", null, "gateways"), " names in the main file, and start mmsgw again. ",
      h("code", null, "mmsgw reference mm7"), " and ", h("code", null, "mmsgw reference mm4"), " print one with every setting explained."));
}

function tiles() {
  const now = (points) => points.at(-1)?.y ?? null;
  const failed = now(rates("failed"));
  const age = now(depths("age"));
  const dead = now(depths("dead"));
  return h("dl", { class: "tiles", key: "tiles" },
    tile("Accepted here", rate(now(rates("accepted"))), "per second"),
    tile("Taken by carriers", rate(now(rates("sent"))), "per second"),
    tile("Put off", rate(now(rates("deferred"))), "per second"),
    tile("Given up", rate(failed), "per second", failed > 0),
    tile("From carriers", rate(now(rates("received"))), "per second"),
    tile("Waiting", count(now(depths("waiting"))), "jobs"),
    tile("Overdue", span(age), "the longest", age > 60),
    tile("Dead", count(dead), "jobs", dead > 0));
}

function tile(name, value, unit, bad = false) {
  return h("div", { class: bad ? "tile bad" : "tile", key: name }, h("dt", null, name), h("dd", null, value), h("dd", { class: "unit" }, unit));
}

function carrier(gateway, redraw) {
  const of = (name) => rates(name, gateway.group);
  return plot({
    id: `carrier ${gateway.group}`, title: `${gateway.group}, per second`, say: rate, redraw,
    lines: [
      { name: "accepted here", look: "plain", points: of("accepted") },
      { name: "taken", look: "good", points: of("sent") },
      { name: "put off", look: "deferred", points: of("deferred") },
      { name: "given up", look: "failed", points: of("failed") },
      { name: "received", look: "received", points: of("received") },
    ],
  });
}

/** Hand-overs from this process that did not go well, by the code that tells why. */
function errors(group, redraw) {
  const codes = faults(group).slice(0, 8);
  return codes.length > 0 && plot({
    id: `errors ${group}`, title: `${group}: refused or put off here, by code, per second`, say: rate, redraw,
    lines: codes.map((code, index) => ({ name: code, look: `c${index}`, points: faultRate(group, code) })),
  });
}
