"""The Neo4j of the tests is the one we mean, has what the project needs, and keeps what it says."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from neo4j import Driver, ManagedTransaction
from neo4j.exceptions import AuthError, ConstraintError, DriverError
from services.neo4j_server import Neo4jServer

pytestmark = pytest.mark.neo4j


@pytest.fixture
def driver(neo4j: Neo4jServer) -> Iterator[Driver]:
    with neo4j.driver() as driver:
        yield driver


@pytest.fixture
def label(driver: Driver) -> Iterator[str]:
    """A label that nothing else uses, for a server that may not be ours alone."""
    label = f"ServerTest{secrets.token_hex(4)}"
    yield label
    driver.execute_query(f"MATCH (n:{label}) DETACH DELETE n")


def test_version_and_edition(neo4j: Neo4jServer, driver: Driver) -> None:
    row = driver.execute_query(
        "CALL dbms.components() YIELD name, versions, edition"
        " WITH name, versions, edition WHERE name = 'Neo4j Kernel' RETURN versions, edition"
    ).records[0]
    version = row["versions"][0]
    if neo4j.how == "environment":  # whatever a user runs, from 5.26 on
        assert tuple(int(part) for part in version.split(".")[:2]) >= (5, 26)
    else:
        assert version.startswith("5.26")
        assert row["edition"] == "community"


def test_a_server_of_our_own_reserves_no_disk(neo4j: Neo4jServer, driver: Driver) -> None:
    if neo4j.how == "environment":
        pytest.skip("a server that a user runs reserves what it likes")
    rows = driver.execute_query("SHOW SETTINGS 'db.tx_log.preallocate' YIELD value").records
    assert [row["value"] for row in rows] == ["false"]


def test_password_is_asked_for(neo4j: Neo4jServer) -> None:
    wrong = Neo4jServer(neo4j.uri, neo4j.user, "not-" + neo4j.password, how=neo4j.how)
    with wrong.driver() as driver, pytest.raises(AuthError):
        driver.verify_connectivity()


def test_unique_constraint_holds(driver: Driver, label: str) -> None:
    driver.execute_query(
        f"CREATE CONSTRAINT {label}_id IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE"
    )
    try:
        driver.execute_query(f"CREATE (:{label} {{id: $id}})", id="a")
        with pytest.raises(ConstraintError):
            driver.execute_query(f"CREATE (:{label} {{id: $id}})", id="a")
    finally:
        driver.execute_query(f"DROP CONSTRAINT {label}_id IF EXISTS")


def test_vector_index_finds_the_nearest(driver: Driver, label: str) -> None:
    driver.execute_query(
        f"CREATE VECTOR INDEX {label}_v IF NOT EXISTS FOR (n:{label}) ON n.v OPTIONS {{indexConfig:"
        " {`vector.dimensions`: 3, `vector.similarity_function`: 'cosine',"
        " `vector.quantization.enabled`: false}}"
    )
    try:
        driver.execute_query(
            f"UNWIND $rows AS row CREATE (n:{label} {{id: row.id, v: row.v}})",
            rows=[
                {"id": "same", "v": [1.0, 0.0, 0.0]},
                {"id": "near", "v": [1.0, 1.0, 0.0]},
                {"id": "across", "v": [0.0, 1.0, 0.0]},
                {"id": "opposite", "v": [-1.0, 0.0, 0.0]},
            ],
        )
        driver.execute_query("CALL db.awaitIndexes(60)")
        rows = driver.execute_query(
            "CALL db.index.vector.queryNodes($index, 3, $v) YIELD node, score"
            " RETURN node.id AS id, score ORDER BY score DESC, id",
            index=f"{label}_v",
            v=[2.0, 0.0, 0.0],
        ).records
    finally:
        driver.execute_query(f"DROP INDEX {label}_v IF EXISTS")
    assert [row["id"] for row in rows] == ["same", "near", "across"]
    # The score is (1 + cosine) / 2.
    assert [row["score"] for row in rows] == pytest.approx([1.0, (1 + 0.5**0.5) / 2, 0.5], abs=1e-3)


def test_kill_keeps_what_was_committed_and_no_more(neo4j: Neo4jServer, label: str) -> None:
    if not neo4j.can_restart:
        pytest.skip(f"the server at {neo4j.uri} is not ours to kill")

    def create(transaction: ManagedTransaction, first: int) -> None:
        transaction.run(
            f"UNWIND range($first, $first + 99) AS i CREATE (:{label} {{id: toString(i)}})",
            first=first,
        ).consume()

    with neo4j.driver() as driver:
        for first in range(0, 1000, 100):
            with driver.session() as session:
                session.execute_write(create, first)
        open_session = driver.session()
        open_transaction = open_session.begin_transaction()
        open_transaction.run(f"CREATE (:{label} {{id: 'open'}})").consume()

        neo4j.kill()
        with pytest.raises(DriverError):
            driver.verify_connectivity()

        neo4j.start()
        neo4j.wait_ready()

    with neo4j.driver() as driver:
        rows = driver.execute_query(f"MATCH (n:{label}) RETURN n.id AS id").records
    assert sorted(int(row["id"]) for row in rows) == list(range(1000))
