"""The questions of kg/dbpedia/source.py, made of two that any store of triples can answer."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kg.dbpedia.source import Description, Fetched, Progress
from kg.dbpedia.triples_file import TriplesFile, triples_file
from kg.dbpedia.vocabulary import (
    ASKED_FOR_FACTS,
    ASKED_OF_PAGES,
    ASKED_TO_DESCRIBE,
    BROADER,
    CATEGORY,
    COMMENT,
    CREATORS,
    DATES,
    DISAMBIGUATES,
    FACTS,
    REDIRECTS,
    RESOURCE,
    SUBJECT,
    TYPE,
)
from kg.schema import ABSTRACT, DBO, RDFS_LABEL, name_from_iri
from kg.sparql.terms import NotATermError, english_term, iri_term

HOPS = 5
"""Redirects, or disambiguation pages, followed one after the other."""


class Said(NamedTuple):
    """One triple, and the name of what it points at where that was asked for."""

    subject: str
    predicate: str
    value: str
    is_iri: bool
    name: str | None = None


class Asked(ABC):
    """Answers the questions of DBpedia from :meth:`_about` and :meth:`_labelled`."""

    batch: int
    """How many resources to ask about at once."""

    @abstractmethod
    def _about(
        self, iris: Sequence[str], predicates: tuple[str, ...], *, names: bool = False
    ) -> Iterable[Said]:
        """What some predicates say of resources; texts in English or of no language."""

    @abstractmethod
    def _labelled(self, labels: Sequence[str]) -> Iterable[tuple[str, str]]:
        """(label, IRI) of everything with exactly one of these English labels."""

    def _provenance(self) -> tuple[str | None, dict[str, int]]:
        """``retrieved`` and ``broken`` of Fetched."""
        return None, {}

    # -- labels ------------------------------------------------------------------------------------

    def by_label(self, labels: Sequence[str]) -> dict[str, list[str]]:
        """See :class:`kg.dbpedia.source.DBpedia`."""
        pages: dict[str, set[str]] = {label: set() for label in labels}
        for block in _blocks([label for label in pages if _is_text(label)], self.batch):
            for label, iri in self._labelled(block):
                if _is_page(iri):
                    pages[label].add(iri)
        links = self._page_links(set().union(*pages.values()))
        return {
            label: sorted({end for iri in iris for end in _ends(iri, links)})
            for label, iris in pages.items()
        }

    def _page_links(self, iris: set[str]) -> dict[str, list[Said]]:
        """Redirects and disambiguations of pages, and of the pages that those lead to."""
        links: dict[str, list[Said]] = {}
        for _ in range(HOPS):
            following: set[str] = set()
            for block in _blocks(sorted(iris), self.batch):
                said = _by_subject(self._about(block, ASKED_OF_PAGES))
                for iri in block:
                    links[iri] = [s for s in said[iri] if s.is_iri and _is_iri(s.value)]
                    following |= {s.value for s in links[iri]}
            iris = following - links.keys()
        return links

    # -- descriptions ------------------------------------------------------------------------------

    def describe(self, iris: Iterable[str]) -> dict[str, Description]:
        """See :class:`kg.dbpedia.source.DBpedia`."""
        found: dict[str, Description] = {}
        pending = {iri: {iri} for iri in iris if _is_iri(iri)}
        for _ in range(HOPS):
            following: dict[str, set[str]] = defaultdict(set)
            for block in _blocks(sorted(pending), self.batch):
                said = _by_subject(self._about(block, ASKED_TO_DESCRIBE))
                for iri in block:
                    if target := _redirect(said[iri]):
                        following[target] |= pending[iri]
                    elif said[iri]:
                        found |= {name: _description(name, said[iri]) for name in pending[iri]}
            pending = following
        return dict(sorted(found.items()))

    # -- facts -------------------------------------------------------------------------------------

    def facts(self, iris: Iterable[str], out: Path, progress: Progress | None = None) -> Fetched:
        """See :class:`kg.dbpedia.source.DBpedia`."""
        asked = sorted(set(iris))
        refused = {iri: reason for iri in asked if (reason := _not_an_iri(iri))}
        pending = {iri: {iri} for iri in asked if iri not in refused}
        redirected: dict[str, str] = {}
        unknown: set[str] = set()
        categories: set[str] = set()
        with triples_file(out) as file:
            for hop in range(HOPS):
                following: dict[str, set[str]] = defaultdict(set)
                done = 0
                for block in _blocks(sorted(pending), self.batch):
                    said = _by_subject(self._about(block, ASKED_FOR_FACTS, names=True))
                    for iri in block:
                        if target := _redirect(said[iri]):
                            following[target] |= pending[iri]
                            redirected |= dict.fromkeys(pending[iri], target)
                        elif said[iri]:
                            categories |= _write(file, pending[iri], said[iri])
                        else:
                            unknown |= pending[iri]
                        file.flush()
                    done += len(block)
                    if progress and hop == 0:
                        progress(done, len(pending))
                pending = following
            for names in pending.values():
                unknown |= names  # redirects in a circle, or further than anyone would go
            for block in _blocks(sorted(filter(_is_iri, categories)), self.batch):
                said = _by_subject(self._about(block, (BROADER,), names=True))
                for iri in block:
                    _write_facts(file, iri, said[iri], (BROADER,))
                    file.flush()
        retrieved, broken = self._provenance()
        return Fetched(
            resources=len(asked),
            facts=file.facts,
            labels=file.labels,
            abstracts=file.abstracts,
            redirected=redirected,
            unknown=tuple(sorted(unknown)),
            refused=refused,
            malformed=file.malformed,
            retrieved=retrieved,
            broken=broken,
        )


# -- reading what was said -------------------------------------------------------------------------


def _blocks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _by_subject(said: Iterable[Said]) -> dict[str, list[Said]]:
    """Triples of each subject, in an order that does not depend on the store's."""
    found: dict[str, list[Said]] = defaultdict(list)
    for triple in said:
        found[triple.subject].append(triple)
    for triples in found.values():
        triples.sort(key=lambda t: (t.predicate, t.value, t.name or ""))
    return found


