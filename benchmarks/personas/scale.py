"""Time and memory of the graph encoders by size: a synthetic graph, 1, 10 and 50 times.

    python -m benchmarks.personas.scale          some minutes on one core

The smallest graph has 2,000 readers of 20 books each and 1,500 books of 3 facts each, drawn with
popularity ∝ 1/rank; n times as large is n copies of it, so that every degree stays. Each row is a
process of its own with one thread. For the relational encoder: learning one batch of 1,024 places
with its share of the pass over the graph (mean of 3 passes, after one to warm up), over every edge
and over at most 10 drawn neighbours a node and direction, and one pass for the vectors. For
propagation: the fit. Writes scale.json, and scale.svg where matplotlib is installed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from kg.views import HeteroGraph, binary_matrix
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import TrainingData

HERE = Path(__file__).resolve().parent
USERS, ITEMS, FACTS, LENGTH, FACTS_EACH = 2_000, 1_500, 300, 20, 3
ROWS = ("propagation", "relational, whole graph", "relational, sampled")
DIM = 64


def copies(times: int) -> TrainingData:
    """So many copies of one drawn graph, side by side."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, ITEMS + 1)
    share /= share.sum()
    lists = [rng.choice(ITEMS, LENGTH, replace=False, p=share) for _ in range(USERS)]
    facts = rng.integers(FACTS, size=(ITEMS, FACTS_EACH))
    items = np.concatenate([np.concatenate(lists) + ITEMS * c for c in range(times)])
    n_users, n_items = USERS * times, ITEMS * times
    known = Sequences(
        np.arange(n_users + 1, dtype=np.int64) * LENGTH, items.astype(np.int32), n_items
    )
    told = np.concatenate([facts.ravel() + FACTS * c for c in range(times)])
    graph = HeteroGraph(
        {
            "User": tuple(f"u{u}" for u in range(n_users)),
            "Book": tuple(f"b{i}" for i in range(n_items)),
            "Subject": tuple(f"s{f}" for f in range(FACTS * times)),
        },
        {
            ("User", "RATED", "Book"): binary_matrix(
                np.repeat(np.arange(n_users), LENGTH), items, (n_users, n_items)
            ),
            ("Book", "SUBJECT_IS", "Subject"): binary_matrix(
                np.repeat(np.arange(n_items), FACTS_EACH), told, (n_items, FACTS * times)
            ),
        },
    )
    return TrainingData(known, graph, "Book")


def measured(row: str, times: int) -> dict[str, Any]:
    """Seconds and peak memory of one row."""
    import torch

    from personarec.personas.registry import make_encoder
    from personarec.personas.relational.encoder import RelationalEncoder
    from personarec.personas.relational.training import Trainer

    torch.set_num_threads(1)
    data = copies(times)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found: dict[str, Any] = {"row": row, "times": times, "edges": data.graph.edges}
    if row == "propagation":
        began = time.process_time()
        make_encoder("propagation", dim=DIM).fit(data)
        found["fitSeconds"] = time.process_time() - began
    else:
        budget = 0 if row.endswith("sampled") else 10**12
        settings = RelationalEncoder(dim=DIM, edge_budget=budget)
        rated = sparse.csr_array(data.graph.relations[data.rated])
        graph = HeteroGraph(data.graph.nodes, data.graph.relations | {data.rated: rated})
        trainer = Trainer(settings, graph, data.rated, data.sequences)
        shared, seconds = trainer.batches_per_pass, []
        for _ in range(4):
            batches = [trainer.rng.choice(trainer.inner, 1024) for _ in range(shared)]
            began = time.process_time()
            trainer.learn(batches)
            seconds.append((time.process_time() - began) / shared)
        found["batchSeconds"] = float(np.mean(seconds[1:]))
        began = time.process_time()
        trainer.fitted()
        found["vectorsSeconds"] = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found | {"peakMb": round(peak), "aboveDataMb": round(peak - before)}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds and memory against edges, both logarithmic."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in ROWS:
        own = [r for r in rows if r["row"] == name]
        edges = [r["edges"] for r in own]
        label = f"{name}: {'fit' if name == 'propagation' else 'one batch'}"
        left.loglog(edges, [r.get("batchSeconds", r.get("fitSeconds")) for r in own], "o-",
                    label=label)  # fmt: skip
        right.loglog(edges, [max(r["aboveDataMb"], 1) for r in own], "o-", label=name)
    left.set(xlabel="edges", ylabel="seconds of one core")
    right.set(xlabel="edges", ylabel="peak memory above the data, MB")
    left.legend(fontsize=7)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--times", nargs="+", type=int, default=[1, 10, 50])
    args = parser.parse_args()
    rows = []
    for times in args.times:
        for row in ROWS:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                rows.append(pool.submit(measured, row, times).result())
            print(json.dumps(rows[-1]), flush=True)
            (HERE / "scale.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    draw(rows, HERE / "scale.svg")


if __name__ == "__main__":
    main()
