"""The relational encoder's items that nobody has: nothing of their own, placed by their facts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

torch = pytest.importorskip("torch")

from test_relational import QUICK, RATED, ring  # noqa: E402

from personarec.evaluation.persona_probe import rank_sessions  # noqa: E402
from personarec.personas.relational import RelationalEncoder, cold  # noqa: E402
from personarec.personas.relational.training import Fitted, Trainer  # noqa: E402

NOBODYS = 39


def test_what_nobody_has_learns_nothing_of_its_own() -> None:
    data = ring(40)
    trainer = Trainer(RelationalEncoder(**QUICK), data.graph, RATED, data.sequences)
    author = trainer.model.outputs.own["Person"].detach()[12].clone()
    trainer.epoch()
    for tower in (trainer.model.inputs, trainer.model.outputs):
        own = tower.own["Book"].detach()
        assert not own[NOBODYS].any()
        assert own[:NOBODYS].abs().sum(1).min() > 0
    assert not torch.equal(author, trainer.model.outputs.own["Person"].detach()[12])


def authors(rng: np.random.Generator) -> tuple[Fitted, sparse.csr_array]:
    """Sixty items of four authors, vectors by author; 55 and later are nobody's, 59 has no fact."""
    by = np.arange(60) % 4
    facts = sparse.csr_array((np.ones(59), (np.arange(59), by[:59])), shape=(60, 4))
    outputs = np.zeros((60, 5), np.float32)
    outputs[:55] = (3 * np.eye(4, 5) + [0, 0, 0, 0, 1])[by[:55]] + 0.1 * rng.random((55, 5))
    return Fitted(outputs.copy(), outputs, np.ones(1, np.float32)), facts


def test_facts_place_what_nobody_has_and_nothing_else() -> None:
    fitted, facts = authors(np.random.default_rng(0))
    known = np.arange(55)
    nobodys = cold.without_readers(facts, known)
    assert nobodys.tolist() == [55, 56, 57, 58]
    found = cold.placed(fitted, facts, known, nobodys)
    assert found.outputs.dtype == np.float32
    np.testing.assert_array_equal(found.outputs[:55], fitted.outputs[:55])
    assert not found.outputs[59].any(), "nothing is known of it"
    assert not fitted.outputs[55:].any(), "what was given stays"
    for item in nobodys:
        alike = fitted.outputs[:55][np.arange(55) % 4 == item % 4].mean(0)
        np.testing.assert_allclose(found.outputs[item], alike, atol=0.3)


def test_the_level_is_what_validation_likes_best_and_the_lowest_if_it_does_not_care() -> None:
    fitted, _ = authors(np.random.default_rng(0))
    nobodys = np.array([56, 58])
    found = cold.levelled(fitted, nobodys, lambda f: -abs(float(f.outputs[56, -1]) - 1.5))
    change = found.outputs - fitted.outputs
    assert change[nobodys, -1].tolist() == [1.5, 1.5]
    assert np.count_nonzero(change) == 2
    even = cold.levelled(fitted, nobodys, lambda _: 1.0)
    np.testing.assert_array_equal(even.outputs, fitted.outputs)


def test_readers_who_go_on_to_what_nobody_has_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After books of its author; higher than unplaced, and the others lose next to nothing."""
    data = ring()
    assert data.valid is not None
    last = data.sequences.items[data.sequences.indptr[1:] - 1]
    valid = np.where(np.isin(last, (36, 37)), NOBODYS, data.valid).astype(np.int32)
    data = replace(data, valid=valid)
    its, others = (np.where(w, valid, -1).astype(np.int32) for w in (valid == 39, valid != 39))

    def found() -> tuple[float, float]:
        model = RelationalEncoder(**QUICK).fit(data)
        first, second = (rank_sessions(model.score, data.sequences, t) for t in (its, others))
        return first.ndcg(10), second.ndcg(10)

    placed, beside = found()
    monkeypatch.setattr(cold, "placed", lambda fitted, *_: fitted)
    monkeypatch.setattr(cold, "levelled", lambda fitted, *_: fitted)
    unplaced, before = found()
    assert placed > unplaced + 0.2
    assert beside > before - 0.03
