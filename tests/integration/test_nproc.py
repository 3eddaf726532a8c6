"""Personas learned by several processes, by the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import GraphAddress, quiet
from small import write_small
from test_whole_road import ok

from kg.ingest import ingest
from personarec.training.persona_versions import load_learned


@pytest.mark.slow
def test_two_processes_write_one_version(graph: GraphAddress, tmp_path: Path) -> None:
    with graph.connect() as store:
        ingest(store, write_small(tmp_path / "data"), graph.home, quiet)
    train = ("personas", "train", "--encoder", "relational", "--dim", "8", "--set", "epochs=2")
    one = ok(graph, *train)
    folder = graph.home / "personas" / one["version"]
    alone = load_learned(folder).vectors
    two = ok(graph, *train, "--nproc", "2", "--force")
    assert two["fresh"]
    assert two["version"] == one["version"], "how many processes is not part of what is learned"
    assert {p.name for p in folder.parent.iterdir()} == {one["version"], "small.latest"}
    np.testing.assert_allclose(load_learned(folder).vectors, alone, rtol=2e-3, atol=2e-4)
    assert np.abs(alone).max() > 0
    assert ok(graph, "personas", "write")["current"] == two["version"]
