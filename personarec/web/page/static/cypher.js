// A read-only box for Cypher, with the recipes of the documentation.
import { ask } from "./api.js";
import { address, change } from "./app.js";
import { byId, h, load, note, plural, say } from "./dom.js";
import { Graph, around, bare, told } from "./graph.js";
import { node } from "./api.js";
import { about, kindName } from "./words.js";

const DRAW = {
  section: "As a graph", title: "A reader, what they read, and by whom",
  question: "Which authors are behind a reader's items? Nodes and relations come back, so the answer is drawn.",
  text: "MATCH (u:User {id: $user})-[r:RATED]->(i)-[f]->(p:Person)\nRETURN u, r, i, f, p\nORDER BY i.id, p.id LIMIT 60",
  parameters: { user: "" }, notes: "",
};
let recipes = null, shown = null, ready = null;

export const title = () => "Cypher";

export function build() {
  shown = null;
  const text = h("textarea", { id: "query", rows: 4, spellcheck: "false", autocapitalize: "off", "aria-describedby": "query-help" });
  const choice = h("select", { id: "recipe" }, h("option", { value: "" }, "Choose a recipe…"));
  choice.addEventListener("change", () => { const found = recipes?.find((r) => r.title === choice.value); if (found) take(found); });
  text.addEventListener("input", () => parameters());
  text.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } });
  ready = (async () => {
    recipes ??= [DRAW, ...(await ask("/page/recipes"))];
    const sections = [...new Set(recipes.map((r) => r.section))];
    choice.append(...sections.map((s) => h("optgroup", { label: s }, recipes.filter((r) => r.section === s).map((r) => h("option", { value: r.title }, r.title)))));
  })();
  ready.catch((error) => byId("answer")?.replaceChildren(note(error.message, { error: true })));
  return h("div", { class: "cypher" },
    h("div", { class: "bar-top" }, h("h1", {}, "Cypher"),
      h("p", {}, `Ask the graph yourself. The box only reads; at most ${about.rows} rows and ${about.seconds} s a query.`)),
    h("section", { class: "card" },
      h("div", { class: "field" }, h("label", { for: "recipe" }, "Recipe"), choice),
      h("p", { id: "question", class: "quiet" }),
      h("div", { class: "field" }, h("label", { for: "query" }, "Query"), text),
      h("div", { id: "parameters", class: "parameters" }),
      h("div", { class: "row" }, h("button", { type: "button", class: "main", id: "run", onclick: run }, "Run"),
        h("span", { class: "quiet", id: "query-help" }, "Ctrl + Enter runs it"))),
    h("section", { id: "answer", class: "card", "aria-label": "Answer", hidden: true }));
}

export async function update(state) {
  try { await ready; } catch { return; }
  const key = JSON.stringify([state.recipe, state.q]);
  if (key === shown) return;
  shown = key;
  const found = recipes.find((r) => r.title === state.recipe);
  if (found) take(found, state, true);
  else if (state.q) { byId("query").value = state.q; parameters(state); } else if (!byId("query").value) take(recipes[0], state, true);
}

/** Show a recipe, with the reader of the address and this data set in place of the demo's. */
function take(recipe, state = {}, quiet = false) {
  byId("recipe").value = recipe.title;
  byId("question").textContent = recipe.question;
  byId("query").value = recipe.text;
  byId("query").rows = Math.min(16, recipe.text.split("\n").length + 1);
  byId("answer").hidden = true;
  const own = { dataset: about.dataset };
  if (state.user) own.user = state.user;
  if (about.dataset !== "demo" || recipe === DRAW) { own.user ??= about.example.user; own.item ??= about.example.items.at(-1)?.item; }
  parameters({}, { ...recipe.parameters, ...Object.fromEntries(Object.entries(own).filter(([k, v]) => v && k in recipe.parameters)) });
  byId("answer").dataset.notes = recipe.notes;
  if (!quiet) {
    shown = JSON.stringify([recipe.title, null]);
    change({ recipe: recipe.title, q: null }, { replace: true, draw: false });
  }
}

/** A field for each parameter of the text; what was typed stays. */
function parameters(_state, values = null) {
  const place = byId("parameters");
  const had = Object.fromEntries([...place.querySelectorAll("input")].map((i) => [i.name, i.value]));
  const bareText = byId("query").value.replace(/'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\/\/[^\n]*/g, "");
  const names = [...new Set([...bareText.matchAll(/\$([A-Za-z_]\w*)/g)].map((m) => m[1]))];
  if (!values && JSON.stringify(names) === JSON.stringify(Object.keys(had))) return;
  place.replaceChildren(...names.map((name) => {
    const value = values ? values[name] : had[name];
    return h("div", {}, h("label", { for: `p-${name}` }, `$${name}`),
      h("input", { id: `p-${name}`, name, type: "text", spellcheck: "false", autocomplete: "off", value: typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value) }));
  }));
}

