"""Amazon's three forms as Parquet: the same records as from lines; broken files and rows."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from kg.errors import ChangeSomethingError
from kg.loaders import loader
from kg.loaders.records import Interaction, Item, ItemFact, ItemPair, Record, Rejected

YEARS = (2014, 2018, 2023)


def reviews(year: int, count: int) -> list[dict[str, Any]]:
    chance = random.Random(year)
    found = []
    for n in range(count):
        user, item = f"A{chance.randrange(50)}", f"{chance.randrange(10**10):010}"
        stars = chance.choice([None, 1.0, 2.5, 5.0])
        if year == 2023:
            found.append({
                "user_id": user, "asin": item, "parent_asin": chance.choice([None, f"P{n:09}"]),
                "rating": stars, "timestamp": 1_588_687_728_923 + n, "title": "é" * n,
                "images": [{"url": "x"}] * (n % 3), "verified_purchase": True,
            })  # fmt: skip
        else:
            found.append({
                "reviewerID": user, "asin": item, "overall": stars, "unixReviewTime": 10**9 + n,
                "reviewText": "text " * n, "helpful": [0, n],
            })  # fmt: skip
    return found


def descriptions(year: int, count: int) -> list[dict[str, Any]]:
    chance = random.Random(year)
    found: list[dict[str, Any]] = []
    for n in range(count):
        key, others = f"B{n:09}", [f"B{chance.randrange(count):09}" for _ in range(n % 4)]
        title = chance.choice([None, "", f"Title &amp; {n}"])
        names = [chance.choice(["Books", "It&#39;s", "<b>new</b>"]) for _ in range(n % 3)]
        if year == 2014:
            related = {"also_bought": others, "also_viewed": None, "bought_together": others[:1]}
            found.append({"asin": key, "title": title, "brand": chance.choice([None, "Acme"]),
                          "categories": [names, ["Other"]], "related": related})  # fmt: skip
        elif year == 2018:
            found.append({"asin": key, "title": title, "brand": "Visit Amazon's A. Writer Page",
                          "category": names, "also_buy": others, "also_view": others[:1],
                          "rank": "7"})  # fmt: skip
        else:
            found.append({"parent_asin": key, "title": title, "store": chance.choice([None, "S"]),
                          "categories": names, "bought_together": others or None,
                          "average_rating": 4.5})  # fmt: skip
    return found


def write(rows: list[dict[str, Any]], form: str, folder: Path) -> Path:
    path = folder / f"rows.{form}"
    text = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    else:
        pack = {"json": bytes, "json.gz": gzip.compress, "json.zst": zstandard.compress}[form]
        path.write_bytes(pack(text))
    return path


def read(name: str, path: Path) -> list[Record | Rejected]:
    return list(loader(name).read(path))


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("form", ["json.gz", "json.zst", "parquet"])
@pytest.mark.parametrize(
    ("name", "make", "kinds"),
    [
        ("amazon-reviews", reviews, {Interaction}),
        ("amazon-metadata", descriptions, {Item, ItemFact}),
        ("amazon-also", descriptions, {ItemPair, Rejected}),
    ],
)
def test_every_form_of_file_gives_the_same_records(
    name: str, make: Any, kinds: set[type], form: str, year: int, tmp_path: Path
) -> None:
    rows = make(year, 60)
    expected = read(name, write(rows, "json", tmp_path))
    found = read(name, write(rows, form, tmp_path))
    assert {type(r) for r in expected} == kinds
    assert len(expected) >= 60
    if form == "parquet":  # a rejected row is shown in its own way
        expected, found = ([r[:2] if isinstance(r, Rejected) else r for r in rs]
                           for rs in (expected, found))  # fmt: skip
    assert found == expected


def test_rows_of_several_years_in_one_file(tmp_path: Path) -> None:
    rows = [row for year in YEARS for row in reviews(year, 5)]
    names = {name for row in rows for name in row}
    full = [{name: row.get(name) for name in sorted(names)} for row in rows]
    found = read("amazon-reviews", write(full, "parquet", tmp_path))
    assert found == read("amazon-reviews", write(rows, "json", tmp_path))


@pytest.mark.parametrize(
    ("name", "row", "why"),
    [
        ("amazon-reviews", {"asin": None}, "asin is missing or not a text: None"),
        ("amazon-reviews", {"user_id": None}, "user_id is missing or not a text: None"),
        ("amazon-reviews", {"user_id": " "}, "user_id is missing or not a text: ' '"),
        ("amazon-reviews", {"timestamp": None}, "timestamp is not a number: None"),
        ("amazon-reviews", {"rating": float("nan")}, "rating is not finite: nan"),
        ("amazon-metadata", {"asin": None}, "asin is missing or not a text: None"),
        ("amazon-also", {"asin": ""}, "asin is missing or not a text: ''"),
    ],
)
def test_a_bad_row_costs_itself_and_says_its_number(
    name: str, row: dict[str, Any], why: str, tmp_path: Path
) -> None:
    good = {"user_id": "u", "asin": "B000000001", "rating": 1.0, "timestamp": 5_000, "title": "T",
            "also_buy": ["B000000002"]}  # fmt: skip
    rows = [good, good | row, good]
    found = read(name, write(rows, "parquet", tmp_path))
    assert [type(r) is Rejected for r in found] == [False, True, False]
    bad = found[1]
    assert isinstance(bad, Rejected)
    assert (bad.line, bad.reason) == (2, why)


def test_columns_of_a_wrong_kind_reject_every_row(tmp_path: Path) -> None:
    rows = [{"user_id": 7, "asin": "B000000001", "rating": "5", "timestamp": 1}] * 3
    found = read("amazon-reviews", write(rows, "parquet", tmp_path))
    assert [(r.line, r.reason) for r in found if isinstance(r, Rejected)] == [
        (n, "rating is not a number: '5'") for n in (1, 2, 3)
    ]


def test_a_file_without_any_column_of_ours_rejects_every_row(tmp_path: Path) -> None:
    found = read("amazon-metadata", write([{"x": 1}, {"x": 2}], "parquet", tmp_path))
    assert [(r.line, r.reason) for r in found if isinstance(r, Rejected)] == [
        (n, "asin is missing or not a text: None") for n in (1, 2)
    ]


def test_text_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    raw = pa.array([b"B000000001", b"\xc3\x28", b"B000000003"], pa.binary())
    # As a writer that checks nothing leaves it: bytes under the name of text.
    asin = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    parquet.write_table(pa.table({"asin": asin}), tmp_path / "f.parquet")
    found = read("amazon-metadata", tmp_path / "f.parquet")
    assert found == [
        Item("B000000001", None, None), Rejected(2, "not UTF-8", ""), Item("B000000003", None, None)
    ]  # fmt: skip


def test_a_broken_file_is_said_in_one_line(tmp_path: Path) -> None:
    whole = write(reviews(2023, 5_000), "parquet", tmp_path).read_bytes()
    path = tmp_path / "broken.parquet"
    spoilt = bytearray(whole)
    spoilt[2_000:-20_000] = bytes(len(whole) - 22_000)
    cases = (b"", b"PAR1", b"not parquet " * 50, whole[: len(whole) // 2], whole[:-9], spoilt)
    for content in cases:
        path.write_bytes(content)
        with pytest.raises(ChangeSomethingError) as caught:
            read("amazon-reviews", path)
        assert str(path) in str(caught.value)
        assert "not a whole Parquet file" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read("amazon-reviews", tmp_path / "gone.parquet")


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    """One row group with 100 MB in a column that is read."""
    path = tmp_path / "f.parquet"
    size = 25_000
    row = {"user_id": "u" * 4_000, "asin": "B000000001", "rating": 1.0, "timestamp": 1, "text": "x"}
    schema = pa.Table.from_pylist([row]).schema
    with parquet.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        columns = {k: pa.array([v] * size, schema.field(k).type) for k, v in row.items()}
        writer.write_table(pa.table(columns), row_group_size=size)
    del columns
    assert path.stat().st_size > 90 * 1024 * 1024
    peak = 0
    tracemalloc.start()  # Python's memory, which holds what is read from the file
    for count, _ in enumerate(loader("amazon-reviews").read(path), 1):
        if count % 2_500 == 0:
            peak = max(peak, pa.total_allocated_bytes())
    peak += tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == size
    assert peak < 40 * 1024 * 1024
