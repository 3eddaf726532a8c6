"""Link the items of a staged data set, and keep what was found in its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kg.errors import ChangeSomethingError
from kg.ingest.stage import Progress, Stage
from kg.linking.corrections import apply
from kg.linking.files import EFFECTIVE, write_answers
from kg.linking.link import Answer, Linked, Nil, Resources, Unlinked, link_items
from kg.linking.score import DOMAINS, Query
from kg.linking.staged import queries


@dataclass
class LinkResult:
    """What became of a data set's items."""

    path: Path
    """The links with a person's corrections, for the loader ``links``."""
    asked: int = 0
    methods: dict[str, int] = field(default_factory=dict)
    """Method -> links of the linker."""
    unlinked: dict[str, int] = field(default_factory=dict)
    """Reason -> items."""
    effective: int = 0
    """Links after corrections."""

    @property
    def linked(self) -> int:
        """Links of the linker, before corrections."""
        return sum(self.methods.values())


def link_data_set(staged: Stage, source: Resources, folder: Path, progress: Progress) -> LinkResult:
    """Link every item that the data set gave no link for.

    Args:
        staged: the data set's stage.
        source: DBpedia, by endpoint or dumps.
        folder: where links.tsv, unlinked.tsv and effective-links.tsv go, and corrections.tsv is.
        progress: called with items done.

    Raises:
        ChangeSomethingError: items of this domain cannot be told by class.
    """
    if staged.domain not in DOMAINS:
        raise ChangeSomethingError(
            f"data set {staged.data_set} is of {staged.domain}; links are found for "
            f"{' and '.join(sorted(DOMAINS))} only, by the classes of their resources"
        )
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(1 for _ in queries(staged))
    methods: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    answers = _answers(staged, source)
    for done, answer in enumerate(write_answers(folder, answers), 1):
        if isinstance(answer, Linked):
            methods[answer.method] += 1
        else:
            reasons[str(answer.reason)] += 1
        progress("linking items", done, total)
    counts = (dict(sorted(methods.items())), dict(sorted(reasons.items())))
    return LinkResult(folder / EFFECTIVE, total, *counts, effective=apply(folder))


def _answers(staged: Stage, source: Resources) -> Iterator[Answer]:
    unusable: list[Query] = []

    def usable() -> Iterator[Query]:
        for query in queries(staged):
            if any(c in query.item for c in "\t\r\n"):
                unusable.append(query)
            else:
                yield query

    yield from link_items(usable(), source, DOMAINS[staged.domain])
    for query in unusable:  # such an id has no place in a tab-separated file
        yield Unlinked(" ".join(query.item.split()), query.title, Nil.UNUSABLE_ID, "", 0.0)
