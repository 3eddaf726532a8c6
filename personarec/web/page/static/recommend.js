// A reader or a session: what is recommended, why, the persona in words, the nearest readers.
import { ask, node } from "./api.js";
import { change, go, address } from "./app.js";
import { combobox } from "./combobox.js";
import { byId, h, load, plural, say } from "./dom.js";
import { Graph, around, bare, told } from "./graph.js";
import { about, capital, kindName, ofBooks, partClass, partDoc, partName, partsInOrder, people, person, relationWords } from "./words.js";

const titles = new Map(); // of items seen so far, by key
let last = "";

export const title = (state) => (state.user ? `${capital(person())} ${bare(state.user)}` : state.items.length ? "Session" : "Recommend");

export function build() {
  last = "";
  const item = kindName(about.label);
  const search = combobox({
    label: `Add a ${item} to the session`, placeholder: "Type a title…",
    find: async (text, signal) => (await ask(`/search?n=8&q=${encodeURIComponent(text)}`, { signal })).results
      .map((one) => ({ value: one.item, text: one.title, more: bare(one.item) })),
    pick: (one) => {
      titles.set(one.value, one.text);
      const items = session();
      if (items.includes(one.value)) return say(`${one.text} is in the session already`);
      setSession([...items, one.value]);
      say(`${one.text} added`);
    },
    nothing: (text) => `No title contains “${text}”.`,
  });
  const readers = combobox({
    label: `Or look up a ${person()}`, placeholder: `Part of a ${person()}'s id…`,
    find: async (text, signal) => (await ask(`/page/users?q=${encodeURIComponent(text)}`, { signal }))
      .map((user) => ({ value: user, text: bare(user) })),
    pick: (one) => go({ user: one.value }),
    nothing: (text) => `No ${person()}'s id contains “${text}”.`,
  });
  return h("div", { class: "recommend" },
    h("section", { id: "hello", class: "hello" },
      h("h1", {}, ofBooks() ? "What to read next, and why" : "What comes next, and why"),
      h("p", {}, `Add a few ${item}s you liked, or pick a ${person()}. personarec recommends from what ${people()} went on to and from a knowledge graph of ${about.items.toLocaleString("en")} ${item}s, and shows the paths through the graph that led there.`),
      h("div", { class: "row" },
        about.example.items.length > 0 && h("button", { type: "button", class: "main", id: "example", onclick: () => {
          for (const one of about.example.items) titles.set(one.item, one.title);
          setSession(about.example.items.map((one) => one.item));
        } }, "Fill in an example session"),
        about.example.user && h("a", { class: "button", href: address({ user: about.example.user }), "data-go": true }, `Show a ${person()}`))),
    h("div", { class: "columns" },
      h("div", { class: "side" },
        h("section", { class: "card", "aria-label": "Who" }, h("div", { id: "session" }), search, readers),
        h("section", { class: "card", id: "persona", hidden: true, "aria-label": "Persona" }),
        h("section", { class: "card", id: "near", hidden: true, "aria-label": `Nearest ${people()}` })),
      h("section", { id: "found", class: "found", "aria-label": "Recommendations" })));
}

export function update(state) {
  const key = JSON.stringify([state.user, state.items, state.variety]);
  byId("hello").hidden = Boolean(state.user || state.items.length);
  if (key === last) return;
  last = key;
  who(state);
  persona(state);
  found(state);
}

// -- who --------------------------------------------------------------------------------------------

const session = () => [...document.querySelectorAll("#session li[data-item]")].map((li) => li.dataset.item);

function setSession(items) {
  const variety = new URLSearchParams(location.search).get("variety");
  go({ items, variety });
}

