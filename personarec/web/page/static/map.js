// The map of personas: every reader a dot, coloured by the strongest prototype, named by their signs.
import { ask } from "./api.js";
import { address, go } from "./app.js";
import { byId, h, load, note, plural, say, tip } from "./dom.js";
import { bare } from "./graph.js";
import { capital, people, person, relationWords } from "./words.js";

const COLOURS = 10;
const { quadtree } = globalThis.d3;
let data = null, chosen = null, user = null, cursor = null, tree = null, ready = null;

export const title = () => `Map of ${people()}`;

export function build() {
  data = chosen = cursor = null;
  const place = h("div", { class: "card map-place", id: "map-place" });
  ready = load(place, 10, async () => {
    const answer = await ask("/page/map");
    data = answer;
    if (!answer.users.length) return note("These personas have no map: train with an encoder that makes dense personas.");
    return chart();
  });
  return h("div", { class: "persona-map" },
    h("div", { class: "bar-top" }, h("h1", {}, title()),
      h("p", {}, `Each dot is a ${person()}; near dots have like personas. Numbered signs are prototypes, kinds of ${person()}. Click a dot for that ${person()}'s recommendations.`)),
    h("div", { class: "split" }, place, h("aside", { class: "card", id: "kinds", "aria-label": "Prototypes" })));
}

export async function update(state) {
  user = state.user;
  await ready;
  if (!data?.users.length || !byId("dots")) return;
  cursor = data.users.find((u) => u[0] === user) ?? null;
  paint();
}

function chart() {
  const canvas = h("canvas", {
    id: "dots", tabindex: 0, role: "application",
    "aria-label": `Map of ${plural(data.users.length, person())}. Arrow keys move from ${person()} to ${person()}, Enter opens one.`,
  });
  const signs = h("div", { class: "signs" }, data.prototypes.map((p, n) => h("button", {
    type: "button", class: `proto-sign c${n % COLOURS}`, "aria-label": `Prototype ${n + 1}: ${p.name}`, title: p.name, onclick: () => pick(chosen === n ? null : n),
  }, n + 1, h("span", { "aria-hidden": "true" }, p.name.split(" · ")[0]))));
  canvas.addEventListener("pointermove", (event) => hover(at(event), event));
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("click", (event) => { const found = at(event); if (found) go({ user: found[0] }); });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) step(way);
    else if (event.key === "Enter" && cursor) go({ user: cursor[0] });
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible")) { cursor ??= data.users[0]; paint(); tell(); } });
  canvas.addEventListener("blur", () => tip(null));
  // Where a reader stands, for tests and for whoever drives the page.
  canvas.placeOf = (key) => { const u = data.users.find((one) => one[0] === key); return u && position(u[1], u[2]); };
  const box = h("div", { class: "map-box" }, canvas, signs);
  new ResizeObserver(paint).observe(box);
  addEventListener("theme", paint);
  kinds();
  return [box, data.more > 0 && h("p", { class: "quiet" }, `${data.more.toLocaleString("en")} more ${people()} are not drawn.`)];
}

function kinds() {
  byId("kinds").replaceChildren(h("p", { class: "kicker" }, "Prototypes"), h("ol", { class: "kind-list" }, data.prototypes.map((p, n) =>
    h("li", { class: chosen === n ? "chosen" : null },
      h("button", { type: "button", class: "link", "aria-pressed": String(chosen === n), onclick: () => pick(chosen === n ? null : n) },
        h("i", { class: `proto-sign small c${n % COLOURS}`, "aria-hidden": "true" }, n + 1), h("span", {}, p.name)),
      h("p", {}, h("small", {}, plural(p.size, person()), p.facts.length ? ` · ${p.facts.slice(0, 3).map((f) => `${relationWords(f.relation)} ${f.name} (×${f.lift.toFixed(1)})`).join(" · ")}` : "")),
      chosen === n && h("a", { class: "button", href: address({ view: "graph", node: p.ref }), "data-go": true }, "Show in the graph")))));
}

function pick(n) {
  chosen = n;
  kinds();
  paint();
  say(n === null ? `All ${people()}` : `${capital(people())} of ${data.prototypes[n].name}`);
}

