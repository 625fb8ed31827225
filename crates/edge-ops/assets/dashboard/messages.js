// Messages: found by our id or the carrier's, shown with what happened to them and what they say; or by what is known
// of them, as a list.

import { get } from "./api.js";
import * as found from "./found.js";
import { badge } from "./gateways.js";
import { h } from "./dom.js";
import { count, moment } from "./words.js";

export const title = "Messages";

const OVER = ["DELIVERED", "READ", "DELETED", "REJECTED", "EXPIRED", "FAILED", "CANCELLED"];
let shown = { sought: "", messages: null };

export async function enter(path, app) {
  // What begins with a question mark asks for a list; so does nothing.
  const query = path.startsWith("?") || path === "" ? path.slice(1) : null;
  const sought = query === null ? decodeURIComponent(path).trim() : "";
  if (sought !== shown.sought) shown = { sought, messages: null };
  if (sought === "") return found.enter(query ?? "", app);
  found.leave();
  const messages = await find(sought);
  if (shown.sought !== sought) return;
  shown.messages = messages;
  app.draw();
}

/** A message on its way is looked at again and again. */
export async function tick(app) {
  const open = shown.messages?.some((message) => !OVER.includes(message.state));
  if (open) await enter(encodeURIComponent(shown.sought), app);
}

async function find(sought) {
  try {
    return [await get(`messages/${encodeURIComponent(sought)}`)];
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  return (await get(`messages?peer_ref=${encodeURIComponent(sought)}`)).messages;
}

export function draw(state, app) {
  const { sought, messages } = shown;
  const seek = (event) => {
    event.preventDefault();
    const id = event.target.elements.id.value.trim();
    if (id !== "") location.hash = `#/messages/${encodeURIComponent(id)}`;
  };
  return [
    h("form", { class: "row card", role: "search", key: "seek", onsubmit: seek },
      h("label", null, "Our id, the carrier's id, or a transaction id",
        h("input", { key: sought, name: "id", id: "sought", type: "search", initial: sought, autocomplete: "off", spellcheck: "false" })),
      h("button", { type: "submit", class: "primary" }, "Find")),
    messages?.length === 0 && h("div", { class: "empty", key: "none" }, h("h2", null, "No such message"), h("p", null, "It was never here, or its time is over and it was forgotten.")),
    messages?.map(whole),
    sought === "" && found.draw(state, app),
  ];
}

function whole(message) {
  const { template } = message;
  return h("article", { class: "message", key: message.id },
    h("section", { class: "card" },
      h("div", { class: "title" }, h("h2", null, template.subject ?? "Without subject"), badge(message.state ?? "unknown"),
        h("a", { key: "trace", class: "link", href: `#/trace/message/${message.id}` }, "Trace")),
      facts([
        ["Id", h("code", null, message.id)],
        ["Carrier's id", message.peer_ref && h("code", null, message.peer_ref)],
        ["Direction", message.direction < 0 ? "out" : "in"],
        ["Gateway", message.gateway],
        ["From", message.origin], ["To", message.destination], ["Cc", message.cc], ["Bcc", message.bcc],
        ["Priority", message.priority],
        ["Accepted", moment(message.created_ts)],
        ["Worked on by", message.gateway_id],
        ["Answers", message.linked_id],
      ])),
    message.recipients.length > 1 && h("section", { class: "card", key: "numbers" }, h("h3", null, "Numbers"), h("div", { class: "wide" }, h("table", null,
      h("thead", null, h("tr", null, ["Number", "State", "Code", "Since"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, message.recipients.map((one) => h("tr", { key: `${one.kind} ${one.number}` },
        h("td", null, one.number, h("small", null, one.kind)), h("td", null, badge(one.state)), h("td", null, one.code), h("td", null, moment(one.updated_ts)))))))),
    h("section", { class: "card", key: "events" }, h("h3", null, "What happened"),
      h("ol", { class: "timeline" }, message.events.map((event) => h("li", { key: event.sequence, class: event.state },
        h("div", null, badge(event.state), h("time", null, moment(event.timestamp))),
        h("p", { class: "words" }, event.description),
        h("small", null, [
          `code ${event.code}`, event.carrier_status && `carrier says ${event.carrier_status}`, event.details,
          event.destinations !== "*" && event.destinations, event.gateway,
        ].filter(Boolean).join(" · ")))))),
    h("section", { class: "card", key: "parts" }, h("h3", null, "What it says"),
      template.parts.length === 0 ? h("p", { class: "hint" }, "It has no parts.") : h("div", { class: "parts" }, template.parts.map((part) => show(message, part)))));
}

export function facts(list) {
  return h("dl", { class: "facts" }, list.filter(([, value]) => value).map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value))));
}

function show(message, part) {
  const url = `/admin/v1/messages/${message.id}/parts/${part.id}`;
  const picture = /^image\/(jpeg|png|gif|webp)\b/.test(part.content_type) && part.digest;
  const text = part.content !== null && part.content !== undefined;
  return h("figure", { class: "part", key: part.id },
    picture && h("img", { src: url, alt: part.name, loading: "lazy" }),
    text && h("pre", { tabindex: "0" }, part.content),
    !picture && !text && h("p", { class: "hint" }, part.digest ? h("a", { href: url, download: part.name }, "Save as a file") : `To be fetched from ${part.content_url}`),
    h("figcaption", null, h("b", null, part.name), ` ${part.content_type}`, part.size ? `, ${count(part.size)} octets` : ""));
}
