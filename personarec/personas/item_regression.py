"""The closed-form regression of each item on all others (EASE), from a Gram matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from kg.errors import ChangeSomethingError


def refuse_too_many(n: int, most: int, name: str, instead: str) -> None:
    """Refuse a catalogue whose matrix would not fit.

    Args:
        n: items.
        most: allowed.
        name: of the model.
        instead: what to do next.

    Raises:
        ChangeSomethingError: more items than allowed.
    """
    if n > most:
        raise ChangeSomethingError(
            f"{name}: {n} items would take about {12 * n * n / 2**30:.0f} GiB; at most "
            f"{most} are allowed (max_items); {instead}"
        )


def item_regression(
    gram: NDArray[np.float32], regularisation: float, name: str
) -> NDArray[np.float32]:
    """B = I − P diag(P)⁻¹ with P = (gram + λI)⁻¹ (Steck, WWW 2019, eq. 8).

    Args:
        gram: float32, shape (n, n), symmetric; overwritten.
        regularisation: λ.
        name: of the model, for the message.

    Returns:
        float32, shape (n, n), diagonal 0.

    Raises:
        ChangeSomethingError: gram + λI has no inverse in single precision.
    """
    gram[np.diag_indices(len(gram))] += regularisation
    # In place from here on: each copy is n² numbers. LAPACK reads columns, and the transpose of
    # a symmetric matrix is the matrix itself, laid out that way.
    factor, failed = linalg.lapack.spotrf(gram.T, lower=1, overwrite_a=1)
    inverse, failed_too = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise ChangeSomethingError(
            f"{name}: XᵀX + {regularisation:g} I has no inverse; raise regularisation"
        )
    lower = np.tril(inverse, -1)
    diagonal = inverse.diagonal().copy()
    full: NDArray[np.float32] = lower + lower.T
    full /= -diagonal
    return full
