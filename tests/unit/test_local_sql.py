"""The SQL of staging: within its memory, or in more, but never without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.errors import TryAgainError
from kg.ingest.local_sql import LocalSql

WHOLE = "SELECT len(list(range)) FROM range(3_000_000)"  # one value, which cannot go to disk


def limit(sql: LocalSql) -> str:
    ((found,),) = sql.execute("SELECT current_setting('memory_limit')").fetchall()
    return str(found)


def test_a_statement_that_needs_more_memory_gets_it(tmp_path: Path) -> None:
    sql = LocalSql(tmp_path, memory=20)
    before = limit(sql)
    sql.execute("CREATE TABLE small AS SELECT range AS a FROM range(1000)")
    assert limit(sql) == before
    assert sql.execute(WHOLE).fetchall() == [(3_000_000,)]
    assert limit(sql) != before
    assert sql.execute("SELECT sum(a) FROM small").fetchall() == [(499_500,)]
    sql.close()
    assert not list(tmp_path.iterdir())


def test_one_that_needs_more_than_there_is_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = LocalSql(tmp_path, memory=20)
    monkeypatch.setattr(sql, "_most", 25)
    with pytest.raises(TryAgainError, match="more than 25 MB of memory, which is half of this"):
        sql.execute(WHOLE)
    sql.close()
