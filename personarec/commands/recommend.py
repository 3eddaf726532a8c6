"""Recommendations for a reader or a session, in words."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.store import GraphStore
from personarec.console import out
from personarec.datasets.manifest import name_of

if TYPE_CHECKING:
    from personarec.recommend.filters import Filters
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
    filters: Filters | None = None,
    diversity: float = 0.0,
) -> RecommendOutcome:
    """Recommend to a known user or to a session."""
    from personarec.recommend.filters import Filters
    from personarec.recommend.service import Options, Recommender, open_run

    name, retriever = open_run(home, name_of(dataset) if dataset else None)
    recommender = Recommender(store, name, retriever)
    if user is not None:
        whom, who = recommender.user(user), user
    else:
        # As in a CSV line, so that a title with a comma can be quoted.
        cells = next(csv.reader([items or ""], skipinitialspace=True), [])
        asked = [cell.strip() for cell in cells if cell.strip()]
        if not asked:
            raise ChangeSomethingError("--items is empty; give item ids or titles: --items A,B,C")
        whom, who = recommender.session(asked), "this session"
    options = Options(n, filters or Filters(), diversity, n if explained else 0)
    found = recommender.recommend(whom, options)
    titles = [recommender.titles.get(h) or h for h in whom.history]
    return RecommendOutcome(name, who, list(whom.history), titles, found)


def filters_of(
    *, seen: bool, having: Sequence[str], title: str | None, titled: bool, year: str | None
) -> Filters:
    """Filters as they are written on the command line.

    Args:
        seen: let items of the history come again.
        having: each RELATION=ENTITY, or ENTITY alone for any relation; IRI or name.
        title: text in the title.
        titled: only items with a title.
        year: 1975, or 1970..1979.

    Raises:
        ChangeSomethingError: a year of another form.
    """
    from personarec.recommend.filters import Attribute, Filters

    attributes = []
    for text in having:
        # An IRI may hold the sign too.
        named = re.fullmatch(r"([A-Z_]+)=(.+)", text)
        attributes.append(Attribute(named[2], named[1]) if named else Attribute(text))
    years = None
    if year is not None:
        written = re.fullmatch(r"(\d{4})(?:\.\.(\d{4}))?", year)
        if written is None:
            raise ChangeSomethingError(
                f"--year {year!r} is no year and no span of years; write 1975 or 1970..1979"
            )
        years = (int(written[1]), int(written[2] or written[1]))
    return Filters(not seen, tuple(attributes), title, titled, years)


def print_recommended(outcome: RecommendOutcome) -> None:
    """Recommendations, with their paths where there are some."""
    last = ", ".join(outcome.titles[-3:]) or "nothing yet"
    out.print(f"for {outcome.who}, who came last to {last}:", markup=False)
    if not outcome.found:
        out.print("  nothing passes the filters")
    for place, item in enumerate(outcome.found, 1):
        parts = ", ".join(f"{k} {v:+.2f}" for k, v in item.parts.items())
        out.print(
            f"{place:3}. {item.title or item.item}  [{item.item}]  {item.score:.2f} = {parts}",
            markup=False,
        )
        for path in item.paths or ():
            out.print(f"       {path.contribution:+.2f} {path.words()}", markup=False)
        if item.paths is not None and (words := item.reranked()):
            out.print(f"       {item.parts['rerank']:+.2f} {words}", markup=False)
