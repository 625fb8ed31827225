// Asks before something is changed, and says afterwards how it went.

import { h, patch } from "./dom.js";

/**
 * Asks for a reason. Gives the reason, or null where the person thinks better of it.
 * `deed` is on the button, `danger` marks what cannot be taken back.
 */
export function ask({ title, text, deed, danger = false }) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    let reason = null;
    const submit = (event) => {
      event.preventDefault();
      reason = dialog.querySelector("input").value.trim();
      if (reason !== "") dialog.close();
    };
    patch(dialog, h("form", { onsubmit: submit, "aria-labelledby": "ask-title" },
      h("h2", { id: "ask-title" }, title),
      h("p", null, text),
      h("label", null, "Reason, for the log",
        h("input", { id: "reason", required: true, maxlength: "500", autocomplete: "off", autofocus: true })),
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => { reason = null; dialog.close(); } }, "Cancel"),
        h("button", { type: "submit", id: "confirm", class: danger ? "danger" : "primary" }, deed))));
    dialog.onclose = () => {
      dialog.remove();
      resolve(reason);
    };
    dialog.oncancel = () => { reason = null; };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Says something for a few seconds; what went wrong stays longer. */
export function say(text, bad = false) {
  const toast = document.createElement("p");
  toast.className = bad ? "toast bad" : "toast";
  toast.textContent = text;
  const toasts = document.getElementById("toasts");
  toasts.append(toast);
  while (toasts.children.length > MOST_TOASTS) toasts.firstChild.remove();
  setTimeout(() => toast.remove(), bad ? 12_000 : 5_000);
}

/** Does something and says how it went; gives whether it went well. */
export async function tried(what, done) {
  try {
    const answer = await what();
    if (done) say(typeof done === "function" ? done(answer) : done);
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  }
}

const MOST_TOASTS = 2;
