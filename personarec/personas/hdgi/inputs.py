"""What a layer of HDGI gets of one meta-path: the features, and how vectors move along the path.

Â X W is the same whether Â X or X W is made first. X is fixed, so where it is no wider than what W
makes of it Â X comes first: it is made once, and no gradient runs back along a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from scipy import sparse
from torch import Tensor

from personarec.personas.hdgi.backends import Attention, Backend
from personarec.personas.hdgi.config import HDGIConfig
from personarec.personas.hdgi.features import FeatureMap, Features, dense_features, feature_map
from personarec.personas.hdgi.operators import Convolution, attention, convolution
from personarec.personas.hdgi.paths import MetaPath


@dataclass(frozen=True)
class WeightFirst:
    """Â (X W) of one meta-path."""

    features: FeatureMap
    convolve: Convolution

    def convolved(self, weight: Tensor, permutation: Tensor | None) -> list[Tensor]:
        """Â X W, float32 (n, size), and, with a permutation π of the nodes, Â π X W too."""
        return [self.convolve(x) for x in with_permuted(self.features(weight), permutation)]


@dataclass(frozen=True)
class PathFirst:
    """(Â X) W of one meta-path.

    Attributes:
        features: X, float32, shape (n, width).
        convolve: Â.
        convolved_features: Â X, shape (n, width).
    """

    features: Tensor
    convolve: Convolution
    convolved_features: Tensor

    def convolved(self, weight: Tensor, permutation: Tensor | None) -> list[Tensor]:
        """As that of :class:`WeightFirst`."""
        found = [self.convolved_features @ weight]
        if permutation is not None:
            found.append(self.convolve(self.features.index_select(0, permutation)) @ weight)
        return found


@dataclass(frozen=True)
class Attended:
    """X, and attention over the edges of one meta-path."""

    features: FeatureMap
    attend: Attention


def with_permuted(projected: Tensor, permutation: Tensor | None) -> list[Tensor]:
    """X W, and, with a permutation, π (X W), which is (π X) W."""
    if permutation is None:
        return [projected]
    return [projected, projected.index_select(0, permutation)]


PathInput: TypeAlias = "WeightFirst | PathFirst | Attended"


def path_inputs(
    features: Features,
    paths: Sequence[MetaPath],
    config: HDGIConfig,
    backend: Backend,
    device: str,
) -> list[PathInput]:
    """One a meta-path, for the variant of the configuration.

    Args:
        features: X, float32, shape (n, width), dense or CSR.
        paths: over the n nodes; composed ones for attention.
        config: shape of the model.
        backend: multiplies along the paths.
        device: of everything.

    Raises:
        ValueError: a factored path for attention.
    """
    if config.variant == "attention":
        mapped = feature_map(features, device)
        return [Attended(mapped, attention(p, backend)) for p in paths]
    operators = [convolution(p, config, backend, device) for p in paths]
    if sparse.issparse(features) or features.shape[1] > config.embedding_size:
        mapped = feature_map(features, device)
        return [WeightFirst(mapped, convolve) for convolve in operators]
    x = dense_features(features, device)
    return [PathFirst(x, convolve, convolve(x)) for convolve in operators]
