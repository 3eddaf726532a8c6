// Elements without markup in strings: what comes from the graph is always text.

export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

export function say(text) {
  byId("live").textContent = text;
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function short(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}…`;
}

/** A box that says that something is loading, failed, or is not there. */
export function note(text, { error = false, again = null } = {}) {
  return h("div", { class: error ? "note error" : "note", role: error ? "alert" : null },
    h("p", {}, text),
    again && h("button", { type: "button", onclick: again }, "Try again"));
}

export function skeleton(lines) {
  return h("div", { class: "skeleton", "aria-hidden": "true" },
    Array.from({ length: lines }, () => h("span")));
}

/** Fill a place by a function that may take a while; what was asked before it is forgotten. */
export async function load(place, lines, work) {
  const turn = {};
  place.turn = turn;
  const timer = setTimeout(() => place.replaceChildren(skeleton(lines)), place.hasChildNodes() ? 250 : 0);
  place.setAttribute("aria-busy", "true");
  try {
    const children = await work();
    if (place.turn === turn) place.replaceChildren(...[children].flat(9).filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError") return;
    if (place.turn === turn) {
      place.replaceChildren(note(error.message, { error: true, again: () => load(place, lines, work) }));
    }
  } finally {
    clearTimeout(timer);
    if (place.turn === turn) place.removeAttribute("aria-busy");
  }
}

/** The tip beside the pointer or the focused thing. */
export function tip(lines, x, y) {
  const box = byId("tip");
  box.hidden = !lines;
  if (!lines) return;
  box.replaceChildren(...lines.map((line, n) => h(n ? "span" : "strong", {}, line)));
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
  box.style.top = `${y + 18 + height > innerHeight ? y - height - 12 : y + 18}px`;
}