async function who(state) {
  const place = byId("session");
  if (state.user) {
    await load(place, 3, async () => {
      const found = await node(`User:${state.user}`, 60);
      const read = found.relations.find((r) => r.relation === "RATED");
      const items = (read?.nodes ?? []).slice().reverse();
      for (const one of items) titles.set(one.id, one.name ?? bare(one.id));
      return h("div", { class: "reader" },
        h("div", { class: "line" }, h("h2", {}, h("small", {}, `${capital(person())} `), bare(state.user)),
          h("button", { type: "button", class: "quiet icon", title: "Clear", "aria-label": "Clear", onclick: () => go({}) }, "×")),
        h("p", {}, read ? `${plural(read.total, kindName(about.label))} so far; last: ` : "Nothing so far: what is popular is shown.",
          items.slice(-3).reverse().map((one, n) => [n ? ", " : "", h("i", {}, one.name ?? bare(one.id))])),
        h("div", { class: "row" },
          items.length > 0 && h("button", { type: "button", onclick: () => setSession(items.slice(-10).map((one) => one.id)) }, "Edit as a session"),
          h("a", { class: "button", href: address({ view: "graph", node: `User:${state.user}` }), "data-go": true }, "Graph"),
          h("a", { class: "button", href: address({ view: "map", user: state.user }), "data-go": true }, "Map")));
    });
    return;
  }
  const keys = state.items;
  if (!keys.length) {
    place.replaceChildren(h("p", { class: "kicker" }, "Session"), h("p", { class: "quiet" }, "Nothing in it yet."));
    return;
  }
  await Promise.all(keys.filter((key) => !titles.has(key)).map(async (key) => {
    try {
      const one = await ask(`/items/${encodeURIComponent(key)}`);
      titles.set(key, one.title ?? bare(one.item));
    } catch { titles.set(key, bare(key)); } // the recommendations say what is wrong with it
  }));
  if (wantedItems() !== JSON.stringify(keys)) return;
  const focused = document.activeElement?.dataset?.act;
  place.replaceChildren(h("p", { class: "kicker" }, "Session"),
    h("ol", { class: "session" }, keys.map((key, n) => {
      const name = titles.get(key);
      const act = (what, text, label, items, off) => h("button", {
        type: "button", class: "quiet icon", disabled: off, "data-act": `${what} ${key}`, title: label, "aria-label": `${label}: ${name}`,
        onclick: () => { setSession(items); say(`${name}: ${label.toLowerCase()}`); },
      }, text);
      return h("li", { "data-item": key }, h("span", {}, name),
        act("up", "↑", "Move up", moved(keys, n, n - 1), n === 0),
        act("down", "↓", "Move down", moved(keys, n, n + 1), n === keys.length - 1),
        act("out", "×", "Remove", keys.filter((_, place) => place !== n)));
    })),
    h("div", { class: "row" }, h("span", { class: "quiet" }, keys.length > 1 ? "Oldest first; the last counts most." : ""),
      h("button", { type: "button", onclick: () => go({}) }, "Clear")));
  if (focused) {
    const again = place.querySelector(`[data-act="${CSS.escape(focused)}"]:not(:disabled)`);
    (again ?? place.querySelector("button:not(:disabled)"))?.focus();
  }
}

const wantedItems = () => JSON.stringify(new URLSearchParams(location.search).getAll("item"));

function moved(keys, from, to) {
  const items = keys.slice();
  const [one] = items.splice(from, 1);
  items.splice(Math.max(0, to), 0, one);
  return items;
}

// -- the persona ------------------------------------------------------------------------------------

function factsList(facts) {
  const most = Math.max(...facts.map((f) => f.weight));
  return h("ul", { class: "facts" }, facts.map((f) => h("li", {},
    h("span", { class: "weight", style: { "--share": f.weight / most } }),
    h("span", {}, h("small", {}, relationWords(f.relation)), " ", f.name))));
}

function sentence(facts, who) {
  const names = [...new Set(facts.slice(0, 4).map((f) => f.name))].slice(0, 3);
  const list = names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
  return `${who} leans to ${list}.`;
}

function personaCard(facts, who) {
  if (!facts.length) return [h("p", { class: "kicker" }, "Persona"), h("p", { class: "quiet" }, "The graph knows no facts of what was read.")];
  const rest = facts.slice(6);
  return [h("p", { class: "kicker" }, "Persona"), h("p", { class: "lead" }, sentence(facts, who)), factsList(facts.slice(0, 6)),
    rest.length > 0 && h("details", {}, h("summary", {}, `${rest.length} more facts`), factsList(rest))];
}

