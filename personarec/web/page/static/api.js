// Asks the server; shows the token where one is needed.
import { byId } from "./dom.js";

const KEY = "personarec.token";
let token = null;
try { token = localStorage.getItem(KEY); } catch { /* storage is off: asked again with each visit */ }
let asking = null;

export async function ask(path, { body, signal } = {}) {
  for (;;) {
    const shown = token;
    const headers = {};
    if (shown) headers.Authorization = `Bearer ${shown}`;
    if (body) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, { method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body) });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer. Is personarec serve still running?");
    }
    if (response.status === 401) {
      if (shown === token) await askForToken(Boolean(shown));
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const error = new Error(answer.detail || `The server answered ${response.status}.`);
    error.status = response.status;
    throw error;
  }
}

function askForToken(wrong) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token"), text = byId("token-text"), said = byId("token-wrong");
    said.hidden = !wrong;
    said.textContent = "The server does not take this token.";
    byId("token-form").onsubmit = (event) => {
      event.preventDefault();
      if (!text.value.trim()) { text.focus(); return; }
      token = text.value.trim();
      try { localStorage.setItem(KEY, token); } catch { /* storage is off */ }
      text.value = "";
      dialog.close();
      asking = null;
      resolve();
    };
    dialog.oncancel = (event) => event.preventDefault(); // nothing works without
    dialog.showModal();
  });
  return asking;
}

const nodes = new Map();

/** A node with its neighbours; asked once. ref is Label:id, or a bare id. */
export function node(ref, count = 12) {
  const key = `${ref} ${count}`;
  if (!nodes.has(key)) {
    const { label, id } = parts(ref);
    const words = new URLSearchParams({ id, n: count, ...(label && { label }) });
    nodes.set(key, ask(`/page/node?${words}`).catch((error) => { nodes.delete(key); throw error; }));
  }
  return nodes.get(key);
}

/** Label:id in two. Labels begin with a capital; the names of data sets do not. */
export function parts(ref) {
  const [, label = "", id] = ref.match(/^(?:([A-Z][A-Za-z]*):)?(.*)$/s);
  return { label, id };
}
