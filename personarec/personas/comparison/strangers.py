"""Personas for users that training never saw, by how much of them is visible.

A fifth of the users are left out of training, edges and all; an encoder is fitted to the others,
and read as validation on the others says. Then it is asked for the strangers' test items, given
their newest 1, 2, 3, 5 or 10 visible items (or all that there are): with its persona, with the
persona shrunk to the mean, and, fitted to everybody, with the strangers' own training edges in the
graph. Only what is shown is masked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from personarec.evaluation.leakage import refuse_known_users
from personarec.evaluation.persona_probe import (
    SAMPLE,
    Reading,
    newest,
    rank_sessions,
    readings_of,
    sampled_targets,
    validation_ndcg,
)
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.personas.baselines.controls import ConstantEncoder
from personarec.personas.comparison.alone import GRIDS
from personarec.personas.encoder import DensePersonas, TrainingData
from personarec.personas.registry import make_encoder
from personarec.personas.shrinkage import STRENGTHS, ShrunkPersonas
from personarec.training.data import GraphData

SHOWN = (1, 2, 3, 5, 10)
SHARE = 0.2
"""Of the users that have a test item."""
SHORT = 3
"""Newest items that the strength of shrinkage is chosen by."""


@dataclass(frozen=True)
class Parted:
    """A data set without the strangers.

    Attributes:
        data: what encoders are fitted to: the strangers have no item, no edge, no validation item.
        split: the same for the probe.
        strangers: int64, ascending: indices of the users left out.
    """

    data: TrainingData
    split: Split
    strangers: NDArray[np.int64]


def parted(data: GraphData, seed: int) -> Parted:
    """Leave a fifth of the users out of training, drawn at random."""
    asked = np.flatnonzero(data.split.test >= 0)
    drawn = np.random.default_rng(seed).choice(asked, max(1, int(SHARE * len(asked))), False)
    strangers = np.sort(drawn).astype(np.int64)
    train = without(data.split.train, strangers)
    valid = data.split.valid.copy()
    valid[strangers] = -1
    # As for everybody else, but from sequences in which the strangers have nothing.
    training = replace(
        TrainingData.of(data), sequences=train, graph=data.training_graph(train), valid=valid
    )
    refuse_known_users("what strangers' personas are made by", train, strangers)
    return Parted(training, Split(train, valid, data.split.test), strangers)


def without(sequences: Sequences, users: NDArray[np.int64]) -> Sequences:
    """The same users, these with nothing."""
    gone = np.isin(np.arange(len(sequences)), users)
    lengths = np.where(gone, 0, sequences.lengths)
    kept = ~np.repeat(gone, sequences.lengths)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return Sequences(indptr, sequences.items[kept], sequences.n_items)


def measure_strangers(
    data: GraphData, encoder: str, dim: int, seed: int
) -> tuple[dict[str, Any], pl.DataFrame]:
    """HR and NDCG of strangers' test items by what is shown of them, and the ranks.

    Raises:
        ChangeSomethingError: the encoder's personas are not dense.
    """
    without_them = parted(data, seed)
    strangers = without_them.strangers
    fitted = fit_and_read(without_them.data, without_them.split, encoder, dim, seed)
    resident = fit_and_read(TrainingData.of(data), data.split, encoder, dim, seed)
    popular = ConstantEncoder(dim=2).fit(without_them.data).score
    rows: dict[str, Reading] = {
        "popularity": popular,
        "persona": fitted.read,
        "shrunk": fitted.read_shrunk,
        "resident": resident.read,
    }
    whole = data.split.fit(refit=True).take(strangers)
    targets = data.split.test[strangers]
    frames, result = [], {}
    for shown in (*SHOWN, 0):
        visible = newest(whole, shown) if shown else whole
        for name, score in rows.items():
            ranking = rank_sessions(score, visible, targets)
            result[f"{name} {shown or 'all'}"] = {
                "hr10": ranking.hit_rate(10),
                "hr100": ranking.hit_rate(100),
                "ndcg10": ranking.ndcg(10),
            }
            frames.append(
                pl.DataFrame(
                    {"user": strangers[ranking.users], "rank": ranking.ranks}
                ).with_columns(row=pl.lit(name), shown=pl.lit(shown, pl.Int64))
            )
    found = {
        "users": len(strangers),
        "reading": fitted.reading,
        "settings": fitted.settings,
        "kappa": fitted.kappa,
        "shown": result,
    }
    return found, pl.concat(frames)


@dataclass(frozen=True)
class Read:
    """A fitted encoder as validation says to read it, shrunk and not."""

    read: Reading
    read_shrunk: Reading
    reading: str
    kappa: float
    settings: dict[str, Any]


def fit_and_read(training: TrainingData, split: Split, encoder: str, dim: int, seed: int) -> Read:
    """Fit an encoder; choose settings and reading on validation, κ there on the newest few."""
    valid = sampled_targets(split.valid, SAMPLE, seed)
    best: tuple[float, DensePersonas, str, dict[str, Any]] | None = None
    for settings in GRIDS.get(encoder, ({},)):
        model = make_encoder(encoder, dim=dim, seed=seed, **settings).fit(training)
        if not isinstance(model, DensePersonas):
            raise ChangeSomethingError(f"{encoder}: personas of strangers are measured if dense")
        for name, score in readings_of(model, split.train, seed).items():
            found = validation_ndcg(score, split.train, valid)
            if best is None or found > best[0]:
                best = found, model, name, settings
    assert best is not None
    _, model, name, chosen = best
    short = newest(split.train, SHORT)
    shrunk = {k: ShrunkPersonas.around(model, k) for k in STRENGTHS}
    read = {k: readings_of(rule, split.train, seed)[name] for k, rule in shrunk.items()}
    strengths = {k: validation_ndcg(score, short, valid) for k, score in read.items()}
    kappa = max(strengths, key=lambda k: strengths[k])
    return Read(read[0.0], read[kappa], name, kappa, chosen)
