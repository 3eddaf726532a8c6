"""Metrics of a training as one document, and as a table to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from personarec.evaluation.metrics import hit_rate, mrr, ndcg
from personarec.evaluation.significance import paired_bootstrap

if TYPE_CHECKING:
    from personarec.training.config import TrainConfig
    from personarec.training.data import GraphData
    from personarec.training.table import SeedResult

METRICS = {"HR": hit_rate, "NDCG": ndcg, "MRR": mrr}
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
)


def metrics_document(
    dataset: str, config: TrainConfig, data: GraphData, results: dict[int, SeedResult]
) -> dict[str, Any]:
    """Rows with means over users and seeds, and paired intervals of the differences."""
    seeds = list(results)
    ranks = {
        row: np.stack([results[s].rows[row].ranking.ranks for s in seeds])
        for row in results[seeds[0]].rows
    }
    rows = []
    for row, found in ranks.items():
        entry: dict[str, Any] = {"name": row}
        for k in CUTOFFS:
            for name, metric in METRICS.items():
                per_seed = metric(found, k).mean(axis=1)
                entry[f"{name}@{k}"] = float(per_seed.mean())
        entry["NDCG@10 per seed"] = [float(v) for v in ndcg(found, 10).mean(axis=1)]
        if results[seeds[0]].rows[row].weights:
            entry["weights"] = [results[s].rows[row].weights for s in seeds]
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
        "seeds": seeds,
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
