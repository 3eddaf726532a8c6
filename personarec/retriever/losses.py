"""Losses: cross-entropy over all items, exact or sampled, and generalised binary cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def full_softmax(states: Tensor, targets: Tensor, table: Tensor) -> Tensor:
    """Mean cross-entropy against the whole catalogue.

    Args:
        states: float32, shape (p, d), one per target.
        targets: int64, shape (p,).
        table: float32, shape (n_items, d), the item vectors.

    Returns:
        Scalar.
    """
    return functional.cross_entropy((states @ table.T).float(), targets)


def sampled_softmax(
    states: Tensor, targets: Tensor, table: Tensor, negatives: Tensor, log_expected: Tensor
) -> Tensor:
    """Mean cross-entropy against the target and negatives that all places share.

    Each negative's logit is lowered by the log of how often it is expected in the sample, so that
    the sum over the sample estimates the sum over the catalogue (Bengio and Senécal, 2008); the
    target stands in the sum itself. Negatives that happen to be the target are taken out.

    Args:
        states: float32, shape (p, d).
        targets: int64, shape (p,).
        table: float32, shape (n_items, d) or more rows.
        negatives: int64, shape (k,), drawn with replacement.
        log_expected: float32, shape (k,), log(k · q(negative)).

    Returns:
        Scalar.
    """
    positive, logits = _sampled_logits(states, targets, table, negatives, -log_expected)
    logits = logits.masked_fill(targets[:, None] == negatives, float("-inf"))
    normaliser = torch.logaddexp(torch.logsumexp(logits, dim=1), positive)
    return (normaliser - positive).mean()


def gbce(
    states: Tensor,
    targets: Tensor,
    table: Tensor,
    negatives: Tensor,
    n_items: int,
    calibration: float,
) -> Tensor:
    """Mean generalised binary cross-entropy (gSASRec: Petrov and Macdonald, 2023).

    −(β log σ(s₊) + Σ log(1 − σ(s₋))) / (k + 1), with β = 1 − t (1 − α) and α = k / n_items, how
    often each item is expected among negatives drawn uniformly: the published
    α (t (1 − 1/α) + 1/α). For t = 1 the best σ(s) is the true probability, for t = 0 (plain binary
    cross-entropy) it is too high. The published code transforms the positive logit in float64 to
    keep σ(s₊)^β apart from 0 and 1; β log σ(s₊) = −β softplus(−s₊) needs neither.

    Args:
        states: float32, shape (p, d).
        targets: int64, shape (p,).
        table: float32, shape (n_items, d) or more rows.
        negatives: int64, shape (k,), drawn uniformly with replacement, shared by all places; those
            that happen to be the target are taken out.
        n_items: how many items they were drawn from.
        calibration: t, 0 to 1.

    Returns:
        Scalar.
    """
    positive, logits = _sampled_logits(states, targets, table, negatives)
    beta = 1 - calibration * (1 - len(negatives) / n_items)
    logits = logits.masked_fill(targets[:, None] == negatives, float("-inf"))
    each = beta * functional.softplus(-positive) + functional.softplus(logits).sum(dim=1)
    return (each / (len(negatives) + 1)).mean()


def _sampled_logits(
    states: Tensor, targets: Tensor, table: Tensor, negatives: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Logits of the targets, shape (p,), and of the negatives plus their bias, shape (p, k)."""
    # One look-up for both: its gradient fills a dense table, which is what a step costs most.
    rows = functional.embedding(torch.cat((targets, negatives)), table, sparse=True)
    positive = (states * rows[: len(targets)]).sum(dim=1)
    wrong = rows[len(targets) :].T
    logits = states @ wrong if bias is None else torch.addmm(bias, states, wrong)
    return positive.float(), logits.float()  # products may be in bfloat16, sums must not be
