"""Personas and retrievers trained by several processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import GraphAddress, quiet
from small import write_small
from test_whole_road import ok, personarec

from kg.ingest import ingest
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions
from personarec.training.config import TrainConfig
from personarec.training.persona_versions import load_learned
from personarec.training.run import train_data_set


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


@pytest.mark.slow
def test_two_processes_train_the_retriever_that_one_would(
    graph: GraphAddress, tmp_path: Path
) -> None:
    config = TrainConfig(
        rows=("none",),
        rerank=False,
        refit=True,
        # Without dropout nothing random depends on who works on which rows.
        sasrec=SasRecConfig(embedding_size=8, max_length=6, dropout=0.0),
        options=TrainingOptions(epochs=2, batch_size=33, evaluate_every=1),
    )
    runs = []
    with graph.connect() as store:
        ingest(store, write_small(tmp_path / "data"), graph.home, quiet)
        for processes in (1, 2):
            by = config.model_copy(update={"processes": processes})
            runs.append(train_data_set(store, "small", by, graph.home, quiet, lambda _: None))
    one, two = (Retriever.load(run.folder / "checkpoint").model.state_dict() for run in runs)
    assert runs[0].folder != runs[1].folder, "with dropout they differ"
    for name, value in one.items():
        if not name.endswith("mix.bias"):  # its gradient is rounding, which Adam blows up
            np.testing.assert_allclose(two[name], value, rtol=2e-3, atol=2e-4, err_msg=name)


def test_several_models_or_several_processes(graph: GraphAddress) -> None:
    words = ("train", "--dataset", "demo", "--nproc", "2", "--workers", "2")
    code, _, error = personarec(graph, *words)
    assert code == 2
    assert "give one; see personarec train --help" in error
