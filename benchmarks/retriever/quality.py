"""Validation quality over the seconds spent, of two trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEVELS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.055)
"""NDCG@10 asked for, besides what each side ended with."""


@dataclass(frozen=True)
class Point:
    """An evaluation.

    Attributes:
        epochs: trained so far, with parts.
        cpu: CPU seconds spent so far, training and evaluations.
        train_cpu: of these, training.
        ndcg: NDCG@10 on the validation items.
    """

    epochs: float
    cpu: float
    train_cpu: float
    ndcg: float


@dataclass(frozen=True)
class Level:
    """CPU seconds to a quality; none where a side did not reach it in what it spent."""

    ndcg: float
    ours: float | None
    theirs: float | None
    ratio: float | None
    """Theirs over ours; where they did not reach it, what they had spent over ours: then the true
    ratio is larger (``at_least``), by how much is not known."""
    at_least: bool


def has_stopped(curve: Sequence[Point], patience: int) -> bool:
    """Whether RecBole's rule ends the training: more than so many evaluations below the best."""
    if not curve:
        return False
    # The last of equals counts as the best, as there.
    best = max(range(len(curve)), key=lambda at: (curve[at].ndcg, at))
    return len(curve) - 1 - best > patience


def seconds_to(curve: Sequence[Point], ndcg: float) -> float | None:
    """CPU seconds at the first evaluation that is as good, none if there was none."""
    return next((point.cpu for point in curve if point.ndcg >= ndcg), None)


def compare(ours: Sequence[Point], theirs: Sequence[Point], ndcg: float) -> Level:
    """Seconds of both to one quality; both curves have at least one point."""
    mine, other = seconds_to(ours, ndcg), seconds_to(theirs, ndcg)
    spent = theirs[-1].cpu if other is None else other
    ratio = None if mine is None else spent / mine
    return Level(ndcg, mine, other, ratio, ratio is not None and other is None)


def levels(ours: Sequence[Point], theirs: Sequence[Point]) -> list[Level]:
    """All of ``LEVELS``, and the best that each side reached."""
    best = {max(point.ndcg for point in curve) for curve in (ours, theirs)}
    return [compare(ours, theirs, ndcg) for ndcg in sorted({*LEVELS, *best})]
