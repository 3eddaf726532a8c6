"""Rows are cut into messages that no engine chokes on."""

from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.ingest import tables
from kg.ingest.tables import split


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3_000_000), max_size=12))
def test_order_is_kept_and_no_message_is_too_large(sizes: list[int]) -> None:
    rows = [{"id": str(i), "properties": {"title": "x" * size}} for i, size in enumerate(sizes)]
    parts = list(split(rows))
    assert [r for part in parts for r in part] == rows
    for part in parts:
        assert part
        assert sum(len(orjson.dumps(r)) for r in part) <= tables.MAX_BATCH_BYTES


def test_rows_are_bounded_too() -> None:
    rows = [{"id": str(i)} for i in range(tables.BATCH_ROWS * 2 + 1)]
    assert [len(p) for p in split(rows)] == [tables.BATCH_ROWS, tables.BATCH_ROWS, 1]


def test_one_row_over_the_limit_goes_alone() -> None:
    large = {"id": "l", "properties": {"title": "x" * (tables.MAX_BATCH_BYTES + 1)}}
    assert [len(p) for p in split([{"id": "a"}, large, {"id": "b"}])] == [1, 1, 1]
