import math

import pytest
import torch

from personarec.retriever.losses import full_softmax, gbce, sampled_softmax

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


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_is_the_published_formula(case: tuple[torch.Tensor, ...], calibration: float) -> None:
    # As published: the positive logit transformed so that its sigmoid is σ(s)^β, in float64.
    states, targets, table = case
    negatives = torch.tensor([0, 7, 7, 12, 20])
    alpha = len(negatives) / N_ITEMS
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    scores = (states @ table.T).double()
    positive = torch.special.logit(torch.sigmoid(scores[torch.arange(6), targets]) ** beta)
    total = 0.0
    for row in range(6):
        total -= float(torch.log(torch.sigmoid(positive[row])))
        for negative in negatives[negatives != targets[row]]:
            total -= float(torch.log(1 - torch.sigmoid(scores[row, negative])))
    found = gbce(states, targets, table, negatives, N_ITEMS, calibration)
    assert float(found) == pytest.approx(total / 6 / 6, rel=1e-5)


def test_gbce_stays_finite_where_the_transformed_logit_does_not() -> None:
    states = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    table = torch.ones(3, 1, requires_grad=True)
    loss = gbce(states, torch.tensor([0, 1]), table, torch.tensor([2]), 3, 0.75)
    loss.backward()
    assert torch.isfinite(loss)
    assert states.grad is not None
    assert torch.isfinite(states.grad).all()


@pytest.mark.parametrize(("calibration", "factor"), [(1.0, None), (0.0, 1.0), (0.5, 0.6)])
def test_gbce_probabilities_are_true_ones_for_t_1_and_too_high_below(
    calibration: float, factor: float | None
) -> None:
    # The expected loss over targets of known chances and uniform negatives, minimised: the paper
    # gives σ(s_i) = β p_i / (α − α p_i + β p_i), which is p_i for β = α.
    chances = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05])
    n, k = 5, 1
    table = torch.zeros(n, 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([table], max_iter=200, line_search_fn="strong_wolfe")

    def expected() -> torch.Tensor:
        optimizer.zero_grad()
        one = torch.ones(1, 1)
        loss = sum(
            chances[target]
            / n
            * gbce(one, torch.tensor([target]), table, torch.tensor([drawn]), n, calibration)
            for target in range(n)
            for drawn in range(n)
        )
        assert isinstance(loss, torch.Tensor)
        loss.backward()
        return loss

    optimizer.step(expected)
    found = torch.sigmoid(table.detach()[:, 0])
    alpha = k / n
    beta = alpha if factor is None else factor
    theory = beta * chances / (alpha - alpha * chances + beta * chances)
    torch.testing.assert_close(found, theory, atol=2e-3, rtol=0)
    if factor is None:
        torch.testing.assert_close(found, chances, atol=2e-3, rtol=0)
    else:
        assert (found > chances + 0.05).all()
