"""R17: two loads at once, in two processes: the graph is that of one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import GraphAddress
from integration.small import write_small
from reliability.trial import SLOWLY, Forks, content, ingest_words, one_line, until

from kg.ingest import DataSetSources, dump, ingest
from kg.store import connect

BATCH = ("--batch-rows", "10")


def reference(home: Path, *data: DataSetSources) -> list[bytes]:
    """The dump after one load after the other."""
    with connect(None, home) as store:
        for one in data:
            ingest(store, one, home, lambda *_: None)
        return list(dump(store))


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("a", "b"), ("b", "a")])
def test_two_processes_load_at_once(
    graph: GraphAddress, tmp_path: Path, first: str, second: str
) -> None:
    """The same data set, or two that share their entities, the smaller first or last.

    On Neo4j both succeed. The embedded engine ends with the process that started it: a load that
    was connected to that one is then stopped, and goes on when it is run again.
    """
    data = {
        "a": write_small(tmp_path / "a", "a", users=60, items=20),
        "b": write_small(tmp_path / "b", "b", users=120, items=30, shift=3),
    }
    expected = reference(tmp_path / "reference", *(data[n] for n in sorted({first, second})))
    other = graph
    if graph.server is not None:  # as from two machines; the embedded engine is one home
        other = GraphAddress("neo4j", graph.uri, tmp_path / "home2", graph.environment)
    with Forks(tmp_path / "forks1") as one, Forks(tmp_path / "forks2") as two:
        for forks in (one, two):  # so that both have imported everything
            assert forks.run(graph, "kg", "schema") == 0
        one.start(graph, *ingest_words(tmp_path / first, *BATCH), fault=SLOWLY)
        until(lambda: list(graph.home.glob("ingest/*/journal-*.json")), step=0.001)
        two.start(other, *ingest_words(tmp_path / second, *BATCH), fault=SLOWLY)
        assert one.wait() == 0, one.error_text()
        if code := two.wait():
            assert graph.engine == "embedded", two.error_text()
            assert code == 75, two.error_text()
            one_line(two.error_text())
            assert two.run(other, *ingest_words(tmp_path / second, *BATCH)) == 0, two.error_text()
    assert content(graph) == (expected, ["complete"])
