"""What a persona of HDGI knows of its user's next item: a probe on two data sets.

    python -m benchmarks.hdgi.personas movielens-dbpedia     about 15 minutes
    python -m benchmarks.hdgi.personas beauty --rows ...     see docs/hdgi.md

The persona is made of a user's items but the last two. A linear map (ridge) from the persona to
items is learned on four fifths of the users and asked for the next item of the others, the full
catalogue ranked, seen items left out; five folds, so that every user is asked once. The map has no
constant term and personas are centred: what is scored comes from the persona alone. It is learned
twice: from personas to the items that those users have (``taste``), and to the one item they took
next (``next``). Chance is the share of unseen items that 100 are.

Data: movielens-dbpedia and amazon-beauty under PERSONAREC_DATA, or under ../shared/data. Writes
personas.json beside this file, after every row, and keeps the rows that are not asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from benchmarks.hdgi.graphs import data_folder
from kg.ingest import ingest
from kg.store import connect
from kg.views import binary_matrix
from personarec.datasets.manifest import resolve
from personarec.evaluation.metrics import rank_all, target_ranks
from personarec.personas.facts import FactModel
from personarec.personas.hdgi import HDGIConfig, HDGIEncoder, HDGIOptions, HDGIPersonaConfig
from personarec.personas.propagation import PropagationConfig, fit_propagation
from personarec.training.data import GraphData, read_data

HERE = Path(__file__).resolve().parent
CUTOFF, FOLDS, SIZE = 100, 5, 64
RIDGES = (1.0, 10.0, 100.0, 1000.0)
"""Chosen for each fold on a quarter of its training users."""

Matrix = NDArray[np.float32]


def read(name: str) -> GraphData:
    """Load a data set into an embedded graph of its own, and read it back."""
    folder = data_folder()
    beauty = name == "beauty"
    dataset = resolve(
        name if beauty else str(folder / name), data=folder / "amazon-beauty" if beauty else None
    )
    with tempfile.TemporaryDirectory() as home, connect(None, Path(home)) as store:
        ingest(store, dataset, Path(home), lambda _what, _done, _total: None)
        return read_data(store, dataset.name)


def hit_rates(personas: Matrix, data: GraphData, targets: sparse.csr_array) -> float:
    """HR@100 of the next item, over users that a linear map was not learned on."""
    n = len(personas)
    folds = np.random.default_rng(0).permutation(n) % FOLDS
    ranks = np.empty(n)
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        inner, held_out = train[len(train) // 4 :], train[: len(train) // 4]
        best = max(
            RIDGES,
            key=lambda r: (_ranks(personas, data, targets, inner, held_out, r) <= CUTOFF).mean(),
        )
        ranks[test] = _ranks(personas, data, targets, train, test, best)
    return float((ranks <= CUTOFF).mean())


def _ranks(
    personas: Matrix,
    data: GraphData,
    targets: sparse.csr_array,
    train: NDArray[np.integer],
    test: NDArray[np.integer],
    ridge: float,
) -> NDArray[np.float64]:
    mean = personas[train].mean(axis=0)
    given = personas[train] - mean
    # One scale for all encoders, or the same ridge would mean another thing to each.
    scale = np.sqrt((given**2).mean()) or 1.0
    given = given / scale
    gram = given.T @ given + ridge * np.eye(given.shape[1], dtype=np.float32)
    weights = np.linalg.solve(gram, (targets[train].T @ given).T)
    scores = ((personas[test] - mean) / scale @ weights).astype(np.float32)
    return target_ranks(scores, data.split.valid[test], data.split.train.take(test))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", choices=["movielens-dbpedia", "beauty"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=300, help="most steps; HDGI-A a quarter")
    parser.add_argument("--rows", nargs="+", help="only these; others stay as they are in the file")
    parser.add_argument("--out", type=Path, default=HERE / "personas.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = read(args.dataset)
    train, label = data.split.train, data.catalogue.label
    n_users, n_items = len(train), train.n_items
    if (data.split.valid < 0).any():
        raise ValueError("a user has fewer than three items")
    graph = data.training_graph(train)
    facts = FactModel.from_matrix(data.facts)
    items = np.zeros((len(graph.nodes[label]), SIZE), np.float32)
    items[:n_items] = TruncatedSVD(SIZE, random_state=0).fit_transform(facts.items)
    own = sparse.csr_array(graph.relations["User", "RATED", label][:, :n_items])
    taken = binary_matrix(np.arange(n_users), data.split.valid, (n_users, n_items))

    def hdgi(seed: int, epochs: int = args.epochs, **settings: object) -> Matrix:
        variant = settings.pop("variant", "convolution")
        attentive = variant == "attention"
        double = settings.pop("double", False)
        model = HDGIConfig(
            variant=variant,
            embedding_size=SIZE,
            semantic_size=8 if attentive else 16,
            double_self_loop=double,
        )
        rate, patience = (0.02, 30) if attentive else (1e-3, 50)
        training = HDGIOptions(seed=seed, epochs=epochs, learning_rate=rate, patience=patience)
        config = HDGIPersonaConfig(model=model, training=training, feature_size=SIZE, **settings)
        trained = HDGIEncoder(config).fit(graph, label, items)
        shown = [round(trained.losses[i], 3) for i in (0, trained.best_epoch - 1)] if epochs else []
        print(f"  {len(trained.losses)} steps, loss {shown}", file=sys.stderr, flush=True)
        return trained.embeddings

    def propagation(seed: int, size: int) -> Matrix:
        config = PropagationConfig(embedding_size=size, seed=seed)
        return fit_propagation(graph, label, facts.items, config).personas(train)

    mean_items = graph.propagate([(("User", "RATED", label), False)], items)
    count = np.log(train.lengths.astype(np.float32))[:, None]
    rows: dict[str, Callable[[int], Matrix]] = {
        "number of items, nothing else": lambda _: np.hstack([count, count**2, count**3]),
        "random vectors": lambda s: np.random.default_rng(s).standard_normal(
            (n_users, SIZE), np.float32
        ),
        "HDGI-C, random features": hdgi,
        "HDGI-C, random features, untrained": lambda s: hdgi(s, epochs=0),
        "HDGI-C, random features, Â + I": lambda s: hdgi(s, double=True),
        "HDGI-C, random features, binary": lambda s: hdgi(s, weights="binary"),
        "HDGI-A, random features": lambda s: hdgi(s, args.epochs // 4, variant="attention"),
        "HDGI-C, mean item features": lambda s: hdgi(s, user_features="items"),
        "HDGI-C, mean item features, untrained": lambda s: hdgi(s, 0, user_features="items"),
        "mean item features": lambda _: mean_items,
        "untrained propagation": lambda s: propagation(s, SIZE),
    }
    # Fewer seen items, fewer candidates.
    chance = float(np.mean(CUTOFF / (n_items - train.lengths)))
    popularity = np.asarray(own.sum(axis=0), np.float32)
    ranks = rank_all(
        lambda users: np.repeat(popularity[None], len(users), axis=0), train, data.split.valid
    ).ranks
    found: dict[str, object] = {
        "users": n_users, "items": n_items, "size": SIZE, "chance": round(chance, 4),
        "popularity": round(float((ranks <= CUTOFF).mean()), 4),
        "standard_error_at_.15": round(float(np.sqrt(0.15 * 0.85 / n_users)), 4),
    }  # fmt: skip
    print(found, flush=True)
    known = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {}
    known[args.dataset] = known.get(args.dataset, {}) | found
    for name in args.rows or rows:
        started = time.perf_counter()
        runs = [rows[name](seed) for seed in range(args.seeds)]
        known[args.dataset][name] = {
            "taste": [round(hit_rates(p, data, own), 4) for p in runs],
            "next": [round(hit_rates(p, data, taken), 4) for p in runs],
            "seconds": round(time.perf_counter() - started, 1),
        }
        args.out.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
        print(name, known[args.dataset][name], flush=True)


if __name__ == "__main__":
    main()
