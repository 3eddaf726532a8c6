"""Staging with far too little memory to begin with: the same tables and books."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from conftest import quiet
from polars.testing import assert_frame_equal
from rich_data import write_rich

from kg.ingest import reconcile
from kg.ingest.local_sql import LocalSql
from kg.ingest.staging import stage


def test_statements_that_find_too_little_memory_are_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_rich(tmp_path / "data", "rich")
    usual = stage(data, tmp_path / "usual", quiet)
    opened = []

    def little(folder: Path) -> LocalSql:
        opened.append(LocalSql(folder, memory=1))
        return opened[-1]

    monkeypatch.setattr(reconcile, "LocalSql", little)
    scarce = stage(data, tmp_path / "scarce", quiet)
    assert opened[0]._memory > 1, "no statement needed more"
    assert (scarce.books, scarce.tables) == (usual.books, usual.tables)
    for table in usual.tables:
        one, other = (pl.read_parquet(s.folder / table.file) for s in (usual, scarce))
        assert_frame_equal(one, other)
