"""``train --item-texts``: the network's items start from the words that the graph has for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import GraphAddress, quiet
from safetensors.numpy import load_file
from small import write_small
from test_whole_road import personarec

from kg.ingest import ingest
from kg.store import GraphStore
from personarec.personas.encoder import TrainingData
from personarec.retriever.sasrec import INITIAL_SCALE
from personarec.text.items import item_text_vectors
from personarec.training.data import read_data

STILL = (
    "sasrec: {embedding_size: 8}\noptions: {epochs: 1, learning_rate: 1.0e-9, weight_decay: 0}\n"
)


@pytest.fixture
def loaded(store: GraphStore, graph: GraphAddress, tmp_path: Path) -> GraphAddress:
    ingest(store, write_small(tmp_path / "data", users=30, items=15), graph.home, quiet)
    return graph


def test_items_start_from_their_texts(
    store: GraphStore, loaded: GraphAddress, tmp_path: Path
) -> None:
    visible = TrainingData.of(read_data(store, "small"))
    expected = item_text_vectors(visible, "tfidf", 8)
    store.close()  # the command opens it again; the embedded engine is for one at a time
    (tmp_path / "still.yaml").write_text(STILL)
    asked = (
        "train", "--dataset", "small", "--rows", "none", "--no-rerank",
        "--tuned", str(tmp_path / "still.yaml"),
    )  # fmt: skip
    tables = {}
    for name, more in (("texts", ("--item-texts", "tfidf")), ("chance", ())):
        code, _, err = personarec(loaded, *asked, *more)
        assert code == 0, err
        latest = json.loads((loaded.home / "runs" / "small.latest.json").read_text())
        run = loaded.home / "runs" / latest["run"]
        config = json.loads((run / "config.json").read_text())
        assert config["item_texts"] == ("tfidf" if more else None)
        tensors = load_file(run / "checkpoint" / "model.safetensors")
        (tables[name],) = (t[:-1] for k, t in tensors.items() if k.endswith("table"))

    scaled = expected * INITIAL_SCALE / np.sqrt(np.square(expected).mean())
    np.testing.assert_allclose(tables["texts"], scaled, atol=1e-5)
    assert not np.allclose(tables["chance"], scaled, atol=1e-2)


def test_a_model_that_is_not_there_is_said_in_one_line(
    store: GraphStore, loaded: GraphAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = personarec(
        loaded, "train", "--dataset", "small", "--rows", "none", "--item-texts", "no/such-model"
    )
    assert code == 1
    assert "no/such-model" in err.splitlines()[-1]
    assert "Traceback" not in err
