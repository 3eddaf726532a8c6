"""Training batches of sequences of like length, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences

IGNORED = -1
"""Target of a padded place."""


@dataclass(frozen=True)
class Batch:
    """Windows of sequences, padded on the right.

    Attributes:
        users: int64, shape (b,), whose sequence each window is cut from.
        items: int64, shape (b, l); n_items is padding.
        targets: int64, shape (b, l), the item that came next; -1 at padding.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    targets: NDArray[np.int64]


def pad_right(
    items: NDArray[np.int32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    fill: int,
    width: int | None = None,
) -> NDArray[np.int64]:
    """Cut ``items[start : start + length]`` for each row into one matrix.

    Args:
        items: int32, shape (nnz,).
        starts: int64, shape (b,).
        lengths: int64, shape (b,).
        fill: what stands right of a row's end.
        width: columns; the longest row if not given.

    Returns:
        int64, shape (b, width).
    """
    width = int(lengths.max(initial=0)) if width is None else width
    column = np.arange(width)
    inside = column < lengths[:, None]
    out = np.full((len(starts), width), fill, dtype=np.int64)
    out[inside] = items[(starts[:, None] + column)[inside]]
    return out


def training_batches(
    sequences: Sequences, batch_size: int, max_length: int, seed: int, epoch: int
) -> list[Batch]:
    """One epoch: each transition of each sequence is a target exactly once.

    Sequences longer than ``max_length`` are cut into windows that lie back to back; where the cuts
    fall changes from epoch to epoch, so no place is always without context. Windows are sorted by
    length (ties at random) before they are cut into batches, and the batches are shuffled:
    little padding, yet another composition each epoch. A batch is so many targets, not so many
    windows: a step then averages over as much whether sequences are short or long.

    Args:
        sequences: what to learn from; sequences of one item have no target and are left out.
        batch_size: targets per batch, about: windows stay whole.
        max_length: inputs per window.
        seed: with ``epoch`` decides everything random.
        epoch: number of the epoch.
    """
    rng = np.random.default_rng((seed, epoch))
    users, starts, lengths = _windows(sequences, max_length, rng)
    order = np.lexsort((rng.random(len(users)), lengths))
    number = np.cumsum(lengths[order]) // batch_size
    batches = np.split(order, np.flatnonzero(np.diff(number)) + 1) if len(order) else []
    rng.shuffle(batches)
    return [
        Batch(
            users[rows],
            pad_right(sequences.items, starts[rows], lengths[rows], sequences.n_items),
            pad_right(sequences.items, starts[rows] + 1, lengths[rows], IGNORED),
        )
        for rows in batches
    ]


def _windows(
    sequences: Sequences, max_length: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """User, start and number of inputs of each window."""
    inputs = np.maximum(sequences.lengths - 1, 0)
    # The first window of a long sequence may be short; its end moves at random.
    first = np.where(inputs > max_length, rng.integers(1, max_length + 1, size=len(inputs)), inputs)
    rest = -(-(inputs - first) // max_length)
    count = (inputs > 0) * (1 + rest)
    users = np.repeat(np.arange(len(inputs)), count)
    number = np.arange(len(users)) - np.repeat(np.cumsum(count) - count, count)
    offset = np.where(number == 0, 0, first[users] + (number - 1) * max_length)
    end = np.minimum(first[users] + number * max_length, inputs[users])
    return users, sequences.indptr[users] + offset, end - offset
