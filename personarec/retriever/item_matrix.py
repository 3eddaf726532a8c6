"""Item × item matrices that scores are read off: the strongest entries, and the product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def scored(sessions: csr_array, *matrices: csr_array) -> NDArray[np.float32]:
    """The sessions through one matrix after the other: float32, a new dense array."""
    for matrix in matrices:
        sessions = csr_array(sessions @ matrix)
    return np.asarray(sessions.toarray(), np.float32)


def strongest(matrix: csr_array | NDArray[np.float32], keep: int) -> csr_array:
    """The ``keep`` entries of largest magnitude in each row, columns ascending; zeros go.

    Of equal entries those of the smaller column are kept, so that every run keeps the same ones.
    """
    n_rows, n_columns = matrix.shape
    indices, data = [], []
    for row in range(n_rows):
        if isinstance(matrix, np.ndarray):
            columns, values = np.flatnonzero(matrix[row]), matrix[row]
            values = values[columns]
        else:
            where = slice(matrix.indptr[row], matrix.indptr[row + 1])
            columns, values = matrix.indices[where], matrix.data[where]
            order = np.argsort(columns)
            columns, values = columns[order], values[order]
            columns, values = columns[values != 0], values[values != 0]
        if len(columns) > keep:
            size = np.abs(values)
            bar = np.partition(size, len(size) - keep)[len(size) - keep]
            above = np.flatnonzero(size > bar)
            level = np.flatnonzero(size == bar)[: keep - len(above)]
            chosen = np.sort(np.concatenate((above, level)))
            columns, values = columns[chosen], values[chosen]
        indices.append(columns.astype(np.int32))
        data.append(values.astype(np.float32))
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in indices]))).astype(np.int64)
    if not n_rows:
        return csr_array((0, n_columns), dtype=np.float32)
    return csr_array(
        (np.concatenate(data), np.concatenate(indices), indptr), shape=(n_rows, n_columns)
    )
