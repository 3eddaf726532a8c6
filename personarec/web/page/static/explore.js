// The graph around any node.
import { ask, node, parts } from "./api.js";
import { address, change, go } from "./app.js";
import { combobox } from "./combobox.js";
import { byId, h, note, plural, say } from "./dom.js";
import { Graph, around, bare, edgeTo, sign, told } from "./graph.js";
import { about, kindName, kindOf, person, relationWords } from "./words.js";

const HIDDEN = new Set(["id", "name", "title", "dataset", "loadId", "model", "x", "y", "row"]);
let graph = null, at = null;

export const title = (state) => (state.node ? `Graph around ${bare(parts(state.node).id)}` : "Graph");

export function build() {
  at = null;
  graph = new Graph({ label: "Graph", onopen: (n) => open(n.ref) });
  const search = combobox({
    label: `Find a ${kindName(about.label)} or a ${person()}`, placeholder: `Title, or part of a ${person()}'s id…`,
    find: async (text, signal) => {
      const words = encodeURIComponent(text);
      const [items, users] = await Promise.all([ask(`/search?n=7&q=${words}`, { signal }), ask(`/page/users?n=4&q=${words}`, { signal })]);
      return [...items.results.map((one) => ({ value: `${about.label}:${one.item}`, text: one.title, more: kindName(about.label) })),
        ...users.map((user) => ({ value: `User:${user}`, text: bare(user), more: person() }))];
    },
    pick: (one) => go({ view: "graph", node: one.value }),
    nothing: (text) => `Nothing is called “${text}”.`,
  });
  return h("div", { class: "explore" },
    h("div", { class: "bar-top" }, h("h1", {}, "Graph"), search),
    h("div", { class: "split" }, h("div", { class: "stage" }, graph.root), h("aside", { class: "card", id: "about-node", "aria-label": "Selected node" })));
}

export async function update(state) {
  const wanted = state.node ?? (state.user ? `User:${state.user}` : state.items[0] ? `${about.label}:${state.items[0]}` : about.example.items.at(-1) && `${about.label}:${about.example.items.at(-1).item}`);
  if (!wanted) return byId("about-node").replaceChildren(note("The graph has no items yet."));
  if (wanted === at) return;
  at = wanted;
  graph.clear();
  await open(wanted, { start: true });
}

async function open(ref, { start = false } = {}) {
  const panel = byId("about-node");
  if (!start) graph.select(ref);
  panel.setAttribute("aria-busy", "true");
  try {
    const found = await node(ref);
    if (start && at !== ref) return;
    const small = innerWidth < 700;
    const { nodes, edges } = around(found, start ? 3 : 2, small ? 9 : start ? 24 : 14);
    const fresh = graph.add(start ? [{ ...found, root: true }, ...nodes.slice(1)] : nodes, edges, { from: found.ref });
    graph.select(found.ref);
    if (!start) {
      told(fresh, graph.nodes.get(found.ref));
      at = found.ref;
      change({ node: found.ref }, { replace: true, draw: false });
    }
    panel.replaceChildren(...describe(found).filter(Boolean));
  } catch (error) {
    panel.replaceChildren(note(error.message, { error: true, again: error.status === 404 ? null : () => open(ref, { start }) }));
  } finally {
    panel.removeAttribute("aria-busy");
  }
}

function describe(found) {
  const kind = kindOf(found.label), name = found.name ?? bare(found.id);
  const facts = Object.entries(found.properties).filter(([key]) => !HIDDEN.has(key));
  const extra = found.properties.abstract;
  return [
    h("p", { class: "kicker" }, sign(kind), kindName(found.label)),
    h("h2", {}, name),
    extra && h("p", {}, extra),
    h("div", { class: "row" },
      kind === "reader" && h("a", { class: "button main", href: address({ user: found.id }), "data-go": true }, `Recommend to this ${person()}`),
      found.label === about.label && h("a", { class: "button main", href: address({ items: [found.id] }), "data-go": true }, "Recommend after this"),
      !graph.nodes.get(found.ref)?.root && h("button", { type: "button", onclick: () => { graph.clear(); at = null; go({ view: "graph", node: found.ref }); } }, "Start the graph here")),
    ...found.relations.map((group) => h("section", { class: "group" },
      h("h3", {}, relationWords(group.relation, group.outgoing), " ", h("small", {}, group.total.toLocaleString("en"))),
      h("ul", {}, group.nodes.slice(0, 8).map((other) => h("li", {}, h("button", {
        type: "button", class: "link", onclick: () => { graph.add([found, other], [edgeTo(found, group, other)], { from: found.ref }); open(other.ref); },
      }, sign(kindOf(other.label)), other.name ?? bare(other.id)))),
      group.total > 8 && group.nodes.length > 8 && h("li", {}, h("button", {
        type: "button", class: "link quiet", onclick: () => {
          const fresh = graph.add([found, ...group.nodes], group.nodes.map((other) => edgeTo(found, group, other)), { from: found.ref });
          say(`${plural(fresh, "node")} added`);
        },
      }, `Draw ${group.nodes.length} of ${group.total.toLocaleString("en")}`))))),
    h("details", {}, h("summary", {}, "Properties"),
      h("dl", {}, h("dt", {}, "id"), h("dd", {}, found.id), ...facts.filter(([k]) => k !== "abstract").flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, String(value))]))),
  ];
}