function persona(state) {
  const card = byId("persona"), near = byId("near");
  card.hidden = !state.user;
  near.hidden = !state.user;
  if (!state.user) return;
  const user = encodeURIComponent(state.user);
  load(card, 6, async () => {
    const [{ facts }, kinds] = await Promise.all([
      ask(`/personas/${user}`),
      ask(`/personas/${user}/prototypes`).catch(() => ({ prototypes: [] })),
    ]);
    return [...personaCard(facts, `This ${person()}`).filter(Boolean),
      kinds.prototypes.length > 0 && h("div", { class: "kinds" }, h("p", { class: "kicker" }, `Kinds of ${person()}`),
        h("ul", { class: "facts" }, kinds.prototypes.slice(0, 4).map((p) => h("li", {},
          h("span", { class: "weight proto", style: { "--share": p.weight } }),
          h("span", {}, h("a", { href: address({ view: "graph", node: `PersonaPrototype:${p.id}` }), "data-go": true }, p.name), " ",
            h("small", {}, percent(p.weight)))))))];
  });
  load(near, 5, async () => {
    const { neighbours } = await ask(`/personas/${user}/neighbours?n=6`);
    return [h("p", { class: "kicker" }, `Nearest ${people()}`),
      neighbours.length ? h("ul", { class: "near" }, neighbours.map((n) => h("li", {},
        h("a", { href: address({ user: n.user }), "data-go": true }, bare(n.user)),
        h("small", {}, ` ${Math.round(100 * n.cosine)} % alike`),
        h("p", {}, [n.shared_items ? `${plural(n.shared_items, kindName(about.label))} in common` : null,
          n.shared[0] && `both: ${n.shared.slice(0, 2).map((s) => s.name).join(", ")}`].filter(Boolean).join(" · ") || `near through what similar ${people()} like`))))
        : h("p", { class: "quiet" }, `No other ${person()} is near.`)];
  });
}

const percent = (share) => `${Math.round(100 * share)} %`;

// -- what is recommended ----------------------------------------------------------------------------

function found(state) {
  const place = byId("found");
  if (!state.user && !state.items.length) {
    place.replaceChildren(h("div", { class: "empty" },
      h("p", {}, "Recommendations appear here, each with its reasons."),
      h("p", { class: "quiet" }, "Type a title, or fill in the example.")));
    return;
  }
  load(place, 8, async () => {
    const options = { n: 10, explain: true, ...(state.variety && { diversity: state.variety }) };
    const answer = state.user
      ? await ask("/recommend", { body: { user: state.user, ...options } })
      : await ask("/sessions", { body: { items: state.items, ...options } });
    const list = answer.recommendations;
    if (!state.user) {
      byId("persona").hidden = !answer.persona?.length;
      if (answer.persona?.length) byId("persona").replaceChildren(...personaCard(answer.persona, "This session").filter(Boolean));
    }
    if (!list.length) return h("div", { class: "empty" }, h("p", {}, "Nothing is left to recommend."));
    for (const one of list) titles.set(one.item, one.title ?? bare(one.item));
    const names = [...new Set(list.flatMap((one) => Object.keys(one.parts)))];
    const most = Math.max(...list.map((one) => positive(one.parts)));
    say(`${plural(list.length, "recommendation")} shown`);
    return [
      h("header", { class: "head" },
        h("h2", {}, state.user ? `For ${person()} ${bare(state.user)}` : "For this session"),
        h("label", { class: "variety" }, "Variety", h("input", {
          type: "range", min: 0, max: 1, step: 0.25, value: state.variety,
          onchange: (event) => change({ variety: Number(event.target.value), open: null }),
        }))),
      h("ul", { class: "legend parts", "aria-label": "Parts of the score" },
        partsInOrder(Object.fromEntries(names.map((n) => [n, 0]))).map(([n]) => h("li", { title: partDoc(n) }, h("i", { class: partClass(n) }), partName(n)))),
      h("ol", { class: "items" }, list.map((one, n) => card(one, n, most, state.open ? state.open === one.item : n === 0 && innerWidth > 700))),
    ];
  });
}

const positive = (parts) => Object.values(parts).reduce((sum, v) => sum + Math.max(0, v), 0);

