// What things are called. Filled from /page/about before anything is drawn.

export const about = { kinds: {}, relations: {}, targets: {} };

export const kindOf = (label) => about.kinds[label] ?? "other";

const PEOPLE = { Book: "reader", Movie: "viewer" };
/** Who touches the items: a reader of books, a viewer of films, a customer of other things. */
export const person = () => PEOPLE[about.label] ?? "customer";
export const people = () => `${person()}s`;
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const NAMES = { PersonaPrototype: "prototype", LiteraryGenre: "literary genre" };
export const kindName = (label) => label === "User" ? person() : NAMES[label] ?? (label ?? "node").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

export function relationWords(name, outgoing = true) {
  const known = about.relations[name];
  return known ? known[outgoing ? 0 : 1] : name.replaceAll("_", " ").toLowerCase();
}

/** Short enough for a line of a drawing. */
export const lineWords = (name) => (name === "NEXT" ? "then" : relationWords(name));

const PARTS = {
  sequence: ["Order of reading", "what tends to follow these items, learnt from all sessions"],
  transitions: ["What others went on to", "how many went from these items to this one"],
  "transitions-2": ["Two steps on", "what followed the items that others went on to"],
  "item-knn": ["Chosen by the same people", "how many touched both"],
  linear: ["Chosen together", "which items the same people choose, each beside all others"],
  "linear+facts": ["Chosen together", "which items the same people choose and which facts they share, each beside all others"],
  facts: ["Shared facts", "author, genre, series and more that these items share with this one"],
  "facts-regression": ["What these facts lead to", "which items tend to follow authors, genres, series and more such as these"],
  persona: ["Kind of reader", "what suits the persona that these items make, newer ones weighing more"],
  popularity: ["Popularity", "how many touched it"],
  rerank: ["Learned rerank", "what was learned from held-out items adds or takes away among the first of the other parts, 0 on average over them"],
};
export const ofBooks = () => about.label === "Book";
const OTHER_NAMES = { sequence: "Order of items", persona: "Kind of person" }; // where they are not read
export const partName = (part) => (!ofBooks() && OTHER_NAMES[part]) || (PARTS[part]?.[0] ?? part);
export const partDoc = (part) => PARTS[part]?.[1] ?? "";
const ORDER = Object.keys(PARTS);
export const partClass = (part) => `part part-${part.replace("+", "-")}`;
export const partsInOrder = (parts) => Object.entries(parts).sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b));
