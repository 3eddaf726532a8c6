"""RecBole's atomic files: headers, optional columns, attributes, entities, relation names."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.errors import ChangeSomethingError
from kg.loaders import loader
from kg.loaders.prefixes import DBR
from kg.loaders.recbole import PAPER_RELATIONS
from kg.loaders.records import (
    Interaction,
    IriFact,
    Item,
    ItemFact,
    Link,
    Record,
    Rejected,
    UserFact,
)
from kg.schema import DBO, DCT, MINTED, fact_relation, mint_iri


def rows(kind: str, text: str, tmp_path: Path) -> list[Record | Rejected]:
    path = tmp_path / f"f.{kind}"
    path.write_text(text, "utf-8", newline="")
    return list(loader(f"recbole-{kind}").read(path))


def attribute(item: str, text: str) -> ItemFact:
    return ItemFact(item, MINTED + "attribute", mint_iri("attribute", text))


def trait(user: str, text: str) -> UserFact:
    return UserFact(user, MINTED + "trait", mint_iri("attribute", text))


# -- interactions ----------------------------------------------------------------------------------


def test_interactions(tmp_path: Path) -> None:
    text = (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "196\t242\t3\t881250949\n u \ti\t\t881250949.9\r\n"
    )
    assert rows("inter", text, tmp_path) == [
        Interaction("196", "242", 3.0, 881250949, 2),
        Interaction("u", "i", None, 881250949, 3),
    ]


def test_without_a_time_the_order_is_that_of_the_file(tmp_path: Path) -> None:
    text = "user_id:token\titem_id:token\trating:float\nu\tb\t1\nu\ta\t1\nu\tc\t1\n"
    assert rows("inter", text, tmp_path) == [
        Interaction("u", "b", 1.0, 0, 2), Interaction("u", "a", 1.0, 0, 3),
        Interaction("u", "c", 1.0, 0, 4),
    ]  # fmt: skip
    assert rows("inter", "user_id:token\titem_id:token\nu\ti\n", tmp_path) == [
        Interaction("u", "i", None, 0, 2)
    ]


@pytest.mark.parametrize(
    "header",
    [
        "timestamp:float\titem_id:token\tuser_id:token\trating:float",
        "time:float\titemID:token\tuserID:token\tstars:float",
        "date:float\tbusiness_id:token\tuser_id:token\tstars:float",
        "timestamp:float\tartist_id:token\tuser_id:token\trating:token",
    ],
)
def test_other_names_and_orders_of_columns(header: str, tmp_path: Path) -> None:
    found = rows("inter", f"{header}\n7\ti\tu\t4.5\n", tmp_path)
    assert found == [Interaction("u", "i", 4.5, 7, 2)]


def test_columns_that_say_nothing_to_us_are_passed_over(tmp_path: Path) -> None:
    text = "user_id:token\treview:token_seq\titem_id:token\tx:float_seq\nu\ta b\ti\t1 2\n"
    assert rows("inter", text, tmp_path) == [Interaction("u", "i", None, 0, 2)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("u\ti\t4", "3 columns instead of 4"),
        ("u\ti\t4\t5\t6", "5 columns instead of 4"),
        ("", "0 columns instead of 4"),
        (" \ti\t4\t5", "user_id is empty"),
        ("u\t\t4\t5", "item_id is empty"),
        ("u\ti\tgood\t5", "rating is not a number: 'good'"),
        ("u\ti\tnan\t5", "rating is not finite: 'nan'"),
        ("u\ti\t4\t", "timestamp is not a number: ''"),
        ("u\ti\t4\tinf", "timestamp is not finite: 'inf'"),
        ("u\ri\t4\t5", "new-line character seen in unquoted field"),
    ],
)
def test_a_bad_interaction_costs_its_row(line: str, why: str, tmp_path: Path) -> None:
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    bad, good = rows("inter", f"{header}\n{line}\nu\ti\t4\t5\n", tmp_path)
    assert isinstance(bad, Rejected)
    assert (bad.line, bad.text) == (2, line)
    assert bad.reason.startswith(why)
    assert good == Interaction("u", "i", 4.0, 5, 3)


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["inter", "item", "user", "link", "kg"])
@pytest.mark.parametrize(
    "header",
    ["", "user_id\titem_id", "user_id:text", "a:token\ta:float", ":token\tb:token", "a:token\tb:",
     "a\rb:token", "\0"],
)  # fmt: skip
def test_a_header_that_is_none_is_said_in_one_line(kind: str, header: str, tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError) as caught:
        rows(kind, f"{header}\na\tb\n", tmp_path)
    assert "the first line must be a header of name:type cells" in str(caught.value)
    assert f"f.{kind}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "header", "missing"),
    [
        ("inter", "user_id:token\trating:float", "no column item_id:token"),
        ("inter", "item_id:float\tname:token", "no column user_id:token"),
        ("item", "title:token_seq", "no column item_id:token"),
        ("user", "age:token", "no column user_id:token"),
        ("link", "item_id:token\tx:float", "no column entity_id:token"),
        ("kg", "head_id:token\ttail_id:token", "no columns head_id:token relation_id:token"),
        ("kg", "a:token\tb:token\tc:token\td:token", "no columns head_id:token"),
    ],
)
def test_a_missing_column_is_said_in_one_line(
    kind: str, header: str, missing: str, tmp_path: Path
) -> None:
    with pytest.raises(ChangeSomethingError, match=missing) as caught:
        rows(kind, f"{header}\na\tb\n", tmp_path)
    assert "\n" not in str(caught.value)


# -- items and users -------------------------------------------------------------------------------


def test_items_with_genres_and_attributes(tmp_path: Path) -> None:
    text = (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\tprice:float\t"
        "tags:token_seq\n"
        "1\tToy  Story\t1995\tAnimation Children's Animation\t9.5\tfun blue\n"
        '2\t"""Crocodile"" Dundee"\t\t\t\t\n'
        '3\tThe "best" of\t a  b \tDrama\t\t\n'
    )
    assert rows("item", text, tmp_path) == [
        Item("1", "Toy Story", None, ("Animation", "Children's")),
        attribute("1", "release_year=1995"), attribute("1", "tags=fun"),
        attribute("1", "tags=blue"),
        Item("2", '"Crocodile" Dundee', None),
        Item("3", 'The "best" of', None, ("Drama",)),
        attribute("3", "release_year=a b"),
    ]  # fmt: skip


