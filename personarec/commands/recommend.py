"""Recommendations for a reader or a session, in words."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.store import GraphStore
from personarec.console import out
from personarec.datasets.manifest import name_of

if TYPE_CHECKING:
    from personarec.recommend.service import Recommended


@dataclass(frozen=True)
class RecommendOutcome:
    """An answer to ``recommend``."""

    dataset: str
    who: str
    history: list[str]
    titles: list[str]
    found: list[Recommended]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.dataset,
            "for": self.who,
            "history": self.history,
            "recommendations": [f.as_dict() for f in self.found],
        }


def recommend_for(
    store: GraphStore,
    home: Path,
    dataset: str | None,
    user: str | None,
    items: str | None,
    n: int,
    *,
    explained: bool,
) -> RecommendOutcome:
    """Recommend to a known user or to a session."""
    from personarec.recommend.service import Recommender, open_run

    name, retriever = open_run(home, name_of(dataset) if dataset else None)
    recommender = Recommender(store, name, retriever)
    if user is not None:
        history, who = recommender.history_of(user), user
    else:
        # As in a CSV line, so that a title with a comma can be quoted.
        cells = next(csv.reader([items or ""], skipinitialspace=True), [])
        asked = [cell.strip() for cell in cells if cell.strip()]
        if not asked:
            raise ChangeSomethingError("--items is empty; give item ids or titles: --items A,B,C")
        history, who = recommender.session(asked), "this session"
    found = recommender.recommend(history, n, explained=explained)
    titles = [recommender.titles.get(h) or h for h in history]
    return RecommendOutcome(name, who, history, titles, found)


def print_recommended(outcome: RecommendOutcome) -> None:
    """Recommendations, with their paths where there are some."""
    last = ", ".join(outcome.titles[-3:]) or "nothing yet"
    out.print(f"for {outcome.who}, who came last to {last}:", markup=False)
    for place, item in enumerate(outcome.found, 1):
        parts = ", ".join(f"{k} {v:+.2f}" for k, v in item.parts.items())
        out.print(
            f"{place:3}. {item.title}  [{item.item}]  {item.score:.2f} = {parts}", markup=False
        )
        for path in item.paths:
            out.print(f"       {path.words()}", markup=False)
