"""R4: kill -9 while personas are written, with readers at work: each read is all old or all new."""

from __future__ import annotations

import importlib
import json
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import GraphAddress, quiet
from reliability.trial import Forks, until

from kg.errors import PersonarecError
from kg.ingest import DataSetSources, Source, ingest, stats
from kg.store import GraphStore
from kg.views import read_users
from kg.views.personas import (
    PersonaModel,
    current_model,
    read_personas,
    versions,
    write_personas,
)  # fmt: skip

USERS, SIZE, POINTS = 1_500, 16, 6

WRITER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from kg.store import connect
from kg.views import read_users
from kg.views.personas import write_personas
from reliability.test_r04_readers import model, vectors
with connect({uri!r}, Path({home!r})) as store:
    users = read_users(store, "many")
    write_personas(store, model({version}), users, vectors({version}), [], lambda *_: None)
sys.exit(0)
"""


def model(version: int) -> PersonaModel:
    return PersonaModel(f"many-test-{version:08x}", "many", "test", SIZE, "everything", USERS)


def vectors(version: int) -> np.ndarray:
    return np.random.default_rng(version).standard_normal((USERS, SIZE)).astype(np.float32)


class Reader(threading.Thread):
    """Reads the current personas over and over, as ``recommend`` would, and checks each read."""

    def __init__(self, graph: GraphAddress) -> None:
        super().__init__(daemon=True)
        self.graph = graph
        self.reads = 0
        self.seen: set[str] = set()
        self.wrong: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            with self.graph.connect() as store:
                users = read_users(store, "many")
                while not self.stopping.is_set():
                    self.read_once(store, users)
        except PersonarecError:
            pass  # the embedded engine died with the writer

    def read_once(self, store: GraphStore, users: tuple[str, ...]) -> None:
        current = current_model(store, "many")
        assert current is not None
        found = read_personas(store, current, users)
        version = int(current.id.rpartition("-")[2], 16)
        if not np.array_equal(found, vectors(version)):
            self.wrong.append(current.id)
        self.reads += 1
        self.seen.add(current.id)


@pytest.mark.slow
def test_readers_see_one_whole_version(
    graph: GraphAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A reader of the embedded engine must not wait a minute for one that was killed.
    monkeypatch.setattr(importlib.import_module("kg.store.connect"), "RETRY_TIME", 1.0)
    file = tmp_path / "interactions.tsv"
    rows = "".join(f"u{u:05}\ti{u % 7}\t1\t{u}\n" for u in range(USERS))
    file.write_text("user_id\titem_id\trating\ttimestamp\n" + rows)
    source = Source("tsv-interactions", file)
    with graph.connect() as store:
        ingest(store, DataSetSources("many", "movies", (source,)), graph.home, quiet)
        users = read_users(store, "many")
        write_personas(store, model(1), users, vectors(1), [], quiet)
    rng = random.Random(4)
    tests = str(Path(__file__).resolve().parents[1])
    reads = killed = switched = 0
    seconds = 0.0
    with Forks(tmp_path / "forks") as forks:
        for version in range(2, POINTS + 3):
            script = WRITER.format(
                path=[tests], uri=graph.uri, home=str(graph.home), version=version
            )
            began = time.monotonic()
            forks.start(graph, fault=script)
            if graph.engine == "embedded":
                until(lambda: owner(graph) == forks.pid)
            reader = Reader(graph)
            reader.start()
            if version > 2:  # the first says how long a write takes
                time.sleep(rng.uniform(0, seconds))
                forks.kill()
            ended = forks.wait()
            assert ended in (0, -9), forks.error_text()
            seconds = seconds or time.monotonic() - began
            reader.stopping.set()
            reader.join(60)
            assert reader.wrong == []
            reads += reader.reads
            killed += ended == -9
            with graph.connect() as store:
                current = current_model(store, "many")
                assert current in (model(version), model(version - 1))
                switched += current == model(version)
                check = Reader(graph)
                check.read_once(store, users)
                assert check.wrong == []
                # Written again: current, and nothing of a half-written one stays.
                write_personas(store, model(version), users, vectors(version), [], quiet)
                assert current_model(store, "many") == model(version)
                assert len(versions(store, "many")) == stats(store)["nodes"]["PersonaModel"] == 2
    assert killed >= POINTS // 2
    assert switched < POINTS + 1, "no kill came before the switch"
    assert reads > POINTS


def owner(graph: GraphAddress) -> int:
    """The process that runs the embedded engine."""
    try:
        return int(json.loads((graph.home / "graph" / "bolt.json").read_text())["pid"])
    except (OSError, ValueError):
        return 0
