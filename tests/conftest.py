"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from services.neo4j_server import (
    NamedServerUnreachable,
    Neo4jServer,
    ServerUnavailable,
    neo4j_server,
)

from kg.store import GraphStore, connect

NEO4J_REACHED = pytest.StashKey[str]()
NEO4J_NOT_TESTED = pytest.StashKey[str]()


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.fixture(scope="session")
def neo4j(pytestconfig: pytest.Config) -> Iterator[Neo4jServer]:
    """One running Neo4j for the whole run, or for each of its processes.

    Without one, the tests that ask for it are skipped on a developer's machine and fail in CI; so
    they do anywhere when the environment names a server that does not answer.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        server: Neo4jServer | None = None
        must_fail = in_ci()
        try:
            server = stack.enter_context(neo4j_server())
        except NamedServerUnreachable as error:
            reason, must_fail = str(error), True
        except ServerUnavailable as error:
            reason = str(error)
        if server is None:
            pytestconfig.stash[NEO4J_NOT_TESTED] = reason
            if must_fail:
                pytest.fail(f"these tests must run here, and Neo4j: {reason}", pytrace=False)
            pytest.skip(f"NEO4J NOT TESTED: {reason}")

        seconds = time.monotonic() - began
        line = f"Neo4j reached by {server.how}: {server.detail}, up in {seconds:.1f} s"
        # That no server is named in the environment is the usual case and no news.
        lost = [reason for reason in server.passed_over if not reason.startswith("environment:")]
        pytestconfig.stash[NEO4J_REACHED] = "\n  passed over: ".join([line, *lost])
        yield server


# -- side by side in two processes (pytest-xdist) --------------------------------------------------


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What a worker knows of Neo4j, sent to the process that writes the summary."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["neo4j"] = [
            session.config.stash.get(key, None) for key in (NEO4J_REACHED, NEO4J_NOT_TESTED)
        ]


class FromWorkers:
    """Registered where pytest-xdist is there."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Keep what a worker sent in its output."""
        for key, line in zip(
            (NEO4J_REACHED, NEO4J_NOT_TESTED), getattr(node, "workeroutput", {}).get("neo4j", ()),
            strict=False,
        ):  # fmt: skip
            if line:
                self.config.stash[key] = line


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FromWorkers(config))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say in one line whether Neo4j was tested: a skip alone is easily overlooked."""
    if reason := config.stash.get(NEO4J_NOT_TESTED, None):
        terminalreporter.write_line(f"NEO4J NOT TESTED: {reason}", red=True, bold=True)
    elif reached := config.stash.get(NEO4J_REACHED, None):
        terminalreporter.write_line(reached, green=True)
    else:
        terminalreporter.write_line("Neo4j: no test of this run asked for it")


# -- the graph, on both engines --------------------------------------------------------------------

ENGINES = [
    pytest.param("embedded", id="embedded"),
    pytest.param("neo4j", id="neo4j", marks=pytest.mark.neo4j),
]


@dataclass(frozen=True)
class GraphAddress:
    """An empty database of one engine: what ``connect`` needs, and what a subprocess needs."""

    engine: str
    uri: str | None
    home: Path
    environment: dict[str, str]
    server: Neo4jServer | None = None

    def connect(self) -> GraphStore:
        return connect(self.uri, self.home)


@pytest.fixture(params=ENGINES)
def graph(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> GraphAddress:
    """An empty graph on each engine in turn."""
    home = tmp_path / "home"
    for name in [n for n in os.environ if n.startswith("PERSONAREC_GRAPH")]:
        monkeypatch.delenv(name)
    if request.param == "embedded":
        return GraphAddress("embedded", None, home, {})
    server: Neo4jServer = request.getfixturevalue("neo4j")
    environment = {
        "PERSONAREC_GRAPH_USER": server.user,
        "PERSONAREC_GRAPH_PASSWORD": server.password,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    wipe(server)
    return GraphAddress("neo4j", server.uri, home, environment, server)


@pytest.fixture
def store(graph: GraphAddress) -> Iterator[GraphStore]:
    """A connection to an empty graph on each engine in turn."""
    with graph.connect() as opened:
        yield opened


def wipe(server: Neo4jServer) -> None:
    """Empty the test server's database, indexes of personas too."""
    with server.driver() as driver:
        names = driver.execute_query("SHOW INDEXES YIELD name, type WHERE type = 'VECTOR'").records
        for (name,) in ((r["name"],) for r in names):
            driver.execute_query(f"DROP INDEX `{name}` IF EXISTS")
        # In parts: one transaction over everything would not fit a small heap.
        for query in (
            "MATCH ()-[r]->() WITH r LIMIT 20000 DELETE r RETURN count(*) AS n",
            "MATCH (n) WITH n LIMIT 20000 DELETE n RETURN count(*) AS n",
        ):
            while driver.execute_query(query).records[0]["n"]:
                pass


def quiet(_what: str, _done: int, _total: int | None) -> None:
    """A progress callback that says nothing."""


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets, where there is one."""
    named = os.environ.get("PERSONAREC_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("REAL DATA NOT TESTED: no PERSONAREC_DATA and no ../shared/data")
    return folder
