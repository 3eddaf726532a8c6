"""R23: neither the time zone nor ties in time change what is staged, stored or held out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from conftest import GraphAddress
from integration.small import write_small
from reliability.trial import Forks, fresh, ingest_words

SPLITS = """
import hashlib, json, sys, time
time.tzset()
from pathlib import Path
from kg.ingest import dump_hash
from kg.store import connect
from personarec.training.data import read_data
with connect({uri!r}, Path({home!r})) as store:
    data = read_data(store, "data")
    held = [data.split.valid.tolist(), data.split.test.tolist(), data.split.train.items.tolist()]
    print(json.dumps([dump_hash(store), hashlib.sha256(json.dumps(held).encode()).hexdigest()]))
sys.exit(0)
"""
ZONES = ("UTC", "Asia/Tokyo")


def outcome(forks: Forks, graph: GraphAddress, zone: str, data: Path) -> tuple[str, ...]:
    """Hash of the content, of the staged tables, of the graph and of the splits."""
    fresh(graph)
    local = replace(graph, environment=graph.environment | {"TZ": zone})
    assert forks.run(local, *ingest_words(data), fault="import time; time.tzset()") == 0
    (stage,) = (graph.home / "ingest" / "data").glob("stage-*")
    tables = hashlib.sha256()
    for file in sorted(stage.glob("*.parquet")):
        tables.update(file.name.encode() + pl.read_parquet(file).write_csv().encode())
    document = json.loads((stage / "stage.json").read_text())
    script = SPLITS.format(uri=graph.uri, home=str(graph.home))
    assert forks.run(local, fault=script) == 0, forks.error_text()
    dumped, split = json.loads(forks.out_text())
    return document["content_hash"], tables.hexdigest(), dumped, split


@pytest.mark.slow
def test_time_zones_and_ties(graph: GraphAddress, tmp_path: Path) -> None:
    """Of every user of this data set, interactions tie in time."""
    write_small(tmp_path / "data", "data", users=20)
    rows = [r.split("\t") for r in (tmp_path / "data" / "interactions.tsv").read_text().split("\n")]
    times = [(r[0], r[3]) for r in rows[1:-1]]
    assert len(set(times)) < len(times), "no ties"
    with Forks(tmp_path / "forks") as forks:
        outcomes = {outcome(forks, graph, zone, tmp_path / "data") for zone in ZONES}
    assert len(outcomes) == 1
