"""How well a resource fits an item: five kinds of evidence, each 0 to 1, and a weighted sum.

Evidence that one side does not give counts as NEUTRAL, so that a resource is neither rewarded nor
punished for what nobody knows. Weights and rules are an own choice, measured in docs/linking.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from kg.dbpedia.source import Description
from kg.linking.normalise import Title, match_key, numbers, split_label, without_article
from kg.schema import DBO, name_from_iri

NEUTRAL = 0.5
AGREES = 0.8
"""Evidence from here on counts as agreement, and is named in the link's method."""
REDIRECT_TITLE = 0.85
"""Title evidence of a page that the title redirects to, whatever that page is called."""
SHORT_TITLE = 0.7
"""Factor on title evidence that holds only for the title without its subtitle."""
OTHER_ARTICLE = 0.9
"""Most that title evidence can be when a leading article differs: Unforgiven, The Unforgiven."""
OTHER_NUMBER = 0.5
"""Most that title evidence can be when the numbers differ: Rocky II is not Rocky III."""


class Weights(NamedTuple):
    """Shares of the score; they sum to 1."""

    title: float = 0.40
    year: float = 0.30
    creator: float = 0.20
    type: float = 0.05
    text: float = 0.05


@dataclass(frozen=True)
class Domain:
    """What resources of one domain look like."""

    types: frozenset[str]
    """Classes that an item of the domain can be."""
    refused: frozenset[str]
    """Classes that it cannot be, even beside one of those."""
    brackets: re.Pattern[str]
    """What the bracket of a label says of such a resource."""
    suffixes: tuple[str, ...]
    """Brackets to ask for, with places for {year}, {before}, {after} and {surname}."""
    later_editions: bool
    """Whether an item may be much younger than the work."""
    other_creator: float
    """Evidence of creators that differ. A film's shop entry often names a studio or an actor."""


def _classes(*names: str) -> frozenset[str]:
    return frozenset(DBO + name for name in names)


DOMAINS = {
    "movies": Domain(
        _classes("Film", "TelevisionShow", "TelevisionEpisode", "TelevisionSeason", "Anime",
                 "HollywoodCartoon"),
        _classes("Person", "Book", "VideoGame", "MusicalWork", "Album", "Song"),
        re.compile(r"\b(?:film|movie|tv|television|miniseries|serial|anime|sitcom)\b",
                   re.IGNORECASE),
        ("film", "{year} film", "{before} film", "{after} film", "TV series", "{year} TV series",
         "miniseries", "TV film", "disambiguation"),
        later_editions=False,
        other_creator=0.25,
    ),
    "books": Domain(
        _classes("Book", "Novel", "WrittenWork", "Play", "Poem", "Comic", "Manga", "ComicStrip"),
        _classes("Person", "Film", "TelevisionShow", "VideoGame", "MusicalWork", "Album",
                 "PeriodicalLiterature", "Magazine", "Newspaper", "AcademicJournal", "Article"),
        re.compile(r"\b(?:novel|novella|book|short story|short stories|play|poem|memoir|"
                   r"collection|anthology|autobiography)\b", re.IGNORECASE),
        ("novel", "book", "novella", "short story", "short story collection", "play", "memoir",
         "{year} novel", "{surname} novel", "{surname} book", "disambiguation"),
        later_editions=True,
        other_creator=0.0,
    ),
}  # fmt: skip
"""Domains that can be linked. Products of any kind have no classes to check a candidate by."""

_NOT_ONE_WORK = re.compile(
    r"\b(?:film|novel|book|comic|media)s? (?:series|franchise)\b|"
    r"\b(?:franchise|soundtrack|character|disambiguation)\b",
    re.IGNORECASE,
)
"""Brackets of pages about several works, or about something in one, whatever their classes."""
_GENERIC = _classes("Work", "CreativeWork", "Thing", "Agent")


@dataclass(frozen=True)
class Query:
    """An item to be linked."""

    item: str
    title: str
    creators: tuple[str, ...] = ()
    text: str | None = None
    """What the source says of it in words: description, categories, genres."""


@dataclass(frozen=True)
class Candidate:
    """A resource, and how the item's title led to it."""

    description: Description
    redirected: bool = False
    """The title, or a spelling of it, is the label of a page that leads here alone."""
    shortened: bool = False
    """Only the title without subtitle led here."""


class Scored(NamedTuple):
    """A candidate's score and what it rests on."""

    iri: str
    score: float
    method: str


