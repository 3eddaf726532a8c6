"""Popularity: what to fall back on when a session shows nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences


def item_counts(sequences: Sequences) -> NDArray[np.int64]:
    """int64, shape (n_items,): how often each item occurs in the fit sequences."""
    return np.bincount(sequences.items, minlength=sequences.n_items).astype(np.int64)
