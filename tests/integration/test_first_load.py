"""The first load of an empty database: in bulk where the engine can, and never half of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet
from small import write_small

from kg.errors import TryAgainError
from kg.ingest import dump, ingest, stats
from kg.ingest import load as load_module
from kg.ingest.journal import Journal
from kg.ingest.sources import DataSetSources
from kg.store import GraphStore, connect
from kg.store.embedded import FILLING, Filling

ALWAYS = range(1, 1_000_000)
KILLS = 20
ROOT = Path(__file__).resolve().parents[2]


class StoppedError(Exception):
    """Stands in for whatever ends a load early."""


def in_batches(data: DataSetSources, home: Path, patch: pytest.MonkeyPatch) -> list[bytes]:
    """The dump of a load in batches into an embedded engine of its own."""
    with patch.context() as patched, connect(None, home) as store:
        patched.setattr(load_module, "BULK_ROWS", range(0))
        ingest(store, data, home, quiet)
        return list(dump(store))


def journals(patch: pytest.MonkeyPatch) -> list[Path]:
    """The journals that are written from here on: only a load in batches writes any."""
    saved: list[Path] = []
    save = Journal.save

    def noting(journal: Journal, path: Path) -> None:
        saved.append(path)
        save(journal, path)

    patch.setattr(Journal, "save", noting)
    return saved


def test_bulk_and_batches_leave_the_same(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_small(tmp_path / "data", users=40)
    file = data.sources[0].path
    extremes = f"u1\ti3\t0.1\t{2**63 - 1}\nu2\ti5\t\t{-(2**63)}\nu\u20abé\U0001f600\ti1\t1e-3\t0\n"
    file.write_text(file.read_text("utf-8") + extremes, "utf-8")
    expected = in_batches(data, tmp_path / "reference", monkeypatch)
    monkeypatch.setattr(load_module, "BULK_ROWS", ALWAYS)
    saved = journals(monkeypatch)
    result = ingest(store, data, tmp_path, quiet, batch_rows=7)
    total = sum(t.rows for t in result.stage.tables)
    assert (result.created, result.changed, result.unchanged) == (total, 0, 0)
    assert list(dump(store)) == expected
    assert bool(saved) == (store.engine == "neo4j"), "only the embedded engine loads in bulk"
    (load,) = stats(store)["loads"]
    assert (load["id"], load["status"], load["created"]) == (result.load, "complete", total)
    assert relations_from_their_ends(store) == sum(stats(store)["relations"].values())
    again = ingest(store, data, tmp_path, quiet)
    assert (again.created, again.changed, again.unchanged, again.load) == (0, 0, total, None)


def relations_from_their_ends(store: GraphStore) -> int:
    """All relations, found from the nodes that they lead to by their ids."""
    total = 0
    for label in stats(store)["nodes"]:
        query = f"MATCH (n:{label}) WITH n.id AS id MATCH (m:{label} {{id: id}})<-[r]-() "
        total += store.read_text(f"{query} RETURN count(r) AS n", {}, 1)[1][0][0]
    return total


def test_a_second_data_set_comes_in_batches(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(store, write_small(tmp_path / "a", "a"), tmp_path, quiet)
    alone = list(dump(store, "a"))
    monkeypatch.setattr(load_module, "BULK_ROWS", ALWAYS)
    saved = journals(monkeypatch)
    ingest(store, write_small(tmp_path / "b", "b"), tmp_path, quiet)
    assert saved
    assert list(dump(store, "a")) == alone


@pytest.mark.parametrize("after", [0, 30, 120])
def test_a_bulk_load_that_ends_early_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    data = write_small(tmp_path / "data", users=40)
    expected = in_batches(data, tmp_path / "reference", monkeypatch)
    monkeypatch.setattr(load_module, "BULK_ROWS", ALWAYS)

    def stops(what: str, done: int, _total: int | None) -> None:
        if what == "writing" and done > after:
            raise StoppedError

    with connect(None, tmp_path) as store, pytest.raises(StoppedError):
        ingest(store, data, tmp_path, stops, batch_rows=10)
    assert (tmp_path / "graph" / FILLING).exists()
    with connect(None, tmp_path) as store:
        assert stats(store) == {"nodes": {}, "relations": {}, "loads": []}
        assert not ingest(store, data, tmp_path, quiet).resumed
        assert list(dump(store)) == expected
    assert not (tmp_path / "graph" / FILLING).exists()


def test_no_bulk_load_beside_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "BULK_ROWS", ALWAYS)
    saved = journals(monkeypatch)
    with connect(None, tmp_path) as owner, connect(None, tmp_path):
        ingest(owner, write_small(tmp_path / "data"), tmp_path, quiet)
        assert saved


def test_nobody_connects_to_half_a_bulk_load(tmp_path: Path) -> None:
    def look(_filling: Filling) -> None:
        with pytest.raises(TryAgainError, match="loads the first data set"):
            connect(None, tmp_path)

    with connect(None, tmp_path) as store:
        store.ensure_schema()
        assert store.fill(look)
        with connect(None, tmp_path) as guest:
            assert not guest.fill(look)


def test_a_relation_without_its_end_ends_a_bulk_load(tmp_path: Path) -> None:
    def half(filling: Filling) -> None:
        filling.nodes("User", [{"id": "x:u"}])
        filling.relations(("RATED", "User", "User"), [("x:u", "x:nobody")], [{}])

    with connect(None, tmp_path) as store:
        store.ensure_schema()
        with pytest.raises(KeyError, match="x:nobody"):
            store.fill(half)
    with connect(None, tmp_path) as store:
        assert list(dump(store)) == []


def test_two_data_sets_at_once_share_what_they_name(graph: GraphAddress, tmp_path: Path) -> None:
    """Both create the same people; the one that comes second finds them."""
    sets = [write_small(tmp_path / n, n, users=20, items=60) for n in ("a", "b")]
    errors: list[BaseException] = []
    with graph.connect() as store:
        store.ensure_schema()
        barrier = threading.Barrier(2)

        def load(data: DataSetSources) -> None:
            try:
                barrier.wait(60)
                ingest(store, data, tmp_path / "home", quiet, batch_rows=3)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=load, args=(data,)) for data in sets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
        assert not errors
        found = list(dump(store))
    with connect(None, tmp_path / "reference") as reference:
        for data in sets:
            ingest(reference, data, tmp_path / "reference", quiet)
        assert found == list(dump(reference))


# -- killed ----------------------------------------------------------------------------------------


def start(data: Path, home: Path) -> subprocess.Popen[bytes]:
    code = (
        "from kg.ingest import load; load.BULK_ROWS = range(1, 1_000_000); "
        "from cli import main; main()"
    )
    command = ["kg", "ingest", "--dataset", str(data), "--home", str(home), "--batch-rows", "500"]
    return subprocess.Popen(
        [sys.executable, "-c", code, *command],
        env={k: v for k, v in os.environ.items() if not k.startswith("PERSONAREC_GRAPH")},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err.decode()


def seconds_of_bulk(process: subprocess.Popen[bytes], marker: Path) -> float:
    """How long the marker of a bulk load stands."""
    while process.poll() is None and not marker.exists():
        time.sleep(0.001)
    began = time.monotonic()
    while process.poll() is None and marker.exists():
        time.sleep(0.001)
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_anywhere_in_a_bulk_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    data = write_small(folder, "data", users=3_000, items=400)
    expected = in_batches(data, tmp_path / "reference", monkeypatch)
    home = tmp_path / "undisturbed"
    process = start(folder, home)
    lasts = seconds_of_bulk(process, home / "graph" / FILLING)
    ended(process)
    rng = random.Random(20261121)
    halves = 0
    for kill in range(KILLS):
        home = tmp_path / f"home-{kill}"
        marker = home / "graph" / FILLING
        process = start(folder, home)
        while process.poll() is None and not marker.exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 1.2) * lasts)  # a few after its end, and before the ledger's
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        halves += marker.exists()
        ended(start(folder, home))
        with connect(None, home) as store:
            assert list(dump(store)) == expected, f"kill {kill}"
            total = sum(stats(store)["relations"].values())
            assert relations_from_their_ends(store) == total
            assert [x["status"] for x in stats(store)["loads"]] == ["complete"]
    assert halves >= KILLS // 2, "loads ended before they were killed"
