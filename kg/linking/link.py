"""From titles to resources: ask for labels, look at what answers, keep the best where it is clear.

For each item the labels that its resource might have are asked for letter by letter; pages that
redirect and disambiguation pages are followed by the source. Candidates of another kind of work are
dropped, the others scored (score.py). The best is the link when its score reaches the threshold and
leads the runner-up by the margin; otherwise there is no link, and a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import NamedTuple, Protocol

from kg.dbpedia.source import Description
from kg.linking.normalise import Title, parse_title, spellings, split_label
from kg.linking.score import Candidate, Domain, Query, Scored, Weights, score, similarity
from kg.schema import name_from_iri

BATCH_ITEMS = 1_000
"""Items whose labels are asked for at once, about 17 each: one pass over dumps answers them."""
THRESHOLD = 0.70
MARGIN = 0.05
MAX_LABEL = 255
"""Bytes of a page's name; a longer one is no label."""
NAMED_ALIKE = 0.75
"""Pages that a disambiguation page names are looked at when their name is at least so similar."""


class Resources(Protocol):
    """What linking asks of DBpedia: two questions of kg.dbpedia.source.DBpedia."""

    def by_label(self, labels: Sequence[str]) -> dict[str, list[str]]:
        """Resources of exactly these labels; redirects and disambiguation pages followed."""

    def describe(self, iris: Iterable[str]) -> dict[str, Description]:
        """What is known of each resource."""


class Nil(StrEnum):
    """Why the linker gave an item no link."""

    UNUSABLE_ID = "unusable id"
    NO_TITLE = "no title"
    NO_CANDIDATE = "no candidate"
    WRONG_TYPE = "wrong type"
    WEAK = "weak"
    AMBIGUOUS = "ambiguous"


class Linked(NamedTuple):
    """An item and its resource."""

    item: str
    iri: str
    method: str
    score: float
    runner_up: str
    """The next best resource; empty where there was no other."""
    margin: float
    """How far the score leads the runner-up's; the score itself where there was no other."""


class Unlinked(NamedTuple):
    """An item without a link, and the resource that came nearest, where one did."""

    item: str
    title: str
    reason: str
    """One of Nil, or rejected."""
    best: str
    score: float


Answer = Linked | Unlinked


@dataclass(frozen=True)
class Rules:
    """What makes a link."""

    threshold: float = THRESHOLD
    margin: float = MARGIN
    weights: Weights = field(default_factory=Weights)


def link_items(
    queries: Iterable[Query], source: Resources, domain: Domain, rules: Rules | None = None
) -> Iterator[Answer]:
    """Link items, in their order, in batches of BATCH_ITEMS; the same input gives the same output.

    Args:
        queries: the items.
        source: where labels and descriptions come from.
        domain: what the items can be.
        rules: threshold, margin and weights.
    """
    rules = rules or Rules()
    rest = iter(queries)
    while batch := list(islice(rest, BATCH_ITEMS)):
        yield from _link_batch(batch, source, domain, rules)


def candidate_labels(query: Query, title: Title, domain: Domain) -> list[str]:
    """Labels that the item's resource might have, likeliest first."""
    names = [s for name in (title.text, *title.alternatives) for s in spellings(name)]
    return _with_suffixes(names, query, title, domain)


def short_labels(query: Query, title: Title, domain: Domain) -> list[str]:
    """Labels of the title without its subtitle; asked for only where the whole title failed."""
    return _with_suffixes(spellings(title.short), query, title, domain) if title.short else []


def _with_suffixes(names: list[str], query: Query, title: Title, domain: Domain) -> list[str]:
    year = title.year
    surnames = [_surname(c) for c in query.creators if c.strip(" ,")]
    labels = list(names)
    for suffix in domain.suffixes:
        if "{surname}" in suffix:
            brackets = [suffix.format(surname=s) for s in surnames if s]
        elif "{" in suffix and year is None:
            brackets = []
        else:
            brackets = [suffix.format(year=year, before=(year or 0) - 1, after=(year or 0) + 1)]
        labels += [f"{name} ({bracket})" for bracket in brackets for name in names]
    return [label for label in dict.fromkeys(labels) if len(label.encode()) <= MAX_LABEL]


