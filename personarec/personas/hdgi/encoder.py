"""HDGI as a persona encoder: users are the nodes, meta-paths lead from user to user.

As published for personas, users have random features, and then the vectors hold next to nothing of
what users like: see docs/hdgi.md. Features made of items are the option that does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, RelationKey
from personarec.personas.hdgi.config import HDGIConfig, HDGIOptions
from personarec.personas.hdgi.features import normalise_features
from personarec.personas.hdgi.paths import EDGE_BUDGET, MetaPath, compose, walk
from personarec.personas.hdgi.training import OnEpoch, TrainedHDGI, train_hdgi

Matrix = NDArray[np.float32]


class HDGIPersonaConfig(BaseModel):
    """How users become nodes of HDGI."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: HDGIConfig = HDGIConfig(embedding_size=64)
    training: HDGIOptions = HDGIOptions()
    user_features: Literal["random", "items"] = "random"
    """``random``: normal numbers, as published; ``items``: the mean of the items a user has."""
    feature_size: int = Field(default=64, ge=1)
    """Width of random features; those of items have their own."""
    facts: tuple[str, ...] | None = None
    """Fact relations R that a meta-path User–Item–R–Item–User is made of, beside User–Item–User;
    none: every relation that leaves the items."""
    weights: Literal["counts", "binary"] = "counts"
    """``counts``: factored, every path instance counts, any size of graph; ``binary``: composed, 1
    where at least one instance joins two users, as in the paper. Attention is always binary."""
    edge_budget: int = Field(default=EDGE_BUDGET, ge=1)
    """Most pairs a composed path may join."""


@dataclass(frozen=True)
class HDGIEncoder:
    """Personas of all users of a graph by HDGI; users outside the graph get none."""

    config: HDGIPersonaConfig = field(default_factory=HDGIPersonaConfig)
    name: ClassVar[str] = "hdgi"

    def encode(
        self,
        graph: HeteroGraph,
        item_type: str,
        item_features: Matrix | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Matrix:
        """Personas, float32, shape (users, embedding_size), rows as ``graph.nodes["User"]``.

        See :meth:`fit` for the arguments.
        """
        return self.fit(graph, item_type, item_features, on_epoch).embeddings

    def fit(
        self,
        graph: HeteroGraph,
        item_type: str,
        item_features: Matrix | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> TrainedHDGI:
        """Train on the users of a graph.

        Args:
            graph: has (User, RATED, item type) of training interactions only, and the relations of
                the items.
            item_type: node type of the items.
            item_features: float32, shape (items, width), made of facts or of training
                interactions; needed for ``user_features=items``.
            on_epoch: called with each step and its loss.

        Raises:
            ChangeSomethingError: an unknown fact relation; a composed path beyond the budget; a
                loss that is no longer a number.
            ValueError: item features that do not fit, or that are missing.
        """
        paths = self.meta_paths(graph, item_type)
        features = self._features(graph, item_type, item_features)
        return train_hdgi(features, paths, self.config.model, self.config.training, on_epoch)

    def meta_paths(self, graph: HeteroGraph, item_type: str) -> list[MetaPath]:
        """User–Item–User, then User–Item–R–Item–User for each configured fact relation."""
        rated: RelationKey = ("User", "RATED", item_type)
        keys = [key for key in sorted(graph.relations) if key[0] == item_type]
        known = sorted({name for _, name, _ in keys})
        wanted = known if self.config.facts is None else self.config.facts
        if unknown := sorted(set(wanted) - set(known)):
            raise ChangeSomethingError(
                f"no relation {unknown[0]!r} leaves {item_type} in this graph; there: "
                f"{', '.join(known) or 'none'}"
            )
        paths = [walk(graph, "User–Item–User", [(rated, False), (rated, True)])]
        for key in (key for name in wanted for key in keys if key[1] == name):
            steps = [(rated, False), (key, False), (key, True), (rated, True)]
            paths.append(walk(graph, f"User–Item–{key[1]} {key[2]}–Item–User", steps))
        if self.config.weights == "binary" or self.config.model.variant == "attention":
            return [compose(path, self.config.edge_budget) for path in paths]
        return paths

    def _features(self, graph: HeteroGraph, item_type: str, items: Matrix | None) -> Matrix:
        n_users, n_items = len(graph.nodes["User"]), len(graph.nodes[item_type])
        if self.config.user_features == "random":
            rng = np.random.default_rng(self.config.training.seed)
            features = rng.standard_normal((n_users, self.config.feature_size), np.float32)
        elif items is None or len(items) != n_items:
            given = "none" if items is None else str(len(items))
            raise ValueError(f"user_features=items needs features of {n_items} items, not {given}")
        else:
            features = graph.propagate([(("User", "RATED", item_type), False)], items)
        # Their sums may be near 0, so the authors' division by the sum is not for them.
        return np.asarray(normalise_features(features, "l2"), np.float32)
