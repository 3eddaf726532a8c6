"""kill -9 at random points of an ingest, and again: the graph is that of an undisturbed load."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet, wipe
from small import write_small

from kg.ingest import DataSetSources, dump, ingest, stats
from kg.ingest.journal import Journal
from kg.store import connect

POINTS = 10
BATCH_ROWS = 10  # so that a load is hundreds of batches: a late signal still meets it


def command(graph: GraphAddress, data: Path) -> list[str]:
    where = ["--home", str(graph.home), *(["--graph", graph.uri] if graph.uri else [])]
    code = "from cli import main; main()"
    options = ["--dataset", str(data), "--batch-rows", str(BATCH_ROWS)]
    return [sys.executable, "-c", code, "kg", "ingest", *options, *where]


def start(graph: GraphAddress, data: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(graph, data),
        env=os.environ | graph.environment,
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def undisturbed(data: DataSetSources, home: Path) -> tuple[list[bytes], list[int]]:
    """The dump of a load nobody disturbed, and the rows of each of its tables."""
    with connect(None, home) as store:
        result = ingest(store, data, home, quiet)
        return list(dump(store)), [t.rows for t in result.stage.tables]


def batches_done(graph: GraphAddress, tables: list[int]) -> int:
    """How many batches the journal of the running load speaks of."""
    for file in graph.home.glob("ingest/*/journal-*.json"):
        if journal := Journal.load_from(file):
            whole = sum(-(-rows // BATCH_ROWS) for rows in tables[: journal.table])
            return whole + journal.row // BATCH_ROWS
    return 0


@pytest.mark.slow
def test_killed_at_random_points(graph: GraphAddress, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    data = write_small(folder, "data", users=400, items=60)
    expected, tables = undisturbed(data, tmp_path / "reference")
    total = sum(-(-rows // BATCH_ROWS) for rows in tables)
    rng = random.Random(20261121)
    interrupted = 0
    for point in range(POINTS):
        fresh(graph)
        after = rng.randrange(total)
        process = start(graph, folder)
        while process.poll() is None and batches_done(graph, tables) < after:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))  # anywhere within the next batch
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            interrupted += 1
        process.communicate()
        resumed = start(graph, folder)
        _, err = resumed.communicate(timeout=120)
        assert resumed.returncode == 0, err.decode()
        with graph.connect() as store:
            assert list(dump(store)) == expected, f"kill {point}"
            assert {x["status"] for x in stats(store)["loads"]} == {"complete"}
    assert interrupted >= POINTS - 2, "loads ended before they were killed"


def fresh(graph: GraphAddress) -> None:
    """Empty the graph and the home folder."""
    if graph.server is not None:
        wipe(graph.server)
    shutil.rmtree(graph.home, ignore_errors=True)


def test_sigterm_stops_after_the_batch_and_goes_on(graph: GraphAddress, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    data = write_small(folder, "data", users=400, items=60)
    expected, tables = undisturbed(data, tmp_path / "reference")
    process = start(graph, folder)
    while process.poll() is None and batches_done(graph, tables) < 2:
        time.sleep(0.01)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err.decode()
    resumed = start(graph, folder)
    _, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err.decode()
    with graph.connect() as store:
        assert list(dump(store)) == expected
