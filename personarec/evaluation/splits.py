"""Leave-one-out: a user's last item tests, the one before validates, the rest trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from personarec.evaluation.sequences import Sequences

if TYPE_CHECKING:
    from kg.views.interactions import Interactions

MINIMUM_LENGTH = 3
"""Fewer interactions leave nothing to train on beside the two held out."""


@dataclass(frozen=True)
class Split:
    """What each stage may see.

    Attributes:
        train: the sequences models are fitted to while settings are chosen.
        valid: int32, shape (n_users,), the item settings are chosen by; -1: not evaluated.
        test: int32, shape (n_users,), the item results are reported for; -1: not evaluated.
        refitted: what is fitted when refitting, where that is not train and validation items.
    """

    train: Sequences
    valid: NDArray[np.int32]
    test: NDArray[np.int32]
    refitted: Sequences | None = None

    def fit(self, refit: bool) -> Sequences:
        """What may be fitted, and shown as history: with ``refit`` the validation item too."""
        if not refit:
            return self.train
        return self.train.append(self.valid) if self.refitted is None else self.refitted


def leave_one_out(interactions: Interactions) -> Split:
    """Split by position; interactions come sorted by (user, timestamp, row).

    Users with fewer than three interactions stay in ``train`` whole and are not evaluated.
    """
    whole = Sequences.from_interactions(interactions)
    enough = whole.lengths >= MINIMUM_LENGTH
    ends = whole.indptr[1:][enough]
    valid = np.full(len(whole), -1, dtype=np.int32)
    test = np.full(len(whole), -1, dtype=np.int32)
    valid[enough] = whole.items[ends - 2]
    test[enough] = whole.items[ends - 1]
    keep = np.ones(len(whole.items), dtype=bool)
    keep[ends - 1] = False
    keep[ends - 2] = False
    indptr = whole.indptr - np.concatenate(([0], np.cumsum(2 * enough)))
    return Split(Sequences(indptr, whole.items[keep], whole.n_items), valid, test)


def require_held_out(split: Split, dataset: str) -> None:
    """Refuse a data set that leaves nothing to choose settings by, and nobody to test.

    Raises:
        ChangeSomethingError: every user has fewer interactions than ``MINIMUM_LENGTH``.
    """
    if not ((split.valid >= 0).any() and (split.test >= 0).any()):
        raise ChangeSomethingError(
            f"{dataset}: none of {len(split.test)} users has {MINIMUM_LENGTH} interactions, one to "
            "train on, one to choose settings by and one to test with: load more data"
        )
