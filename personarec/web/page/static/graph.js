// A graph one can drag, hover, expand and walk through by keyboard. d3-force places the nodes;
// they are SVG, so that each can have the focus and a name for those who listen.
import { h, svg, say, short, tip, plural } from "./dom.js";
import { about, kindOf, kindName, lineWords, person } from "./words.js";

const SIZE = 9;
const EDGE_WORDS = 30; // lines up to which all have their names on them, where they are large enough
const HEAD = "M0 0L-7 -3.2L-7 3.2Z";
const still = matchMedia("(prefers-reduced-motion: reduce)");
const { forceLink, forceManyBody, forceSimulation, forceX, forceY } = globalThis.d3;

const SHAPES = {
  reader: (r) => svg("circle", { r }),
  item: (r) => svg("rect", { x: -r, y: -r, width: 2 * r, height: 2 * r, rx: 4 }),
  person: (r) => svg("path", { d: `M0 ${-1.25 * r}L${1.2 * r} ${0.85 * r}H${-1.2 * r}Z` }),
  fact: (r) => svg("path", { d: `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0Z` }),
  prototype: (r) => svg("path", { d: hexagon(1.25 * r) }),
  other: (r) => svg("circle", { r: 0.8 * r }),
};

function hexagon(r) {
  const corners = [0, 1, 2, 3, 4, 5].map((n) => [r * Math.cos(n * Math.PI / 3), r * Math.sin(n * Math.PI / 3)]);
  return `M${corners.map((c) => c.map((v) => v.toFixed(2)).join(" ")).join("L")}Z`;
}

/** The sign of a kind, for legends and lists. */
export function sign(kind) {
  return svg("svg", { class: `sign kind-${kind}`, viewBox: "-10 -10 20 20", width: 14, height: 14, "aria-hidden": "true" }, SHAPES[kind](7));
}

export class Graph {
  /** onopen(node, graph) is called when a node is clicked or Enter is pressed on it. */
  constructor({ onopen, label }) {
    this.onopen = onopen;
    this.nodes = new Map();
    this.edges = new Map();
    this.pairs = new Map();
    this.moved = false; // by the reader: then it stays where it was put
    this.view = { x: 0, y: 0, k: 1 };
    this.stretch = 1;
    this.lines = svg("g", { class: "edges" });
    this.dots = svg("g", { class: "nodes" });
    this.world = svg("g", {}, this.lines, this.dots);
    this.svg = svg("svg", { class: "canvas", role: "group", "aria-roledescription": "graph", "aria-label": label, focusable: "false" }, this.world);
    this.label = label;
    this.legend = h("ul", { class: "legend" });
    const button = (text, title, work) => h("button", { type: "button", class: "quiet icon", title, "aria-label": title, onclick: work }, text);
    this.root = h("div", { class: "graph" }, this.svg,
      h("div", { class: "below" }, this.legend, h("div", { class: "zoom" },
        button("+", "Zoom in", () => this.zoom(1.3)),
        button("−", "Zoom out", () => this.zoom(1 / 1.3)),
        button("⤢", "Fit", () => { this.moved = false; this.fit(); }))));
    this.sim = forceSimulation([])
      .force("charge", forceManyBody().strength(-520).distanceMax(460))
      .force("link", forceLink([]).id((n) => n.ref).distance((l) => 112 + 9 * Math.min(8, Math.max(l.source.degree, l.target.degree))))
      .force("x", forceX().strength(0.06)).force("y", forceY().strength(0.06))
      .force("boxes", boxes())
      .on("tick", () => this.draw()).stop();
    this.listen();
    new ResizeObserver(() => { if (!this.moved) this.fit(); }).observe(this.root);
  }

  /** Add nodes {ref, label, id, name} and edges {from, relation, to, text}; what is there stays. */
  add(nodes, edges, { from = null } = {}) {
    const near = from && this.nodes.get(from);
    let fresh = 0;
    for (const one of nodes) {
      if (this.nodes.has(one.ref)) continue;
      const angle = 2.4 * this.nodes.size;
      const start = near ? { x: near.x + 40 * Math.cos(angle), y: near.y + 40 * Math.sin(angle) } : {};
      this.nodes.set(one.ref, { ...one, ...start, kind: kindOf(one.label), name: one.name || bare(one.id ?? one.ref), degree: 0 });
      fresh += 1;
    }
    for (const one of edges) {
      const key = `${one.from} ${one.relation} ${one.to}`;
      if (!this.edges.has(key) && this.nodes.has(one.from) && this.nodes.has(one.to)) {
        this.edges.set(key, { ...one, source: one.from, target: one.to, text: one.text || lineWords(one.relation) });
      }
    }
    this.rebuild();
    const first = this.nodes.size === fresh;
    const { width, height } = this.svg.getBoundingClientRect();
    const wide = Math.max(0.6, Math.min(2.2, (width || 16) / (height || 9)));
    this.stretch = Math.max(1, Math.min(1.6, 0.72 * wide)); // names are wide: so is the drawing
    for (const n of this.nodes.values()) n.stretch = this.stretch;
    this.sim.alpha(first ? 1 : 0.7);
    if (first || still.matches) {
      this.sim.tick(first ? 320 : 160);
      this.draw();
      this.fit();
    } else this.sim.restart();
    return fresh;
  }

