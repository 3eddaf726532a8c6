"""Recommendations for known users and anonymous sessions, from a checkpoint and the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz import fuzz, process

from kg.errors import ChangeSomethingError
from kg.ingest import require_data_set
from kg.schema import DOMAINS, relation_type
from kg.store import GraphStore, statement
from kg.views import read_catalogue
from kg.views.personas import require_user
from personarec.evaluation.sequences import Sequences
from personarec.recommend.diversity import diverse, pool_size
from personarec.recommend.explain import GraphPath, Shown, explain, read_facts
from personarec.recommend.filters import Catalogue, Filters
from personarec.recommend.titles import Titles
from personarec.rerank.part import PART
from personarec.retriever.best import best
from personarec.retriever.recommender import Retriever
from personarec.training.run import latest_run

HISTORIES = 20_000
"""Users whose history is kept in memory; it is read again when the data set was loaded anew."""
NAMES = 20_000
"""Sessions' facts whose names are kept."""


@dataclass(frozen=True)
class Whom:
    """Who gets recommendations: a known user, or an anonymous session.

    Attributes:
        history: keys of the items, oldest first.
        user: key of the user; None for a session.
    """

    history: tuple[str, ...]
    user: str | None = None


@dataclass(frozen=True)
class Options:
    """What is recommended.

    Attributes:
        n: how many items at most.
        filters: what they must pass.
        diversity: 0, the order of the scores, to 1; see ``diversity.diverse``.
        explained: how many of them, from the first, get their paths.
    """

    n: int = 10
    filters: Filters = field(default_factory=Filters)
    diversity: float = 0.0
    explained: int = 0


@dataclass(frozen=True)
class Recommended:
    """An item, its score, what the score is made of, and why; ``paths`` is None if not explained.

    ``parts`` add up to the score.
    """

    item: str
    title: str | None
    score: float
    parts: dict[str, float]
    paths: list[GraphPath] | None

    def reranked(self) -> str:
        """What the learned rerank did to the score, in words; empty where it did nothing."""
        added = self.parts.get(PART, 0.0)
        if not added:
            return ""
        return f"the learned rerank {'raised' if added > 0 else 'lowered'} its score"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "item": self.item,
            "title": self.title or self.item,
            "score": self.score,
            "parts": self.parts,
            "paths": [p.as_dict() for p in self.paths or ()],
        }


@dataclass(frozen=True)
class Liked:
    """A fact that a session's items have in common; ``weight`` is its share of the length."""

    relation: str
    id: str
    name: str
    weight: float

    def words(self) -> str:
        """The fact as a phrase."""
        return f"{relation_type(self.relation).doc} {self.name}"


def open_run(home: Path, dataset: str | None) -> tuple[str, Retriever]:
    """The data set and retriever of the last training. Raises ChangeSomethingError when none."""
    name, folder = require_run(home, dataset)
    return name, Retriever.load(folder / "checkpoint")


def require_run(home: Path, dataset: str | None) -> tuple[str, Path]:
    """Data set and folder of the last training. Raises ChangeSomethingError when none."""
    found = latest_run(home, dataset)
    if found is None or not (found[1] / "checkpoint").exists():
        raise ChangeSomethingError(
            f"no trained retriever under {home / 'runs'}; run personarec train --dataset "
            f"{dataset or 'demo'} first"
        )
    return found


