"""Torch's CSR tensors as made here: checked where asked, and without its warning."""

from __future__ import annotations

import pytest
import torch

from personarec.csr_tensor import csr_tensor


@pytest.mark.filterwarnings("error")
def test_torch_does_not_warn_of_them() -> None:
    torch.set_warn_always(True)  # else it warns once a process, and another test may have been it
    try:
        made = csr_tensor(torch.tensor([0, 1]), torch.tensor([1]), torch.tensor([2.0]), (1, 2))
    finally:
        torch.set_warn_always(False)
    assert made.to_dense().tolist() == [[0.0, 2.0]]


def test_indices_are_looked_over_where_asked() -> None:
    parts = torch.tensor([0, 2]), torch.tensor([1]), torch.tensor([2.0])
    with pytest.raises(RuntimeError):
        csr_tensor(*parts, (1, 2), check=True)
