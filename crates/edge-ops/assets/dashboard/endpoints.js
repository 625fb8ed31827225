// Endpoints of applications that fail or are disabled.

import { get, post } from "./api.js";
import { ask, tried } from "./dialog.js";
import { h } from "./dom.js";
import { ago, moment } from "./words.js";

let shown = [];

export async function look(app) {
  shown = (await get("callbacks/endpoints")).endpoints;
  app.draw();
}

/** They stand under the queues; nothing where all is well. */
export function draw(app) {
  if (shown.length === 0) return null;
  return h("section", { class: "card endpoints", key: "endpoints" },
    h("div", { class: "title" }, h("h2", null, "Endpoints that do not take their callbacks")),
    h("div", { class: "wide" }, h("table", null,
      h("thead", null, h("tr", null, ["Endpoint", "Gateway", "State", "Since", "Last answer", ""].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, shown.map((endpoint) => h("tr", { key: `${endpoint.group} ${endpoint.id}` },
        h("td", { class: "words" }, endpoint.url),
        h("td", null, endpoint.group),
        h("td", null, endpoint.state, endpoint.paused_until_ts !== undefined && h("small", null, `left alone until ${moment(endpoint.paused_until_ts)}`)),
        h("td", null, ago(endpoint.disabled_since_ts ?? endpoint.failing_since_ts)),
        h("td", { class: "words" }, endpoint.last_answer),
        h("td", null, h("button", { class: "enable", onclick: () => enable(endpoint, app) }, "Enable…"))))))));
}

async function enable(endpoint, app) {
  const text = `Callbacks are posted to ${endpoint.url} again. Those that were given up meanwhile can be replayed.`;
  const reason = await ask({ title: "Enable this endpoint?", text, deed: "Enable" });
  if (reason === null) return;
  await tried(() => post(`callbacks/endpoints/${endpoint.group}/${endpoint.id}/enable`, { reason }), "It is called again.");
  await tried(() => look(app));
}
