"""Torch's sparse CSR tensors, made without its warning that they are in beta."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def csr_tensor(
    starts: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, shape: tuple[int, int],
    *, check: bool = False,
) -> torch.Tensor:  # fmt: skip
    """A sparse CSR tensor on the device of its values.

    Args:
        starts: int32 or int64, shape (rows + 1,): where each row begins.
        columns: the same type, shape (entries,).
        values: shape (entries,).
        shape: rows and columns.
        check: whether the indices are looked over first.

    Raises:
        RuntimeError: ``check``, and the indices are not those of a CSR matrix.
    """
    import torch

    with warnings.catch_warnings():
        # Said once a process, in the middle of somebody's progress; there is nothing to be done.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=check)
