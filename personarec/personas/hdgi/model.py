"""HDGI: heterogeneous deep graph infomax (Ren et al., arXiv 1911.08538).

Nodes of one type with features X and meta-paths get vectors H such that a node's vector tells
whether it belongs to the summary of the graph or to a graph with the features shuffled. Equation
numbers are those of docs/hdgi.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from personarec.personas.hdgi.backends import Attention
from personarec.personas.hdgi.config import HDGIConfig
from personarec.personas.hdgi.inputs import (
    Attended,
    PathFirst,
    PathInput,
    WeightFirst,
    with_permuted,
)

GAIN = 1.414
"""Gain of the Xavier initialisation of every attention weight, as in the authors' code."""


class PathConvolution(nn.Module):
    """Eq. 2, one meta-path: H = PReLU(Â (X W) + b). W Xavier-uniform, b 0, one slope, .25."""

    def __init__(self, feature_size: int, config: HDGIConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(feature_size, config.embedding_size))
        self.bias = nn.Parameter(torch.zeros(config.embedding_size))
        self.activation = nn.PReLU()
        init.xavier_uniform_(self.weight)

    def forward(self, source: WeightFirst | PathFirst, permutation: Tensor | None) -> list[Tensor]:
        """Vectors of the nodes, shape (n, size), and, with a permutation, of the shuffled ones."""
        convolved = source.convolved(self.weight, permutation)
        return [self.activation(x + self.bias) for x in convolved]


class PathAttention(nn.Module):
    """Eq. 3 and 4, one meta-path: h_u = LeakyReLU_.01(Σ_v α_uv x_v W), heads side by side.

    The authors' code has this activation, no bias, and no dropout, which its arguments name.
    """

    def __init__(self, feature_size: int, config: HDGIConfig) -> None:
        super().__init__()
        self.heads = config.heads
        width = config.embedding_size // config.heads
        # Each head is drawn by itself: the spread of Xavier depends on the shape.
        heads = [init.xavier_uniform_(torch.empty(feature_size, width), GAIN)
                 for _ in range(config.heads)]  # fmt: skip
        scores = [init.xavier_uniform_(torch.empty(2 * width, 1), GAIN)
                  for _ in range(config.heads)]  # fmt: skip
        self.weight = nn.Parameter(torch.cat(heads, dim=1))
        self.score = nn.Parameter(torch.cat(scores, dim=1).T.reshape(config.heads, 2, width))

    def forward(self, source: Attended, permutation: Tensor | None) -> list[Tensor]:
        """As that of :class:`PathConvolution`."""
        projected = with_permuted(source.features(self.weight), permutation)
        return [self._attended(x, source.attend) for x in projected]

    def _attended(self, projected: Tensor, attend: Attention) -> Tensor:
        values = projected.view(len(projected), self.heads, -1)
        left, right = ((values * self.score[:, side]).sum(-1) for side in (0, 1))
        attended = attend(values, left, right)
        return functional.leaky_relu(attended.reshape(len(projected), -1), 0.01)


class SemanticAttention(nn.Module):
    """Eq. 5: β = softmax over paths of the mean over nodes of qᵀ tanh(W h + b).

    β is one number a path for the whole graph, not one a node. b is drawn as W and q are.
    """

    def __init__(self, config: HDGIConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.embedding_size, config.semantic_size))
        self.bias = nn.Parameter(torch.empty(1, config.semantic_size))
        self.query = nn.Parameter(torch.empty(1, config.semantic_size))
        for parameter in (self.weight, self.bias, self.query):
            init.xavier_uniform_(parameter, GAIN)

    def forward(self, by_path: Sequence[Tensor]) -> Tensor:
        """Vectors by path, each (n, size) → β, shape (paths,)."""
        scores = [(torch.tanh(h @ self.weight + self.bias) @ self.query.T).mean() for h in by_path]
        return torch.softmax(torch.stack(scores), dim=0)


def mixed(beta: Tensor, by_path: Sequence[Tensor]) -> Tensor:
    """Eq. 5: Σ β_i x_i of the vectors, or of anything linear in them."""
    result = beta[0] * by_path[0]
    for share, x in zip(beta[1:], by_path[1:], strict=True):
        result = result + share * x
    return result


class HDGI(nn.Module):
    """The encoder and its discriminator.

    Args:
        feature_size: width of X.
        n_paths: number of meta-paths.
        config: shape.
    """

    def __init__(self, feature_size: int, n_paths: int, config: HDGIConfig) -> None:
        super().__init__()
        layer = PathAttention if config.variant == "attention" else PathConvolution
        self.paths = nn.ModuleList(layer(feature_size, config) for _ in range(n_paths))
        self.semantic = SemanticAttention(config)
        self.discriminator = nn.Bilinear(config.embedding_size, config.embedding_size, 1)
        # Of shape (1, size, size), so Xavier's spread is √(6 / (size² + size)): small on purpose
        # or not, the authors' code draws it so.
        init.xavier_uniform_(self.discriminator.weight)
        init.zeros_(self.discriminator.bias)

    def by_path(
        self, inputs: Sequence[PathInput], permutation: Tensor | None = None
    ) -> list[list[Tensor]]:
        """Vectors of each path, shape (n, size), of the graph; with a permutation, then those of
        the graph with the features so shuffled."""
        pairs = zip(self.paths, inputs, strict=True)
        found = [path(features, permutation) for path, features in pairs]
        return [list(vectors) for vectors in zip(*found, strict=True)]

    def loss(self, inputs: Sequence[PathInput], permutation: Tensor) -> Tensor:
        """Eq. 6 to 8: cross-entropy of telling nodes from nodes with the features of others.

        One permutation of X for all meta-paths; the paths and the weights are the same, β is that
        of the shuffled pass; the summary s = σ(mean of H) is that of the true pass for both.

        Args:
            inputs: one a path.
            permutation: int64, shape (n,), the row of X that each node gets.

        Returns:
            the mean over 2n scores, a scalar.
        """
        true, shuffled = self.by_path(inputs, permutation)
        beta = self.semantic(true)
        summary = torch.sigmoid(mixed(beta, [h.mean(dim=0) for h in true]))
        direction = self.discriminator.weight[0] @ summary
        # D is linear in h, so the paths' scores are mixed, and not their vectors.
        positive = mixed(beta, [h @ direction for h in true])
        negative = mixed(self.semantic(shuffled), [h @ direction for h in shuffled])
        scores = torch.cat((positive, negative)) + self.discriminator.bias
        answers = torch.zeros_like(scores)
        answers[: len(positive)] = 1
        return functional.binary_cross_entropy_with_logits(scores, answers)

    def embed(self, inputs: Sequence[PathInput]) -> tuple[Tensor, Tensor]:
        """Node vectors, float32 (n, size), and β, float32 (paths,), without gradients."""
        with torch.no_grad():
            (vectors,) = self.by_path(inputs)
            beta = self.semantic(vectors)
            return mixed(beta, vectors), beta
