"""A Neo4j server that cannot be used: one line that says why, and nothing half done."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import GraphAddress
from services.neo4j_server import Neo4jServer
from test_whole_road import personarec

pytestmark = pytest.mark.neo4j


@pytest.fixture
def server(neo4j: Neo4jServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GraphAddress:
    monkeypatch.setenv("PERSONAREC_GRAPH_USER", neo4j.user)
    monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", neo4j.password)
    return GraphAddress("neo4j", neo4j.uri, tmp_path / "home", {})


def fails(graph: GraphAddress, *arguments: str) -> str:
    code, out, err = personarec(graph, *arguments)
    assert code != 0
    assert out == ""
    assert err.startswith("personarec: ")
    assert err.count("\n") == 1, err
    return err


def test_wrong_password(server: GraphAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", "sentinel-of-a-password")
    err = fails(server, "kg", "ingest", "--dataset", "demo")
    assert "refused the user name or password; set PERSONAREC_GRAPH_USER" in err
    assert "sentinel" not in err


def test_wrong_database(server: GraphAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAREC_GRAPH_DATABASE", "nowhere")
    err = fails(server, "kg", "stats")
    assert "has no database 'nowhere'; set PERSONAREC_GRAPH_DATABASE" in err


def test_doctor_names_the_server(server: GraphAddress) -> None:
    code, out, _ = personarec(server, "doctor", "--json")
    assert code == 0
    assert '"Neo4j Kernel 5.26.' in out


def test_doctor_says_what_fails(server: GraphAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", "sentinel-of-a-password")
    code, out, err = personarec(server, "doctor", "--json")
    assert code == 1
    assert "refused the user name or password" in out
    assert "sentinel" not in out + err
