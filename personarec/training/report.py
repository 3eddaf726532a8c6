"""Metrics of a training as one document, and as a table to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from personarec.evaluation.metrics import METRICS, hit_rate, ndcg
from personarec.evaluation.significance import paired_bootstrap

if TYPE_CHECKING:
    from personarec.training.config import Row, TrainConfig
    from personarec.training.data import GraphData
    from personarec.training.table import RowResult

Results = dict["Row", dict[int, "RowResult"]]
"""Row -> seed -> result."""

CUTOFFS = (10, 100)
COLUMNS = tuple(f"{m}@{k}" for k in CUTOFFS for m in METRICS)
COMPARISONS = (
    ("constant", "none"),
    ("shuffled", "none"),
    ("persona", "none"),
    ("persona", "constant"),
    ("persona", "shuffled"),
    ("transitions", "none"),
    ("facts", "none"),
    ("transitions+facts", "transitions"),
    ("transitions+facts", "transitions+shuffled facts"),
    ("all evidence", "none"),
    ("all evidence", "transitions+facts"),
    ("all evidence learned rerank", "all evidence"),
)


def metrics_document(
    dataset: str, config: TrainConfig, data: GraphData, results: Results
) -> dict[str, Any]:
    """Rows with means over users and seeds, and paired intervals of the differences."""
    ranks = {
        row: np.stack([found.ranking.ranks for found in by_seed.values()])
        for row, by_seed in results.items()
    }
    rows = []
    for row, found in ranks.items():
        entry: dict[str, Any] = {"name": row}
        for k in CUTOFFS:
            for name, metric in METRICS.items():
                entry[f"{name}@{k}"] = float(metric(found, k).mean())
        entry["NDCG@10 per seed"] = [float(v) for v in ndcg(found, 10).mean(axis=1)]
        if weights := [r.weights for r in results[row].values() if r.weights]:
            entry["weights"] = weights
        rows.append(entry)
    differences = [
        _difference(row, baseline, ranks)
        for row, baseline in COMPARISONS
        if row in ranks and baseline in ranks
    ]
    return {
        "dataset": dataset,
        "protocol": f"leave-one-out by (time, row order); full catalogue; seen items masked; "
        f"fitted to {config.fitted}; settings chosen on validation NDCG@10",
        "seeds": list(config.seeds),
        "users": int((data.split.test >= 0).sum()),
        "items": len(data.catalogue.ids),
        "rows": rows,
        "differences": differences,
    }


def _difference(row: str, baseline: str, ranks: dict[Any, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"row": row, "against": baseline}
    for name, metric in (("HR@10", hit_rate), ("NDCG@10", ndcg)):
        found = paired_bootstrap(metric(ranks[row], 10), metric(ranks[baseline], 10))
        entry[name] = {
            "mean": found.mean,
            "low": found.low,
            "high": found.high,
            "clear": found.clear,
        }
    return entry


def in_words(difference: dict[str, Any]) -> str:
    """One comparison as a sentence."""
    found = difference["NDCG@10"]
    verdict = "clear" if found["clear"] else "not clear: the interval holds 0"
    return (
        f"{difference['row']} against {difference['against']}: NDCG@10 {found['mean']:+.4f} "
        f"[{found['low']:+.4f}, {found['high']:+.4f}], {verdict}"
    )
