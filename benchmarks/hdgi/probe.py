"""How well a logistic regression tells a node's class from its vector, over random splits."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
SPARSE_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Inverse regularisation, chosen on a fifth of each split's training nodes."""

Vectors = NDArray[np.float32] | sparse.csr_array


def f1_over_splits(
    vectors: Vectors, labels: NDArray[np.integer], share: float, splits: int
) -> dict[str, float]:
    """Mean and deviation of micro and macro F1 over splits that depend on nothing but their number.

    Dense vectors are standardised by their training nodes; sparse ones are taken as they are.
    """
    strengths = SPARSE_STRENGTHS if sparse.issparse(vectors) else STRENGTHS
    found = []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(labels))
        cut = round(share * len(labels))
        train, test = order[:cut], order[cut:]
        inner, held_out = train[: 4 * cut // 5], train[4 * cut // 5 :]
        scores = {c: _f1(vectors, labels, inner, held_out, c)[0] for c in strengths}
        best = max(scores, key=lambda c: (scores[c], -c))
        found.append(_f1(vectors, labels, train, test, best))
    micro, macro = np.array(found).T
    return {
        "micro": round(float(micro.mean()), 4), "micro_std": round(float(micro.std()), 4),
        "macro": round(float(macro.mean()), 4), "macro_std": round(float(macro.std()), 4),
    }  # fmt: skip


def _f1(
    vectors: Vectors,
    labels: NDArray[np.integer],
    train: NDArray[np.integer],
    test: NDArray[np.integer],
    strength: float,
) -> tuple[float, float]:
    fit, ask = vectors[train], vectors[test]
    if not sparse.issparse(vectors):
        scaler = StandardScaler().fit(fit)
        fit, ask = scaler.transform(fit), scaler.transform(ask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(fit, labels[train])
    given = model.predict(ask)
    return tuple(f1_score(labels[test], given, average=a) for a in ("micro", "macro"))