def _surname(name: str) -> str:
    """The last word of a name, or what is before its comma: ``Le Guin, Ursula K.``."""
    before, comma, _ = name.strip(" ,").partition(",")
    return before.strip() if comma else before.split()[-1]


@dataclass
class _Found:
    """What is known of an item's candidates so far."""

    scored: dict[str, Scored] = field(default_factory=dict)
    looked_at: int = 0

    def add(self, scored: Scored | None) -> None:
        self.looked_at += 1
        if scored and (
            scored.iri not in self.scored or self.scored[scored.iri].score < scored.score
        ):
            self.scored[scored.iri] = scored


def _link_batch(
    batch: list[Query], source: Resources, domain: Domain, rules: Rules
) -> Iterator[Answer]:
    titles = {q.item: parse_title(q.title) for q in batch}
    found = {q.item: _Found() for q in batch}
    titled = [q for q in batch if titles[q.item].text]
    asked = {q.item: candidate_labels(q, titles[q.item], domain) for q in titled}
    _look(titled, titles, asked, found, source, domain, rules.weights, shortened=False)
    again = []
    for query in titled:
        answer = _choose(query, found[query.item], rules)
        failed = isinstance(answer, Unlinked) and answer.reason is not Nil.AMBIGUOUS
        if failed and titles[query.item].short:
            again.append(query)
    asked = {q.item: short_labels(q, titles[q.item], domain) for q in again}
    _look(again, titles, asked, found, source, domain, rules.weights, shortened=True)
    for query in batch:
        if titles[query.item].text:
            yield _choose(query, found[query.item], rules)
        else:
            yield Unlinked(query.item, query.title, Nil.NO_TITLE, "", 0.0)


def _look(
    queries: list[Query],
    titles: dict[str, Title],
    asked: dict[str, list[str]],
    found: dict[str, _Found],
    source: Resources,
    domain: Domain,
    weights: Weights,
    *,
    shortened: bool,
) -> None:
    """Ask for the labels, and add what they lead to, scored, to ``found``."""
    labels = sorted({label for q in queries for label in asked[q.item]})
    resources = source.by_label(labels) if labels else {}
    leads = {q.item: _leads(titles[q.item], asked[q.item], resources) for q in queries}
    iris = sorted({iri for by_iri in leads.values() for iri in by_iri})
    described = source.describe(iris) if iris else {}
    for query in queries:
        for iri, redirected in sorted(leads[query.item].items()):
            if iri in described:
                candidate = Candidate(described[iri], redirected, shortened)
                found[query.item].add(score(query, titles[query.item], candidate, domain, weights))


def _leads(title: Title, labels: list[str], found: dict[str, list[str]]) -> dict[str, bool]:
    """IRI -> whether a label led to it alone. Pages named by way of others are kept if alike."""
    leads: dict[str, bool] = {}
    names = [n for n in (title.text, *title.alternatives, title.short) if n]
    for label in labels:
        iris = found.get(label, [])
        alone = len(iris) == 1 and not label.endswith("(disambiguation)")
        for iri in iris:
            if alone or iri in leads or _alike(names, iri):
                leads[iri] = leads.get(iri, False) or alone
    return leads


def _alike(names: list[str], iri: str) -> bool:
    page = name_from_iri(iri)
    other = split_label(page).name
    return any(max(similarity(n, page), similarity(n, other)) >= NAMED_ALIKE for n in names)


def _choose(query: Query, found: _Found, rules: Rules) -> Answer:
    if not found.scored:
        reason = Nil.WRONG_TYPE if found.looked_at else Nil.NO_CANDIDATE
        return Unlinked(query.item, query.title, reason, "", 0.0)
    ranked = sorted(found.scored.values(), key=lambda s: (-s.score, s.iri))
    best, runner_up = ranked[0], ranked[1] if len(ranked) > 1 else None
    lead = round(best.score - (runner_up.score if runner_up else 0.0), 4)
    if best.score < rules.threshold:
        return Unlinked(query.item, query.title, Nil.WEAK, best.iri, best.score)
    if runner_up and lead < rules.margin:
        return Unlinked(query.item, query.title, Nil.AMBIGUOUS, best.iri, best.score)
    return Linked(
        query.item, best.iri, best.method, best.score, runner_up.iri if runner_up else "", lead
    )
