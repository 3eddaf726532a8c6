"""Files of ``kg ingest --offline`` through Neo4j's own importer, against an online load."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import in_ci, quiet, wipe
from services.neo4j_offline import StoppedNeo4j
from services.neo4j_server import Neo4jServer, ServerUnavailable
from small import write_small

from kg.ingest import DataSetSources, dump, dump_hash, ingest, stats
from kg.ingest.offline import ImportFiles, write_import_files
from kg.ingest.staging import stage
from kg.store import GraphStore, connect
from personarec.datasets.manifest import resolve

pytestmark = pytest.mark.neo4j

NASTY = (
    "", " ", " leads", "trails ", "\ttab\t", 'a "quoted" one', '"', '""', "\\", '\\"', "it's",
    "a,b;c|d", "two\nlines", "two\r\nlines", "\r", "\n", "\n\n\"\n", "null", "NULL", "NaN", "1",
    "true", "=1+1", "# no comment", "@import.args", "{}", "é", "e\u0301", "\u2028\u2029\u0085",
    "\ufeffmark", "\u200b", "\u202eright to left", "عربي", "\U0001f409", "\x1f\x01\x7f", "%20&amp;",
    "a\0b",
)  # fmt: skip
LONG = 'say "so" ' * 400_000  # more than the importer's buffer when its quotes are doubled
NUMBERS = (0.1, 1e-7, 1e300, 5e-324, 1 / 3, 123456789.123456789, -0.0, 4.0, None)
WHOLE = (0, -1, 2**63 - 1, -(2**63), 2**53 + 1, 1_000_000)


@pytest.fixture
def stopped(tmp_path: Path) -> StoppedNeo4j:
    """An empty Neo4j that does not run; skipped or failed as the other Neo4j tests."""
    try:
        return StoppedNeo4j(tmp_path / "neo4j", os.environ)
    except ServerUnavailable as error:
        if in_ci():
            pytest.fail(f"the offline import must be tested here: {error}", pytrace=False)
        pytest.skip(f"OFFLINE IMPORT NOT TESTED: {error}")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[Neo4jServer, Path], GraphStore]:
    """Connect to a server of the test's own."""

    def connected(server: Neo4jServer, home: Path) -> GraphStore:
        monkeypatch.setenv("PERSONAREC_GRAPH_USER", server.user)
        monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", server.password)
        return connect(server.uri, home)

    return connected


