"""Items that nobody has: placed by their facts among the vectors that personas are scored against.

Training scores no such item, so that nothing gives it the others' scale, and it ends below nearly
all of them. What its facts say of its vector is learned from the items that somebody has, by ridge
regression (attributes mapped to factors: Gantner et al., ICDM 2010); how likely such items are at
all, beside what that says, is one number, chosen on validation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from personarec.personas.facts import FactModel

if TYPE_CHECKING:
    from personarec.personas.relational.training import Fitted

Ids = NDArray[np.int64]
RIDGE = 1.0
"""Of facts' vectors of unit length."""
LEVELS = np.arange(0, 4.5, 0.5)
"""Natural logarithms of how many times as likely as the regression says."""


def without_readers(facts: sparse.csr_array, known: Ids) -> Ids:
    """int64, shape (n,): the items that nobody has and something is known of."""
    told = np.flatnonzero(np.diff(facts.indptr))
    return np.setdiff1d(told, known).astype(np.int64)


def placed(fitted: Fitted, facts: sparse.csr_array, known: Ids, cold: Ids) -> Fitted:
    """With output vectors and offsets of the ``cold`` items as their facts have it.

    Args:
        fitted: what training gave.
        facts: which item has which fact, csr, shape (n_items, n_facts).
        known: items that somebody has.
        cold: items to place.
    """
    from sklearn.linear_model import Ridge

    told = FactModel.from_matrix(facts).items
    outputs = fitted.outputs.copy()
    ridge = Ridge(RIDGE, solver="sparse_cg").fit(told[known], outputs[known])
    outputs[cold] = ridge.predict(told[cold])
    return replace(fitted, outputs=outputs)


def levelled(fitted: Fitted, cold: Ids, judge: Callable[[Fitted], float]) -> Fitted:
    """With the offsets of the ``cold`` items raised as ``judge`` likes best."""
    best, highest = fitted, -np.inf
    for level in LEVELS:
        higher = raised(fitted, cold, float(level))
        if (found := judge(higher)) > highest:  # of those as good the lowest
            best, highest = higher, found
    return best


def raised(fitted: Fitted, cold: Ids, level: float) -> Fitted:
    """With the offsets of the ``cold`` items higher by ``level``."""
    outputs = fitted.outputs.copy()
    outputs[cold, -1] += np.float32(level)
    return replace(fitted, outputs=outputs, level=level)
