"""R15: a server that is absent, dies, refuses or only reads: a resumed load, or one line of advice.

The servers here are killed and restarted, so they are processes of this module's own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import GraphAddress, in_ci, wipe
from integration.small import write_small
from reliability.trial import SLOWLY, Forks, content, ingest_words, one_line, undisturbed, until
from services.neo4j_server import Neo4jServer, free_port, jars_folder

from kg.ingest import stats

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0


class OwnServer:
    """Neo4j from its jars, which can be killed and started with other settings."""

    def __init__(self, home: Path, jars: Path) -> None:
        self._home, self._jars = home, jars
        self._process: subprocess.Popen[bytes] | None = None
        port = free_port()
        password = secrets.token_urlsafe(18)
        self.server = Neo4jServer(f"bolt://127.0.0.1:{port}", "neo4j", password, how="jars")
        self._port = str(port)

    def start(self, *settings: str) -> None:
        command = [
            str(ROOT / "docker" / "neo4j" / "run-jars.sh"), "--jars", str(self._jars),
            "--home", str(self._home), "--port", self._port,
        ]  # fmt: skip
        for setting in settings:
            command += ["--set", setting]
        with (self._home.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"NEO4J_AUTH": f"neo4j/{self.server.password}"},
            )  # fmt: skip

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    jars = jars_folder(os.environ)
    if not jars.is_dir() or shutil.which("java") is None:
        reason = f"SERVER RESTART NOT TESTED: no jars at {jars}, or no Java"
        pytest.fail(reason) if in_ci() else pytest.skip(reason)
    own = OwnServer(tmp_path_factory.mktemp("server") / "home", jars)
    own.start()
    try:
        own.server.wait_ready()
        yield own
    finally:
        own.kill()


@pytest.fixture
def graph(own: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GraphAddress:
    """An empty database of that server, which this process may open too."""
    user, password = own.server.user, own.server.password
    environment = {"PERSONAREC_GRAPH_USER": user, "PERSONAREC_GRAPH_PASSWORD": password}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PERSONAREC_GRAPH_DATABASE", raising=False)
    wipe(own.server)
    return GraphAddress("neo4j", own.server.uri, tmp_path / "home", environment, own.server)


@pytest.mark.neo4j
@pytest.mark.slow
def test_a_restart_in_the_middle_of_a_load_is_ridden_over(
    own: OwnServer, graph: GraphAddress, tmp_path: Path
) -> None:
    """kill -9 of the server between two batches, and up again: the running load goes on."""
    data = write_small(tmp_path / "data", "data", users=150, items=30)
    expected, _ = undisturbed(data, tmp_path / "reference")
    words = ingest_words(tmp_path / "data", "--batch-rows", "5")
    with Forks(tmp_path / "forks") as forks:
        forks.start(graph, *words, fault=SLOWLY)
        until(lambda: list(graph.home.glob("ingest/*/journal-*.json")))
        time.sleep(0.3)
        own.kill()
        own.start()
        own.server.wait_ready()
        code = forks.wait()
        # The driver's patience is a minute; on a slow machine the command may have to be repeated.
        if code:
            assert code == 75, forks.error_text()
            one_line(forks.error_text())
            assert forks.run(graph, *words) == 0, forks.error_text()
    assert content(graph) == (expected, ["complete"])


@pytest.mark.neo4j
@pytest.mark.slow
def test_a_server_that_stays_away_is_said_and_nothing_is_marked_done(
    own: OwnServer, graph: GraphAddress, tmp_path: Path
) -> None:
    """Mid-run the driver tries again for a minute; afterwards the refusal comes at once."""
    data = write_small(tmp_path / "data", "data", users=150, items=30)
    expected, _ = undisturbed(data, tmp_path / "reference")
    words = ingest_words(tmp_path / "data", "--batch-rows", "5")
    with Forks(tmp_path / "forks") as forks:
        forks.start(graph, *words, fault=SLOWLY)
        until(lambda: list(graph.home.glob("ingest/*/journal-*.json")))
        own.kill()
        began = time.monotonic()
        assert forks.wait() == 75, forks.error_text()
        line = one_line(forks.error_text())
        assert "no graph server answers" in line, line
        assert time.monotonic() - began < 100
        began = time.monotonic()
        assert forks.run(graph, *words) == 75
        assert time.monotonic() - began < SECONDS
        assert "no graph server answers" in one_line(forks.error_text())
        own.start()
        own.server.wait_ready()
        with graph.connect() as store:
            assert [x["status"] for x in stats(store)["loads"]] == ["running"]
        assert forks.run(graph, *words) == 0, forks.error_text()
        assert "resumed load" in forks.out_text()
    assert content(graph) == (expected, ["complete"])


@pytest.mark.neo4j
@pytest.mark.slow
def test_a_server_that_only_reads_is_said(
    own: OwnServer, graph: GraphAddress, tmp_path: Path
) -> None:
    data = write_small(tmp_path / "data", "data", users=20)
    with Forks(tmp_path / "forks") as forks:
        # With its constraints there, the first write that fails is one of the load.
        assert forks.run(graph, *ingest_words(tmp_path / "data")) == 0, forks.error_text()
        wipe(own.server)
        own.kill()
        own.start("server.databases.default_to_read_only=true")
        own.server.wait_ready()
        try:
            began = time.monotonic()
            code = forks.run(graph, *ingest_words(tmp_path / "data"))
            seconds = time.monotonic() - began
            line = one_line(forks.error_text())
            assert code == 1, line
            assert "read" in line.lower(), line
            assert seconds < SECONDS
            assert content(graph) == ([], [])
        finally:
            own.kill()
            own.start()
            own.server.wait_ready()
        assert forks.run(graph, *ingest_words(tmp_path / "data")) == 0, forks.error_text()
    assert content(graph) == (undisturbed(data, tmp_path / "reference")[0], ["complete"])


@pytest.mark.neo4j
@pytest.mark.parametrize(
    ("name", "value", "code", "cause", "advice"),
    [
        ("PASSWORD", "wrong", 1, "refused the user name or password", "PERSONAREC_GRAPH_PASSWORD"),
        ("USER", "nobody", 1, "refused the user name or password", "PERSONAREC_GRAPH_USER"),
        ("DATABASE", "nowhere", 1, "no database 'nowhere'", "PERSONAREC_GRAPH_DATABASE"),
        ("", "bolt://127.0.0.1:1", 75, "no graph server answers", "start it"),
    ],
)
def test_what_cannot_work_fails_soon_and_leaves_nothing(
    neo4j: Neo4jServer, tmp_path: Path, name: str, value: str, code: int, cause: str, advice: str
) -> None:
    write_small(tmp_path / "data", "data")
    wipe(neo4j)
    right = {"PERSONAREC_GRAPH_USER": neo4j.user, "PERSONAREC_GRAPH_PASSWORD": neo4j.password}
    environment = right | ({f"PERSONAREC_GRAPH_{name}": value} if name else {})
    uri = neo4j.uri if name else value
    with Forks(tmp_path / "forks") as forks:
        graph = GraphAddress("neo4j", uri, tmp_path / "home", environment)
        began = time.monotonic()
        assert forks.run(graph, *ingest_words(tmp_path / "data")) == code
        assert time.monotonic() - began < SECONDS
        line = one_line(forks.error_text())
        assert cause in line
        assert advice in line
        mended = GraphAddress("neo4j", neo4j.uri, tmp_path / "home", right, neo4j)
        assert forks.run(mended, "kg", "stats", "--json") == 0
        assert '"loads": []' in forks.out_text()


@pytest.mark.slow
def test_a_port_that_takes_connections_and_says_nothing(tmp_path: Path) -> None:
    """Not a graph server at all: the wait for an answer ends."""
    import socket

    write_small(tmp_path / "data", "data")
    with socket.create_server(("127.0.0.1", 0)) as silent, Forks(tmp_path / "forks") as forks:
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(silent.accept()[0]), daemon=True).start()
        uri = f"bolt://127.0.0.1:{silent.getsockname()[1]}"
        graph = GraphAddress("neo4j", uri, tmp_path / "home", {})
        began = time.monotonic()
        assert forks.run(graph, *ingest_words(tmp_path / "data")) == 75
        assert time.monotonic() - began < SECONDS
        one_line(forks.error_text())