@pytest.mark.parametrize("title", ["title:token", "item_name:token_seq", "name:token"])
@pytest.mark.parametrize("genre", ["genre:token", "genres:token_seq", "categories:token_seq"])
def test_names_of_the_title_and_the_genres(title: str, genre: str, tmp_path: Path) -> None:
    found = rows("item", f"{genre}\t{title}\titem_id:token\nWar\tT\t7\n", tmp_path)
    assert found == [Item("7", "T", None, ("War",))]


def test_items_of_an_id_alone(tmp_path: Path) -> None:
    assert rows("item", "product_id:token\n7\n\n", tmp_path) == [
        Item("7", None, None), Rejected(3, "0 columns instead of 1", ""),
    ]  # fmt: skip


def test_users(tmp_path: Path) -> None:
    text = (
        "user_id:token\tage:token\tjob:token\tweight:float\ttags:token_seq\ttrait:token_seq\n"
        "1\t24\tdata  engineer\t70\ta=b c\thttp://x/1 left-handed\n2\t\t\t\t\t\n"
    )
    assert rows("user", text, tmp_path) == [
        trait("1", "age=24"), trait("1", "job=data engineer"), trait("1", "tags=a=b"),
        trait("1", "tags=c"), UserFact("1", MINTED + "trait", "http://x/1"),
        trait("1", "trait=left-handed"),
    ]  # fmt: skip


def test_a_bad_item_or_user_is_all_rejected(tmp_path: Path) -> None:
    assert rows("item", "item_id:token\tx:token\n \tv\n", tmp_path) == [
        Rejected(2, "item_id is empty", " \tv")
    ]
    assert rows("user", "user_id:token\tx:token\n\tv\n", tmp_path) == [
        Rejected(2, "user_id is empty", "\tv")
    ]


# -- links and facts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "iri"),
    [
        ("res:Gattaca", DBR + "Gattaca"),
        ("http://www.wikidata.org/entity/Q1", "http://www.wikidata.org/entity/Q1"),
        ("urn:isbn:1", "urn:isbn:1"),
        ("wd:Q1", "wd:Q1"),
        ("m.08gjyx", mint_iri("entity", "m.08gjyx")),
        ("Dune: Part Two", mint_iri("entity", "Dune: Part Two")),
        ("42", mint_iri("entity", "42")),
    ],
)
def test_entities(entity: str, iri: str, tmp_path: Path) -> None:
    link = rows("link", f"item_id:token\tentity_id:token\n7\t{entity}\n", tmp_path)
    assert link == [Link("7", iri, "recbole", None)]
    header = "head_id:token\trelation_id:token\ttail_id:token"
    fact = rows("kg", f"{header}\n{entity}\tdbo:author\t{entity}\n", tmp_path)
    assert fact == [IriFact(iri, DBO + "author", iri)]


@pytest.mark.parametrize(
    ("relation", "predicate"),
    [
        ("directed_by", DBO + "director"), ("subject_is", DCT + "subject"),
        ("literaryGenre_is", DBO + "literaryGenre"), ("starring", DBO + "starring"),
        ("dbo:writer", DBO + "writer"), (DBO + "writer", DBO + "writer"),
        ("film.film.actor", "film.film.actor"), ("also_buy_product", "also_buy_product"),
        ("rated", "rated"),
    ],
)  # fmt: skip
def test_relations(relation: str, predicate: str, tmp_path: Path) -> None:
    header = "head_entity_id:token\trelation_id:token\ttail_entity:token"
    found = rows("kg", f"{header}\nres:A\t{relation}\tm.0b\n", tmp_path)
    assert found == [IriFact(DBR + "A", predicate, mint_iri("entity", "m.0b"))]


def test_every_name_of_the_paper_has_a_place_in_the_schema() -> None:
    for predicate in PAPER_RELATIONS.values():
        assert fact_relation(predicate, "Movie") or fact_relation(predicate, "Book")


def test_facts_by_the_order_of_three_columns(tmp_path: Path) -> None:
    found = rows("kg", "h:token\tr:token\tt:token\nres:A\tauthor\tres:B\n", tmp_path)
    assert found == [IriFact(DBR + "A", DBO + "author", DBR + "B")]


@pytest.mark.parametrize(
    ("kind", "line", "why"),
    [
        ("link", "7\t ", "entity_id is empty"),
        ("link", "\tres:A", "item_id is empty"),
        ("link", "7", "1 columns instead of 2"),
        ("kg", "res:A\t\tres:B", "relation_id is empty"),
        ("kg", "\tauthor\tres:B", "head_id is empty"),
        ("kg", "res:A\tauthor\t", "tail_id is empty"),
    ],
)
def test_a_bad_link_or_fact_costs_its_row(kind: str, line: str, why: str, tmp_path: Path) -> None:
    header = {
        "link": "item_id:token\tentity_id:token",
        "kg": "head_id:token\trelation_id:token\ttail_id:token",
    }[kind]
    assert rows(kind, f"{header}\n{line}\n", tmp_path) == [Rejected(2, why, line)]
