// A text field with suggestions while typing: the combobox pattern of ARIA 1.2.
import { h, say, plural } from "./dom.js";

let made = 0;

/**
 * @param label what stands above it
 * @param find (text, signal) -> [{value, text, more}]
 * @param pick called with the entry that was chosen
 */
export function combobox({ label, placeholder, find, pick, nothing }) {
  const id = `combo${++made}`;
  let found = [], at = -1, timer = 0, asked = null;
  const list = h("ul", { id: `${id}-list`, role: "listbox", "aria-label": "Suggestions", class: "options", hidden: true });
  const input = h("input", {
    id, type: "text", role: "combobox", placeholder, autocomplete: "off", spellcheck: "false",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  });

  function show(open) {
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (!open) mark(-1);
  }
  function mark(n) {
    at = n;
    [...list.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === n)));
    if (n < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `${id}-${n}`);
    list.children[n].scrollIntoView({ block: "nearest" });
  }
  function choose(n) {
    const chosen = found[n];
    clear();
    pick(chosen);
  }
  function clear() {
    clearTimeout(timer);
    asked?.abort();
    input.value = "";
    found = [];
    show(false);
  }
  async function look() {
    asked?.abort();
    const mine = (asked = new AbortController());
    const text = input.value.trim();
    if (!text) return show(false);
    try {
      const answer = await find(text, mine.signal);
      if (mine !== asked || mine.signal.aborted) return;
      found = answer;
      list.replaceChildren(...(found.length ? found.map((one, n) => h("li", {
        id: `${id}-${n}`, role: "option", "aria-selected": "false",
        onpointerdown: (event) => event.preventDefault(), // the field keeps the focus
        onclick: () => choose(n),
      }, h("span", {}, one.text), one.more && h("small", {}, one.more)))
        : [h("li", { class: "nothing", role: "option", "aria-disabled": "true" }, nothing(text))]));
      show(true);
      say(found.length ? plural(found.length, "suggestion") : nothing(text));
      mark(found.length ? 0 : -1);
    } catch (error) {
      if (error.name === "AbortError") return;
      found = [];
      list.replaceChildren(h("li", { class: "nothing error", role: "option", "aria-disabled": "true" }, error.message));
      show(true);
    }
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 120); });
  input.addEventListener("focus", () => { if (input.value.trim()) look(); });
  input.addEventListener("blur", () => show(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return look();
      if (found.length) mark((at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
    } else if (event.key === "Enter" && at >= 0 && !list.hidden) {
      event.preventDefault();
      choose(at);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      show(false);
    }
  });
  return h("div", { class: "combo" }, h("label", { for: id }, label), input, list);
}