// -- places ------------------------------------------------------------------------------------------

let scale = null;

function measure(canvas) {
  const { width, height } = canvas.parentElement.getBoundingClientRect();
  const all = [...data.users.map((u) => [u[1], u[2]]), ...data.prototypes.map((p) => [p.x, p.y])];
  const xs = all.map((p) => p[0]), ys = all.map((p) => p[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  scale = {
    width, height, left, top,
    pad: width > 560 ? 78 : 24, high: 44,
  };
  scale.kx = (width - 2 * scale.pad) / (right - left || 1);
  scale.ky = (height - 2 * scale.high) / (bottom - top || 1);
}

const position = (x, y) => ({ x: scale.pad + (x - scale.left) * scale.kx, y: scale.height - scale.high - (y - scale.top) * scale.ky });

function at(event) {
  const box = byId("dots").getBoundingClientRect();
  return tree?.find(event.clientX - box.x, event.clientY - box.y, event.pointerType === "touch" ? 22 : 12)?.user ?? null;
}

function colour(name) {
  const probe = h("span", { class: name });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function paint() {
  const canvas = byId("dots");
  if (!canvas || !data) return;
  measure(canvas);
  const ratio = devicePixelRatio || 1;
  canvas.width = scale.width * ratio;
  canvas.height = scale.height * ratio;
  const draw = canvas.getContext("2d");
  draw.scale(ratio, ratio);
  const colours = Array.from({ length: COLOURS }, (_, n) => colour(`probe c${n}`)), plain = colour("probe"), ink = colour("probe ink");
  const radius = data.users.length > 3000 ? 2.2 : data.users.length > 800 ? 3.2 : 4.5;
  const points = [];
  for (const u of data.users) {
    const { x, y } = position(u[1], u[2]);
    points.push({ x, y, user: u });
    draw.globalAlpha = chosen === null ? 0.8 : u[3] === chosen ? 0.95 : 0.13;
    draw.fillStyle = u[3] < 0 ? plain : colours[u[3] % COLOURS];
    draw.beginPath();
    draw.arc(x, y, radius, 0, 2 * Math.PI);
    draw.fill();
  }
  tree = quadtree(points, (p) => p.x, (p) => p.y);
  draw.globalAlpha = 1;
  for (const one of [cursor, data.users.find((u) => u[0] === user)]) {
    if (!one) continue;
    const { x, y } = position(one[1], one[2]);
    draw.strokeStyle = ink;
    draw.lineWidth = 2.5;
    draw.beginPath();
    draw.arc(x, y, radius + 4, 0, 2 * Math.PI);
    draw.stroke();
  }
  const signs = canvas.parentElement.querySelector(".signs").children;
  data.prototypes.forEach((p, n) => {
    const { x, y } = position(p.x, p.y);
    signs[n].style.left = `${x}px`;
    signs[n].style.top = `${y}px`;
    signs[n].classList.toggle("dim", chosen !== null && chosen !== n);
  });
}

function hover(found, event) {
  const canvas = byId("dots");
  if (canvas) canvas.style.cursor = found ? "pointer" : "";
  if (!found) return tip(null);
  tip(words(found), event.clientX, event.clientY);
}

const words = (u) => [bare(u[0]), u[3] < 0 ? "no prototype" : data.prototypes[u[3]].name];

function step([dx, dy]) {
  if (!cursor) { cursor = data.users[0]; } else {
    const here = position(cursor[1], cursor[2]);
    let best = null, least = Infinity;
    for (const u of data.users) {
      const there = position(u[1], u[2]);
      const along = (there.x - here.x) * dx - (there.y - here.y) * -dy, aside = Math.abs((there.x - here.x) * dy) + Math.abs((there.y - here.y) * dx);
      if (u !== cursor && along > 0.5 && along + 2 * aside < least) { best = u; least = along + 2 * aside; }
    }
    if (best) cursor = best;
  }
  paint();
  tell();
}

function tell() {
  const box = byId("dots").getBoundingClientRect(), here = position(cursor[1], cursor[2]);
  tip(words(cursor), box.x + here.x, box.y + here.y);
  say(words(cursor).join(", "));
}
