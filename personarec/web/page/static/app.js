// The page: what the address says is what is shown, so that every view can be shared.
import { ask } from "./api.js";
import { byId, h, note, svg, tip } from "./dom.js";
import { about } from "./words.js";
import * as recommend from "./recommend.js";
import * as persons from "./map.js";
import * as explore from "./explore.js";
import * as cypher from "./cypher.js";

const VIEWS = { recommend, map: persons, graph: explore, cypher };
let shown = null;

/** What the address asks for. */
function wanted() {
  const given = new URLSearchParams(location.search);
  const view = given.get("view") ?? "";
  return {
    view: view in VIEWS ? view : "recommend",
    user: given.get("user"),
    items: given.getAll("item"),
    open: given.get("open"),
    node: given.get("node"),
    recipe: given.get("recipe"),
    q: given.get("q"),
    variety: Number(given.get("variety")) || 0,
  };
}

export function address(state) {
  const words = new URLSearchParams();
  if (state.view && state.view !== "recommend") words.set("view", state.view);
  for (const name of ["user", "open", "node", "recipe", "q"]) if (state[name]) words.set(name, state[name]);
  for (const item of state.items ?? []) words.append("item", item);
  if (state.variety) words.set("variety", state.variety);
  // Keys hold colons, which an address may hold as they are.
  const text = words.toString().replaceAll("%3A", ":");
  return text ? `/?${text}` : "/";
}

/** Go to a state; by replacing where it is a detail of what is shown. */
export function go(state, { replace = false, draw = true } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address(state));
  if (draw) show();
}

/** Change some of the state and leave the rest. */
export function change(part, options) {
  go({ ...wanted(), ...part }, options);
}

function show() {
  const state = wanted();
  tip(null);
  for (const link of document.querySelectorAll("[data-view]")) {
    const here = link.dataset.view === state.view;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    // The reader or session comes along to the other views and back.
    link.href = address({ view: link.dataset.view, user: state.user, items: state.items });
  }
  const view = VIEWS[state.view];
  document.title = `${view.title(state)} · personarec`;
  if (shown !== view) {
    byId("main").replaceChildren(view.build());
    scrollTo(0, 0);
  }
  shown = view;
  view.update(state);
}

function theme() {
  const root = document.documentElement, button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.style.colorScheme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => {
    button.title = dark() ? "Light theme" : "Dark theme";
    button.setAttribute("aria-label", button.title);
    dispatchEvent(new Event("theme"));
  };
  button.onclick = () => {
    const next = dark() ? "light" : "dark";
    root.style.colorScheme = next;
    try { localStorage.setItem("personarec.theme", next); } catch { /* kept for this visit */ }
    label();
  };
  button.append(svg("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" },
    svg("circle", { cx: 10, cy: 10, r: 7, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
    svg("path", { d: "M10 3a7 7 0 0 1 0 14Z", fill: "currentColor" })));
  system.addEventListener("change", label);
  label();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.href !== location.href) history.pushState(null, "", link.href);
  show();
});
addEventListener("popstate", show);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip(null); });
addEventListener("scroll", () => tip(null), { passive: true });
theme();

async function start() {
  try {
    Object.assign(about, await ask("/page/about"));
  } catch (error) {
    byId("main").replaceChildren(note(error.message, { error: true, again: start }));
    return;
  }
  byId("origin").replaceChildren(
    "Data set ", h("b", {}, about.dataset), " · run ", h("code", {}, about.run),
    ...(about.personas ? [" · personas ", h("code", {}, about.personas)] : []));
  show();
}
start();
