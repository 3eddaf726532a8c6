"""Units of work that run again are counted; a commit of unknown outcome is one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import neo4j
import pytest
from conftest import quiet
from neo4j.exceptions import IncompleteCommit, TransientError
from small import write_small

from kg.errors import TryAgainError
from kg.ingest import ingest, stats
from kg.store import GraphStore, statement


def test_what_runs_again_is_counted(store: GraphStore) -> None:
    left = [1, 1]

    def work(tx: Any) -> int:
        if left:
            left.pop()
            raise TransientError("another writer")
        return len(tx.rows(statement("data_sets")))

    assert store.transaction(work) == 0
    assert store.retries == 2


def unknown_outcomes(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The first commits are done, and then look as if their answer had been lost."""
    honest = neo4j.ManagedTransaction._commit
    left = [1] * times

    def commit(self: neo4j.ManagedTransaction) -> None:
        honest(self)
        if left:
            left.pop()
            raise IncompleteCommit("the connection broke")

    monkeypatch.setattr(neo4j.ManagedTransaction, "_commit", commit)


def test_a_commit_of_unknown_outcome_is_repeated_and_the_books_balance(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ensure_schema()
    data = write_small(tmp_path / "data")
    first_home, second_home = tmp_path / "one", tmp_path / "two"
    unknown_outcomes(monkeypatch, 5)
    result = ingest(store, data, first_home, quiet, batch_rows=7)
    assert result.retries == store.retries >= 1
    assert [load["status"] for load in stats(store)["loads"]] == ["complete"]
    again = ingest(store, data, second_home, quiet)
    assert (again.created, again.changed) == (0, 0)
    assert again.unchanged == result.created + result.unchanged


def test_a_commit_that_never_comes_through_is_given_up(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.store.graph_store.CLASHES", 3)
    unknown_outcomes(monkeypatch, 100)
    with pytest.raises(TryAgainError):
        store.transaction(lambda tx: tx.rows(statement("data_sets")))
    assert store.retries == 2
