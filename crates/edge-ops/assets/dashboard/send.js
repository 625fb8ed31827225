// A test message, to see whether a carrier takes one.

import { post } from "./api.js";
import { say } from "./dialog.js";
import { h } from "./dom.js";
import { noGateways } from "./overview.js";

export const title = "Send a test";

let fault = null;
let busy = false;

export function draw({ gateways }, app) {
  const known = gateways.filter((gateway) => gateway.settings);
  if (known.length === 0) return noGateways();
  const field = (name, label, more, hint) => h("label", { key: name }, label, h("input", { name, id: name, autocomplete: "off", ...more }), hint && h("small", null, hint));
  return h("form", { class: "card form", id: "send", onsubmit: (event) => send(event, app) },
    h("label", null, "Gateway", h("select", { name: "gateway", id: "gateway" }, known.map((gateway) => h("option", { key: gateway.group, value: gateway.group },
      gateway.health === "well" ? gateway.group : `${gateway.group} (${gateway.health})`)))),
    h("div", { class: "two" },
      field("origin", "From", { required: true, inputmode: "tel" }, "A number or a short code"),
      field("destination", "To", { required: true, inputmode: "tel" }, "As in +12065550102")),
    field("subject", "Subject", { initial: "Test", maxlength: "100" }),
    h("label", null, "Text", h("textarea", { name: "text", id: "text", rows: "3", required: true, maxlength: "1000", initial: "A test message from mmsgw." })),
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "picture", id: "picture", initial: true }), "With a picture"),
    field("reason", "Reason, for the log", { required: true, initial: "test from the dashboard", maxlength: "500" }),
    h("p", { class: "fault", role: "alert" }, fault ?? ""),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "primary", disabled: busy }, "Send")),
    h("p", { class: "hint" }, "It costs what a message costs. The application of the gateway is told of its events like of any other's."));
}

async function send(event, app) {
  event.preventDefault();
  const form = new FormData(event.target);
  const order = Object.fromEntries(["gateway", "origin", "destination", "text", "reason"].map((name) => [name, form.get(name).trim()]));
  const subject = form.get("subject").trim();
  if (subject !== "") order.subject = subject;
  order.picture = form.get("picture") !== null;
  [busy, fault] = [true, null];
  app.draw();
  try {
    const message = await post("test-message", order);
    say("It is queued.");
    location.hash = `#/messages/${message.id}`;
  } catch (error) {
    fault = error.message;
  }
  busy = false;
  app.draw();
}