def _redirect(said: Iterable[Said]) -> str | None:
    targets = (s.value for s in said if s.predicate == REDIRECTS and s.is_iri)
    return next((t for t in targets if _is_iri(t)), None)


def _ends(iri: str, links: dict[str, list[Said]]) -> set[str]:
    """The pages that a page stands for: itself, its redirect's, or those it lists."""
    ends: set[str] = set()
    seen: set[str] = set()
    pending = [iri]
    while pending:
        page = pending.pop()
        if page in seen:
            continue
        seen.add(page)
        said = links.get(page, [])
        # A page that only moved there; then what it lists; then it is a page of its own.
        if target := _redirect(said):
            pending.append(target)
        elif listed := [s.value for s in said if s.predicate == DISAMBIGUATES]:
            pending.extend(listed)
        else:
            ends.add(page)
    return ends


def _description(iri: str, said: list[Said]) -> Description:
    texts = {s.predicate: s.value for s in reversed(said) if not s.is_iri and s.value.strip()}
    label = texts.get(RDFS_LABEL)
    years = [y for s in said if s.predicate in DATES and (y := _leading_year(s.value))]
    return Description(
        iri=iri,
        label=label,
        types=frozenset(s.value for s in said if s.predicate == TYPE and s.value.startswith(DBO)),
        creators=frozenset(_creator(s) for s in said if s.predicate in CREATORS),
        year=min(years) if years else _year_in_bracket(label or ""),
        abstract=texts.get(ABSTRACT) or texts.get(COMMENT),
    )


def _creator(said: Said) -> str:
    return _without_bracket(name_from_iri(said.value)) if said.is_iri else said.value.strip()


def _without_bracket(title: str) -> str:
    return re.sub(r"\s+\([^()]*\)$", "", title)


def _leading_year(date: str) -> int | None:
    found = re.match(r"\s*([12]\d{3})(?!\d)", date)
    return int(found[1]) if found else None


def _year_in_bracket(label: str) -> int | None:
    found = re.search(r"\([^()]*\b(1[89]\d\d|20\d\d)\b[^()]*\)$", label)
    return int(found[1]) if found else None


def _write(file: TriplesFile, names: set[str], said: list[Said]) -> set[str]:
    """Write what was said of a resource under each of its names; return its categories."""
    texts = {s.predicate: s.value for s in reversed(said) if not s.is_iri and s.value.strip()}
    for name in sorted(names):
        _write_facts(file, name, said, FACTS)
        if RDFS_LABEL in texts:
            file.name(name, texts[RDFS_LABEL])
        if abstract := texts.get(ABSTRACT) or texts.get(COMMENT):
            file.abstract(name, abstract)
    return {s.value for s in said if s.predicate == SUBJECT and s.is_iri}


def _write_facts(
    file: TriplesFile, subject: str, said: list[Said], predicates: tuple[str, ...]
) -> None:
    for triple in said:
        if triple.is_iri and triple.predicate in predicates:
            file.fact(subject, triple.predicate, triple.value)
            if triple.name:
                file.name(triple.value, triple.name)


def _is_page(iri: str) -> bool:
    """An article of the English Wikipedia: no category, no class of an ontology."""
    return iri.startswith(RESOURCE) and not iri.startswith(CATEGORY) and _is_iri(iri)


def _not_an_iri(text: str) -> str | None:
    try:
        iri_term(text)
    except NotATermError as error:
        return str(error)
    return None


def _is_iri(text: str) -> bool:
    return _not_an_iri(text) is None


def _is_text(text: str) -> bool:
    try:
        english_term(text)
    except NotATermError:
        return False
    return True