  clear() {
    this.sim.stop();
    this.nodes.clear();
    this.edges.clear();
    this.moved = false;
    this.rebuild();
  }

  /** Set a node apart from the others. */
  select(ref) {
    this.selected = ref;
    for (const n of this.nodes.values()) n.element?.classList.toggle("selected", n.ref === ref);
    this.rove(ref);
  }

  rebuild() {
    const nodes = [...this.nodes.values()], edges = [...this.edges.values()];
    for (const n of nodes) n.degree = 0;
    for (const e of edges) { this.nodes.get(e.from).degree += 1; this.nodes.get(e.to).degree += 1; }
    this.sim.nodes(nodes);
    this.sim.force("link").links(edges);
    // Two nodes have one line between them, whatever the number of relations: their names in a row.
    this.pairs = new Map();
    for (const e of edges) {
      const key = [e.from, e.to].sort().join(" ");
      if (!this.pairs.has(key)) this.pairs.set(key, { a: e.from, b: e.to, texts: new Set(), there: false, back: false });
      const pair = this.pairs.get(key);
      pair.texts.add(e.text);
      if (e.from === pair.a) pair.there = true; else pair.back = true;
    }
    this.lines.replaceChildren(...[...this.pairs.values()].map((p) => this.line(p)));
    for (const n of nodes) n.element ??= this.dot(n);
    this.dots.replaceChildren(...nodes.map((n) => n.element));
    for (const n of nodes) n.element.setAttribute("aria-label", `${n.name}, ${kindName(n.label)}, ${plural(n.degree, "relation")} shown`);
    this.svg.setAttribute("aria-label", `${this.label}: ${plural(nodes.length, "node")}. Arrow keys move between nodes, Enter shows a node's neighbours.`);
    this.svg.classList.toggle("empty", nodes.length === 0);
    const kinds = [...new Set(nodes.map((n) => n.kind))];
    const names = { reader: person(), item: kindName(about.label), person: "person", fact: "fact", prototype: "prototype", other: "other" };
    this.legend.replaceChildren(...Object.keys(SHAPES).filter((k) => kinds.includes(k)).map((k) => h("li", {}, sign(k), names[k])));
    if (!this.nodes.has(this.roving)) this.rove(nodes[0]?.ref);
  }

  line(pair) {
    pair.path = svg("line", {});
    pair.heads = [pair.there, pair.back].map((way) => (way ? svg("path", { class: "head", d: HEAD }) : null));
    pair.words = svg("text", { class: "word" }, pair.texts.size > 2 ? `${[...pair.texts][0]}, ${pair.texts.size - 1} more` : [...pair.texts].join(" · "));
    pair.element = svg("g", { class: "edge" }, pair.path, pair.heads, pair.words);
    return pair.element;
  }

  dot(n) {
    const [one, two] = wrapped(n.name);
    const text = svg("text", { class: "name" }, svg("tspan", { x: 0, dy: "0" }, one), two && svg("tspan", { x: 0, dy: "1.15em" }, two));
    const element = svg("g", { class: `node kind-${n.kind}`, role: "button", tabindex: -1, "data-ref": n.ref },
      svg("circle", { class: "reach", r: 20 }), SHAPES[n.kind](n.root ? SIZE * 1.4 : SIZE), text);
    element.addEventListener("pointerenter", (event) => { this.near(n); this.tell(n, event.clientX, event.clientY); });
    element.addEventListener("pointerleave", () => { this.near(null); tip(null); });
    element.addEventListener("focus", () => {
      this.near(n);
      this.rove(n.ref);
      if (element.matches(":focus-visible")) { const box = element.getBoundingClientRect(); this.tell(n, box.x + box.width / 2, box.y + 20); }
    });
    element.addEventListener("blur", () => { this.near(null); tip(null); });
    return element;
  }

  tell(n, x, y) {
    tip([n.name, `${kindName(n.label)} · ${n.id ?? ""}`], x, y);
  }

