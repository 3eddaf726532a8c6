"""A data set of the graph in batches: only keys are ever held all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kg.ingest.stage import Progress
from kg.schema import (
    ENTITY_RELATIONS,
    FACT_RELATIONS,
    USER_RELATIONS,
    RelationType,
    target_label,
)
from kg.store import GraphStore, statement
from kg.views.export import batches, read_columns

Pair = tuple[str, str]


class Rating(NamedTuple):
    """An interaction, by the keys of its ends."""

    user: str
    timestamp: int
    row: int
    item: str
    rating: float | None


class DataSetReader:
    """Users, items and facts of one data set, and the entities that its facts lead to."""

    def __init__(self, store: GraphStore, dataset: str, label: str, progress: Progress) -> None:
        self.store = store
        self.dataset = dataset
        self.label = label
        self.progress = progress
        self.users = self._keys("User")
        self.items = self._keys(label)

    def own_id(self, key: str) -> str:
        """A user's or item's own id, without its data set's name."""
        return key.removeprefix(f"{self.dataset}:")

    def nodes(self, label: str, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """(id, properties) of nodes, in the order of ``ids``."""
        query = statement("read_nodes", label=label)
        for part in self._parts(f"reading {label}", ids):
            found = dict(map(tuple, self.store.read(query, ids=part)))
            yield from ((key, found[key]) for key in part if key in found)

    def ratings(self) -> Iterator[Rating]:
        """Interactions by user, then time, then row."""
        query = statement("export_ratings", target=self.label)
        for part in self._parts("reading RATED", self.users):
            users, items, ratings, rated, times, rows = read_columns(self.store, query, part)
            found = zip(users, times, rows, items, ratings, rated, strict=True)
            yield from sorted(
                Rating(user, time, row, item, rating if is_rated else None)
                for user, time, row, item, rating, is_rated in found
            )

    def fact_kinds(self) -> list[tuple[RelationType, str, str]]:
        """(relation type, source label, target label) of items' and users' facts."""
        facts = [
            (r, self.label, target_label(r, self.label))
            for r in FACT_RELATIONS
            if self.label in r.sources
        ]
        return facts + [(r, "User", r.targets[0]) for r in USER_RELATIONS]

    def pairs(self, kind: tuple[RelationType, str, str], ids: Sequence[str]) -> Iterator[Pair]:
        """(source, target) of one kind of relation, by source, then target."""
        relation, source, target = kind
        query = statement("export_relations", source=source, type=relation.name, target=target)
        for part in self._parts(f"reading {relation.name}", ids):
            yield from sorted(zip(*read_columns(self.store, query, part), strict=True))

    def relations(
        self, kind: tuple[RelationType, str, str], ids: Sequence[str]
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(source, target, properties) of one kind of relation, by source, then target."""
        relation, source, target = kind
        names = {"type": relation.name, "source": source, "target": target}
        query = statement("read_relations", **names)
        for part in self._parts(f"reading {relation.name}", ids):
            found = self.store.read(query, ids=part)
            yield from ((s, t, p) for s, t, p in sorted(found, key=lambda r: r[:2]))

    def sources(self, label: str) -> tuple[str, ...]:
        """Keys that facts of this source label leave from."""
        return self.users if label == "User" else self.items

    def beyond(
        self, reached: dict[str, set[str]]
    ) -> Iterator[tuple[tuple[RelationType, str, str], Pair]]:
        """Facts of the entities ``reached`` by label, one hop on; adds what they lead to."""
        starts = {label: sorted(ids) for label, ids in reached.items()}
        for relation in ENTITY_RELATIONS:
            for source in relation.sources:
                kind = (relation, source, relation.targets[0])
                for pair in self.pairs(kind, starts.get(source, ())):
                    reached.setdefault(kind[2], set()).add(pair[1])
                    yield kind, pair

    def _keys(self, label: str) -> tuple[str, ...]:
        rows = self.store.read(statement("data_set_nodes", label=label), dataset=self.dataset)
        return tuple(sorted(r[0] for r in rows))

    def _parts(self, what: str, ids: Sequence[str]) -> Iterator[list[str]]:
        done = 0
        for part in batches(ids):
            yield part
            done += len(part)
            self.progress(what, done, len(ids))