def imported(stopped: StoppedNeo4j, files: ImportFiles) -> None:
    """Run the printed command as it is."""
    done = stopped.shell(files.command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "IMPORT DONE" in done.stdout


def ledger(store: GraphStore) -> list[dict[str, Any]]:
    """Finished loads, without what differs from one load to the next."""
    volatile = ("id", "startedAt", "finishedAt")
    loads = stats(store)["loads"]
    assert all(load["startedAt"] <= load["finishedAt"] for load in loads)
    return [{k: v for k, v in load.items() if k not in volatile} for load in loads]


def compare_with_online(
    stopped: StoppedNeo4j,
    opened: Callable[[Neo4jServer, Path], GraphStore],
    data: DataSetSources,
    folder: Path,
    home: Path,
) -> None:
    """Import, look, ingest again online; then empty the server, ingest, and look again."""
    staged = stage(data, home / "ingest" / data.name, quiet)
    files = write_import_files(staged, folder, quiet)
    imported(stopped, files)
    with ExitStack() as stack:
        server = stack.enter_context(stopped.running())
        store = stack.enter_context(opened(server, home))
        offline_lines, offline_hash = list(dump(store)), dump_hash(store, data.name)
        offline_counts, offline_ledger = stats(store), ledger(store)

        again = ingest(store, data, home, quiet)
        assert (again.created, again.changed, again.load) == (0, 0, None)
        assert again.unchanged == files.nodes + files.relations
        names = {row[0] for row in store.read(_shown("SHOW CONSTRAINTS YIELD name RETURN name"))}
        assert {"user_id", "movie_id", "dataset_id"} <= names  # the ingest has made them

        wipe(server)
        ingest(store, data, home, quiet)
        assert offline_lines == list(dump(store))
        assert offline_hash == dump_hash(store, data.name)
        online_counts = stats(store)
        assert offline_counts["nodes"] == online_counts["nodes"]
        assert offline_counts["relations"] == online_counts["relations"]
        assert offline_ledger == ledger(store)


def _shown(text: str) -> Any:
    from kg.store import Statement

    return Statement("test", text, "read")


def make_nasty(staged_folder: Path) -> None:
    """Put texts and numbers of every kind into the staged tables, keys of users included."""
    for file in sorted(staged_folder.glob("*.parquet")):
        frame = pl.read_parquet(file)
        places = range(len(frame))
        texts = [NASTY[i % len(NASTY)] for i in places]
        if file.stem == "node-User":
            frame = frame.with_columns(id=pl.col("id").map_elements(_nasty_key, pl.String))
        elif file.stem.startswith("node-Movie"):
            frame = frame.with_columns(title=pl.Series([LONG, *texts[1:]]))
        elif file.stem.startswith("node-"):
            frame = frame.with_columns(name=pl.Series(texts, dtype=pl.String))
        elif file.stem.startswith("relation-RATED"):
            frame = frame.with_columns(
                source=pl.col("source").map_elements(_nasty_key, pl.String),
                rating=pl.Series([NUMBERS[i % len(NUMBERS)] for i in places], dtype=pl.Float64),
                timestamp=pl.Series([WHOLE[i % len(WHOLE)] for i in places], dtype=pl.Int64),
            )
        frame.write_parquet(file)


def _nasty_key(key: str) -> str:
    return key + NASTY[sum(map(ord, key)) % len(NASTY)]


def test_every_text_and_number_arrives_as_an_online_load_brings_it(
    stopped: StoppedNeo4j,
    opened: Callable[[Neo4jServer, Path], GraphStore],
    tmp_path: Path,
) -> None:
    data = write_small(tmp_path / "data", users=len(NASTY), items=len(NASTY))
    staged = stage(data, tmp_path / "home" / "ingest" / data.name, quiet)
    make_nasty(staged.folder)
    # A folder whose name a shell would take apart.
    folder = tmp_path / "o'ne, $two" / "files"
    compare_with_online(stopped, opened, data, folder, tmp_path / "home")


def test_only_a_new_database_can_be_filled(stopped: StoppedNeo4j, tmp_path: Path) -> None:
    staged = stage(write_small(tmp_path / "data"), tmp_path / "work", quiet)
    files = write_import_files(staged, tmp_path / "files", quiet)
    imported(stopped, files)
    again = stopped.shell(files.command)
    assert again.returncode != 0
    assert "--overwrite-destination" in again.stdout + again.stderr


def test_a_relation_without_its_end_is_refused(stopped: StoppedNeo4j, tmp_path: Path) -> None:
    """The guard is the importer's own; it must not be told to skip."""
    staged = stage(write_small(tmp_path / "data"), tmp_path / "work", quiet)
    users = staged.folder / "node-User.parquet"
    pl.read_parquet(users).head(3).write_parquet(users)
    files = write_import_files(staged, tmp_path / "files", quiet)
    refused = stopped.shell(files.command)
    assert refused.returncode != 0
    assert "Error in input data" in refused.stdout + refused.stderr


@pytest.mark.slow
def test_movielens_with_dbpedia(
    stopped: StoppedNeo4j,
    opened: Callable[[Neo4jServer, Path], GraphStore],
    shared_data: Path,
    tmp_path: Path,
) -> None:
    data = resolve(str(shared_data / "movielens-dbpedia"))
    compare_with_online(stopped, opened, data, tmp_path / "files", tmp_path / "home")
    shutil.rmtree(tmp_path / "neo4j")
