"""R3: run twice, in batches of any size and any order: one content, and a second run is no change.

Batches are shuffled among nodes and among relations: a relation cannot come before its ends (that
is refused, see R7).
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from conftest import quiet
from integration.small import write_small
from reliability.trial import undisturbed

from kg.ingest import dump, dump_hash, ingest, stats
from kg.ingest import load as load_module
from kg.ingest.staging import stage
from kg.ingest.tables import Writer
from kg.store import GraphStore


def reference(tmp_path: Path) -> str:
    data = write_small(tmp_path / "data")
    lines, _ = undisturbed(data, tmp_path / "reference")
    return hashlib.sha256(b"".join(lines)).hexdigest()


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_one_hash_whatever_the_size_of_a_batch(
    store: GraphStore, tmp_path: Path, rows: int
) -> None:
    expected = reference(tmp_path)
    data = write_small(tmp_path / "data")
    first = ingest(store, data, tmp_path / "first", quiet, batch_rows=rows)
    assert first.created == sum(t.rows for t in first.stage.tables)
    assert dump_hash(store) == expected
    loads = stats(store)["loads"]
    again = ingest(store, data, tmp_path / "second", quiet, batch_rows=rows)
    assert (again.created, again.changed, again.load) == (0, 0, None)
    assert dump_hash(store) == expected
    assert stats(store)["loads"] == loads


def test_one_hash_whatever_the_order_of_the_batches(store: GraphStore, tmp_path: Path) -> None:
    expected = reference(tmp_path)
    data = write_small(tmp_path / "data")
    staged = stage(data, tmp_path / "stage", quiet)
    store.ensure_schema()
    rng = random.Random(7)
    writer = Writer(store, staged.data_set, "shuffled", lambda: None)
    for kind in ("node", "relation"):
        tasks = [
            (table, rows)
            for table in staged.tables
            if table.kind == kind
            for _, rows in load_module._batches(staged, table, 0, 7)
        ]
        in_order = list(tasks)
        rng.shuffle(tasks)
        assert tasks != in_order
        tasks += rng.sample(tasks, len(tasks) // 3)  # some of them twice
        for table, rows in tasks:
            load_module._write(writer, table, [dict(row) for row in rows])
    assert hashlib.sha256(b"".join(dump(store))).hexdigest() == expected
    # The regular load finds everything there, whatever wrote it.
    assert ingest(store, data, tmp_path / "home", quiet).created == 0
