"""How vectors move along one meta-path: normalised convolution, or attention over its edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from personarec.personas.hdgi.backends import Attention, Backend, Product
from personarec.personas.hdgi.config import HDGIConfig
from personarec.personas.hdgi.paths import MetaPath


@dataclass(frozen=True)
class Convolution:
    """Eq. 1: x ↦ Â x with Â = D^-½ (A + I) D^-½, D the row sums of A + I.

    A is applied factor by factor, so the product of a long meta-path is never made.

    Attributes:
        factors: products whose chain is D^-½ A D^-½, the outermost first.
        own: what a node keeps of itself, shape (n, 1): D^-1, and 1 more for Â + I.
    """

    factors: tuple[Product, ...]
    own: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """float32, shape (n, width) → the same shape."""
        walked = x
        for factor in reversed(self.factors):
            walked = factor(walked)
        return torch.addcmul(walked, self.own, x)


def convolution(path: MetaPath, config: HDGIConfig, backend: Backend, device: str) -> Convolution:
    """The operator of HDGI-C for one meta-path."""
    degrees = path.degrees() + 1
    root = sparse.diags_array((1 / np.sqrt(degrees)).astype(np.float32))
    factors = list(path.factors)
    factors[0] = sparse.csr_array(root @ factors[0])
    factors[-1] = sparse.csr_array(factors[-1] @ root)
    own = torch.from_numpy(1 / degrees + config.double_self_loop).to(device, torch.float32)
    return Convolution(tuple(backend.product(f) for f in factors), own.unsqueeze(1))


def attention(path: MetaPath, backend: Backend) -> Attention:
    """The operator of HDGI-A: attention over the neighbours and the node itself, eq. 3.

    Raises ValueError for a factored path: attention needs the edges; see ``compose``.
    """
    if len(path.factors) > 1:
        raise ValueError(f"attention needs the edges of {path.name}: compose the path first")
    loops = sparse.eye_array(path.n, format="csr", dtype=np.float32)
    with_self = sparse.csr_array(path.factors[0] + loops)
    with_self.eliminate_zeros()
    with_self.sort_indices()
    return backend.attention(with_self)
