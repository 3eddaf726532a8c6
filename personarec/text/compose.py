"""What items, entities and relations are, in plain English, from the graph alone.

Later purchases (also bought, also viewed) are left out: they know what users did next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from kg.schema import FACT_RELATIONS, name_from_iri
from kg.views import HeteroGraph, RelationKey
from personarec.evaluation.leakage import LATER_PURCHASES

KINDS = {"Book": "book", "Movie": "film", "Product": "product"}
"""Label of items -> what one is called."""
GENRES = ("GENRE_IS", "LITERARY_GENRE_IS")
LAST = ("IN_SERIES", "SUBJECT_IS", "IN_CATEGORY", "HAS_ATTRIBUTE")
"""Said after the rest: long lists, the least particular of all."""
FEATURES = (*GENRES, "AUTHOR", "DIRECTED_BY", "CREATOR", "BRAND", "IN_CATEGORY")
"""What is said of an item in one line of a history."""
_DOCS = {r.name: r.doc for r in FACT_RELATIONS}
MOST_NAMES, MOST_FEATURES = 8, 5
TITLE_LENGTH, ABSTRACT_LENGTH = 200, 600


@dataclass(frozen=True)
class ItemTexts:
    """Writes texts of the items of a graph.

    Attributes:
        graph: items first among the nodes of their type, and their facts.
        item_type: node type of the items.
        n_items: how many they are; works outside the data set are nodes of their type too.
        titles: of the items, where there are any.
        names: of entities, by key; the last part of the key where none is given.
        abstracts: of the linked resources, shape (n_items,), or none at all.
    """

    graph: HeteroGraph
    item_type: str
    n_items: int
    titles: Sequence[str | None] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    abstracts: Sequence[str | None] = ()

    def title(self, item: int) -> str:
        """The title in one line, cut to a bearable length; of an untitled item, its key's end."""
        return self._known_title(item) or readable(self.graph.nodes[self.item_type][item])

    def _known_title(self, item: int) -> str:
        known = self.titles[item] if item < len(self.titles) else None
        return _cut(" ".join((known or "").split()), TITLE_LENGTH)

    def facts(self, item: int) -> Iterator[tuple[str, list[str]]]:
        """Relation and names of what it leads to, genres first; equal for equal content."""
        for key in self._keys:
            matrix = self.graph.relations[key]
            ends = matrix.indices[matrix.indptr[item] : matrix.indptr[item + 1]]
            if len(ends):
                named = sorted({self._name(key[2], int(end)) for end in ends})
                yield key[1], named

    def description(self, item: int) -> str:
        """What the item is: title, year, kind, genres, then fact by fact, then the abstract."""
        facts = dict(self.facts(item))
        title, year = _year(self._known_title(item))
        genres = [name for relation in GENRES for name in facts.pop(relation, [])]
        # An untitled item's key stays out: its number would be a word like those of the facts.
        first = f"{title} is a " if title else "A "
        first += KINDS.get(self.item_type, "thing")
        first += f" of {year}" if year else ""
        first += f" of the genres {_listed(genres)}" if genres else ""
        rest = [f"{_says(name).capitalize()} {_listed(named)}." for name, named in facts.items()]
        abstract = self.abstracts[item] if item < len(self.abstracts) else None
        rest += [_cut(" ".join(abstract.split()), ABSTRACT_LENGTH)] if abstract else []
        return " ".join([first + ".", *rest])

    def titled(self, item: int, text: str) -> str:
        """A text of an item that says which one, for embedding."""
        title = self._known_title(item)
        return text if text.startswith(_year(title)[0]) else f"{title}: {text}"

    def descriptions(self) -> list[str]:
        """Of all items, in their order."""
        return [self.description(item) for item in range(self.n_items)]

    def features(self, item: int) -> str:
        """The few names that tell most, with commas: genres, authors, directors, brands."""
        facts = dict(self.facts(item))
        names = [name for relation in FEATURES for name in facts.get(relation, [])]
        return ", ".join(names[:MOST_FEATURES])

    @cached_property
    def _keys(self) -> list[RelationKey]:
        order = [r.name for r in FACT_RELATIONS if r.name not in LATER_PURCHASES]
        middle = [name for name in order if name not in GENRES + LAST]
        place = {name: at for at, name in enumerate([*GENRES, *middle, *LAST])}
        own = [
            k
            for k in self.graph.relations
            if k[0] == self.item_type and k[1] not in LATER_PURCHASES
        ]
        return sorted(own, key=lambda k: (place.get(k[1], len(place)), k))

    def _name(self, kind: str, place: int) -> str:
        if kind == self.item_type and place < self.n_items:
            return self.title(place)
        key = self.graph.nodes[kind][place]
        return plain(self.names.get(key) or readable(key))


def readable(key: str) -> str:
    """A name for an entity that has none."""
    return plain(name_from_iri(key))


def relation_text(key: RelationKey) -> str:
    """What a relation says, in words: ``film directed by person``."""
    source, target = (KINDS.get(label, _words(label)) for label in (key[0], key[2]))
    return f"{source} {_says(key[1])} {target}"


def entity_text(label: str, key: str, names: Mapping[str, str]) -> str:
    """An entity's name and kind: ``John Lasseter (person)``."""
    return f"{plain(names.get(key) or readable(key))} ({_words(label)})"


def _says(relation: str) -> str:
    """``directed by``; of a relation outside the schema, its name."""
    return _DOCS.get(relation, _words(relation))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).lower()


def plain(name: str) -> str:
    """Without what tells it from others of its name on DBpedia: ``John Smith (actor)``."""
    return " ".join(re.sub(r"\s*\([^()]*\)$", "", name.replace("_", " ")).split()) or name


def _year(title: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.+?)\s*\((\d{4})\)", title)
    return (found[1], found[2]) if found else (title, "")


def _listed(names: Sequence[str]) -> str:
    """In one phrase, the first few of many."""
    shown = list(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        shown.append("others")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _cut(text: str, length: int) -> str:
    """At a word's end."""
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " …"
