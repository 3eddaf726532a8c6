"""Untrained propagation: the dense persona that every trained encoder must beat.

Item features walk the graph along three meta-paths and are averaged at the user: user–item,
user–item–attribute–item, user–item–user–item (random-walk weights, factored). Each is linear in the
items a user has, so an item has a vector h_i and a persona is the mean of the vectors of the items
visible so far: known users and anonymous sessions are one case, and nothing is trained.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from kg.views import HeteroGraph, RelationKey, row_normalised
from personarec.personas.encoder import DensePersonas, Encoder, TrainingData
from personarec.personas.facts import FactModel

Matrix = NDArray[np.float32]


class PropagationConfig(BaseModel):
    """Settings of the propagation encoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedding_size: int = Field(default=256, ge=2)
    """Most dimensions a persona may have; fewer where users or features are fewer."""
    feature_size: int = Field(default=256, ge=2)
    """Width of the item features that walk: facts by SVD, identities projected at random."""
    seed: int = 0


class PropagationEncoder(Encoder):
    """Untrained propagation as an encoder: see :func:`fit_propagation`."""

    name: ClassVar[str] = "propagation"
    feature_size: int = Field(default=256, ge=2)
    """As in :class:`PropagationConfig`."""

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        config = PropagationConfig(
            embedding_size=self.dim, feature_size=self.feature_size, seed=self.seed
        )
        facts = FactModel.from_matrix(data.facts()).items
        return fit_propagation(data.graph, data.item_type, facts, config)


def fit_propagation(
    graph: HeteroGraph, item_type: str, facts: sparse.csr_array, config: PropagationConfig
) -> DensePersonas:
    """Propagate over training interactions and facts, and reduce by PCA over the users.

    Args:
        graph: has (User, RATED, item type) of training interactions only.
        item_type: node type of the items, which come first among its nodes.
        facts: TF-IDF of items over facts, shape (n_items, n_facts), float32; rows may be empty.
        config: settings.
    """
    rated: RelationKey = ("User", "RATED", item_type)
    n_items = facts.shape[0]
    features = _item_features(facts, n_items, config)
    # Works outside the data set are nodes of the items' type too; nobody rated them.
    outside = len(graph.nodes[item_type]) - n_items

    def of_all(items: Matrix) -> Matrix:
        return np.pad(items, ((0, outside), (0, 0)))

    through_facts = row_normalised(facts) @ (row_normalised(sparse.csr_array(facts.T)) @ features)
    through_users = graph.propagate([(rated, True), (rated, False)], of_all(features))[:n_items]
    blocks = [_centred(b) for b in (features, through_facts, through_users)]
    hops = np.hstack([_unit_scale(b) for b in blocks])

    users = graph.propagate([(rated, False)], of_all(hops))
    users = users[np.diff(graph.relations[rated].indptr) > 0]
    mean = users.mean(axis=0)
    components = _principal_axes(users - mean, config)
    # One scale for all: users' vectors of mean squared length 1, whatever the graph's size.
    items = (hops - mean) @ (components.T / np.sqrt(((users - mean) ** 2).sum(axis=1).mean()))
    return DensePersonas(items.astype(np.float32), np.zeros(items.shape[1], np.float32))


def _item_features(facts: sparse.csr_array, n_items: int, config: PropagationConfig) -> Matrix:
    """Half what an item is (its facts), half which item it is (a random direction of its own)."""
    rng = np.random.default_rng(config.seed)
    half = config.feature_size // 2
    identity = rng.standard_normal((n_items, half)).astype(np.float32) / np.sqrt(half)
    if not facts.nnz or min(facts.shape) < 2:  # a fact that all have tells nobody apart
        return np.asarray(identity, np.float32)
    reducer = TruncatedSVD(min(half, min(facts.shape) - 1), random_state=config.seed)
    described = reducer.fit_transform(sparse.csr_matrix(facts)).astype(np.float32)
    return np.hstack([_unit_scale(_centred(described)), _unit_scale(_centred(identity))])


def _principal_axes(centred: Matrix, config: PropagationConfig) -> Matrix:
    """Axes of largest variance, float32, shape (size, width); signs fixed, so runs agree."""
    covariance = (centred.T @ centred).astype(np.float64)
    values, vectors = np.linalg.eigh(covariance)
    size = min(config.embedding_size, int((values > values[-1] * 1e-9).sum()))
    axes = vectors[:, ::-1][:, :size].T
    signs = np.sign(axes[np.arange(size), np.abs(axes).argmax(axis=1)])
    return np.asarray(axes * signs[:, None], np.float32)


def _centred(features: Matrix) -> Matrix:
    return np.asarray(features - features.mean(axis=0, keepdims=True), np.float32)


def _unit_scale(features: Matrix) -> Matrix:
    """Mean squared row length 1, so that no block drowns another."""
    scale = np.sqrt((features**2).sum(axis=1).mean())
    return np.asarray(features / scale if scale > 0 else features, np.float32)
