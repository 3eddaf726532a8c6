"""A cluster's ways with one server: routing, a leader that moves, and reading one's own writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from conftest import quiet, wipe
from services.bolt_proxy import Act, bolt_proxy
from services.neo4j_server import Neo4jServer
from small import write_small

from kg.ingest import dump_hash, ingest
from kg.store import GraphStore, connect, statement

pytestmark = pytest.mark.neo4j


@pytest.fixture
def server(neo4j: Neo4jServer, monkeypatch: pytest.MonkeyPatch) -> Neo4jServer:
    """An empty Neo4j whose password is in the environment."""
    monkeypatch.setenv("PERSONAREC_GRAPH_USER", neo4j.user)
    monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", neo4j.password)
    monkeypatch.delenv("PERSONAREC_GRAPH_DATABASE", raising=False)
    wipe(neo4j)
    return neo4j


def in_turn(acts: Iterable[Act]) -> Callable[[bytes], Act]:
    """Each BEGIN gets the next act; then all pass."""
    left = iter(acts)
    return lambda _: next(left, "pass")


def lock(store: GraphStore, dataset: str) -> None:
    store.write(statement("lock_data_set"), dataset=dataset, token="a test")


def names(store: GraphStore) -> list[str]:
    return [row[0] for row in store.read(statement("data_sets"))]


def test_ingest_over_a_routed_uri(server: Neo4jServer, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    with (
        bolt_proxy(server.uri) as proxy,
        connect(f"neo4j://127.0.0.1:{proxy.port}", tmp_path) as store,
    ):
        assert ingest(store, data, tmp_path, quiet).created > 0
        by_route = dump_hash(store)
        assert proxy.routed > 0  # a routing table was asked for, and it led back here
        assert proxy.begun
    with connect(server.uri, tmp_path) as store:
        assert dump_hash(store) == by_route
        assert ingest(store, data, tmp_path, quiet).load is None


@pytest.mark.parametrize(
    "act",
    [
        "Neo.ClientError.Cluster.NotALeader",
        "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase",
        "Neo.TransientError.General.DatabaseUnavailable",
        "cut",
    ],
)
def test_a_leader_that_moves_is_found_again(server: Neo4jServer, tmp_path: Path, act: Act) -> None:
    with (
        bolt_proxy(server.uri, in_turn([act, act])) as proxy,
        connect(f"neo4j://127.0.0.1:{proxy.port}", tmp_path) as store,
    ):
        lock(store, "moved")
        assert len(proxy.begun) == 3
        assert names(store) == ["moved"]


def test_an_ingest_rides_over_many_moves(server: Neo4jServer, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    with connect(server.uri, tmp_path) as store:
        ingest(store, data, tmp_path / "plain", quiet)
        expected = dump_hash(store)
    wipe(server)
    acts: list[Act] = ["pass"] * 40
    acts[20], acts[24], acts[30] = "Neo.ClientError.Cluster.NotALeader", "cut", "cut"
    with (
        bolt_proxy(server.uri, in_turn(acts)) as proxy,
        connect(f"neo4j://127.0.0.1:{proxy.port}", tmp_path) as store,
    ):
        result = ingest(store, data, tmp_path / "moved", quiet, batch_rows=10)
        assert len(proxy.begun) > 31, "all that was planted came up"
        assert result.created == sum(t.rows for t in result.stage.tables)
        assert dump_hash(store) == expected


def test_each_transaction_waits_for_the_ones_before(server: Neo4jServer, tmp_path: Path) -> None:
    """Sessions share bookmarks: without them a follower that lags answers from the past."""
    with (
        bolt_proxy(server.uri) as proxy,
        connect(f"neo4j://127.0.0.1:{proxy.port}", tmp_path) as store,
    ):
        lock(store, "first")
        (written,) = store._bookmarks.get_bookmarks()
        assert names(store) == ["first"]
        lock(store, "second")
        first, read, second = proxy.begun
        assert b"bookmarks" not in first
        assert written.encode() in read
        assert written.encode() in second
        (newer,) = store._bookmarks.get_bookmarks()
        assert newer != written
        names(store)
        assert newer.encode() in proxy.begun[-1]
