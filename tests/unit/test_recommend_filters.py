"""Filters, and how they are written on the command line."""

from __future__ import annotations

from typing import cast

import pytest
from web_small import HERBERT, ITEMS, SmallGraph, small_served

from kg.errors import ChangeSomethingError
from kg.store import GraphStore
from personarec.commands.recommend import filters_of
from personarec.recommend.filters import Attribute, Catalogue, Filters
from personarec.recommend.service import Options, Whom
from personarec.recommend.titles import Titles

TITLES = {"a": "Jumanji (1995)", "b": "2001: A Space Odyssey (1968)", "c": "1984", "d": None}


def passing(catalogue: Catalogue, filters: Filters, keys: list[str]) -> set[str]:
    mask = catalogue.allowed(filters)
    assert mask is not None
    return {key for key, passes in zip(keys, mask, strict=True) if passes}


@pytest.fixture
def graph() -> SmallGraph:
    return SmallGraph()


@pytest.fixture
def catalogue(graph: SmallGraph) -> Catalogue:
    recommender = small_served(graph).recommender
    return Catalogue(
        cast(GraphStore, graph), "small", "Book", recommender.position, recommender.search
    )


def test_without_filters_all_pass(catalogue: Catalogue) -> None:
    assert catalogue.allowed(Filters()) is None
    assert catalogue.allowed(Filters(exclude_seen=False)) is None


@pytest.mark.parametrize(
    ("attribute", "places"),
    [
        (Attribute(HERBERT, "AUTHOR"), (0, 1)),
        (Attribute(HERBERT), (0, 1)),
        (Attribute(HERBERT, "DIRECTED_BY"), ()),
        (Attribute("frank herbert"), (0, 1)),
        (Attribute("Isaac Asimov", "AUTHOR"), (2, 3)),
        (Attribute("nobody"), ()),
    ],
)
def test_a_fact_by_entity_or_name(
    catalogue: Catalogue, attribute: Attribute, places: tuple[int, ...]
) -> None:
    found = passing(catalogue, Filters(attributes=(attribute,)), ITEMS)
    assert found == {ITEMS[p] for p in places}


def test_a_fact_is_asked_of_the_graph_once(catalogue: Catalogue, graph: SmallGraph) -> None:
    wanted = Filters(attributes=(Attribute("Space opera"), Attribute("Frank Herbert")))
    assert passing(catalogue, wanted, ITEMS) == {ITEMS[0], ITEMS[1]}
    before = len(graph.read_names)
    assert passing(catalogue, wanted, ITEMS) == {ITEMS[0], ITEMS[1]}
    assert len(graph.read_names) == before


def test_a_relation_that_no_item_has_is_said(catalogue: Catalogue) -> None:
    with pytest.raises(ChangeSomethingError, match="no relation 'WRITEN_BY'; there are: SUBJECT_"):
        catalogue.allowed(Filters(attributes=(Attribute(HERBERT, "WRITEN_BY"),)))


def test_years_of_titles_and_of_dated_subjects(catalogue: Catalogue) -> None:
    assert passing(catalogue, Filters(years=(1965, 1965)), ITEMS) == {ITEMS[0]}
    assert passing(catalogue, Filters(years=(1950, 1970)), ITEMS) == {ITEMS[0], ITEMS[2], ITEMS[3]}
    # "1990s novels" is no year, and neither is what a title begins with.
    assert passing(catalogue, Filters(years=(1980, 2050)), ITEMS) == set()

    class Bare(SmallGraph):
        def dated_subjects(self, dataset: str) -> list[list[object]]:
            return [["1995 fantasy films", ["a"]], ["1950 establishments", ["d"]]]

    position = {key: place for place, key in enumerate(TITLES)}
    titled = Catalogue(cast(GraphStore, Bare()), "small", "Movie", position, Titles(TITLES))
    assert passing(titled, Filters(years=(1900, 2050)), list(TITLES)) == {"a", "b"}
    assert passing(titled, Filters(years=(1968, 1968)), list(TITLES)) == {"b"}


def test_as_written_on_the_command_line() -> None:
    def parsed(**given: object) -> Filters:
        nothing = {"seen": False, "having": (), "title": None, "titled": False, "year": None}
        return filters_of(**(nothing | given))  # type: ignore[arg-type]

    assert parsed() == Filters()
    assert parsed(seen=True, titled=True, title="x") == Filters(
        exclude_seen=False, titled_only=True, title_contains="x"
    )
    assert parsed(having=("AUTHOR=Frank Herbert", "urn:x?a=b")).attributes == (
        Attribute("Frank Herbert", "AUTHOR"),
        Attribute("urn:x?a=b"),
    )
    assert parsed(year="1975").years == (1975, 1975)
    assert parsed(year="1970..1979").years == (1970, 1979)
    for year in ("75", "1970-1979", "1970..", "long ago"):
        with pytest.raises(ChangeSomethingError, match=r"write 1975 or 1970\.\.1979"):
            parsed(year=year)


def test_filters_and_diversity_in_one_answer(graph: SmallGraph) -> None:
    """The list is of what passes, in the order of diversity, with the scores that they have."""
    recommender = small_served(graph).recommender
    whom = Whom((ITEMS[5],))
    plain = recommender.recommend(whom, Options(n=12))
    filters = Filters(attributes=(Attribute("Space opera"),))
    varied = recommender.recommend(whom, Options(n=3, filters=filters, diversity=0.9))
    assert varied[0].item == next(p.item for p in plain if ITEMS.index(p.item) in (0, 1, 2, 9, 10))
    score = {p.item: p.score for p in plain}
    assert all(v.score == score[v.item] and v.paths is None for v in varied)
    assert len({v.item for v in varied}) == 3
    by_score = [p.item for p in plain if p.item in {v.item for v in varied}]
    assert [v.item for v in varied] != by_score
