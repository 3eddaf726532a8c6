"""Near readers by personas: how many of the nearest have what a reader takes next.

    python -m benchmarks.personas.neighbours movielens-dbpedia beauty       half an hour on one core

Leave-one-out; encoders are fitted to training items. Of each user, the 20 nearest others by cosine,
as the vector index gives them, and the share of these that have the user's test item among their
training items: it needs no label and no map that is learned. **all alike**: personas in which every
item weighs alike, which are what is stored; **newer more**: by the encoder's own weights, where it
has some. Three seeds of encoders that draw; intervals of users and seeds. Writes neighbours.json
beside this file. Data: the folders under PERSONAREC_DATA.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.hdgi.personas import read
from personarec.evaluation.sequences import Sequences
from personarec.personas.comparison.alone import takes_seeds
from personarec.personas.comparison.intervals import nested_interval
from personarec.personas.encoder import Matrix, TrainingData, incidence
from personarec.personas.registry import make_encoder
from personarec.torch_threads import torch_threads
from personarec.training.data import GraphData

HERE = Path(__file__).resolve().parent
NEAREST, SEEDS = 20, 3
ENCODERS = (
    ("propagation", 256), ("propagation", 64), ("svd", 64), ("ease", 64), ("lightgcn", 64),
    ("relational", 64), ("recent:svd", 64), ("mean-item", 64), ("shuffled:propagation", 64),
    ("random", 64),
)  # fmt: skip


def shares(
    personas: Matrix, known: Sequences, test: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Of each user with a test item and a history, the share of the nearest who have the item."""
    length = np.linalg.norm(personas, axis=1, keepdims=True)
    unit = personas / np.maximum(length, 1e-12)
    there = np.flatnonzero(known.lengths > 0)
    asked = there[test[there] >= 0]
    owners = incidence(known).T.tocsr()
    found = np.empty(len(asked))
    for start in range(0, len(asked), 1000):
        users = asked[start : start + 1000]
        near = unit[users] @ unit[there].T
        near[np.arange(len(users)), np.searchsorted(there, users)] = -np.inf
        nearest = there[np.argpartition(-near, NEAREST, axis=1)[:, :NEAREST]]
        for row, user in enumerate(users):
            item = test[user]
            having = owners.indices[owners.indptr[item] : owners.indptr[item + 1]]
            found[start + row] = np.isin(nearest[row], having).mean()
    return found


def rows(data: GraphData) -> list[dict[str, Any]]:
    """One a persona, in the order of the encoders."""
    known, test = data.split.train, data.split.test
    made: list[dict[str, Any]] = []
    for name, dim in ENCODERS:
        by_rule: dict[str, list[NDArray[np.float64]]] = {}
        for seed in range(SEEDS if takes_seeds(name) else 1):
            model = make_encoder(name, dim=dim, seed=seed).fit(TrainingData.of(data))
            rules = {"all alike": np.asarray(model.long_term(known))}
            own = np.asarray(model.personas(known))
            if not np.array_equal(own, rules["all alike"]):
                rules["newer more"] = own
            for rule, personas in rules.items():
                by_rule.setdefault(rule, []).append(shares(personas, known, test))
        for rule, found in by_rule.items():
            values = np.stack(found)
            interval = nested_interval(values)
            row: dict[str, Any] = {
                "encoder": name, "dim": dim, "rule": rule, "seeds": len(found),
                "share": [interval.mean, interval.low, interval.high],
                "any": float((values > 0).mean()),
            }  # fmt: skip
            if rule == "newer more":
                gap = nested_interval(np.stack(by_rule["all alike"]), values)
                row["all alike is above by"] = [gap.mean, gap.low, gap.high]
            made.append(row)
            print(json.dumps(row), flush=True)
    return made


def main() -> None:
    """Measure the named data sets, and keep what was measured of others."""
    path = HERE / "neighbours.json"
    document = json.loads(path.read_text("utf-8")) if path.exists() else {}
    with torch_threads(1):
        for name in sys.argv[1:]:
            print(name, flush=True)
            document[name] = rows(read(name))
            path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
