"""The learned rerank of a training: kept where validation says so, taught by no test item."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compare_small import linked_data, small_data

from kg.errors import ChangeSomethingError
from personarec.commands.train import train_config
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactConfig
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions
from personarec.retriever.transitions import transition_counts
from personarec.torch_threads import torch_threads
from personarec.training.config import RERANKED, TrainConfig
from personarec.training.data import GraphData, fact_model, known_prefix
from personarec.training.rerank import Reranked, kept_part, rerank_document
from personarec.training.run import _save_checkpoint, table_rows
from personarec.training.table import BASE, KEPT, Inputs, JobResult, Phase, make_phase, run_job

CONFIG = TrainConfig(
    rows=(KEPT, RERANKED),
    sasrec=SasRecConfig(embedding_size=16, max_length=8),
    options=TrainingOptions(epochs=2, batch_size=64, negatives=0),
)


def inputs_of(data: GraphData, config: TrainConfig = CONFIG) -> Inputs:
    facts = fact_model(data, FactConfig())

    def phase(fit: Sequences) -> Phase:
        nobody = np.zeros((len(fit), 1), np.float32)
        return make_phase(data, fit, nobody, facts, transition_counts(fit), config)

    report = phase(data.split.fit(config.refit))
    choose = phase(data.split.train) if config.refit else report
    return Inputs(data, choose, report, config)


def job_of(inputs: Inputs) -> JobResult:
    return run_job(inputs, 0, BASE, lambda _: None)


@pytest.fixture(scope="module")
def linked() -> tuple[Inputs, JobResult]:
    inputs = inputs_of(linked_data(), CONFIG.model_copy(update={"refit": True}))
    return inputs, job_of(inputs)


def test_it_is_kept_where_facts_name_the_target(
    linked: tuple[Inputs, JobResult], tmp_path: Path
) -> None:
    """And the retriever that is kept gives the ranks of the table, features of the refit models."""
    inputs, job = linked
    assert isinstance(job.rerank, Reranked)
    assert job.rerank.judged.helps
    said = rerank_document((0,), [job.rerank])
    assert said["kept"]
    assert said["why"].startswith("learned rerank kept: cross-fitted validation NDCG@10 0.")
    assert said["seeds"][0]["validation NDCG@10"]["low"] > 0
    _save_checkpoint(tmp_path / "model", inputs.data, inputs.report, job)
    retriever = Retriever.load(tmp_path / "model")
    assert retriever.rerank is not None
    data = inputs.data
    prefix, test = known_prefix(data.split), data.split.test
    users = np.flatnonzero(test >= 0)
    with torch_threads(1):
        found = retriever.scores([prefix[u].tolist() for u in users], [None] * len(users))
        ranks = []
        for user, scores in zip(users, found, strict=True):
            left = np.setdiff1d(np.arange(len(scores.total)), prefix[user])
            own = scores.total[test[user]]
            rest = scores.total[left]
            ranks.append(0.5 + (rest > own).sum() + 0.5 * (rest == own).sum())
    table = job.rows[RERANKED].ranking
    np.testing.assert_array_equal(table.users, users)
    np.testing.assert_array_equal(ranks, table.ranks)
    assert not np.array_equal(table.ranks, job.rows[KEPT].ranking.ranks)


def test_it_is_not_kept_where_there_is_nothing_to_learn(tmp_path: Path) -> None:
    inputs = inputs_of(small_data())
    job = job_of(inputs)
    assert isinstance(job.rerank, Reranked)
    assert not job.rerank.judged.helps
    said = rerank_document((0,), [job.rerank])
    assert not said["kept"]
    assert "not kept" in said["why"]
    # Its row is there all the same.
    assert list(job.rows) == [KEPT, RERANKED]
    assert kept_part(job.rerank, inputs.data, inputs.report) is None
    _save_checkpoint(tmp_path / "model", inputs.data, inputs.report, job)
    assert Retriever.load(tmp_path / "model").rerank is None


def test_it_is_taught_by_what_is_fitted_to_train_alone(
    linked: tuple[Inputs, JobResult],
) -> None:
    """Another refit changes nothing that is learned; test items change nothing at all."""
    inputs, job = linked
    assert isinstance(job.rerank, Reranked)
    split = inputs.data.split
    moved = np.roll(split.test, 1)
    assert not (moved == split.valid).any()
    data = replace(inputs.data, split=replace(split, test=moved))
    changed = job_of(replace(inputs, data=data, report=inputs.choose))
    assert isinstance(changed.rerank, Reranked)
    assert changed.rerank.judged == job.rerank.judged
    mine, theirs = (x.rerank.model.net.state_dict() for x in (job, changed))  # type: ignore[union-attr]
    assert all(bool((mine[name] == theirs[name]).all()) for name in mine)
    assert not np.array_equal(changed.rerank.ranking.ranks, job.rerank.ranking.ranks)


def test_a_test_item_as_validation_item_stops_the_training(
    linked: tuple[Inputs, JobResult],
) -> None:
    inputs, _ = linked
    split = inputs.data.split
    valid = split.valid.copy()
    valid[7] = split.test[7]
    leaky = replace(inputs.data, split=replace(split, valid=valid))
    with pytest.raises(LeakError, match=r"rerank: 1 of 96 sessions .* user 7"):
        job_of(replace(inputs, data=leaky))


def test_too_few_users_and_not_asked_for() -> None:
    inputs = inputs_of(small_data())
    split = inputs.data.split
    one = np.where(np.arange(len(split.valid)) == 3, split.valid, -1)
    inputs = replace(inputs, data=replace(inputs.data, split=replace(split, valid=one)))
    job = job_of(inputs)
    assert isinstance(job.rerank, str)
    assert list(job.rows) == [KEPT]
    said = rerank_document((0,), [job.rerank])
    assert said["why"].startswith("no learned rerank: the held-out items of 1 users")
    assert not said["kept"]
    plain = job_of(replace(inputs, config=CONFIG.model_copy(update={"rerank": False})))
    assert plain.rerank is None
    assert plain.weights == job.weights
    assert rerank_document((0,), [None]) == {
        "kept": False, "why": "no learned rerank: not asked for", "seeds": [],
    }  # fmt: skip


def test_rows_that_are_not_there_in_every_seed_are_left_out(
    linked: tuple[Inputs, JobResult],
) -> None:
    _, job = linked
    bare = replace(job, rows={KEPT: job.rows[KEPT]})
    two = CONFIG.model_copy(update={"seeds": (0, 1)})
    assert list(table_rows({(0, BASE): job, (1, BASE): job}, two, "")) == [KEPT, RERANKED]
    assert list(table_rows({(0, BASE): job, (1, BASE): bare}, two, "")) == [KEPT]
    alone = CONFIG.model_copy(update={"rows": (RERANKED,)})
    with pytest.raises(ChangeSomethingError, match=f"no row {RERANKED}: no learned rerank: too"):
        table_rows({(0, BASE): bare}, alone, "no learned rerank: too few")


def test_the_option() -> None:
    plain = train_config("demo", False, 1, None, None, None)
    assert plain.rerank
    without = train_config("demo", False, 1, None, None, None, rerank=False)
    assert not without.rerank
    assert plain.model_copy(update={"rerank": False}) == without
    with pytest.raises(ChangeSomethingError, match="needs a rerank"):
        train_config("demo", False, 1, RERANKED, None, None, rerank=False)
