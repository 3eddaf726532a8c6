"""Parity of HDGI with what its authors published: vectors to logistic regression on public graphs.

    python -m benchmarks.hdgi.run                            everything, about half an hour
    python -m benchmarks.hdgi.run --graphs imdb --rows raw HDGI-C

Each row gives vectors of the nodes without seeing a label; a logistic regression over 10 random
splits gives micro and macro F1 with 20 % and with 80 % of the labels. Beside HDGI as published
(settings of the authors' code, early stopping on the training loss) stands what it must beat: the
raw features; HDGI with its weights as drawn; and the raw features averaged along the meta-paths,
with nothing trained, reduced to the same width. One thread. Writes results.json beside this file,
after every row, and keeps the rows that are not asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from benchmarks.hdgi.graphs import GRAPHS, LabelledGraph, data_folder
from benchmarks.hdgi.probe import Vectors, f1_over_splits
from personarec.personas.hdgi import normalise_features, published, train_hdgi
from personarec.personas.hdgi.config import Variant

HERE = Path(__file__).resolve().parent
SPLITS = 10

Row = tuple[Vectors, dict[str, object]]


def raw(graph: LabelledGraph, _seed: int, _steps: int) -> Row:
    """The features alone."""
    return graph.features, {}


def propagated(size: int) -> Callable[[LabelledGraph, int, int], Row]:
    """Â X of each meta-path side by side, to ``size`` by SVD: nothing is trained."""

    def row(graph: LabelledGraph, seed: int, _steps: int) -> Row:
        x = normalise_features(graph.features, "l2")
        blocks = [x]
        for path in graph.factored:
            root = 1 / np.sqrt(path.degrees() + 1)[:, None]
            walked = x.multiply(root).tocsr()
            own = walked
            for factor in reversed(path.factors):
                walked = factor @ walked
            blocks.append(sparse.csr_array((walked + own).multiply(root)))
        wide = sparse.csr_matrix(sparse.hstack(blocks), dtype=np.float32)
        return TruncatedSVD(size, random_state=seed).fit_transform(wide), {}

    return row


def hdgi(
    variant: Variant, *, trained: bool = True, double: bool = True
) -> Callable[[LabelledGraph, int, int], Row]:
    """HDGI as published, with its weights as drawn, or without the second self-loop."""

    def row(graph: LabelledGraph, seed: int, steps: int) -> Row:
        config, options = published(variant, seed)
        config = config.model_copy(update={"double_self_loop": double})
        options = options.model_copy(update={"epochs": steps if trained else 0})
        paths = graph.factored if variant == "convolution" else graph.paths
        features = normalise_features(graph.features, "l1")
        given = train_hdgi(features, paths, config, options, _say)
        notes: dict[str, object] = {"beta": [round(float(b), 3) for b in given.path_weights]}
        if trained:
            notes |= {
                "steps": len(given.losses),
                "best_step": given.best_epoch,
                "first_loss": float(f"{given.losses[0]:.3g}"),
                "lowest_loss": float(f"{min(given.losses):.3g}"),
            }
        return given.embeddings, notes

    return row


ROWS: dict[str, Callable[[LabelledGraph, int, int], Row]] = {
    "raw": raw,
    "propagation 64": propagated(64),
    "propagation 512": propagated(512),
    "HDGI-A untrained": hdgi("attention", trained=False),
    "HDGI-A": hdgi("attention"),
    "HDGI-C untrained": hdgi("convolution", trained=False),
    "HDGI-C": hdgi("convolution"),
    "HDGI-C one self-loop": hdgi("convolution", double=False),
}


def _say(step: int, loss: float) -> None:
    if step % 25 == 0:
        print(f"    step {step}  loss {loss:.4f}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--graphs", nargs="+", choices=GRAPHS, default=list(GRAPHS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=1, help="trainings per row (default 1)")
    parser.add_argument(
        "--steps", type=int, default=10_000, help="most steps of a training (default as published)"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.graphs:
        graph = GRAPHS[name](data_folder())
        for row in args.rows:
            for seed in range(args.seeds):
                started, cpu = time.perf_counter(), time.process_time()
                vectors, notes = ROWS[row](graph, seed, args.steps)
                seconds = {
                    "seconds": round(time.perf_counter() - started, 1),
                    "cpu_seconds": round(time.process_time() - cpu, 1),
                }
                f1 = {
                    str(share): f1_over_splits(vectors, graph.labels, share, SPLITS)
                    for share in (0.2, 0.8)
                }
                result = {"width": vectors.shape[1], **seconds, **notes, "f1": f1}
                known = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {}
                known.setdefault(name, {}).setdefault(row, {})[str(seed)] = result
                args.out.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
                at = {s: f"{v['micro']:.3f}/{v['macro']:.3f}" for s, v in f1.items()}
                print(f"{name:12} {row:22} seed {seed}  {at}  {seconds} {notes}", flush=True)


if __name__ == "__main__":
    main()
