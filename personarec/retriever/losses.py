"""Cross-entropy over all items, exact or estimated from a few shared negatives."""

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
    return functional.cross_entropy(states @ table.T, targets)


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
    # One look-up for both: its gradient fills a dense table, which is what a step costs most.
    rows = functional.embedding(torch.cat((targets, negatives)), table, sparse=True)
    positive = (states * rows[: len(targets)]).sum(dim=1)
    logits = torch.addmm(-log_expected, states, rows[len(targets) :].T)
    logits = logits.masked_fill(targets[:, None] == negatives, float("-inf"))
    normaliser = torch.logaddexp(torch.logsumexp(logits, dim=1), positive)
    return (normaliser - positive).mean()
