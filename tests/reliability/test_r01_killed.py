"""R1 and R2: kill -9 during an ingest, anywhere, and resume: the graph of an undisturbed load."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from conftest import GraphAddress
from integration.small import write_small
from reliability.trial import Forks, content, fresh, ingest_words, undisturbed

from kg.ingest.journal import Journal

POINTS = 50
POINTS_BEFORE_JOURNAL = 20
BATCH_ROWS = 20

DIE_BEFORE_JOURNAL = """
import os, signal
from kg.ingest.journal import Journal
save, calls = Journal.save, []
def dying(journal, path):
    calls.append(path)
    if len(calls) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    save(journal, path)
Journal.save = dying
"""


def batches(rows: int) -> int:
    return -(-rows // BATCH_ROWS)


def batches_done(graph: GraphAddress, tables: list[int]) -> int:
    """How many batches the journal of the running load speaks of."""
    for file in graph.home.glob("ingest/*/journal-*.json"):
        if journal := Journal.load_from(file):
            return sum(map(batches, tables[: journal.table])) + batches(journal.row)
    return 0


@pytest.mark.slow
def test_killed_at_random_points(graph: GraphAddress, tmp_path: Path) -> None:
    """One point in five lies before the first batch: in the start, the staging or the schema."""
    data = write_small(tmp_path / "data", "data", users=45, items=15)
    words = ingest_words(tmp_path / "data", "--batch-rows", str(BATCH_ROWS))
    expected, tables = undisturbed(data, tmp_path / "reference")
    total = sum(map(batches, tables))
    rng = random.Random(20261121)
    killed = equal = resumed = 0
    with Forks(tmp_path / "forks") as forks:
        forks.start(graph, *words)
        began = time.monotonic()
        while not batches_done(graph, tables):
            time.sleep(0.002)
        until_first = time.monotonic() - began
        assert forks.wait() == 0, forks.error_text()
        while killed < POINTS:
            fresh(graph)
            forks.start(graph, *words)
            if killed % 5 == 0:
                time.sleep(rng.uniform(0, until_first))
            else:
                after, end = rng.randrange(1, total), time.monotonic() + 30
                while batches_done(graph, tables) < after and time.monotonic() < end:
                    time.sleep(0.001)
                time.sleep(rng.uniform(0, 0.01))  # anywhere within the next batch
            forks.kill()
            if forks.wait() == 0:
                continue  # it had ended; another point
            killed += 1
            assert forks.run(graph, *words) == 0, forks.error_text()
            lines, states = content(graph)
            equal += lines == expected and states == ["complete"]
            resumed += "resumed load" in forks.out_text()
    assert equal == killed == POINTS
    assert resumed > POINTS / 2, "hardly any kill came after the first batch"


@pytest.mark.slow
def test_killed_between_the_commit_and_the_journal(graph: GraphAddress, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data", "data", users=45, items=15)
    words = ingest_words(tmp_path / "data", "--batch-rows", str(BATCH_ROWS))
    expected, tables = undisturbed(data, tmp_path / "reference")
    total = sum(map(batches, tables))
    assert total >= POINTS_BEFORE_JOURNAL
    equal = 0
    with Forks(tmp_path / "forks") as forks:
        for point in range(POINTS_BEFORE_JOURNAL):
            fresh(graph)
            number = 1 + point * total // POINTS_BEFORE_JOURNAL
            fault = DIE_BEFORE_JOURNAL.format(number=number)
            assert forks.run(graph, *words, fault=fault) == -9, forks.error_text()
            assert batches_done(graph, tables) == number - 1
            assert forks.run(graph, *words) == 0, forks.error_text()
            lines, states = content(graph)
            # A duplicate node or relation would be one line more.
            equal += lines == expected and states == ["complete"]
    assert equal == POINTS_BEFORE_JOURNAL
