"""The relational encoder trained by several processes: as one process would."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_relational import QUICK, RATED, ring  # noqa: E402

from kg.errors import ChangeSomethingError, TryAgainError  # noqa: E402
from personarec.personas.encoder import TrainingData  # noqa: E402
from personarec.personas.registry import make_encoder  # noqa: E402
from personarec.personas.relational import RecentPersonas, RelationalEncoder  # noqa: E402
from personarec.personas.relational.training import Trainer  # noqa: E402
from personarec.retriever.parallel import Peers  # noqa: E402
from personarec.training.parallel_fit import check_processes, fit_together  # noqa: E402

EVERY_LOSS = QUICK | {"links": 0.1, "contrast": 0.1, "corruption": "both"}


def part(peers: Peers, places: int) -> tuple[float, list[torch.Tensor | None]]:
    """A process's loss of a batch, and its gradients, none where it has nothing to say."""
    torch.manual_seed(0)
    data = ring(40)
    trainer = Trainer(RelationalEncoder(**EVERY_LOSS), data.graph, RATED, data.sequences, peers)
    loss = trainer._loss(trainer.inner[:places], trainer.passing, trainer.whole)
    loss.backward()
    return float(loss.detach()), [p.grad for p in trainer.parameters]


@pytest.mark.parametrize("places", [2, 50])
def test_the_parts_of_a_batch_add_up(places: int) -> None:
    whole, gradients = part(Peers(), places)
    parts = [part(Peers(rank, 3), places) for rank in range(3)]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-5)
    shared = zip(*(found for _, found in parts), strict=True)
    for gradient, found in zip(gradients, shared, strict=True):
        assert (gradient is None) == all(g is None for g in found)
        if gradient is not None:
            torch.testing.assert_close(sum(found), gradient, atol=1e-6, rtol=1e-4)
    if places > 3:
        assert parts[0][0] != parts[1][0], "each has places of its own"


def test_an_encoder_of_one_process_is_not_given_several() -> None:
    check_processes(make_encoder("svd"), "svd", 1)
    check_processes(make_encoder("relational"), "relational", 2)
    with pytest.raises(ChangeSomethingError, match="encoder svd trains in one process"):
        check_processes(make_encoder("svd"), "svd", 2)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"links": 0.1, "contrast": 0.1, "corruption": "both"}])
def test_two_processes_learn_what_one_does(settings: dict[str, Any]) -> None:
    data = ring()
    encoder = RelationalEncoder(**QUICK | {"epochs": 3, "batch_size": 61} | settings)
    one, two = encoder.fit(data), fit_together(partial(encoder.fit, data), 2)
    assert isinstance(one, RecentPersonas)
    assert isinstance(two, RecentPersonas)
    np.testing.assert_allclose(two.items, one.items, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(two.weights, one.weights, rtol=1e-4)
    before = RelationalEncoder(**QUICK | {"epochs": 1, "batch_size": 61} | settings).fit(data)
    assert not np.allclose(before.items, one.items, rtol=0.1), "training moves them"


@pytest.mark.slow
def test_two_processes_learn_from_sampled_neighbours() -> None:
    data = ring()
    encoder = RelationalEncoder(**QUICK, edge_budget=0, fan_out=4)
    assert data.valid is not None
    for fitted in (encoder.fit(data), fit_together(partial(encoder.fit, data), 2)):
        hits = fitted.score(data.sequences).argsort(1)[:, -10:] == data.valid[:, None]
        assert hits.any(1).mean() > 0.7


class Deadly(RelationalEncoder):
    """The second process ends in its training, as the kernel would end it."""

    name: ClassVar[str] = "deadly"

    def fit(self, data: TrainingData) -> RecentPersonas:
        if Peers.current().rank == 1:
            os._exit(9)
        return super().fit(data)


@pytest.mark.slow
def test_a_killed_process_is_said_in_one_line() -> None:
    with pytest.raises(TryAgainError, match="run it again with --nproc 1"):
        fit_together(partial(Deadly(**QUICK).fit, ring()), 2)


@pytest.mark.slow
def test_a_fault_in_the_processes_is_the_one_that_is_said() -> None:
    data = ring()
    short = TrainingData(
        data.sequences.take(np.zeros(0, np.int64)),
        type(data.graph)(
            data.graph.nodes | {"User": ()},
            data.graph.relations | {RATED: data.graph.relations[RATED][:0]},
        ),
        "Book",
    )
    with pytest.raises(ChangeSomethingError, match="no user has two items"):
        fit_together(partial(RelationalEncoder(**QUICK).fit, short), 2)
