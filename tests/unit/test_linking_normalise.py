"""Titles and labels taken apart: what is the name, what is year, edition, bracket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.linking.normalise import (
    MOST_SPELLINGS,
    match_key,
    numbers,
    parse_title,
    spellings,
    split_label,
    without_article,
)


@pytest.mark.parametrize(
    ("raw", "text", "year", "alternatives", "short"),
    [
        ("Matrix, The (1999)", "The Matrix", 1999, (), None),
        ("Misérables, Les (1995)", "Les Misérables", 1995, (), None),
        ("Heure bleue, L' (1990)", "L'Heure bleue", 1990, (), None),
        ("The Matrix [DVD]", "The Matrix", None, (), None),
        ("The Matrix (Two-Disc Special Edition) [Blu-ray] (1999)", "The Matrix", 1999, (), None),
        ("Dune (Paperback)", "Dune", None, (), None),
        ("Dune - Special Edition DVD", "Dune", None, (), None),
        ("Dune Box Set", "Dune", None, (), None),
        ("Casablanca VHS", "Casablanca", None, (), None),
        ("Dune (Vol. 1)", "Dune", None, (), None),
        ("Kill Bill: Vol. 1", "Kill Bill: Vol. 1", None, (), "Kill Bill"),
        ("Friends: The Complete First Season", "Friends: The Complete First Season", None, (),
         "Friends"),
        ("Alien: Resurrection (1997)", "Alien: Resurrection", 1997, (), "Alien"),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975, (), None),
        ("Big Bang Theory, The (2007-)", "The Big Bang Theory", 2007, (), None),
        ("Postman, The (Postino, Il) (1994)", "The Postman", 1994, ("Il Postino",), None),
        ("Seven (a.k.a. Se7en) (1995)", "Seven", 1995, ("Se7en",), None),
        ("A (B, The) (aka C) (2001)", "A", 2001, ("The B", "C"), None),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009, (), None),
        ("(2012)", "(2012)", None, (), None),
        ("2012", "2012", None, (), None),
        ("1984 (Signet Classics)", "1984", None, (), None),
        ("Tom &amp; Jerry", "Tom & Jerry", None, (), None),
        ("Cafe\u0301 \u200b\u202eNoir\u202c", "Café Noir", None, (), None),
        ("a\x00b\tc\n", "a b c", None, (), None),
        ("Утомлённые солнцем (1994)", "Утомлённые солнцем", 1994, (), None),
        ("千と千尋の神隠し", "千と千尋の神隠し", None, (), None),
        ("🎬🎬", "🎬🎬", None, (), None),
        ("...", "...", None, (), None),
        ("", "", None, (), None),
        (None, "", None, (), None),
        ("  \u200b ", "", None, (), None),
        ("()", "()", None, (), None),
    ],
)  # fmt: skip
def test_titles(
    raw: str | None, text: str, year: int | None, alternatives: tuple[str, ...], short: str | None
) -> None:
    assert parse_title(raw) == (text, year, alternatives, short)


@given(st.text(max_size=80))
def test_any_text_is_taken_apart(raw: str) -> None:
    title = parse_title(raw)
    assert title.text == " ".join(title.text.split())
    assert all(title.alternatives)
    assert title.short is None or title.short
    assert parse_title(title.text).text or not title.text
    match_key(raw)
    split_label(raw)
    assert spellings(raw)[0] == raw


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("Sabrina (1995 film)", ("Sabrina", "1995 film", 1995)),
        ("Emma (novel)", ("Emma", "novel", None)),
        ("The Martian (Weir novel)", ("The Martian", "Weir novel", None)),
        ("Heat", ("Heat", "", None)),
        ("(500) Days of Summer", ("(500) Days of Summer", "", None)),
        ("2001: A Space Odyssey (film)", ("2001: A Space Odyssey", "film", None)),
        ("M (12345 thing)", ("M", "12345 thing", None)),
        ("", ("", "", None)),
    ],
)
def test_labels(label: str, parts: tuple[str, str, int | None]) -> None:
    assert split_label(label) == parts


@pytest.mark.parametrize(
    ("title", "label"),
    [
        ("From Dusk Till Dawn", "From Dusk till Dawn"),
        ("THE MATRIX", "The Matrix"),
        ("the matrix", "The Matrix"),
        ("Who Framed Roger Rabbit?", "Who Framed Roger Rabbit"),
        ("Better Off Dead...", "Better Off Dead"),
        ("Death Wish 2", "Death Wish II"),
        ("Death Wish V: The Face of Death", "Death Wish 5: The Face of Death"),
        ("The Godfather: Part II", "The Godfather Part II"),
        ("Star Wars: Episode I - The Phantom", "Star Wars Episode I: The Phantom"),
        ("Kill Bill: Vol. 1", "Kill Bill: Volume 1"),
        ("Angels & Demons", "Angels and Demons"),
        ("Pride and Prejudice", "Pride & Prejudice"),
        ("Schindler’s List", "Schindler's List"),
        ("The Birds", "Birds"),
    ],
)
def test_a_spelling_is_the_label(title: str, label: str) -> None:
    assert label in spellings(title)


def test_spellings_are_few() -> None:
    longest = "the lord & the rings: part ii - vol. 2 and the fellowship’s end…?"
    assert len(spellings(longest)) == len(set(spellings(longest))) == MOST_SPELLINGS
    assert spellings("Heat") == ["Heat"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Amélie", "AMELIE"),
        ("Tom & Jerry", "Tom and Jerry"),
        ("Ocean's Eleven", "Oceans Eleven"),
        ("Rocky II", "Rocky 2"),
        ("M*A*S*H", "M A S H"),
    ],
)
def test_equal_keys(first: str, second: str) -> None:
    assert match_key(first) == match_key(second)


def test_what_keys_tell_apart() -> None:
    assert match_key("Unforgiven") != match_key("The Unforgiven")
    assert without_article(match_key("The Unforgiven")) == match_key("Unforgiven")
    assert without_article("a") == "a"
    assert match_key("🎬") != match_key("🎥") != ""
    assert numbers(match_key("Rocky II")) != numbers(match_key("Rocky III"))
    assert numbers(match_key("Malcolm X")) == ()
