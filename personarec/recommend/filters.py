"""Which items may be recommended: by fact, title and year, for the command line and HTTP alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kg.errors import ChangeSomethingError
from kg.schema import FACT_RELATIONS, target_label
from kg.store import GraphStore, statement
from personarec.recommend.titles import Titles, fold
from personarec.retriever.best import Mask

KEPT = 256
"""Answers about facts that are kept, so that the same filter is asked of the graph once."""
# "Jumanji (1995)", and "1975 American novels", as DBpedia's subjects date works.
_IN_TITLE = re.compile(r"\((1[0-9]{3}|20[0-9]{2})\)\s*$")
_IN_SUBJECT = re.compile(
    r"(1[0-9]{3}|20[0-9]{2}) (?:\S+ )*?"
    r"(?:albums|anthologies|books|comics|documentaries|films|novellas|novels|plays|poems|songs|"
    r"stories|works)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Attribute:
    """A fact that an item must have.

    Attributes:
        entity: IRI or key of an entity, or its name, whatever the case.
        relation: relation type; any where None.
    """

    entity: str
    relation: str | None = None


@dataclass(frozen=True)
class Filters:
    """What an item must pass, all of it.

    Attributes:
        exclude_seen: leave out the items of the history.
        attributes: facts that it must have.
        title_contains: text in its title; case and accents make no difference.
        titled_only: leave out items without a title.
        years: first and last year; an item of no known year does not pass.
    """

    exclude_seen: bool = True
    attributes: tuple[Attribute, ...] = ()
    title_contains: str | None = None
    titled_only: bool = False
    years: tuple[int, int] | None = None


class Catalogue:
    """Finds the items that pass filters; keeps what it has read of the graph."""

    def __init__(
        self,
        store: GraphStore,
        dataset: str,
        label: str,
        position: Mapping[str, int],
        titles: Titles,
    ) -> None:
        self._store = store
        self._dataset = dataset
        self._label = label
        self._position = position
        self._titles = titles
        self._having = lru_cache(KEPT)(self._read_having)
        self._years = lru_cache(1)(self._read_years)

    def allowed(self, filters: Filters) -> Mask | None:
        """Which items pass, shape (n_items,); None where all do.

        Raises ChangeSomethingError for a relation type that items of this data set cannot have.
        """
        masks = [self._having(a) for a in filters.attributes]
        if filters.title_contains is not None:
            text = fold(filters.title_contains)
            masks.append(self._mask(k for k, t in self._titles.folded.items() if text in t))
        if filters.titled_only:
            masks.append(self._mask(self._titles.folded))
        if filters.years is not None:
            first, last = filters.years
            masks.append(
                self._mask(
                    key
                    for key, years in self._years().items()
                    if any(first <= year <= last for year in years)
                )
            )
        return np.logical_and.reduce(masks) if masks else None

    def _mask(self, keys: Iterable[str]) -> Mask:
        mask = np.zeros(len(self._position), bool)
        # An item that came after the training is in the graph, and not in the model.
        mask[[self._position[key] for key in keys if key in self._position]] = True
        return mask

    def _read_having(self, attribute: Attribute) -> Mask:
        """Items with a fact: about the entity of that key or, where none is, of that name."""
        relations = [r for r in FACT_RELATIONS if self._label in r.sources]
        if attribute.relation is not None:
            known = [r.name for r in relations]
            relations = [r for r in relations if r.name == attribute.relation]
            if not relations:
                raise ChangeSomethingError(
                    f"items of data set {self._dataset} have no relation {attribute.relation!r}; "
                    f"there are: {', '.join(known)}"
                )
        types = [r.name for r in relations]
        labels = sorted({target_label(r, self._label) for r in relations})
        places = {"types": types, "dataset": self._dataset}
        keys = {
            row[0]
            for label in labels
            for row in self._store.read(
                statement("items_with_fact", source=self._label, target=label),
                entity=attribute.entity, **places,
            )
        } or {
            row[0]
            for label in labels
            for row in self._store.read(
                statement("items_with_fact_named", source=self._label, target=label),
                name=attribute.entity, **places,
            )
        }  # fmt: skip
        return self._mask(keys)

    def _read_years(self) -> dict[str, set[int]]:
        """Years of items that have one: in brackets after the title, or of a dated subject."""
        years: dict[str, set[int]] = {}
        query = statement("dated_subjects", label=self._label)
        for name, keys in self._store.read(query, dataset=self._dataset):
            if found := _IN_SUBJECT.match(name):
                for key in keys:
                    years.setdefault(key, set()).add(int(found.group(1)))
        for key, title in self._titles.folded.items():
            if found := _IN_TITLE.search(title):
                years.setdefault(key, set()).add(int(found.group(1)))
        return years
