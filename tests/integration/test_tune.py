"""``personarec tune`` from the graph to a file that ``train`` takes; and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet
from small import write_small
from test_whole_road import personarec

from kg.ingest import ingest
from kg.store import GraphStore


@pytest.fixture
def loaded(store: GraphStore, graph: GraphAddress, tmp_path: Path) -> GraphAddress:
    ingest(store, write_small(tmp_path / "data", users=30, items=15), graph.home, quiet)
    store.close()  # the command opens it again; the embedded engine is for one at a time
    return graph


def test_the_settings_found_are_those_trained_with(loaded: GraphAddress, tmp_path: Path) -> None:
    out = tmp_path / "found.yaml"
    asked = ("tune", "--dataset", "small", "--trials", "2", "--out", str(out), "--json")
    code, printed, err = personarec(loaded, *asked)
    assert code == 0, err
    document = json.loads(printed)
    assert len(document["trials"]) == 2
    assert "2 trials" in out.read_text().splitlines()[0]

    code, again, err = personarec(loaded, *asked)
    assert code == 0, err
    assert json.loads(again) == document

    code, _, err = personarec(
        loaded, "train", "--dataset", "small", "--rows", "popularity,none", "--epochs", "1",
        "--tuned", str(out),
    )  # fmt: skip
    assert code == 0, err
    (run,) = (loaded.home / "runs").glob("small-*")
    config = json.loads((run / "config.json").read_text())
    best = document["best"]["settings"]
    assert config["sasrec"]["embedding_size"] == best["embedding_size"]
    assert config["options"]["learning_rate"] == pytest.approx(best["learning_rate"])
    assert config["options"]["epochs"] == 1


def test_a_file_that_holds_no_settings(loaded: GraphAddress, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("sasrec: {embeding_size: 3}\n")
    code, _, err = personarec(loaded, "train", "--dataset", "small", "--tuned", str(bad))
    assert code == 1
    assert "bad.yaml" in err
    assert "embeding_size" in err
    assert len(err.splitlines()) == 1
