"""R16: the connection breaks at a COMMIT, and nobody knows whether it held: the load settles it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import GraphAddress, quiet
from integration.small import write_small
from reliability.trial import undisturbed
from services.tcp_proxy import CommitCutter, Moment

from kg.ingest import dump, ingest, stats
from kg.store import GraphStore, connect
from kg.store.embedded import DATABASE, USER

BATCH_ROWS = 40


@contextmanager
def through_proxy(
    graph: GraphAddress, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CommitCutter, GraphStore]]:
    """A proxy before the graph's server or engine, and a store that goes through it."""
    with ExitStack() as stack:
        if graph.server is not None:
            parts = urlsplit(graph.server.uri)
            host, port = parts.hostname or "", parts.port or 7687
        else:
            engine = stack.enter_context(connect(None, graph.home))._dialect
            host, port = "127.0.0.1", engine.port  # type: ignore[attr-defined]
            monkeypatch.setenv("PERSONAREC_GRAPH_USER", USER)
            monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", engine.password)  # type: ignore[attr-defined]
            monkeypatch.setenv("PERSONAREC_GRAPH_DATABASE", DATABASE)
        cutter = stack.enter_context(CommitCutter(host, port))
        store = stack.enter_context(connect(f"bolt://127.0.0.1:{cutter.port}", graph.home))
        yield cutter, store


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_of_unknown_outcome_is_settled_by_the_load_itself(
    graph: GraphAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: Moment
) -> None:
    data = write_small(tmp_path / "data", users=30, items=12)
    expected, _ = undisturbed(data, tmp_path / "reference")
    with through_proxy(graph, monkeypatch) as (cutter, store):
        cutter.cut(0, moment)  # never
        home = tmp_path / "counting"
        ingest(store, data, home, quiet, batch_rows=BATCH_ROWS)
        total = cutter.commits
        assert total > 30
        before = store.retries
        places = range(1, total + 1, max(1, total // 12))
        for at in places:
            clear(store)
            home = tmp_path / f"cut{at}"
            cuts = cutter.cuts
            cutter.cut(at, moment)
            result = ingest(store, data, home, quiet, batch_rows=BATCH_ROWS)
            assert cutter.cuts == cuts + 1, "the proxy did not cut"
            assert list(dump(store)) == expected, f"cut {moment} COMMIT {at}"
            # One load; where the cut hid that its own first entry held, that one is closed too.
            assert {x["status"] for x in stats(store)["loads"]} == {"complete"}
            again = ingest(store, data, home, quiet, batch_rows=BATCH_ROWS)
            assert (again.created, again.changed) == (0, 0)
            assert again.unchanged == result.created + result.changed + result.unchanged
        assert store.retries - before >= len(places) - 2


def clear(store: GraphStore) -> None:
    """Empty the graph, which is small."""
    store.transaction(lambda tx: tx._tx.run("MATCH (n) DETACH DELETE n").consume())
