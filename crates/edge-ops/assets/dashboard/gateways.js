// Gateways: groups and their instances; a group's way to its carrier is closed and opened.

import { post } from "./api.js";
import { ask, tried } from "./dialog.js";
import { h } from "./dom.js";
import { heartbeats } from "./history.js";
import { noGateways } from "./overview.js";
import { ago, count, moment, span, time } from "./words.js";

export const title = "Gateways";

export function draw({ gateways, instances }, app) {
  if (gateways.length === 0) return noGateways();
  const others = instances.filter((instance) => !instance.protocol);
  return [
    gateways.map((gateway) => card(gateway, app)),
    others.length > 0 && h("section", { class: "card", key: "other processes" }, h("h2", null, "Others"), table(others)),
  ];
}

export const badge = (word) => h("span", { class: `badge ${word}` }, word);

function card(gateway, app) {
  const { group, paused, settings } = gateway;
  const speakers = gateway.instances.filter((instance) => instance.protocol);
  const facts = settings && [
    ["At once", count(settings.window)],
    ["Limit", settings.tps_limit === undefined ? "none" : `${settings.tps_limit}/s`],
    ["Tries", count(settings.max_tries)],
    ["Heartbeat", settings.heartbeat_interval_seconds === undefined ? "off" : `every ${span(settings.heartbeat_interval_seconds)}`],
    ["Events to", settings.events_url.join(", ") || "nobody"],
  ];
  return h("section", { class: "card", key: group, "data-group": group },
    h("div", { class: "title" }, h("h2", null, group), badge(gateway.health),
      h("a", { key: "trace", class: "link", href: `#/trace/group/${encodeURIComponent(group)}` }, "Trace"),
      paused
        ? h("button", { key: "resume", class: "primary resume", onclick: () => steer(group, "resume", app) }, "Resume…")
        : h("button", { key: "pause", class: "pause", onclick: () => steer(group, "pause", app) }, "Pause…")),
    paused && h("p", { class: "note", key: "paused" }, `Paused by ${paused.by === "-" ? "somebody" : paused.by} since ${moment(paused.since_ts)}: ${paused.reason}`),
    facts && h("dl", { class: "facts", key: "facts" }, facts.map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value)))),
    speakers.length === 0
      ? h("p", { class: "hint", key: "none" }, "No instance is running.")
      : h("div", { key: "instances" }, table(speakers)));
}

function table(instances) {
  return h("div", { class: "wide" }, h("table", null,
    h("thead", null, h("tr", null, ["Instance", "Health", "Heartbeat", "In flight", "Taken", "Put off", "Given up", "Last error"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, instances.map((instance) => h("tr", { key: instance.id },
      h("td", null, h("code", null, instance.id), h("small", null, `${instance.role}, up ${span(Date.now() / 1000 - instance.started_ts)}, heard of ${ago(instance.updated_ts)}`)),
      h("td", null, badge(instance.health), instance.health_reason && h("small", null, instance.health_reason)),
      h("td", null, beats(instance)),
      h("td", { class: "n" }, count(instance.in_flight)),
      h("td", { class: "n" }, count(instance.sent)),
      h("td", { class: "n" }, count(instance.deferred)),
      h("td", { class: "n" }, count(instance.failed)),
      h("td", { class: "words" }, instance.last_error ?? "–"))))));
}

function beats({ id, heartbeat }) {
  if (!heartbeat) return "off";
  const words = heartbeat.ok ? `${count(heartbeat.took_ms)} ms, ${ago(heartbeat.at_ts)}` : `missed ${heartbeat.missed}, ${ago(heartbeat.at_ts)}`;
  return [
    h("span", { class: "beats", role: "img", "aria-label": `Last heartbeats: ${words}` },
      heartbeats(id).slice(-30).map((beat) => h("i", {
        key: beat.at_ts, class: beat.ok ? "ok" : "missed",
        title: `${time(beat.at_ts)}: ${beat.ok ? `${count(beat.took_ms)} ms` : "missed"}`,
      }))),
    h("small", null, words),
    h("small", { key: "seen" }, seenBeats(heartbeats(id))),
  ];
}

/** What this page has seen of an instance's heartbeats. */
function seenBeats(all) {
  const missed = all.filter((beat) => !beat.ok).length;
  const took = all.map((beat) => beat.took_ms).filter((ms) => ms !== undefined);
  const longest = took.length > 0 ? `, at most ${count(Math.max(...took))} ms` : "";
  return all.length > 1 ? `${count(missed)} of ${count(all.length)} seen were missed${longest}` : "";
}

async function steer(group, deed, app) {
  const text = deed === "pause"
    ? "Nothing more goes to the carrier, from any process. Messages are still accepted, and wait."
    : "What waits goes to the carrier again.";
  const word = deed === "pause" ? "Pause" : "Resume";
  const reason = await ask({ title: `${word} ${group}?`, text, deed: word });
  if (reason === null) return;
  await tried(() => post(`gateways/${encodeURIComponent(group)}/${deed}`, { reason }), `${group}: ${deed}d.`);
  await app.look();
}
