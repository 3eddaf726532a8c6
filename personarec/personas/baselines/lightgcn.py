"""LightGCN: embeddings propagated over who touched what, trained by BPR; no side information."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from kg.errors import ChangeSomethingError
from personarec.console import say
from personarec.evaluation.persona_probe import sampled_targets, validation_ndcg
from personarec.personas.encoder import (
    DensePersonas,
    Encoder,
    TrainingData,
    incidence,
    session_keys,
)
from personarec.torch_threads import torch_threads

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from personarec.sparse_product import SparseProduct


class LightGcnEncoder(Encoder):
    """E = mean_k A^k E⁰, A = D^-½ (0 X; Xᵀ 0) D^-½ (He et al., SIGIR 2020, eq. 4–8).

    Trained by BPR with one uniform negative that the user has not got, and weight decay on E⁰ of
    the drawn rows. A new session becomes a user node that receives one propagation step from the
    items: persona mean_i h_i / √d_i with h the final item vectors. No user vector is kept.

    Where there are validation items the best of the epochs looked at is kept (NDCG@100), else the
    last.
    """

    name: ClassVar[str] = "lightgcn"
    layers: int = Field(default=2, ge=1)
    epochs: int = Field(default=60, ge=1)
    evaluate_every: int = Field(default=5, ge=1)
    patience: int = Field(default=2, ge=1)
    """Evaluations without a better one before training stops."""
    batch_size: int = Field(default=8192, ge=1)
    learning_rate: float = Field(default=0.01, gt=0)
    decay: float = Field(default=1e-4, ge=0)
    threads: int | None = Field(default=1, ge=1)
    """Threads of torch while training; none: as torch is set."""

    @property
    def chooses(self) -> bool:
        """See :class:`Encoder`."""
        return True

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        import torch

        if not len(data.sequences.items):
            raise ChangeSomethingError("lightgcn: no training interaction to learn from")
        with torch_threads(self.threads), torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            return self._train(data)

    def _train(self, data: TrainingData) -> DensePersonas:
        import torch

        # In an order that users' places among the rows do not decide, like all that is drawn here.
        order = np.argsort(session_keys(data.sequences, self.seed), kind="stable")
        matrix = incidence(data.sequences.take(order))
        n_users, n_items = matrix.shape
        walk = _mean_of_powers(matrix, self.layers)
        start = (0.1 * torch.randn(n_users + n_items, self.dim)).requires_grad_()
        optimizer = torch.optim.Adam([start], lr=self.learning_rate)
        targets = None
        if data.valid is not None and (data.valid >= 0).any():
            targets = sampled_targets(data.valid, 5000, self.seed)
        best, best_ndcg, waited = None, -math.inf, 0
        for epoch in range(1, self.epochs + 1):
            self._epoch(matrix, start, walk, optimizer, epoch)
            if targets is None or (epoch % self.evaluate_every and epoch < self.epochs):
                continue
            model = self._personas(walk(start.detach()), data, matrix)
            found = validation_ndcg(model.score, data.sequences, targets)
            say(f"lightgcn: epoch {epoch}, validation NDCG@100 {found:.4f}")
            if found > best_ndcg:
                best, best_ndcg, waited = replace(model, chosen={"epochs": epoch}), found, 0
            elif (waited := waited + 1) >= self.patience:
                break
        return best or self._personas(walk(start.detach()), data, matrix)

    def _epoch(
        self, matrix: sparse.csr_array, start: Tensor, walk: _Walk, optimizer: Optimizer, epoch: int
    ) -> None:
        import torch

        n_users = matrix.shape[0]
        rng = np.random.default_rng((self.seed, epoch))
        owner = np.repeat(np.arange(n_users), np.diff(matrix.indptr))
        for edges in np.array_split(
            rng.permutation(matrix.nnz), math.ceil(matrix.nnz / self.batch_size)
        ):
            users, liked = owner[edges], matrix.indices[edges]
            other = _negatives(matrix, users, rng)
            rows = (users, n_users + liked, n_users + other)
            drawn = [torch.from_numpy(np.asarray(r, np.int64)) for r in rows]
            start.grad = _gradient(start, walk, drawn, self.decay)
            optimizer.step()

    def _personas(
        self, final: Tensor, data: TrainingData, matrix: sparse.csr_array
    ) -> DensePersonas:
        n_users, n_items = matrix.shape
        degree = np.bincount(matrix.indices, minlength=n_items)
        items = final[n_users:].numpy().copy()
        # An item that nobody has was moved by nothing but negatives; it says nothing.
        weight = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0).astype(np.float32)
        return DensePersonas.fitted(items, data.sequences, items * weight[:, None])


class _Walk:
    """x → mean of A^k x for k from 0 to the number of layers."""

    def __init__(self, adjacency: SparseProduct, layers: int) -> None:
        self.adjacency = adjacency
        self.layers = layers

    def __call__(self, x: Tensor) -> Tensor:
        total = x
        for _ in range(self.layers):
            x = self.adjacency(x)
            total = total + x
        return total / (self.layers + 1)


def _mean_of_powers(matrix: sparse.csr_array, layers: int) -> _Walk:
    from personarec.sparse_product import SparseProduct

    joined = sparse.csr_array(sparse.block_array([[None, matrix], [matrix.T, None]]))
    scale = 1 / np.sqrt(np.maximum(np.diff(joined.indptr), 1))
    joined = sparse.csr_array(sparse.diags_array(scale) @ joined @ sparse.diags_array(scale))
    return _Walk(SparseProduct(joined), layers)


def _gradient(start: Tensor, walk: _Walk, rows: list[Tensor], decay: float) -> Tensor:
    """Of the BPR loss of (user, positive, negative) rows, and of their decay, by ``start``.

    The walk is linear and its matrix symmetric, so the gradient walks back the way it came.
    """
    import torch
    from torch.nn.functional import softplus

    final = walk(start.detach()).requires_grad_()
    user, good, bad = (final[r] for r in rows)
    loss = softplus((user * (bad - good)).sum(1)).mean()
    (by_final,) = torch.autograd.grad(loss, final)
    gradient = walk(by_final)
    for r in rows:
        gradient.index_add_(0, r, start.detach()[r], alpha=decay / len(r))
    return gradient


def _negatives(
    matrix: sparse.csr_array, users: NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A uniform item for each user that the user has not got, given a few tries."""
    n_users, n_items = matrix.shape
    owner = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(matrix.indptr))
    known = owner * n_items + matrix.indices  # ascending: indices of a row are sorted
    drawn = rng.integers(n_items, size=len(users))
    for _ in range(20):
        keys = users * n_items + drawn
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        again = np.flatnonzero(known[place] == keys)
        drawn[again] = rng.integers(n_items, size=len(again))
    return np.asarray(drawn, np.int64)