  near(n) {
    this.svg.classList.toggle("hovering", Boolean(n));
    for (const p of this.pairs.values()) p.element.classList.toggle("near", Boolean(n) && (p.a === n.ref || p.b === n.ref));
    const around = new Set([n?.ref]);
    if (n) for (const e of this.edges.values()) { if (e.from === n.ref) around.add(e.to); if (e.to === n.ref) around.add(e.from); }
    for (const o of this.nodes.values()) o.element?.classList.toggle("near", around.has(o.ref));
  }

  draw() {
    const s = this.stretch;
    const size = 1 / Math.max(0.72, this.view.k); // words keep their size on the screen, within reason
    for (const p of this.pairs.values()) {
      const a = this.nodes.get(p.a), b = this.nodes.get(p.b);
      const ax = s * a.x, bx = s * b.x;
      for (const [k, v] of [["x1", ax], ["y1", a.y], ["x2", bx], ["y2", b.y]]) p.path.setAttribute(k, v.toFixed(1));
      p.words.setAttribute("transform", `translate(${((ax + bx) / 2).toFixed(1)} ${((a.y + b.y) / 2).toFixed(1)}) scale(${size})`);
      const angle = Math.atan2(b.y - a.y, bx - ax), turn = (180 * angle) / Math.PI;
      [[b, turn, -1], [a, turn + 180, 1]].forEach(([end, by, sense], side) => {
        const off = sense * (end.root ? 19 : 15);
        p.heads[side]?.setAttribute("transform", `translate(${(s * end.x + off * Math.cos(angle)).toFixed(1)} ${(end.y + off * Math.sin(angle)).toFixed(1)}) rotate(${by.toFixed(1)})`);
      });
    }
    for (const n of this.nodes.values()) {
      n.element.setAttribute("transform", `translate(${(s * n.x).toFixed(1)} ${n.y.toFixed(1)})`);
      n.element.querySelector(".name").setAttribute("transform", `translate(0 ${(n.root ? 16 : 12) + 11 * size}) scale(${size})`);
    }
    if (!this.moved && this.sim.alpha() > 0.02) this.fit();
  }

  fit() {
    const { width, height } = this.svg.getBoundingClientRect();
    const all = [...this.nodes.values()].filter((n) => n.x !== undefined);
    if (!width || !all.length) return;
    const xs = all.map((n) => this.stretch * n.x), ys = all.map((n) => n.y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const k = Math.max(0.25, Math.min(1.25, (width - 120) / (right - left || 1), (height - 96) / (bottom - top || 1)));
    this.place({ k, x: width / 2 - (k * (left + right)) / 2, y: (height - 22) / 2 - (k * (top + bottom)) / 2 });
  }

  place(view) {
    const before = this.view.k;
    this.view = view;
    this.world.setAttribute("transform", `translate(${view.x.toFixed(1)} ${view.y.toFixed(1)}) scale(${view.k.toFixed(4)})`);
    this.world.style.setProperty("--k", view.k);
    this.svg.classList.toggle("few", this.pairs.size <= EDGE_WORDS && (view.k > 0.75 || this.pairs.size < 8));
    if (before !== view.k && this.sim.alpha() <= 0.02) this.draw();
  }

  zoom(by, at = null) {
    const box = this.svg.getBoundingClientRect();
    const { x, y } = at ?? { x: box.width / 2, y: box.height / 2 };
    const k = Math.max(0.2, Math.min(4, this.view.k * by));
    this.moved = true;
    const f = k / this.view.k;
    this.place({ k, x: x - f * (x - this.view.x), y: y - f * (y - this.view.y) });
    this.draw();
  }

  listen() {
    let held = null;
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const element = event.target.closest(".node");
      held = { n: element && this.nodes.get(element.dataset.ref), x: event.clientX, y: event.clientY, view: this.view, far: false };
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!held) return;
      const dx = event.clientX - held.x, dy = event.clientY - held.y;
      if (!held.far && Math.hypot(dx, dy) < 5) return;
      held.far = true;
      tip(null);
      this.moved = true;
      if (held.n) {
        const box = this.svg.getBoundingClientRect();
        held.n.fx = (event.clientX - box.x - this.view.x) / this.view.k / this.stretch;
        held.n.fy = (event.clientY - box.y - this.view.y) / this.view.k;
        this.sim.alphaTarget(0.15).restart();
      } else this.place({ ...held.view, x: held.view.x + dx, y: held.view.y + dy });
    });
    const release = (event) => {
      if (!held) return;
      const { n, far } = held;
      held = null;
      this.sim.alphaTarget(0);
      if (n && far) { n.fx = n.fy = null; }
      if (n && !far && event.type === "pointerup") { n.element.focus({ preventScroll: true }); this.onopen?.(n, this); }
    };
    this.svg.addEventListener("pointerup", release);
    this.svg.addEventListener("pointercancel", release);
    this.svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls; pinching zooms
      event.preventDefault();
      const box = this.svg.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 200), { x: event.clientX - box.x, y: event.clientY - box.y });
    }, { passive: false });
    this.svg.addEventListener("keydown", (event) => {
      const n = this.nodes.get(event.target.dataset?.ref);
      if (!n) return;
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (way) this.step(n, way);
      else if (event.key === "Enter" || event.key === " ") this.onopen?.(n, this);
      else if (event.key === "+") this.zoom(1.3);
      else if (event.key === "-") this.zoom(1 / 1.3);
      else return;
      event.preventDefault();
    });
  }

  /** To the nearest node in a direction: what lies aside counts double. */
  step(n, [dx, dy]) {
    let best = null, least = Infinity;
    for (const o of this.nodes.values()) {
      const along = this.stretch * (o.x - n.x) * dx + (o.y - n.y) * dy, aside = Math.abs((o.x - n.x) * dy) + Math.abs((o.y - n.y) * dx);
      if (o !== n && along > 1 && along + 2 * aside < least) { best = o; least = along + 2 * aside; }
    }
    best?.element.focus({ preventScroll: true });
  }

  rove(ref) {
    this.nodes.get(this.roving)?.element?.setAttribute("tabindex", "-1");
    this.roving = ref;
    this.nodes.get(ref)?.element?.setAttribute("tabindex", "0");
  }
}