class Recommender:
    """Answers requests for one data set; safe to use from many threads.

    Attributes:
        store: the graph.
        dataset: name of the data set.
        retriever: the trained parts.
        label: label of the items.
        titles: by item key, of the whole data set.
        position: index by item key, of the items that the model knows.
        search: the titles, folded, to find items by.
    """

    def __init__(self, store: GraphStore, dataset: str, retriever: Retriever) -> None:
        self.store = store
        self.dataset = dataset
        self.retriever = retriever
        self.label = DOMAINS[require_data_set(store, dataset)["domain"]]
        catalogue = read_catalogue(store, dataset, self.label)
        self.titles = dict(zip(catalogue.ids, catalogue.titles, strict=True))
        self.position = {key: i for i, key in enumerate(retriever.items)}
        self.search = Titles(self.titles)
        self._catalogue = Catalogue(store, dataset, self.label, self.position, self.search)
        self._history = lru_cache(HISTORIES)(self._read_history)
        self._names: dict[int, str] = {}

    def keys(self, given: str) -> tuple[str, str]:
        """What may be meant: a key, or the data set's own id, which lacks the name before it."""
        return given, f"{self.dataset}:{given}"

    def user(self, given: str) -> Whom:
        """A known user, by key or by the data set's own id, with all items that it touched.

        Raises ChangeSomethingError for an unknown user.
        """
        prefix = f"{self.dataset}:"
        key = given if given.startswith(prefix) else prefix + given
        history = self._history(key)
        if history is None:
            require_user(self.store, self.dataset, given)  # says which users there are
        return Whom(history or (), key)

    def session(self, items: Sequence[str]) -> Whom:
        """A session of items, each by key, by the data set's own id, or by exact title.

        Raises ChangeSomethingError for one that is not in the catalogue.
        """
        return Whom(tuple(self._item(given) for given in items))

    def recommend(self, whom: Whom, options: Options) -> list[Recommended]:
        """The best items for one; see ``recommend_each``."""
        return self.recommend_each([whom], options)[0]

    def recommend_each(self, whoms: Sequence[Whom], options: Options) -> list[list[Recommended]]:
        """The best items for each, scored together.

        Raises ChangeSomethingError for a filter that no item of this data set could pass.
        """
        allowed = self._catalogue.allowed(options.filters)
        histories = [self._known(whom) for whom in whoms]
        lists = []
        everything = self.retriever.scores(histories, [whom.user for whom in whoms])
        for history, scores in zip(histories, everything, strict=True):
            seen = history if options.filters.exclude_seen else ()
            facts = self.retriever.facts
            if options.diversity and facts is not None:
                pool = best(scores.total, pool_size(options.n), seen, allowed)
                chosen = diverse(
                    pool, scores.total[pool], facts.items, options.n, options.diversity
                )
            else:
                chosen = best(scores.total, options.n, seen, allowed)
            paths = self._paths(
                history,
                [Shown(int(i), scores.fused(int(i))) for i in chosen[: options.explained]],
            )
            lists.append(
                [
                    Recommended(
                        key := self.retriever.items[item],
                        self.titles.get(key),
                        float(scores.total[item]),
                        {name: float(part[item]) for name, part in scores.parts.items()},
                        paths[place] if place < len(paths) else None,
                    )
                    for place, item in enumerate(chosen.tolist())
                ]
            )
        return lists

    def persona(self, whom: Whom, most: int) -> list[Liked]:
        """The facts that a history likes most, strongest first, as the model reads it.

        Empty where the model has no facts, or the history none. Facts that the graph no longer has
        are left out.
        """
        facts, history = self.retriever.facts, self._known(whom)
        if facts is None or not history or not self.retriever.fact_keys:
            return []
        found = facts.personas(Sequences.from_lists([history], len(self.position)))
        length = float(np.linalg.norm(found.data))
        order = np.lexsort((found.indices, -found.data))[:most]
        strongest = [(int(found.indices[i]), float(found.data[i]) / length) for i in order]
        names = self._names_of([fact for fact, _ in strongest], history)
        return [
            Liked(*self._fact(fact), names[fact], weight)
            for fact, weight in strongest
            if fact in names
        ]

    def _known(self, whom: Whom) -> list[int]:
        """Indices of the items of a history that the model knows."""
        return [self.position[key] for key in whom.history if key in self.position]

    def _paths(self, history: list[int], shown: list[Shown]) -> list[list[GraphPath]]:
        return explain(self.store, self.label, self.retriever, history, shown, self.titles)

    def _fact(self, column: int) -> tuple[str, str]:
        """Relation and entity of a column of the facts."""
        relation, _, entity = self.retriever.fact_keys[column].partition(" ")
        return relation, entity

    def _names_of(self, facts: Sequence[int], history: Sequence[int]) -> dict[int, str]:
        """Names of facts of a history, read where they are not known yet."""
        known = self._names
        names = {fact: known[fact] for fact in facts if fact in known}
        unknown = {self._fact(fact): fact for fact in facts if fact not in names}
        if unknown:
            items = [self.retriever.items[i] for i in dict.fromkeys(history)]
            rows = read_facts(self.store, self.label, items, list(unknown))
            for (_, relation, entity), name in rows.items():
                if (relation, entity) in unknown:
                    names[unknown[relation, entity]] = name
            # Replaced, never changed: another thread may be reading the old one.
            kept = known if len(known) < NAMES else {}
            self._names = kept | names
        return names

    def _read_history(self, key: str) -> tuple[str, ...] | None:
        """Items that a user touched, oldest first; None for no user."""
        rows = self.store.read(statement("history_of_user", label=self.label), user=key)
        if not rows:
            return None
        _, items, timestamps, places = rows[0]
        return tuple(item for *_, item in sorted(zip(timestamps, places, items, strict=True)))

    def _item(self, given: str) -> str:
        for candidate in (*self.keys(given), self.search.exact(given)):
            if candidate is not None and candidate in self.position:
                return candidate
        close = process.extractOne(
            given.casefold(), self.search.known(), scorer=fuzz.ratio, score_cutoff=60
        )
        hint = (
            f"did you mean {self.titles[self.search.exact(close[0]) or '']!r}?"
            if close
            else f"ids look like {self.retriever.items[0]}"
        )
        raise ChangeSomethingError(f"no item {given!r} in data set {self.dataset}; {hint}")
