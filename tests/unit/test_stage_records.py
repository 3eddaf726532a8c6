"""Staging of links, pairs of items, traits, broader subjects and abstracts; and of k-cores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kg import loaders
from kg.errors import ChangeSomethingError
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.stage import Books, Stage
from kg.ingest.staging import stage
from kg.loaders.records import (
    Abstract,
    Interaction,
    IriFact,
    Item,
    ItemFact,
    ItemPair,
    Label,
    Link,
    Loader,
    Record,
    UserFact,
)
from kg.schema import ABSTRACT, DCT, MINTED, SKOS

R = "http://dbpedia.org/resource/"
ALSO = MINTED + "also-bought"


def rated(*pairs: str) -> list[Record]:
    """Interactions of pairs such as ``ua``: user u, item a."""
    return [Interaction(p[0], p[1], 5.0, n, n) for n, p in enumerate(pairs, 1)]


@pytest.fixture
def staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stages lists of records, each as a source of its own."""

    def work(*sources: list[Record], k_core: int = 0, domain: str = "books") -> Stage:
        entries = []
        for number, records in enumerate(sources):

            def read(_: Path, records: list[Record] = records) -> Iterator[Record]:
                yield from records

            monkeypatch.setitem(loaders.LOADERS, f"s{number}", Loader(f"s{number}", "", read))
            path = tmp_path / f"s{number}.txt"
            path.write_text(repr(records))
            entries.append(Source(f"s{number}", path))
        data_set = DataSetSources("d", domain, tuple(entries), k_core)
        return stage(data_set, tmp_path / "work", lambda *_: None)

    return work


def rows(found: Stage, label: str) -> list[dict[str, Any]]:
    return [
        r
        for t in found.tables
        if t.label == label
        for r in pl.read_parquet(found.folder / t.file).to_dicts()
    ]


def ends(found: Stage, label: str) -> set[tuple[str, str]]:
    return {(r["source"], r["target"]) for r in rows(found, label)}


def account(book: Books) -> tuple[int, int, int, int, int]:
    return book.rows_in, book.merged, book.duplicates, book.filtered, book.quarantined


def reasons(found: Stage) -> list[str]:
    return [q["reason"] for q in found.quarantine()]


def test_a_link_gives_an_item_its_resource_and_wins_over_the_source(staged: Any) -> None:
    found = staged(
        rated("ua", "ub", "uc"),
        [Item("a", "A", R + "Wrong"), Item("b", "B", R + "B"), Item("c", "C", None)],
        [Link("a", R + "A", "label+year", 0.9), Link("a", R + "Other", "label", 0.5),
         Link("c", R + "C", "accepted", 1.0), Link("z", R + "Z", "label", 0.9)],
        [IriFact(R + "A", DCT + "subject", R + "Category:X"),
         IriFact(R + "Wrong", DCT + "subject", R + "Category:Y")],
    )  # fmt: skip
    books = {b["id"]: b for b in rows(found, "Book")}
    keys = ("iri", "linkMethod", "linkScore")
    assert [books["d:a"][k] for k in keys] == [R + "A", "label+year", 0.9]
    assert [books["d:b"][k] for k in keys] == [R + "B", "source", None]
    assert [books["d:c"][k] for k in keys] == [R + "C", "accepted", 1.0]
    assert ends(found, "SUBJECT_IS") == {("d:a", R + "Category:X")}
    assert account(found.books[2]) == (4, 2, 1, 0, 1)
    assert found.books[2].conflicts == 1
    assert reasons(found) == ["the item is not in this data set", "no item is linked to this IRI"]


def test_pairs_of_items_need_both_ends(staged: Any) -> None:
    found = staged(
        rated("ua", "ub"),
        [ItemPair("a", ALSO, "b"), ItemPair("a", ALSO, "b"), ItemPair("a", ALSO, "gone"),
         ItemPair("b", MINTED + "nothing", "a"), ItemPair("new", ALSO, "a")],
    )  # fmt: skip
    assert ends(found, "ALSO_BOUGHT") == {("d:a", "d:b"), ("d:new", "d:a")}
    assert account(found.books[1]) == (5, 2, 1, 0, 2)
    assert sorted(reasons(found)) == [
        "the other item is not in this data set",
        "the schema has no relation for this fact of a Book",
    ]
    assert {b["id"] for b in rows(found, "Book")} == {"d:a", "d:b", "d:new"}


def test_traits_belong_to_users_with_or_without_interactions(staged: Any) -> None:
    trait = MINTED + "trait"
    found = staged(
        rated("ua"),
        [UserFact("u", trait, MINTED + "attribute:age%3D7"), UserFact("w", trait, "x:y"),
         UserFact("u", MINTED + "nothing", "x:y")],
    )  # fmt: skip
    assert {u["id"] for u in rows(found, "User")} == {"d:u", "d:w"}
    assert ends(found, "HAS_TRAIT") == {("d:u", MINTED + "attribute:age%3D7"), ("d:w", "x:y")}
    assert {a["name"] for a in rows(found, "Attribute")} == {"age=7", "x:y"}
    assert reasons(found) == ["the schema has no relation for this fact of a User"]


