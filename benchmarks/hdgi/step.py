"""One training step of HDGI-C: factored meta-paths beside the same meta-paths with every pair made.

    python -m benchmarks.hdgi.step          5 minutes a round on one core, 10 GB

MovieLens with DBpedia facts, its users so many times over that there are 10,000 (the films the
same), and its training interactions. Two meta-paths, User–Film–User and User–Film–Genre–Film–User,
counted. Each way takes its steps in a process of its own with one thread, in turns: factored on
torch (what the encoder does), every pair as an edge of a DGL graph, every pair as an entry of a CSR
matrix. All start from the same weights and must have the same losses within 1e-4. CPU seconds of a
step are forward, backward and the optimiser's part, the median of those after the first; making the
pairs is counted apart.

The bound: the bytes that a factored step cannot avoid moving, if every matrix is read once for each
product and every vector read and written once, by the bandwidth that a copy of 256 MB reaches here.
Writes step.json beside this file. Data: movielens-dbpedia under PERSONAREC_DATA.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from benchmarks.hdgi.personas import read
from kg.views import HeteroGraph
from personarec.personas.hdgi import HDGIConfig, HDGIEncoder, HDGIPersonaConfig
from personarec.personas.hdgi.config import HDGIOptions
from personarec.personas.hdgi.features import normalise_features
from personarec.personas.hdgi.paths import MetaPath
from personarec.personas.hdgi.training import train_hdgi

HERE = Path(__file__).resolve().parent
USERS, WIDTH, FACTS = 10_000, 64, "GENRE_IS"
WAYS = ("factored, torch", "pairs, DGL", "pairs, CSR")


def meta_paths(users: int) -> list[MetaPath]:
    """The two meta-paths, factored, of so many users or a few more."""
    data = read("movielens-dbpedia")
    graph = data.training_graph(data.split.train)
    label = data.catalogue.label
    rated = ("User", "RATED", label)
    times = math.ceil(users / len(data.users))
    names = tuple(f"{user}-{copy}" for copy in range(times) for user in data.users)
    many = sparse.csr_array(sparse.vstack([graph.relations[rated]] * times, format="csr"))
    grown = HeteroGraph(graph.nodes | {"User": names}, graph.relations | {rated: many})
    return HDGIEncoder(HDGIPersonaConfig(facts=(FACTS,))).meta_paths(grown, label)


def with_pairs(path: MetaPath) -> MetaPath:
    """The same path, counted, as one matrix."""
    product = path.factors[0]
    for factor in path.factors[1:]:
        product = sparse.csr_array(product @ factor)
    return MetaPath(path.name, (product,))


def measured(way: str, paths: list[MetaPath], steps: int) -> dict[str, Any]:
    """Losses, and CPU seconds of a step, of one way."""
    torch.set_num_threads(1)
    began = time.process_time()
    if way != WAYS[0]:
        paths = [with_pairs(path) for path in paths]
    made = time.process_time() - began
    pairs = sum(f.nnz for path in paths for f in path.factors)
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((paths[0].n, WIDTH), np.float32)
    features = np.asarray(normalise_features(drawn, "l2"), np.float32)
    times: list[float] = []
    options = HDGIOptions(epochs=steps + 2, backend="dgl" if "DGL" in way else "torch")
    trained = train_hdgi(
        features, paths, HDGIConfig(embedding_size=WIDTH), options,
        lambda _epoch, _loss: times.append(time.process_time()),
    )  # fmt: skip
    return {
        "way": way,
        "entries": pairs,
        "pairsCpu": made,
        "stepCpu": statistics.median(np.diff(times)[1:]),
        "losses": trained.losses,
        "peakMb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def fewest_bytes(paths: list[MetaPath]) -> int:
    """What a factored step has to move, at least.

    A product reads an index of 8 bytes and a weight of 4 for each entry, the vectors of its
    columns, and writes those of its rows. Each is done once, for the shuffled features: those in
    their places go along the paths before the first step, and no gradient goes back along them.
    """
    return sum(
        12 * f.nnz + 4 * WIDTH * (f.shape[0] + f.shape[1]) for path in paths for f in path.factors
    )


def bandwidth() -> float:
    """Bytes a second that one thread copies, read and written."""
    source = torch.ones(64 * 1024 * 1024)
    target = torch.empty_like(source)
    best = math.inf
    for _ in range(5):
        began = time.process_time()
        target.copy_(source)
        best = min(best, time.process_time() - began)
    return 2 * source.nbytes / best


def main() -> None:
    parser = argparse.ArgumentParser(description="A step of HDGI; see this file's head.")
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = meta_paths(options.users)
    spawn = multiprocessing.get_context("spawn")
    rows: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        for way in WAYS:
            with ProcessPoolExecutor(1, spawn) as pool:
                rows.append(pool.submit(measured, way, paths, options.steps).result())
            np.testing.assert_allclose(rows[-1]["losses"], rows[0]["losses"], atol=1e-4)
            print(json.dumps(rows[-1]), flush=True)
    step = {w: statistics.median(r["stepCpu"] for r in rows if r["way"] == w) for w in WAYS}
    copied, moved = bandwidth(), fewest_bytes(paths)
    document = {
        "users": paths[0].n,
        "stepCpu": step,
        "ratio": {way: step[way] / step[WAYS[0]] for way in WAYS[1:]},
        "bytesAtLeast": moved,
        "bytesPerSecond": copied,
        "shareOfBound": moved / copied / step[WAYS[0]],
        "rows": rows,
    }
    (HERE / "step.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(json.dumps({k: v for k, v in document.items() if k != "rows"}, indent=1))


if __name__ == "__main__":
    main()