def score(
    query: Query, title: Title, candidate: Candidate, domain: Domain, weights: Weights
) -> Scored | None:
    """Score one candidate, or None where it is no work of the domain.

    Args:
        query: the item.
        title: its title, taken apart.
        candidate: the resource.
        domain: what the item can be.
        weights: shares of the evidence.
    """
    described = candidate.description
    label = split_label(described.label or name_from_iri(described.iri))
    typed = type_evidence(described.types, label.bracket, domain)
    if typed is None:
        return None
    how, named = title_evidence(title, label.name, described.label or "", candidate)
    found_year = described.year if described.year is not None else label.year
    dated = year_evidence(title.year, found_year, later_editions=domain.later_editions)
    made = creator_evidence(query.creators, described.creators, domain.other_creator)
    strong = (dated or 0) >= AGREES or (made or 0) >= AGREES
    if typed == 0 and not strong:  # nothing says that this is a work at all
        return None
    told = text_evidence(query.text, described.abstract)
    evidence = (named, dated, made, typed, told)
    total = sum(w * (NEUTRAL if e is None else e) for w, e in zip(weights, evidence, strict=True))
    method = how
    for name, value in (("year", dated), ("creator", made)):
        if (value or 0) >= AGREES:
            method += f"+{name}"
    return Scored(described.iri, round(min(total, 1.0), 4), method)


def title_evidence(title: Title, name: str, whole: str, candidate: Candidate) -> tuple[str, float]:
    """How the names agree: (label, alternative, redirect, short or similar; 0 to 1)."""
    names = [name, whole] if whole else [name]

    def best(text: str) -> float:
        return max(similarity(text, n) for n in names)

    ways = [("label", best(title.text))]
    ways += [("alternative", best(a)) for a in title.alternatives]
    # A part of a series is not the series: Kill Bill: Vol. 1 is not Kill Bill.
    same = numbers(match_key(title.text)) == numbers(match_key(title.short or title.text))
    short = SHORT_TITLE if same else OTHER_NUMBER
    if title.short:
        ways.append(("short", best(title.short) * short))
    if candidate.redirected:
        factor = short if candidate.shortened else 1.0
        ways.append(("redirect", REDIRECT_TITLE * factor))
    how, value = max(ways, key=lambda way: way[1])
    exact = value >= OTHER_ARTICLE or how in ("short", "redirect")
    return (how if exact else "similar"), value


def similarity(first: str, second: str) -> float:
    """How alike two names are, 0 to 1: edit similarity of their match keys (rapidfuzz ratio)."""
    from rapidfuzz.fuzz import ratio

    a, b = match_key(first), match_key(second)
    if not a or not b:
        return 0.0
    if numbers(a) != numbers(b):
        return min(float(ratio(a, b)) / 100, OTHER_NUMBER)
    if a != b and without_article(a) == without_article(b):
        return OTHER_ARTICLE
    return float(ratio(a, b)) / 100


def year_evidence(own: int | None, found: int | None, *, later_editions: bool) -> float | None:
    """1 for the same year, AGREES for the next, 0 for others; None where one is not known.

    With ``later_editions`` an item younger than the work says nothing: None.
    """
    if own is None or found is None:
        return None
    apart = abs(own - found)
    if apart <= 1:
        return 1.0 if apart == 0 else AGREES
    return None if later_editions and own > found else 0.0


def creator_evidence(
    own: tuple[str, ...], found: frozenset[str], other_creator: float
) -> float | None:
    """Similarity of the best pair of names, word order aside; ``other_creator`` where none fits."""
    from rapidfuzz.fuzz import token_sort_ratio

    if not own or not found:
        return None
    best = max(
        float(token_sort_ratio(match_key(a), match_key(split_label(b).name))) / 100
        for a in own
        for b in found
    )
    return best if best >= AGREES else other_creator


def type_evidence(types: frozenset[str], bracket: str, domain: Domain) -> float | None:
    """1 for a class of the domain, AGREES for a bracket alone, 0 for no class, None for another."""
    telling = types - _GENERIC
    if telling & domain.refused or _NOT_ONE_WORK.search(bracket):
        return None
    if telling & domain.types:
        return 1.0
    if telling:
        return None
    if domain.brackets.search(bracket):
        return AGREES
    return None if bracket else 0.0


def text_evidence(own: str | None, found: str | None) -> float | None:
    """Cosine of the two sets of longer words, raised so that it can only speak for a candidate."""
    if not own or not found:
        return None
    first, second = _words(own), _words(found)
    if not first or not second:
        return None
    cosine = len(first & second) / (len(first) * len(second)) ** 0.5
    return float(NEUTRAL + (1 - NEUTRAL) * cosine)


def _words(text: str) -> set[str]:
    return {w for w in match_key(text).split() if len(w) >= 4}
