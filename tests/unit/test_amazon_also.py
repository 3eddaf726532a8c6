"""Also-bought lists of Amazon's three forms, read only by the loader that is named for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from kg.loaders import loader
from kg.loaders.records import ItemPair, Record, Rejected
from kg.schema import ITEM_LABELS, fact_relation

A, B, C = "B000000001", "B000000002", "0001112223"


def rows(tmp_path: Path, *content: Any, name: str = "amazon-also") -> list[Record | Rejected]:
    lines = [c if isinstance(c, bytes) else orjson.dumps(c) for c in content]
    (tmp_path / "f").write_bytes(b"".join(line + b"\n" for line in lines))
    return list(loader(name).read(tmp_path / "f"))


def pair(relation: str, other: str, item: str = A) -> tuple[str, str, str]:
    return item, relation, other


def named(found: list[Record | Rejected]) -> list[tuple[str, str, str]]:
    """Pairs with the relation that the schema makes of their predicate."""
    result = []
    for record in found:
        assert isinstance(record, ItemPair)
        relations = {r.name for label in ITEM_LABELS if (r := fact_relation(record[1], label))}
        (relation,) = relations
        result.append((record.item, relation, record.other))
    return result


def test_the_form_of_2014(tmp_path: Path) -> None:
    related = {
        "also_bought": [B, C], "also_viewed": [C], "bought_together": [B],
        "buy_after_viewing": ["B000000009"],
    }  # fmt: skip
    literal = repr({"asin": A, "title": "it's", "related": related}).encode()
    assert named(rows(tmp_path, literal)) == [
        pair("ALSO_BOUGHT", B), pair("ALSO_BOUGHT", C), pair("ALSO_VIEWED", C),
        pair("BOUGHT_TOGETHER", B),
    ]  # fmt: skip


def test_the_forms_of_2018_and_2023(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        {"asin": A, "also_buy": [B, f" {C} "], "also_view": [C]},
        {"parent_asin": B, "asin": "variant", "bought_together": [A]},
    )
    assert named(found) == [
        pair("ALSO_BOUGHT", B), pair("ALSO_BOUGHT", C), pair("ALSO_VIEWED", C),
        pair("BOUGHT_TOGETHER", A, B),
    ]  # fmt: skip


@pytest.mark.parametrize("empty", [None, [], ""])
def test_items_without_lists_give_nothing(empty: object, tmp_path: Path) -> None:
    content = {"asin": A, "also_buy": empty, "bought_together": empty, "related": empty}
    assert rows(tmp_path, content, {"asin": B}) == []


@pytest.mark.parametrize(
    "entry",
    ["<img src='x'>", "B00000000", "B0000000012", "b000000001", "", 7, None, ["B000000002"], A],
)
def test_an_entry_that_is_no_other_item_costs_itself(entry: object, tmp_path: Path) -> None:
    content = {"asin": A, "also_buy": [B, entry, C]}
    first, bad, last = rows(tmp_path, content)
    assert named([first, last]) == [pair("ALSO_BOUGHT", B), pair("ALSO_BOUGHT", C)]
    assert isinstance(bad, Rejected)
    assert bad.line == 1
    assert bad.reason.startswith(f"item {A}: also_buy holds ")


@pytest.mark.parametrize("wrong", [7, "B000000002", {"a": 1}, True])
def test_lists_of_a_wrong_kind_cost_themselves(wrong: object, tmp_path: Path) -> None:
    bad, good = rows(tmp_path, {"asin": A, "also_buy": wrong, "also_view": [B]})
    assert isinstance(bad, Rejected)
    assert "also_buy is not a list" in bad.reason
    assert named([good]) == [pair("ALSO_VIEWED", B)]
    if not isinstance(wrong, dict):
        (bad,) = rows(tmp_path, {"asin": A, "related": wrong})
        assert isinstance(bad, Rejected)
        assert "related is not a map of lists" in bad.reason


@pytest.mark.parametrize("text", [b"{}", b'{"asin": ', b"[]", b""])
def test_a_bad_line_costs_itself(text: bytes, tmp_path: Path) -> None:
    bad, good = rows(tmp_path, text, {"asin": A, "also_buy": [B]})
    assert isinstance(bad, Rejected)
    assert (bad.line, type(good)) == (1, ItemPair)


def test_the_loader_of_descriptions_reads_none_of_it(tmp_path: Path) -> None:
    content = {"asin": A, "title": "T", "also_buy": [B], "also_view": [B], "bought_together": [B],
               "related": {"also_bought": [B]}}  # fmt: skip
    assert len(rows(tmp_path, content)) == 4
    assert B not in str(rows(tmp_path, content, name="amazon-metadata"))
