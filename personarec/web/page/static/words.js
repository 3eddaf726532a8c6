// What things are called. Filled from /page/about before anything is drawn.

export const about = { kinds: {}, relations: {}, targets: {} };

export const kindOf = (label) => about.kinds[label] ?? "other";

const NAMES = { User: "reader", PersonaPrototype: "prototype", LiteraryGenre: "literary genre" };
export const kindName = (label) => NAMES[label] ?? (label ?? "node").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

export function relationWords(name, outgoing = true) {
  const known = about.relations[name];
  return known ? known[outgoing ? 0 : 1] : name.replaceAll("_", " ").toLowerCase();
}

/** Short enough for a line of a drawing. */
export const lineWords = (name) => (name === "NEXT" ? "then" : relationWords(name));

const PARTS = {
  sequence: ["Order of reading", "what tends to follow these items, learnt from all sessions"],
  transitions: ["What others went on to", "readers who went from these items to this one"],
  neighbours: ["Chosen by the same people", "readers who touched both"],
  facts: ["Shared facts", "author, genre, series and more that these items share with this one"],
  popularity: ["Popularity", "how many touched it"],
};
export const ofBooks = () => about.label === "Book";
export const partName = (part) => (part === "sequence" && !ofBooks() ? "Order of items" : PARTS[part]?.[0] ?? part);
export const partDoc = (part) => PARTS[part]?.[1] ?? "";
const ORDER = Object.keys(PARTS);
export const partClass = (part) => `part-${Math.max(0, ORDER.indexOf(part))}`;
export const partsInOrder = (parts) => Object.entries(parts).sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b));