/** A force that keeps nodes with their names apart: names are wider than high, so boxes, not discs. */
function boxes() {
  let nodes = [];
  const force = () => {
    for (let i = 0; i < nodes.length; i += 1) {
      for (let j = i + 1; j < nodes.length; j += 1) {
        const a = nodes[i], b = nodes[j];
        const dx = b.x - a.x, dy = b.y - a.y;
        const x = (a.wide + b.wide) / (2 * (a.stretch ?? 1)) - Math.abs(dx), y = (a.high + b.high) / 2 - Math.abs(dy);
        if (x <= 0 || y <= 0) continue;
        if (x < y) { const by = Math.sign(dx || 1) * x * 0.3; a.x -= by; b.x += by; } else { const by = Math.sign(dy || 1) * y * 0.3; a.y -= by; b.y += by; }
      }
    }
  };
  force.initialize = (given) => {
    nodes = given;
    const room = Math.max(1, Math.min(1.5, Math.sqrt(nodes.length / 12))); // many are drawn small, their names not
    for (const n of nodes) {
      const lines = wrapped(n.name).filter(Boolean);
      n.wide = room * Math.max(40, 7.2 * Math.max(...lines.map((l) => l.length)) + 12);
      n.high = 30 + room * 17 * lines.length;
    }
  };
  return force;
}

/** A key without the part that says nothing to a reader. */
export function bare(id) {
  if (/^https?:/.test(id)) return decode(id.replace(/[/#]+$/, "").split(/[/#]/).pop()).replace(/^Category:/, "").replaceAll("_", " ");
  return id.replace(/^[^:\s]+:/, "");
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function wrapped(text) {
  const line = 20;
  if (text.length <= line) return [text, null];
  const cut = text.lastIndexOf(" ", line);
  if (cut < 6) return [short(text, line), null];
  return [text.slice(0, cut), short(text.slice(cut + 1), line)];
}

/** The neighbours of a node as nodes and edges: so many of each type, and in all. */
export function around(found, each = 3, most = 26) {
  const nodes = [found], edges = [];
  let room = most;
  for (let n = 0; n < each; n += 1) {
    for (const group of found.relations) {
      const other = group.nodes[n];
      if (!other || room <= 0) continue;
      room -= 1;
      nodes.push(other);
      edges.push(edgeTo(found, group, other));
    }
  }
  return { nodes, edges };
}

export function edgeTo(found, group, other) {
  const [from, to] = group.outgoing ? [found.ref, other.ref] : [other.ref, found.ref];
  const times = group.relation === "NEXT" && other.strength > 1 ? `${lineWords("NEXT")} ×${other.strength}` : null;
  return { from, to, relation: group.relation, text: times };
}

export function told(fresh, n) {
  say(fresh ? `${plural(fresh, "neighbour")} of ${n.name} added` : `${n.name}: all neighbours are shown`);
}