function card(one, n, most, open) {
  const name = one.title ?? bare(one.item);
  const words = partsInOrder(one.parts).map(([part, v]) => `${partName(part)} ${signed(v)}`).join(", ");
  const body = h("div", { id: `why-${n}`, class: "why", hidden: true });
  const button = h("button", { type: "button", class: "more", "aria-expanded": "false", "aria-controls": body.id }, "Show the paths");
  const paths = (one.paths ?? []).slice(0, 2);
  const reasons = h("ul", { class: "reasons" }, paths.length ? paths.map((p) => h("li", {}, capital(p.words)))
    : h("li", { class: "quiet" }, "By the order of the items; no single path of the graph led here."));
  const toggle = (to, byHand) => {
    button.setAttribute("aria-expanded", String(to));
    button.textContent = to ? "Hide the paths" : "Show the paths";
    body.hidden = !to;
    reasons.hidden = to && paths.length > 0; // the paths say the same, and more
    if (to && !body.hasChildNodes()) why(body, one, name, words);
    if (byHand) change({ open: to ? one.item : null }, { replace: true, draw: false });
  };
  button.addEventListener("click", () => toggle(body.hidden, true));
  const element = h("li", { class: "item", "data-item": one.item },
    h("div", { class: "line" },
      h("span", { class: "rank", "aria-hidden": "true" }, n + 1),
      h("h3", {}, name),
      h("span", { class: "score", title: "Score: the sum of the parts" }, one.score.toFixed(2))),
    h("div", { class: "bar", role: "img", "aria-label": `Score ${one.score.toFixed(2)}: ${words}` },
      partsInOrder(one.parts).filter(([, v]) => v > 0).map(([part, v]) => h("i", { class: partClass(part), title: `${partName(part)} ${signed(v)}`, style: { width: `${(100 * v) / most}%` } }))),
    reasons, h("div", { class: "row" }, button), body);
  if (open) queueMicrotask(() => toggle(true, false));
  return element;
}

const signed = (v) => `${v < 0 ? "−" : "+"}${Math.abs(v).toFixed(2)}`;

function why(body, one, name, words) {
  const paths = one.paths ?? [];
  const graph = new Graph({
    label: `Paths to ${name}`,
    onopen: async (n, g) => {
      g.select(n.ref);
      try {
        const { nodes, edges } = around(await node(n.ref), 2, 12);
        told(g.add(nodes, edges, { from: n.ref }), n);
      } catch (error) { say(error.message); }
    },
  });
  body.append(
    h("ul", { class: "paths" }, paths.map((p) => h("li", {}, h("span", {}, capital(p.words)),
      p.contribution !== undefined && h("small", { title: one.parts.rerank ? "How much lower the score, before the learned rerank, would be without it" : "How much lower the score would be without it" }, signed(p.contribution), p.share ? ` · ${percent(p.share)}` : "")))),
    h("p", { class: "quiet" }, `Score ${one.score.toFixed(2)} = ${words}.`, one.parts.rerank ? ` The learned rerank ${one.parts.rerank > 0 ? "raised" : "lowered"} it; no single path of the graph did.` : null),
    graph.root,
    h("p", { class: "quiet" }, "Click a node for its neighbours, drag to move. ",
      h("a", { href: address({ view: "graph", node: `${about.label}:${one.item}` }), "data-go": true }, "Open in the graph view")));
  const { nodes, edges } = drawn(one, name, paths);
  graph.add(nodes, edges);
}

const steps = (evidence) => evidence.gap1 + evidence.gap2 + evidence.gap3;

/** The paths of a recommendation as nodes and relations. */
function drawn(one, name, paths) {
  const target = `${about.label}:${one.item}`;
  const nodes = [{ ref: target, label: about.label, id: one.item, name, root: true }], edges = [];
  const went = new Map(); // readers between two items, in both directions
  for (const p of paths) if (p.kind === "transition") went.set(p.source, (went.get(p.source) ?? 0) + steps(p.evidence));
  for (const p of paths) {
    const source = `${about.label}:${p.source}`;
    nodes.push({ ref: source, label: about.label, id: p.source, name: p.source_title });
    if (p.kind === "fact") {
      const label = about.targets[p.evidence.relation] || about.label;
      const fact = `${label}:${p.evidence.fact}`;
      nodes.push({ ref: fact, label, id: p.evidence.fact, name: p.evidence.name });
      edges.push({ from: source, relation: p.evidence.relation, to: fact }, { from: target, relation: p.evidence.relation, to: fact });
    } else if (p.kind === "transition") {
      const [from, to] = p.evidence.direction === "backward" ? [target, source] : [source, target];
      edges.push({ from, relation: "NEXT", to, text: plural(went.get(p.source), person()) });
    } else edges.push({ from: source, relation: p.kind, to: target, text: `both: ${plural(p.evidence.readers, person())}` });
  }
  return { nodes, edges };
}
