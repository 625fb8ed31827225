// Batches: how far a template on its way to many is.

import { get } from "./api.js";
import { badge } from "./gateways.js";
import { h } from "./dom.js";
import { facts } from "./messages.js";
import { count, moment } from "./words.js";

export const title = "Batches";

let shown = { sought: "", batch: null };
let latest = [];

export async function enter(path, app) {
  const sought = decodeURIComponent(path ?? "").trim();
  if (sought !== shown.sought) shown = { sought, batch: null };
  if (sought === "") {
    latest = (await get(`batches?limit=${LISTED}`)).batches;
    return app.draw();
  }
  let batch;
  try {
    batch = await get(`batches/${encodeURIComponent(sought)}`);
  } catch (error) {
    if (error.status !== 404) throw error;
    batch = "none";
  }
  if (shown.sought !== sought) return;
  shown.batch = batch;
  app.draw();
}

export async function tick(app) {
  if (shown.batch !== "none") await enter(encodeURIComponent(shown.sought), app);
}

export function draw() {
  const { sought, batch } = shown;
  const seek = (event) => {
    event.preventDefault();
    const id = event.target.elements.id.value.trim();
    if (id !== "") location.hash = `#/batches/${encodeURIComponent(id)}`;
  };
  return [
    h("form", { class: "row card", role: "search", key: "seek", onsubmit: seek },
      h("label", null, "The batch's id",
        h("input", { key: sought, name: "id", id: "sought", type: "search", initial: sought, autocomplete: "off", spellcheck: "false" })),
      h("button", { type: "submit", class: "primary" }, "Find")),
    batch === "none" && h("div", { class: "empty", key: "none" }, h("h2", null, "No such batch"), h("p", null, "It was never here, or its time is over and it was forgotten.")),
    batch !== null && batch !== "none" && whole(batch),
    sought === "" && latest.length > 0 && list(),
  ];
}

function list() {
  return h("section", { class: "card", key: "list" }, h("div", { class: "wide" }, h("table", null,
    h("thead", null, h("tr", null, ["Batch", "Began", "Gateway", "State", "Messages", "Refused"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, latest.map((batch) => h("tr", { key: batch.id },
      h("td", null, h("a", { href: `#/batches/${batch.id}` }, h("code", null, batch.id))),
      h("td", null, moment(batch.created_ts)),
      h("td", null, batch.gateway),
      h("td", null, badge(batch.state)),
      h("td", { class: "n" }, count(batch.accepted)),
      h("td", { class: "n" }, count(batch.refused))))))));
}

function whole(batch) {
  const gone = batch.accepted - (batch.counts.SCHEDULED ?? 0);
  const part = batch.accepted === 0 ? 0 : Math.floor((gone / batch.accepted) * 100);
  return h("section", { class: "card", key: batch.id },
    h("div", { class: "title" }, h("h2", null, h("code", null, batch.id)), badge(batch.state)),
    facts([
      ["Gateway", batch.gateway], ["Began", moment(batch.created_ts)], ["Lines", count(batch.received)],
      ["Messages", count(batch.accepted)], ["Refused", count(batch.refused)], ["Template", h("code", null, batch.template)],
    ]),
    h("label", { key: "progress" }, `${count(gone)} of ${count(batch.accepted)} have left the queue, ${part} %`,
      h("progress", { max: String(Math.max(1, batch.accepted)), value: String(gone) })),
    h("p", { key: "messages" }, h("a", { href: `#/messages/?batch=${batch.id}` }, "Its messages")),
    h("ul", { class: "legend", key: "counts" }, Object.entries(batch.counts).map(([state, number]) => h("li", { key: state }, badge(state), h("b", null, count(number))))));
}

const LISTED = 50;
