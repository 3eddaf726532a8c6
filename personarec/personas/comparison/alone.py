"""What a persona alone knows: an encoder at its best settings, probed; and its shuffle."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from personarec.evaluation.metrics import hit_rate
from personarec.evaluation.persona_probe import Probe, Reading, probe, rank_sessions
from personarec.personas.baselines.controls import shuffled
from personarec.personas.baselines.ease import EasePersonas
from personarec.personas.encoder import DensePersonas, Personas, TrainingData
from personarec.personas.registry import make_encoder
from personarec.training.data import GraphData

SIZELESS = ("constant", "facts", "ease-full")
"""Rows that the number of dimensions does not change."""
FULL_MATRIX = "ease-full"
"""The linear model itself, x B, that ``ease`` cuts to a size: no persona, a mark to look up to."""
SEEDED = ("random", "propagation", "lightgcn", "hdgi", "relational")
"""Encoders that draw something that matters."""
GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "svd": ({"scaled": False}, {"scaled": True}),
    "recent:svd": ({"scaled": False}, {"scaled": True}),
    "facts": ({"age_decay": 0.7}, {"age_decay": 0.85}, {"age_decay": 1.0}),
    "hdgi": ({"user_features": "random"}, {"user_features": "items"}),
}
"""Settings to choose from on validation."""


def takes_seeds(encoder: str) -> bool:
    """Whether another seed gives another fit; if not, one is measured."""
    return any(part in SEEDED for part in encoder.split(":"))


@dataclass(frozen=True)
class Fit:
    """A fitted encoder, with the settings that did best on validation."""

    model: Personas
    found: Probe
    settings: dict[str, Any]
    seconds: float


def best_fit(data: GraphData, training: TrainingData, encoder: str, dim: int, seed: int) -> Fit:
    """Fit an encoder with each of its settings and keep the one that validation finds best."""
    best: Fit | None = None
    name = "ease" if encoder == FULL_MATRIX else encoder
    for settings in GRIDS.get(encoder, ({},)):
        began = time.perf_counter()
        model = make_encoder(name, dim=max(dim, 2), seed=seed, **settings).fit(training)
        seconds = time.perf_counter() - began
        readings: dict[str, Reading] | None = None
        if encoder == FULL_MATRIX:
            assert isinstance(model, EasePersonas)
            readings = {"x B": model.full_score}
        found = probe(model, data.split, fitted=training.sequences, readings=readings, seed=seed)
        if best is None or found.choice[found.reading] > best.found.choice[best.found.reading]:
            chosen = model.chosen if isinstance(model, DensePersonas) else {}
            own = {name: value for name, value in chosen.items() if name != "inner"}
            best = Fit(model, found, settings | own, seconds)
    assert best is not None
    return best


def measure_alone(
    data: GraphData, encoder: str, dim: int, seed: int
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Everything that is said of one encoder of one size and seed.

    Returns:
        what was measured; and by user: rank of the test item, the same from somebody else's
        persona, whether the target is cold and the user has few items, and for a sample of users
        ranks of the validation and the test item after the training items alone.
    """
    training = TrainingData.of(data)
    fit = best_fit(data, training, encoder, dim, seed)
    found = fit.found
    users = found.ranking.users
    strange: NDArray[np.float64] | None = None
    if isinstance(fit.model, DensePersonas) and encoder != FULL_MATRIX:
        others = probe(
            shuffled(fit.model, training, seed), data.split, fitted=training.sequences, seed=seed
        )
        strange = others.ranking.ranks
    cold = users[found.cold]
    targets = np.full(len(data.split.test), -1, np.int32)
    targets[cold] = data.split.test[cold]
    by_score = rank_sessions(fit.model.score, data.split.fit(refit=True), targets)
    few = found.ranking.ranks[found.few]
    result = {
        "reading": found.reading,
        "settings": fit.settings,
        "size": int(fit.model.items.shape[1]),
        "users": len(users),
        "cold": len(cold),
        "few": len(few),
        "validationNdcg100": found.choice[found.reading],
        "hr10": found.ranking.hit_rate(10),
        "hr100": found.ranking.hit_rate(100),
        "ndcg10": found.ranking.ndcg(10),
        "recall100": found.recall(),
        "coldHr100": _mean_hit(found.ranking.ranks[found.cold]),
        "coldOwnHr100": None if encoder == FULL_MATRIX else _mean_hit(by_score.ranks),
        "fewHr100": _mean_hit(few),
        "shortHr100": found.short.hit_rate(100),
        "tasteAri": planted_ari(data, fit.model, seed),
        "fitSeconds": round(fit.seconds, 1),
    }
    sampled = np.searchsorted(users, found.short.users)
    edges = np.full((2, len(users)), np.nan)
    edges[:, sampled] = found.edges
    ranks = pl.DataFrame(
        {
            "user": users,
            "rank": found.ranking.ranks,
            "shuffled": np.full(len(users), np.nan) if strange is None else strange,
            "cold": found.cold,
            "few": found.few,
            "valid_edge": edges[0],
            "test_edge": edges[1],
        }
    )
    return result, ranks


def planted_ari(data: GraphData, model: Personas, seed: int) -> float | None:
    """Agreement of clusters of the personas with the tastes planted in the demo; others: None.

    Adjusted Rand index of k-means of the unit personas of all training items.
    """
    if data.name != "demo" or not isinstance(model, DensePersonas):
        return None
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    text = files("personarec.datasets.demo").joinpath("tastes.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    planted = {f"demo:{row[0]}": row[1] for row in rows}
    users = [u for u, key in enumerate(data.users) if key in planted]
    vectors = model.personas(data.split.train.take(np.array(users, np.int64)))
    if not np.ptp(vectors, axis=0).any():
        return 0.0  # one persona for all has no clusters
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    kinds = len(set(planted.values()))
    found = KMeans(kinds, n_init=10, random_state=seed).fit_predict(vectors)
    return float(adjusted_rand_score([planted[data.users[u]] for u in users], found))


def _mean_hit(ranks: NDArray[np.float64]) -> float | None:
    return float(hit_rate(ranks, 100).mean()) if len(ranks) else None
