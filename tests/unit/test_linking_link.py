"""Titles to resources, with planted namesakes: which one is taken, and why none is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from kg.dbpedia.source import Description
from kg.linking import DOMAINS, Linked, Nil, Query, Rules, Unlinked, Weights, link_items
from kg.linking import link as link_module
from kg.linking.link import MAX_LABEL, Answer, candidate_labels
from kg.linking.normalise import parse_title
from kg.linking.score import (
    AGREES,
    creator_evidence,
    similarity,
    text_evidence,
    type_evidence,
    year_evidence,
)
from kg.schema import DBO

DBR = "http://dbpedia.org/resource/"
MOVIES, BOOKS = DOMAINS["movies"], DOMAINS["books"]


@dataclass
class Pages:
    """A small DBpedia: pages, redirects and disambiguation pages by their labels."""

    pages: dict[str, Description] = field(default_factory=dict)
    leads: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(
        self,
        label: str,
        *types: str,
        year: int | None = None,
        creators: Sequence[str] = (),
        abstract: str | None = None,
    ) -> str:
        iri = DBR + label.replace(" ", "_")
        classes = frozenset(DBO + t for t in types)
        self.pages[iri] = Description(iri, label, classes, frozenset(creators), year, abstract)
        self.leads[label] = [iri]
        return iri

    def lead(self, label: str, *iris: str) -> None:
        """A redirect where there is one IRI, a disambiguation page where there are several."""
        self.leads[label] = sorted(iris)

    def by_label(self, labels: Sequence[str]) -> dict[str, list[str]]:
        self.asked += labels
        return {label: self.leads.get(label, []) for label in labels}

    def describe(self, iris: Iterable[str]) -> dict[str, Description]:
        return {iri: self.pages[iri] for iri in iris if iri in self.pages}


@pytest.fixture
def pages() -> Pages:
    return Pages()


def film(pages: Pages, title: str, *creators: str, text: str | None = None) -> Answer:
    return next(link_items([Query("i", title, creators, text)], pages, MOVIES))


def book(pages: Pages, title: str, *creators: str) -> Answer:
    return next(link_items([Query("i", title, creators)], pages, BOOKS))


def reason(answer: Answer) -> str:
    assert isinstance(answer, Unlinked), answer
    return answer.reason


def linked(answer: Answer) -> Linked:
    assert isinstance(answer, Linked), answer
    return answer


# -- namesakes -------------------------------------------------------------------------------------


def test_one_page_of_that_name(pages: Pages) -> None:
    heat = pages.add("Heat", "Film")
    found = linked(film(pages, "Heat [DVD]"))
    assert (found.iri, found.method, found.runner_up) == (heat, "label", "")
    assert found.margin == found.score >= 0.7


@pytest.mark.parametrize(("year", "which"), [(1954, 0), (1995, 1), (1953, 0), (1996, 1)])
def test_the_year_tells_remakes_apart(pages: Pages, year: int, which: int) -> None:
    first = pages.add("Sabrina (1954 film)", "Film", year=1954)
    second = pages.add("Sabrina (1995 film)", "Film", year=1995)
    pages.lead("Sabrina", first, second)
    found = linked(film(pages, f"Sabrina ({year})"))
    assert (found.iri, found.runner_up) == ((first, second)[which], (second, first)[which])
    assert found.method == "label+year"


def test_remakes_without_a_year_are_ambiguous(pages: Pages) -> None:
    pages.lead(
        "Sabrina",
        pages.add("Sabrina (1954 film)", "Film", year=1954),
        pages.add("Sabrina (1995 film)", "Film", year=1995),
    )
    assert reason(film(pages, "Sabrina")) == Nil.AMBIGUOUS


def test_a_remake_of_another_year_alone_is_too_weak(pages: Pages) -> None:
    remake = pages.add("Taxi Driver (1954 film)", "Film", year=1954)
    pages.lead("Taxi Driver", remake, pages.add("Taxi Driver", "Occupation"))
    answer = film(pages, "Taxi Driver (1976)")
    assert reason(answer) == Nil.WEAK
    assert isinstance(answer, Unlinked)
    assert answer.best == remake


def test_the_year_is_taken_from_the_label_too(pages: Pages) -> None:
    pages.add("Blob (1958 film)", "Film")
    assert linked(film(pages, "Blob (1958)")).method == "label+year"
    assert reason(film(pages, "Blob (1988)")) in {Nil.WEAK, Nil.NO_CANDIDATE}


def test_book_and_film_are_not_swapped(pages: Pages) -> None:
    novel = pages.add("Jaws (novel)", "Book", year=1974, creators=["Peter Benchley"])
    movie = pages.add("Jaws (film)", "Film", year=1975, creators=["Steven Spielberg"])
    pages.lead("Jaws", novel, movie)
    assert linked(film(pages, "Jaws (1975)")).iri == movie
    assert linked(book(pages, "Jaws", "Peter Benchley")).iri == novel
    del pages.pages[movie]
    assert reason(film(pages, "Jaws (1974)")) == Nil.WRONG_TYPE


def test_the_author_tells_books_apart(pages: Pages) -> None:
    nabokov = pages.add("The Gift (Nabokov novel)", "Book", creators=["Vladimir Nabokov"])
    steel = pages.add("The Gift (Steel novel)", "Book", creators=["Danielle Steel"])
    pages.lead("The Gift", nabokov, steel)
    found = linked(book(pages, "The Gift (Paperback)", "Nabokov, Vladimir"))
    assert (found.iri, found.method) == (nabokov, "label+creator")
    assert reason(book(pages, "The Gift")) == Nil.AMBIGUOUS
    assert reason(book(pages, "The Gift", "Lewis Hyde")) == Nil.WEAK


def test_a_surname_in_the_label_is_asked_for(pages: Pages) -> None:
    gift = pages.add("Gift (Le Guin novel)", "Book", creators=["Ursula K. Le Guin"])
    assert linked(book(pages, "Gift", "Le Guin, Ursula K.")).iri == gift
    assert reason(book(pages, "Gift")) == Nil.NO_CANDIDATE


def test_a_later_edition_says_nothing_an_earlier_one_does(pages: Pages) -> None:
    pages.add("Emma", "Book", year=1815)
    assert linked(book(pages, "Emma (2003)")).method == "label"
    assert reason(book(pages, "Emma (1790)")) == Nil.WEAK
    pages.add("Emma", "Film", year=1932)
    assert reason(film(pages, "Emma (1996)")) == Nil.WEAK


@pytest.mark.parametrize(
    ("title", "label"), [("Unforgiven, The (1960)", "Unforgiven"), ("Kid (2000)", "The Kid")]
)
def test_another_article_needs_more_than_the_name(pages: Pages, title: str, label: str) -> None:
    pages.add(label, "Film")
    pages.lead(parse_title(title).text, DBR + label.replace(" ", "_"), DBR + "Nobody")
    assert reason(film(pages, title)) == Nil.WEAK


def test_a_sequel_is_not_its_predecessor(pages: Pages) -> None:
    third = pages.add("Rocky III", "Film", year=1982)
    pages.lead("Rocky II", third, pages.add("Rocky IV", "Film", year=1985))
    assert isinstance(film(pages, "Rocky II (1982)"), Unlinked)
    second = pages.add("Rocky II", "Film", year=1979)
    assert linked(film(pages, "Rocky 2 (1979)")).iri == second


# -- kinds of pages --------------------------------------------------------------------------------


@pytest.mark.parametrize("bracket", ["film series", "franchise", "soundtrack", "character"])
def test_a_page_about_more_or_less_than_the_work_is_none(pages: Pages, bracket: str) -> None:
    series = pages.add(f"Poltergeist ({bracket})", "Film", year=1982)
    pages.lead("Poltergeist", series)
    assert reason(film(pages, "Poltergeist (1982)")) == Nil.WRONG_TYPE


@pytest.mark.parametrize("kind", ["Person", "VideoGame", "Album", "Magazine", "Place", "Book"])
def test_another_kind_of_thing_is_not_linked(pages: Pages, kind: str) -> None:
    pages.add("Time", kind)
    assert reason(film(pages, "Time")) == Nil.WRONG_TYPE
    if kind != "Book":
        assert reason(book(pages, "Time")) == Nil.WRONG_TYPE


def test_a_periodical_is_no_book_although_a_written_work(pages: Pages) -> None:
    pages.add("Time", "WrittenWork", "PeriodicalLiterature", "Magazine")
    assert reason(book(pages, "Time")) == Nil.WRONG_TYPE


def test_a_page_without_class_needs_strong_agreement(pages: Pages) -> None:
    pages.add("Contact")
    assert reason(film(pages, "Contact (1997)")) == Nil.WRONG_TYPE
    pages.add("Contact", year=1997)
    assert linked(film(pages, "Contact (1997)")).method == "label+year"
    pages.add("Contact", "Work", creators=["Jodie Foster"])  # too general a class to count
    assert linked(film(pages, "Contact (1997)", "Jodie Foster")).method == "label+creator"
    assert reason(film(pages, "Contact (1997)")) == Nil.WRONG_TYPE


def test_the_bracket_may_stand_for_the_class(pages: Pages) -> None:
    named = pages.add("Contact (film)")
    assert linked(film(pages, "Contact")).iri == named
    pages.add("Contact (band)")
    pages.lead("Contact", DBR + "Contact_(band)")
    del pages.leads["Contact (film)"]
    assert reason(film(pages, "Contact")) == Nil.WRONG_TYPE


# -- other ways to a page --------------------------------------------------------------------------


def test_a_redirect_needs_the_year_or_the_creator(pages: Pages) -> None:
    pages.lead("Episode IV", pages.add("Star Wars", "Film", year=1977, creators=["George Lucas"]))
    found = linked(film(pages, "Episode IV (1977)"))
    assert (found.iri, found.method) == (DBR + "Star_Wars", "redirect+year")
    assert linked(film(pages, "Episode IV", "George Lucas")).method == "redirect+creator"
    assert reason(film(pages, "Episode IV")) == Nil.WEAK


def test_pages_that_a_disambiguation_page_names_must_be_alike(pages: Pages) -> None:
    witch = pages.add("The Teenage Witch", "Film", year=1995)
    pages.lead("Sabrina", witch, pages.add("Melissa Hart", "Person"))
    assert reason(film(pages, "Sabrina (1995)")) == Nil.NO_CANDIDATE


def test_another_name_in_a_bracket(pages: Pages) -> None:
    il = pages.add("Il Postino", "Film", year=1994)
    assert linked(film(pages, "Postman, The (Postino, Il) (1994)")).method == "alternative+year"
    assert linked(film(pages, "Postman, The (Postino, Il)")).iri == il


def test_without_its_subtitle_a_title_needs_more(pages: Pages) -> None:
    pages.add("Ever After", "Film", year=1998, creators=["Andy Tennant"])
    assert linked(film(pages, "Ever After: A Cinderella Story (1998)")).method == "short+year"
    assert reason(film(pages, "Ever After: A Cinderella Story")) == Nil.WEAK
    assert reason(film(pages, "Ever After: A Cinderella Story (1997)")) == Nil.WEAK
    found = linked(film(pages, "Ever After: A Cinderella Story", "Andy Tennant"))
    assert found.method == "short+creator"


def test_a_numbered_part_is_not_the_whole(pages: Pages) -> None:
    pages.add("Godfather", "Film", year=1991)
    assert reason(film(pages, "Godfather: Part III, The (1991)")) == Nil.WEAK


def test_the_whole_title_is_preferred_to_the_short_one(pages: Pages) -> None:
    pages.add("Alien", "Film", year=1979)
    whole = pages.add("Alien: Resurrection", "Film", year=1997)
    assert linked(film(pages, "Alien: Resurrection (1997)")).iri == whole
    assert "Alien" not in pages.asked


@pytest.mark.parametrize("title", ["", "   ", "\u200b", "\x00"])
def test_an_empty_title(pages: Pages, title: str) -> None:
    assert reason(film(pages, title)) == Nil.NO_TITLE
    assert pages.asked == []


@pytest.mark.parametrize(
    "title", ["千と千尋の神隠し", "Утомлённые солнцем", "🎬🎬", "...", "שלום", "Café"]
)
def test_titles_of_any_script(pages: Pages, title: str) -> None:
    page = pages.add(title, "Film")
    assert linked(film(pages, title)).iri == page
    assert reason(film(pages, title + "x")) == Nil.NO_CANDIDATE


def test_a_title_longer_than_any_label_is_not_asked_for(pages: Pages) -> None:
    title = "é" * 120 + " word" * 50
    assert reason(film(pages, title)) == Nil.NO_CANDIDATE
    assert pages.asked == []
    query = Query("i", "é" * 120, ())
    labels = candidate_labels(query, parse_title(query.title), MOVIES)
    assert max(len(label.encode()) for label in labels) <= MAX_LABEL


def test_a_page_that_nothing_is_known_of_is_no_candidate(pages: Pages) -> None:
    pages.lead("Heat", DBR + "Heat")
    assert reason(film(pages, "Heat")) == Nil.NO_CANDIDATE


# -- the rules -------------------------------------------------------------------------------------


def test_threshold_and_margin_are_limits(pages: Pages) -> None:
    pages.add("Heat", "Film")
    query = [Query("i", "Heat")]
    score = linked(next(link_items(query, pages, MOVIES))).score
    assert isinstance(next(link_items(query, pages, MOVIES, Rules(threshold=score))), Linked)
    above = Rules(threshold=score + 0.0001)
    assert reason(next(link_items(query, pages, MOVIES, above))) == Nil.WEAK
    pages.lead("Heat (film)", pages.add("Heat (2001 film)", "Film", year=2001), DBR + "Heat")
    close = linked(next(link_items([Query("i", "Heat (2001)")], pages, MOVIES)))
    assert close.margin == pytest.approx(0.15)
    wide = replace(Rules(), margin=close.margin + 0.0001)
    assert (
        reason(next(link_items([Query("i", "Heat (2001)")], pages, MOVIES, wide))) == Nil.AMBIGUOUS
    )


def test_the_text_can_decide_between_two(pages: Pages) -> None:
    robbery = "A crew of robbers in Los Angeles meets a detective; thriller about crime"
    cop = pages.add("Heat (a film)", "Film", abstract=robbery)
    pages.lead("Heat", cop, pages.add("Heat (b film)", "Film", abstract="A hot summer"))
    assert reason(film(pages, "Heat")) == Nil.AMBIGUOUS
    rules = Rules(margin=0.005)
    query = Query("i", "Heat", (), "crime thriller robbers detective")
    assert linked(next(link_items([query], pages, MOVIES, rules))).iri == cop


def test_weights_sum_to_one() -> None:
    assert sum(Weights()) == pytest.approx(1)


def test_batches_make_no_difference(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(0, 30, 2):
        pages.add(f"Film number {n}", "Film")
    queries = [Query(str(n), f"Film number {n}" if n % 7 else "") for n in range(30)]
    whole = list(link_items(queries, pages, MOVIES))
    monkeypatch.setattr(link_module, "BATCH_ITEMS", 4)
    assert list(link_items(queries, pages, MOVIES)) == whole
    assert [a.item for a in whole] == [q.item for q in queries]


def test_items_are_streamed(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "BATCH_ITEMS", 2)
    taken = []

    def queries() -> Iterable[Query]:
        for n in range(100):
            taken.append(n)
            yield Query(str(n), "Heat")

    answers = iter(link_items(queries(), pages, MOVIES))
    next(answers)
    assert len(taken) <= 3


# -- evidence --------------------------------------------------------------------------------------


def test_years() -> None:
    def film_year(own: int | None, found: int | None) -> float | None:
        return year_evidence(own, found, later_editions=False)

    assert [film_year(2000, y) for y in (2000, 2001, 1999, 2002, None)] == [1, 0.8, 0.8, 0, None]
    assert film_year(None, 2000) is None
    assert year_evidence(2003, 1815, later_editions=True) is None
    assert year_evidence(1790, 1815, later_editions=True) == 0


def test_creators() -> None:
    found = frozenset({"Ursula K. Le Guin", "Hal Hartley"})
    assert creator_evidence(("Le Guin, Ursula K.",), found, 0.0) == 1
    assert creator_evidence(("Hal Hartly",), found, 0.0) == pytest.approx(0.95, abs=0.02)
    assert creator_evidence(("Warner Bros.",), found, 0.25) == 0.25
    assert creator_evidence((), found, 0.25) is None
    assert creator_evidence(("A",), frozenset(), 0.25) is None


def test_names() -> None:
    assert similarity("Amélie", "AMELIE!") == 1
    assert similarity("Unforgiven", "The Unforgiven") == 0.9
    assert similarity("Rocky II", "Rocky III") <= 0.5
    assert similarity("", "Heat") == 0


def test_types() -> None:
    film_, work = DBO + "Film", DBO + "Work"
    assert type_evidence(frozenset({film_, work}), "", MOVIES) == 1
    assert type_evidence(frozenset({film_, DBO + "Person"}), "", MOVIES) is None
    assert type_evidence(frozenset({work}), "TV series", MOVIES) == AGREES
    assert type_evidence(frozenset(), "", MOVIES) == 0
    assert type_evidence(frozenset(), "1995", BOOKS) is None


def test_text_only_speaks_for() -> None:
    assert text_evidence("crime thriller", "A crime thriller") == pytest.approx(1)
    assert text_evidence("crime thriller", "A hot summer") == 0.5
    assert text_evidence("it is", "so be it") is None
    assert text_evidence(None, "x") is None
