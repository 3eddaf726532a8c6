"""Scores of the whole catalogue for some sessions, and the best items of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from personarec.evaluation.sequences import Sequences
from personarec.retriever.fusion import components
from personarec.retriever.recommender import Retriever
from personarec.retriever.training import encode_sessions

SESSIONS = 32
"""Scored at once: bounds the memory of a large batch over a large catalogue."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """One session's scores.

    Attributes:
        total: float32, shape (n_items,), the sum of the parts.
        parts: the same shape by name, each with its weight in; ``popularity`` alone where the
            session shows nothing yet.
    """

    total: NDArray[np.float32]
    parts: dict[str, NDArray[np.float32]]


def scored(
    retriever: Retriever, sessions: Sequence[Sequence[int]], users: Sequence[str | None]
) -> Iterator[Scores]:
    """Scores of each session in turn, many computed as one matrix.

    As ``Retriever.recommend`` scores one session.

    Args:
        retriever: the trained parts.
        sessions: item indices, oldest first; may be empty.
        users: key of each session's user, None for anonymous ones.
    """
    for start in range(0, len(sessions), SESSIONS):
        block = range(start, min(start + SESSIONS, len(sessions)))
        shown = [place for place in block if len(sessions[place])]
        parts = _parts(retriever, [sessions[p] for p in shown], [users[p] for p in shown])
        row = iter(range(len(shown)))
        for place in block:
            if len(sessions[place]):
                here = next(row)
                own = {name: part[here] for name, part in parts.items()}
            else:
                most = max(int(retriever.popularity.max(initial=0)), 1)
                own = {"popularity": (retriever.popularity / most).astype(np.float32)}
            total = np.zeros(len(retriever.items), np.float32)
            for part in own.values():
                total += part
            yield Scores(total, own)


def best(
    scores: NDArray[np.float32], n: int, seen: Sequence[int] = (), allowed: Mask | None = None
) -> NDArray[np.int64]:
    """Indices of the best items, best first; of equal scores the smaller index first.

    Args:
        scores: shape (n_items,).
        n: how many at most; fewer where fewer are left.
        seen: items to leave out.
        allowed: shape (n_items,), items that may come; all where None.
    """
    left = scores.copy()
    left[np.asarray(seen, np.int64)] = -np.inf
    if allowed is not None:
        left[~allowed] = -np.inf
    if n < len(left):
        # The lowest score that can be among the best; all that reach it are then sorted exactly.
        bound = left[np.argpartition(left, len(left) - n)[len(left) - n]]
        places = np.flatnonzero(left >= bound)
    else:
        places = np.arange(len(left))
    places = places[np.isfinite(left[places])]
    return places[np.lexsort((places, -left[places]))][:n].astype(np.int64)


def _parts(
    retriever: Retriever, sessions: Sequence[Sequence[int]], users: Sequence[str | None]
) -> dict[str, NDArray[np.float32]]:
    """Weighted scores by name, shape (b, n_items), of sessions with items."""
    if not sessions:
        return {}
    block = Sequences.from_lists(sessions, len(retriever.items))
    default = retriever.default_persona
    personas = (
        None
        if default is None
        else np.stack([retriever.personas.get(u or "", default) for u in users])
    )

    def score(_: NDArray[np.int64]) -> NDArray[np.float32]:
        states = encode_sessions(retriever.model, block, personas)
        with torch.inference_mode():
            table = retriever.model.item_table.cpu()
            result: NDArray[np.float32] = (torch.from_numpy(states) @ table.T).numpy()
        return result

    # What weighs nothing is not computed: its part is 0 whatever it says.
    used = {k: v for k, v in retriever.evidence.items() if retriever.weights[k]}
    everyone = np.arange(len(block), dtype=np.int64)
    sequence, *rest = components(score, used, everyone, block, retriever.cold)
    parts = {"sequence": sequence}
    for name, part in zip(used, rest, strict=True):
        part *= np.float32(retriever.weights[name])
        parts[name] = part
    return parts