/** Numbers, lists and so on as JSON; anything else is a text. */
function read(text) {
  const bareText = text.trim();
  if (!/^(-?\d|[[{"]|true$|false$|null$)/.test(bareText)) return bareText;
  try { return JSON.parse(bareText); } catch { return bareText; }
}

async function run() {
  const text = byId("query").value.trim(), place = byId("answer"), button = byId("run");
  if (!text) return byId("query").focus();
  const values = Object.fromEntries([...byId("parameters").querySelectorAll("input")].map((i) => [i.name, read(i.value)]));
  place.hidden = false;
  button.disabled = true;
  const known = recipes.some((r) => r.title === byId("recipe").value && r.text === text);
  if (!known) byId("recipe").value = "";
  shown = JSON.stringify(known ? [byId("recipe").value, null] : [null, text]);
  change(known ? { recipe: byId("recipe").value, q: null } : { recipe: null, q: text.length < 1500 ? text : null }, { replace: true, draw: false });
  await load(place, 5, async () => {
    let answer;
    try { answer = await ask("/page/query", { body: { text, parameters: values } }); } catch (error) {
      if (error.status === 400 || error.status === 422) { say(error.message); return note(error.message, { error: true }); }
      throw error;
    }
    const summary = `${plural(answer.rows.length, "row")}${answer.more ? `, cut at ${about.rows}` : ""} · ${answer.ms} ms`;
    say(summary);
    return [h("p", { class: "kicker" }, summary),
      known && place.dataset.notes && h("p", { class: "quiet" }, place.dataset.notes),
      answer.graph.nodes.length > 0 && drawing(answer.graph),
      answer.rows.length ? table(answer) : h("p", {}, "No rows.")];
  });
  button.disabled = false;
}

function drawing(given) {
  const graph = new Graph({
    label: "Answer",
    onopen: async (n, g) => {
      g.select(n.ref);
      try {
        const { nodes, edges } = around(await node(n.ref), 2, 12);
        told(g.add(nodes, edges, { from: n.ref }), n);
      } catch (error) { say(error.message); }
    },
  });
  queueMicrotask(() => requestAnimationFrame(() => graph.add(given.nodes, given.edges)));
  return [graph.root, given.more > 0 && h("p", { class: "quiet" }, `${given.more} more nodes are not drawn.`)];
}

function table(answer) {
  const numbers = answer.columns.map((_, n) => answer.rows.every((row) => row[n] === null || typeof row[n] === "number"));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rows" }, h("table", {},
    h("thead", {}, h("tr", {}, answer.columns.map((c, n) => h("th", { scope: "col", class: numbers[n] ? "number" : null }, c)))),
    h("tbody", {}, answer.rows.map((row) => h("tr", {}, row.map((v, n) => h("td", { class: numbers[n] ? "number" : null }, cell(v))))))));
}

function cell(value) {
  if (value === null) return h("span", { class: "quiet" }, "null");
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toFixed(4).replace(/0+$/, "").replace(/\.$/, "");
  if (typeof value === "boolean") return String(value);
  if (typeof value === "string") {
    // A key of the data set or an IRI is a node that can be looked at.
    if (value.startsWith(`${about.dataset}:`) || /^(https?:\/\/|urn:personarec:)\S+$/.test(value)) return link(value, bare(value));
    return value;
  }
  if (Array.isArray(value)) return h("span", {}, value.map((one, n) => [n ? ", " : "", cell(one)]));
  if (value.node) return [link(value.node.id ? value.node.ref : null, value.node.name ?? bare(value.node.id ?? value.node.ref)), " ", h("small", {}, kindName(value.node.label))];
  if (value.relation) return h("code", {}, value.relation.relation);
  if (value.path) return value.path.map((one, n) => [n ? " → " : "", one.name ?? bare(one.id ?? one.ref)]);
  return Object.entries(value.map ?? {}).map(([k, v], n) => [n ? ", " : "", `${k}: `, cell(v)]);
}

const link = (ref, text) => (ref ? h("a", { href: address({ view: "graph", node: ref }), "data-go": true, title: ref }, text) : text);
