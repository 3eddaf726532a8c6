"""Recommendations for a known user or an anonymous session, from a checkpoint and the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kg.errors import ChangeSomethingError
from kg.ingest import require_data_set
from kg.schema import DOMAINS
from kg.store import GraphStore, statement
from kg.views import read_catalogue
from kg.views.personas import require_user
from personarec.recommend.explain import GraphPath, explain
from personarec.retriever.recommender import Retriever
from personarec.training.run import latest_run


@dataclass(frozen=True)
class Recommended:
    """An item, its score, what the score is made of, and why."""

    item: str
    title: str
    score: float
    parts: dict[str, float]
    paths: list[GraphPath]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "item": self.item,
            "title": self.title,
            "score": self.score,
            "parts": self.parts,
            "paths": [p.as_dict() for p in self.paths],
        }


def open_run(home: Path, dataset: str | None) -> tuple[str, Retriever]:
    """The data set and retriever of the last training. Raises ChangeSomethingError when none."""
    found = latest_run(home, dataset)
    if found is None or not (found[1] / "checkpoint").exists():
        which = f"--dataset {dataset}" if dataset else "--dataset demo"
        raise ChangeSomethingError(
            f"no trained retriever under {home / 'runs'}; run personarec train {which} first"
        )
    return found[0], Retriever.load(found[1] / "checkpoint")


class Recommender:
    """Answers requests for one data set."""

    def __init__(self, store: GraphStore, dataset: str, retriever: Retriever) -> None:
        self.store = store
        self.dataset = dataset
        self.retriever = retriever
        self.label = DOMAINS[require_data_set(store, dataset)["domain"]]
        catalogue = read_catalogue(store, dataset, self.label)
        self.titles = dict(zip(catalogue.ids, catalogue.titles, strict=True))
        self.position = {key: i for i, key in enumerate(retriever.items)}

    def history_of(self, user: str) -> list[str]:
        """Keys of all items a known user touched, oldest first.

        Raises ChangeSomethingError for an unknown user.
        """
        key = require_user(self.store, self.dataset, user)
        query = statement("export_rated", target=self.label)
        _, items, timestamps, rows = self.store.read(query, ids=[key])[0]
        order = sorted(zip(timestamps, rows, items, strict=True))
        return [item for *_, item in order]

    def session(self, items: Sequence[str]) -> list[str]:
        """Keys of the items of a session, given by key, by the source's id, or by exact title.

        Raises ChangeSomethingError for one that is not in the catalogue.
        """
        by_title = {t.casefold(): k for k, t in self.titles.items() if t}
        keys = []
        for item in items:
            for candidate in (item, f"{self.dataset}:{item}", by_title.get(item.casefold(), "")):
                if candidate in self.position:
                    keys.append(candidate)
                    break
            else:
                close = get_close_matches(item.casefold(), list(by_title), 1)
                hint = (
                    f"did you mean {self.titles[by_title[close[0]]]!r}?"
                    if close
                    else (f"ids look like {self.retriever.items[0]}")
                )
                raise ChangeSomethingError(f"no item {item!r} in data set {self.dataset}; {hint}")
        return keys

    def recommend(
        self, history: Sequence[str], n: int, *, explained: bool, user: str | None = None
    ) -> list[Recommended]:
        """The best unseen items after a history, with paths where asked."""
        known = [self.position[key] for key in history if key in self.position]
        result = []
        for found in self.retriever.recommend(known, n, user=user):
            key = self.retriever.items[found.item]
            paths = (
                explain(
                    self.store,
                    self.label,
                    list(history),
                    key,
                    fact_weights=self.weights_of_facts(found.item),
                )
                if explained
                else []
            )
            title = self.titles.get(key) or key
            result.append(Recommended(key, title, found.score, found.parts, paths))
        return result

    def weights_of_facts(self, item: int) -> dict[str, float]:
        """How much each fact of an item says (TF-IDF), by the checkpoint's fact keys."""
        facts = self.retriever.facts
        if facts is None:
            return {}
        start, end = facts.items.indptr[item], facts.items.indptr[item + 1]
        return {
            self.retriever.fact_keys[column]: float(weight)
            for column, weight in zip(
                facts.items.indices[start:end], facts.items.data[start:end], strict=True
            )
        }
