"""Personas fitted again to validation items too: with what these chose, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare_small import linked_data, small_world

from personarec.compare.fitted import Fitted
from personarec.evaluation.persona_probe import sampled_targets, validation_ndcg
from personarec.personas.encoder import DensePersonas, TrainingData
from personarec.personas.recency import DECAYS
from personarec.personas.registry import make_encoder
from personarec.personas.relational.rule import RecentPersonas
from personarec.personas.relational.training import Trainer
from personarec.personas.shrinkage import ShrunkPersonas
from personarec.training.config import TrainConfig
from personarec.training.persona_versions import FittedPersonas

QUICK = {"dim": 8, "batch_size": 64, "epochs": 6, "patience": 6}


def both(encoder: str, **settings: Any) -> tuple[DensePersonas, DensePersonas]:
    config = TrainConfig(refit=True, encoder=encoder, encoder_settings={"dim": 8, **settings})
    fitted = FittedPersonas(linked_data(), config)
    assert isinstance(fitted.choosing, DensePersonas)
    assert isinstance(fitted.reporting, DensePersonas)
    return fitted.choosing, fitted.reporting


def test_it_trains_for_as_many_epochs_as_validation_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []
    plain = Trainer.epoch

    def counted(trainer: Trainer) -> float:
        # A training that judges nothing better after the second epoch.
        trained[-1] += 1
        return plain(trainer)

    made = Trainer.__init__

    def begun(trainer: Trainer, *arguments: Any) -> None:
        trained.append(0)
        made(trainer, *arguments)

    monkeypatch.setattr(Trainer, "__init__", begun)
    monkeypatch.setattr(Trainer, "epoch", counted)
    judged = iter([0.1, 0.3, 0.2, 0.2, 0.2, 0.2])
    monkeypatch.setattr(
        "personarec.personas.relational.encoder.validation_ndcg", lambda *_: next(judged)
    )
    choosing, reporting = both("relational", **QUICK)
    assert trained == [6, 2]
    assert choosing.chosen["epochs"] == 2
    assert reporting.chosen == {}
    assert not np.array_equal(choosing.items, reporting.items)


def test_wrappers_pass_on_what_was_chosen() -> None:
    choosing, reporting = both("recent:svd")
    assert isinstance(reporting, RecentPersonas)
    decay = choosing.chosen["decay"]
    assert decay in DECAYS
    np.testing.assert_allclose(reporting.weights[:3], [1, decay, decay**2], rtol=1e-6)

    choosing, reporting = both("shrunk:svd")
    assert isinstance(reporting, ShrunkPersonas)
    assert reporting.kappa == choosing.chosen["kappa"]

    # Not fitted to the choice it would itself be refused to make.
    choosing, _ = both("shuffled:recent:svd")
    assert choosing.chosen["inner"].decay in DECAYS


def test_lightgcn_says_the_epoch_it_kept() -> None:
    choosing, _ = both("lightgcn", epochs=4, evaluate_every=2)
    assert choosing.chosen["epochs"] in (2, 4)


def test_without_refitting_both_are_one() -> None:
    fitted = FittedPersonas(linked_data(), TrainConfig(encoder="svd"))
    assert fitted.choosing is fitted.reporting


def test_what_chooses_nothing_is_fitted_once_for_each_phase() -> None:
    config = TrainConfig(refit=True, encoder="svd", encoder_settings={"dim": 4})
    fitted = FittedPersonas(linked_data(), config)
    assert isinstance(fitted.reporting, DensePersonas)
    assert "choosing" not in vars(fitted)


def test_the_level_of_items_nobody_has_is_taken_over() -> None:
    data = linked_data()
    visible = TrainingData.of(data)
    encoder = make_encoder("relational", **QUICK)
    found = encoder.fit(visible)
    assert isinstance(found, DensePersonas)
    again = encoder.settled(found)
    assert again.model_dump()["level"] == found.chosen["level"]
    assert visible.valid is not None
    targets = sampled_targets(visible.valid, 5000, 0)
    # Settled, it is what was chosen: the same training, cut where it was best.
    same = again.fit(visible)
    assert validation_ndcg(same.score, visible.sequences, targets) == pytest.approx(
        validation_ndcg(found.score, visible.sequences, targets)
    )


def test_comparisons_take_the_choice_over_too(tmp_path: Any) -> None:
    """Of what is refitted in a comparison: a wrapper that must choose would else be refused."""
    fitted = Fitted(small_world(tmp_path, rows=("sasrec",), encoder="recent:svd"))
    early, late = (fitted.personas("recent:svd", 0, report=r, dim=4) for r in (False, True))
    assert isinstance(early, RecentPersonas)
    assert isinstance(late, RecentPersonas)
    np.testing.assert_array_equal(early.weights, late.weights)
    assert not np.array_equal(early.items, late.items)
