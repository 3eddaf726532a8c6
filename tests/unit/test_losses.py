import math

import pytest
import torch

from personarec.retriever.losses import full_softmax, sampled_softmax

N_ITEMS, SIZE = 30, 8


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(6, SIZE, generator=generator)
    table = torch.randn(N_ITEMS, SIZE, generator=generator)
    return states, torch.tensor([0, 5, 5, 9, 29, 3]), table


def test_full_softmax_is_the_negative_log_probability(case: tuple[torch.Tensor, ...]) -> None:
    states, targets, table = case
    chance = torch.softmax(states @ table.T, dim=1)[torch.arange(6), targets]
    assert float(full_softmax(states, targets, table)) == pytest.approx(
        float(-chance.log().mean()), rel=1e-5
    )


def test_the_whole_catalogue_as_negatives_gives_the_full_softmax(
    case: tuple[torch.Tensor, ...],
) -> None:
    # Each item expected once, and the target among them masked: nothing is left to estimate.
    states, targets, table = case
    everything = torch.arange(N_ITEMS)
    sampled = sampled_softmax(states, targets, table, everything, torch.zeros(N_ITEMS))
    assert float(sampled) == pytest.approx(float(full_softmax(states, targets, table)), rel=1e-5)


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_many_draws_approach_the_full_softmax_whatever_they_are_drawn_from(
    case: tuple[torch.Tensor, ...], skew: float
) -> None:
    states, targets, table = case
    share = (torch.arange(N_ITEMS) + 1.0) ** -skew
    share /= share.sum()
    k = 100_000
    drawn = torch.multinomial(
        share, k, replacement=True, generator=torch.Generator().manual_seed(1)
    )
    sampled = sampled_softmax(states, targets, table, drawn, (k * share[drawn]).log())
    assert float(sampled) == pytest.approx(float(full_softmax(states, targets, table)), rel=0.01)


def test_a_negative_that_is_the_target_does_not_count() -> None:
    states = torch.ones(1, 1)
    table = torch.tensor([[1.0], [2.0]])
    only_hits = sampled_softmax(
        states, torch.tensor([0]), table, torch.tensor([0, 0]), torch.zeros(2)
    )
    assert float(only_hits) == 0
    one_other = sampled_softmax(
        states, torch.tensor([0]), table, torch.tensor([0, 1]), torch.zeros(2)
    )
    assert float(one_other) == pytest.approx(math.log(1 + math.e), rel=1e-5)


def test_gradients_are_finite_when_all_negatives_are_hits() -> None:
    states = torch.ones(2, 3, requires_grad=True)
    table = torch.ones(4, 3, requires_grad=True)
    targets = torch.tensor([1, 1])
    sampled_softmax(states, targets, table, torch.tensor([1]), torch.zeros(1)).backward()
    assert states.grad is not None
    assert torch.isfinite(states.grad).all()
    assert table.grad is not None
    assert torch.isfinite(table.grad.to_dense()).all()