def test_a_subject_leads_to_its_broader_subject_one_hop_on(staged: Any) -> None:
    broader = SKOS + "broader"
    found = staged(
        rated("ua"),
        [Item("a", "A", R + "A"), IriFact(R + "A", DCT + "subject", R + "Category:X"),
         IriFact(R + "Category:X", broader, R + "Category:Y"),
         IriFact(R + "Category:Y", broader, R + "Category:Z"),
         IriFact(R + "A", broader, R + "Category:Z"),
         Label(R + "Category:Y", "Why"), Label(R + "Category:Z", "Zed")],
    )  # fmt: skip
    assert ends(found, "BROADER") == {(R + "Category:X", R + "Category:Y")}
    assert {s["id"]: s["name"] for s in rows(found, "Subject")} == {
        R + "Category:X": "X",
        R + "Category:Y": "Why",
    }
    assert reasons(found) == [
        "no item is linked to this IRI",
        "the schema has no relation for this fact of a Book",
        "no node has this IRI",
    ]


def test_an_abstract_describes_the_items_of_its_resource(staged: Any) -> None:
    found = staged(
        rated("ua", "ub"),
        [Item("a", "A", R + "A"), Item("b", None, R + "A"), Label(R + "A", "Name")],
        [Abstract(R + "A", " e\u0301 "), Abstract(R + "A", "later"), Abstract(R + "B", "nobody")],
    )
    assert [(b["id"], b["title"], b["abstract"]) for b in rows(found, "Book")] == [
        ("d:a", "A", "é"),
        ("d:b", "Name", "é"),
    ]
    assert account(found.books[1]) == (3, 3, 0, 0, 0)
    assert account(found.books[2]) == (3, 1, 1, 0, 1)
    assert ABSTRACT.endswith("abstract")


CORE = rated("ua", "ub", "va", "vb", "wa", "xc", "wc")
"""Its 2-core is {u, v} × {a, b}: x goes first, then c, then w."""


def test_a_core_is_cut_until_nothing_changes_and_counts_what_it_leaves_out(staged: Any) -> None:
    found = staged(
        [*CORE, *CORE[:1]],
        [Item("a", "A", R + "A"), Item("c", "C", R + "C"), Item("never", "N", None),
         ItemFact("c", MINTED + "category", MINTED + "category:k"), ItemPair("a", ALSO, "c"),
         ItemPair("a", ALSO, "b"), Link("c", R + "C2", "label", 1.0),
         UserFact("x", MINTED + "trait", "x:y"), UserFact("u", MINTED + "trait", "x:y")],
        [IriFact(R + "C2", DCT + "subject", R + "S"), IriFact(R + "C", DCT + "subject", R + "S"),
         IriFact(R + "elsewhere", DCT + "subject", R + "S")],
        k_core=2,
    )  # fmt: skip
    assert ends(found, "RATED") == {("d:u", "d:a"), ("d:u", "d:b"), ("d:v", "d:a"), ("d:v", "d:b")}
    assert {b["id"] for b in rows(found, "Book")} == {"d:a", "d:b"}
    assert {u["id"] for u in rows(found, "User")} == {"d:u", "d:v"}
    assert ends(found, "ALSO_BOUGHT") == {("d:a", "d:b")}
    assert rows(found, "Subject") == []
    assert account(found.books[0]) == (8, 4, 1, 3, 0)
    assert account(found.books[1]) == (9, 3, 0, 6, 0)
    assert account(found.books[2]) == (3, 0, 0, 2, 1)
    assert reasons(found) == ["no item is linked to this IRI"]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_core_is_the_one_that_peeling_gives(k: int, staged: Any) -> None:
    """Against the plain definition, on a graph with long chains."""
    pairs = {(f"{a}", f"{b}") for a in range(8) for b in range(8) if (a * b) % 5 < 3 and a + b < 11}
    left = set(pairs)
    while True:
        users = {u for u, _ in left if sum(x == u for x, _ in left) >= k}
        items = {i for _, i in left if sum(x == i for _, x in left) >= k}
        kept = {(u, i) for u, i in left if u in users and i in items}
        if kept == left:
            break
        left = kept
    found = staged([Interaction(u, i, None, 1, n) for n, (u, i) in enumerate(sorted(pairs))],
                   k_core=k)  # fmt: skip
    assert ends(found, "RATED") == {(f"d:{u}", f"d:{i}") for u, i in left}


def test_an_empty_core_is_one_line_of_advice(staged: Any) -> None:
    with pytest.raises(ChangeSomethingError, match="its 9-core is empty; choose a smaller"):
        staged(CORE, k_core=9)


def test_the_core_is_part_of_what_a_stage_depends_on(staged: Any, tmp_path: Path) -> None:
    found = staged(CORE)
    source = Source("s0", tmp_path / "s0.txt")
    plain = DataSetSources("d", "books", (source,))
    assert plain.content_hash() == found.content_hash
    assert replace(plain, k_core=2).content_hash() != found.content_hash
