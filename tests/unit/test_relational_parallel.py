"""The relational encoder trained by several processes: as one process would."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Alone(Peers):
    """One of several processes that hears nothing of the others, and notes what it would say."""

    said: list[torch.Tensor | None] = field(default_factory=list)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.said.extend(None if p.grad is None else p.grad.clone() for p in parameters)


def part(rank: int, size: int, places: int) -> tuple[float, list[torch.Tensor | None]]:
    """A process's loss of a batch, and its gradients, none where it has nothing to say."""
    torch.manual_seed(0)
    data, peers = ring(40), Alone(rank, size)
    trainer = Trainer(RelationalEncoder(**EVERY_LOSS), data.graph, RATED, data.sequences, peers)
    (loss,) = trainer.learn([trainer.inner[:places]], trainer.passing, trainer.whole)
    return loss, peers.said


@pytest.mark.parametrize("places", [2, 50])
def test_the_parts_of_a_batch_add_up(places: int) -> None:
    whole, gradients = part(0, 1, places)
    parts = [part(rank, 3, places) for rank in range(3)]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-5)
    shared = zip(*(found for _, found in parts), strict=True)
    for gradient, found in zip(gradients, shared, strict=True):
        assert (gradient is None) == all(g is None for g in found)
        if gradient is not None:
            torch.testing.assert_close(sum(found), gradient, atol=1e-6, rtol=1e-4)
    if places > 3:
        assert parts[0][0] != parts[1][0], "each has places of its own"


def test_a_shared_pass_carries_back_the_whole_gradient() -> None:
    """One batch: what it moves at once and what the pass brings are the loss's gradient."""
    data = ring(40)
    peers, encoder = Alone(), RelationalEncoder(**QUICK)
    trainers = []
    for said in (peers, Peers()):
        torch.manual_seed(0)
        trainers.append(Trainer(encoder, data.graph, RATED, data.sequences, said))
    shared, plain = trainers
    torch.manual_seed(1)
    shared.learn([shared.inner[:50]])
    noted = iter(peers.said)
    found = {id(p): next(noted) for p in shared.each_batch}
    found |= {id(p): next(noted) for p in shared.each_pass}
    for table in shared.tables:
        found[id(table)] += next(noted)
    torch.manual_seed(1)
    block = plain.whole
    assert block is not None
    heard = [tower.messages(block) for tower in plain.towers]
    plain._next_item_loss(plain._draw(plain.inner[:50]), block, heard).backward()
    for mine, theirs in zip(
        [*shared.each_batch, *shared.each_pass], [*plain.each_batch, *plain.each_pass], strict=True
    ):
        torch.testing.assert_close(found[id(mine)], theirs.grad, atol=1e-6, rtol=1e-4)


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
