// The page: who looks at it, which view is open, and the look at the gateway every two seconds.

import * as api from "./api.js";
import * as batches from "./batches.js";
import * as counters from "./counters.js";
import * as dead from "./dead.js";
import { tried } from "./dialog.js";
import { h, patch } from "./dom.js";
import * as gateways from "./gateways.js";
import * as history from "./history.js";
import * as latency from "./latency.js";
import * as live from "./live.js";
import * as messages from "./messages.js";
import * as overview from "./overview.js";
import * as queues from "./queues.js";
import * as send from "./send.js";
import * as trace from "./trace.js";

const VIEWS = { overview, gateways, queues, dead, messages, live, trace, batches, send };
const EVERY = 2_000;
const head = document.getElementById("head");
const main = document.getElementById("main");

// `who` is null until somebody is known; `trouble` is why the last look failed.
const state = { who: null, refused: null, fault: null, asked: false, gateways: null, instances: [], warnings: [], trouble: null };
const app = { draw, look };
let opened = null;

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const known = Object.hasOwn(VIEWS, name) ? name : "overview";
  return { name: known, view: VIEWS[known], path: rest.join("/") };
}

function draw() {
  const { name, view } = route();
  document.title = state.who ? `${view.title} · mmsgw` : "mmsgw";
  const total = (state.gateways ?? []).flatMap((gateway) => gateway.queues).reduce((sum, queue) => sum + queue.dead, 0);
  patch(head,
    h("a", { class: "brand", href: "#/overview" }, h("img", { src: "/dashboard/icon.svg", alt: "", width: "24", height: "24" }), "mmsgw"),
    state.who && h("nav", { "aria-label": "Views", key: "nav" }, Object.entries(VIEWS).map(([key, one]) => h("a", {
      key, href: `#/${key}`, "aria-current": key === name ? "page" : null,
    }, one.title, key === "dead" && total > 0 && h("b", { key: "dead" }, total)))),
    h("div", { class: "tools", key: "tools" },
      h("button", { class: "quiet", id: "theme", onclick: switchTheme, "aria-label": "Light or dark", title: "Light or dark" }, "◐"),
      state.who?.csrf && h("button", { key: "out", class: "quiet", id: "log-out", onclick: logOut }, `Log out ${state.who.name}`)));
  patch(main, body(name, view));
}

function body(name, view) {
  if (state.refused !== null) return h("div", { class: "empty" }, h("h1", null, "Not here"), h("p", null, state.refused));
  if (state.who === null) return state.fault === null && !state.asked ? null : login();
  return [
    state.trouble !== null && h("p", { class: "banner bad", role: "alert", key: "trouble" }, `${state.trouble} What you see is old.`),
    state.warnings.map((warning) => h("p", { class: "banner", key: warning }, warning)),
    h("h1", { key: "title" }, view.title),
    h("div", { key: name, class: "view" }, state.gateways === null ? h("p", { class: "hint" }, "Looking…") : view.draw(state, app)),
  ];
}

function login() {
  return h("form", { class: "card login", id: "login", key: "login", onsubmit: logIn },
    h("h1", null, "Log in"),
    h("input", { name: "username", autocomplete: "username", initial: "mmsgw", hidden: true }),
    h("label", null, "API key with the scope admin",
      h("input", { type: "password", name: "key", id: "key", required: true, autocomplete: "current-password", autofocus: true })),
    h("p", { class: "fault", role: "alert" }, state.fault ?? ""),
    h("button", { type: "submit", class: "primary" }, "Log in"));
}

async function logIn(event) {
  event.preventDefault();
  const field = event.target.elements.key;
  try {
    state.who = await api.logIn(field.value);
    state.fault = null;
    await enter();
    await look();
  } catch (error) {
    state.fault = error.message;
    field.select();
  }
  draw();
}

async function logOut() {
  await tried(() => api.logOut());
  forgetAll();
}

function forgetAll() {
  opened?.leave?.();
  history.forget();
  latency.forget();
  counters.forget();
  Object.assign(state, { who: null, asked: true, gateways: null, instances: [], warnings: [], trouble: null });
  draw();
}

function switchTheme() {
  const root = document.documentElement;
  const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("mmsgw-theme", root.dataset.theme);
  } catch {
    // It holds until the page is closed.
  }
}

/** Opens the view that the address names, and closes the one before. */
async function enter() {
  const { view, path } = route();
  if (view !== opened) opened?.leave?.();
  opened = view;
  draw();
  if (state.who && view.enter) await tried(() => view.enter(path, app));
}

/** Looks at the gateway once. */
async function look() {
  try {
    const [of, processes] = await Promise.all([api.get("gateways"), api.get("instances")]);
    state.gateways = of.gateways;
    state.instances = processes.instances;
    state.trouble = null;
    history.note(of.gateways);
    const metrics = await (await fetch("/metrics")).text();
    latency.note(metrics);
    counters.note(metrics);
    const { view } = route();
    if (view.tick) await view.tick(app);
  } catch (error) {
    if (error.status === 401) return forgetAll();
    state.trouble = error.message;
  }
  draw();
}

/** What the storage wants to be known; `/readyz` says it without a key. */
async function warn() {
  try {
    const readiness = await (await fetch("/readyz")).json();
    state.warnings = [...readiness.reasons, ...readiness.warnings];
  } catch {
    // The look says that nothing answers.
  }
}

async function run() {
  for (let round = 0; ; round += 1) {
    if (state.who !== null && !document.hidden) {
      if (round % 5 === 0) await warn();
      await look();
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

async function begin() {
  try {
    state.who = await api.session();
  } catch (error) {
    state.asked = true;
    if (error.status === 403) state.refused = error.message;
    else if (error.status !== 401) state.fault = error.message;
  }
  await enter();
  await run();
}

addEventListener("hashchange", async () => {
  await enter();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
begin();
