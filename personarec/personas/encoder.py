"""What every persona encoder is: fitted to training data, it gives item vectors and a rule.

An encoder is settings with a ``fit``; what it gives is a :class:`Personas`: item-space vectors and
the rule that turns the items visible so far into a persona. No user is named anywhere, so a known
user, an unseen one and an anonymous session are one case. A row of personas depends on that row's
visible items alone: neither on what comes after them nor on the other rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from kg.views import HeteroGraph, RelationKey, binary_matrix, row_normalised
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.sequences import Sequences

if TYPE_CHECKING:
    from personarec.training.data import GraphData

Matrix = NDArray[np.float32]
ENCODER_FORMAT = 5
"""Raised whenever an encoder of the same settings, fitted to the same data, would give others."""


class Personas(Protocol):
    """A fitted encoder; dense (float32 arrays) or sparse (CSR, weighted lists of facts)."""

    @property
    def items(self) -> Matrix | sparse.csr_array:
        """h, float32, shape (n_items, size): what personas are scored against."""

    def personas(self, sessions: Sequences) -> Matrix | sparse.csr_array:
        """float32, shape (b, size), each row of the visible items of one session alone."""

    def long_term(self, sessions: Sequences) -> Matrix | sparse.csr_array:
        """The same with every visible item weighing alike, in the same shape.

        Who somebody is, beside what they want next: for near readers, and for reading.
        """

    def score(self, sessions: Sequences) -> Matrix:
        """float32, shape (b, n_items): h p, a new array."""


@dataclass(frozen=True)
class DensePersonas:
    """Item-space vectors and the rule that makes a persona of them: the mean.

    Attributes:
        items: float32, shape (n_items, size): h_i, already in the persona's space.
        center: float32, shape (size,): the persona of an empty session.
        inputs: float32, shape (n_items, size): what an item adds to a persona; ``items`` if none.
        chosen: settings of the encoder that validation items chose, by name.
    """

    items: Matrix
    center: Matrix
    inputs: Matrix | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fitted(
        cls, items: NDArray[np.floating], sequences: Sequences, inputs: Matrix | None = None
    ) -> DensePersonas:
        """With the mean persona of the training users as the persona of an empty session."""
        rule = cls(
            np.asarray(items, np.float32),
            np.zeros(items.shape[1], np.float32),
            None if inputs is None else np.asarray(inputs, np.float32),
        )
        return cls(rule.items, mean_persona(rule, sequences), rule.inputs)

    @property
    def size(self) -> int:
        """Length of a persona."""
        return int(self.items.shape[1])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All it is made of but ``chosen``, by name, to be kept in a file."""
        found: dict[str, NDArray[Any]] = {"items": self.items, "center": self.center}
        return found if self.inputs is None else {**found, "inputs": self.inputs}

    @classmethod
    def restore(
        cls, arrays: Mapping[str, NDArray[Any]], chosen: Mapping[str, Any] | None = None
    ) -> Self:
        """From what :meth:`arrays` gave."""
        return cls(arrays["items"], arrays["center"], arrays.get("inputs"), chosen or {})

    def personas(self, sessions: Sequences) -> Matrix:
        """Personas of sessions: float32, shape (len(sessions), size)."""
        source = self.items if self.inputs is None else self.inputs
        means = row_normalised(incidence(sessions)) @ source
        return np.where(sessions.lengths[:, None] > 0, means, self.center).astype(np.float32)

    def long_term(self, sessions: Sequences) -> Matrix:
        """See :class:`Personas`; where no item weighs more than another, the personas."""
        return self.personas(sessions)

    def score(self, sessions: Sequences) -> Matrix:
        """h p: float32, shape (len(sessions), n_items)."""
        return np.asarray(self.personas(sessions) @ self.items.T, np.float32)


class Encoder(BaseModel, ABC):
    """Settings of an encoder; the same settings and data give the same personas.

    Raises:
        pydantic.ValidationError: an unknown or impossible setting.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    recency: ClassVar[bool] = False
    """Whether newer items weigh more in its personas, which makes them evidence of what is next."""
    parallel: ClassVar[bool] = False
    """Whether ``fit``, called in all processes of a group, trains one model in all of them."""

    dim: int = Field(default=64, ge=2)
    """Most dimensions of a persona; fewer where the data have no more."""
    seed: int = Field(default=0, ge=0)

    @property
    def chooses(self) -> bool:
        """Whether ``fit`` chooses settings by validation items."""
        return False

    def settled(self, fitted: Personas) -> Self:
        """The same with what validation items chose for ``fitted``: to fit again, to them too."""
        chosen = fitted.chosen if isinstance(fitted, DensePersonas) else {}
        return self.model_copy(update=dict(chosen))

    def to_refit(self, fitted: Callable[[], Personas]) -> Self:
        """What to fit to validation items too; ``fitted``, without them, is asked if it matters."""
        return self.settled(fitted()) if self.chooses else self

    @abstractmethod
    def fit(self, data: TrainingData) -> Personas:
        """Learn from training data; raises ChangeSomethingError where the data do not allow it."""


@dataclass(frozen=True)
class TrainingData:
    """All that an encoder may look at.

    Attributes:
        sequences: the training sequences.
        graph: RATED of ``sequences`` and the facts; the items come first among the nodes of their
            type.
        item_type: node type of the items.
        valid: int32, shape (n_users,), validation items that settings may be chosen by, -1: none.
        titles: of the items, n_items, where there are any.
        descriptions: written for the items, n_items, where there are any.

    Raises:
        LeakError: RATED holds what the sequences do not.
        ValueError: graph, sequences, validation items or titles that do not fit together.
    """

    sequences: Sequences
    graph: HeteroGraph
    item_type: str
    valid: NDArray[np.int32] | None = None
    titles: tuple[str | None, ...] = ()
    descriptions: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        rated, n_items = self.graph.relations[self.rated], self.sequences.n_items
        if rated.shape[0] != len(self.sequences) or rated.shape[1] < n_items:
            raise ValueError(f"RATED has shape {rated.shape}, the sequences another")
        if self.valid is not None and len(self.valid) != len(self.sequences):
            raise ValueError(f"{len(self.valid)} validation items, {len(self.sequences)} users")
        if self.titles and len(self.titles) != n_items:
            raise ValueError(f"{len(self.titles)} titles for {n_items} items")
        if self.descriptions and len(self.descriptions) != n_items:
            raise ValueError(f"{len(self.descriptions)} descriptions for {n_items} items")
        known = binary_matrix(
            np.repeat(np.arange(len(self.sequences)), self.sequences.lengths),
            self.sequences.items,
            rated.shape,
        )
        outside = int((rated != 0).sum()) - int((rated != 0).multiply(known != 0).sum())
        if outside:
            raise LeakError(
                f"RATED relations that personas are made of: {outside} are not in the training "
                "sequences; build the graph from these sequences alone"
            )

    @classmethod
    def of(cls, data: GraphData, *, refit: bool = False) -> TrainingData:
        """A data set's training part; with ``refit`` the validation items too, to fit to."""
        sequences = data.split.fit(refit)
        return cls(
            sequences,
            data.training_graph(sequences),
            data.catalogue.label,
            None if refit else data.split.valid,
            data.catalogue.titles,
            data.descriptions,
        )

    @property
    def rated(self) -> RelationKey:
        """Key of the interactions in the graph."""
        return ("User", "RATED", self.item_type)

    def matrix(self) -> sparse.csr_array:
        """X: float32 CSR, shape (n_users, n_items), 1 where a user has an item."""
        return incidence(self.sequences)

    def facts(self) -> sparse.csr_array:
        """Which item has which fact: float32 CSR, shape (n_items, n_facts), all relations."""
        return self._facts()[0]

    def fact_names(self) -> tuple[str, ...]:
        """The entity each column of :meth:`facts` leads to."""
        return self._facts()[1]

    def _facts(self) -> tuple[sparse.csr_array, tuple[str, ...]]:
        keys = sorted(k for k in self.graph.relations if k[0] == self.item_type)
        n_items = self.sequences.n_items
        if not keys:
            return sparse.csr_array((n_items, 0), dtype=np.float32), ()
        blocks = [self.graph.relations[k][:n_items] for k in keys]
        matrix = sparse.csr_array(sparse.hstack(blocks, format="csr", dtype=np.float32))
        used = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
        names = [entity for _, _, target in keys for entity in self.graph.nodes[target]]
        return sparse.csr_array(matrix[:, used]), tuple(names[i] for i in used)


def incidence(sessions: Sequences) -> sparse.csr_array:
    """Which session has which item: float32 CSR of ones, shape (b, n_items)."""
    rows = np.repeat(np.arange(len(sessions)), sessions.lengths)
    return binary_matrix(rows, sessions.items, (len(sessions), sessions.n_items))


def mean_persona(personas: DensePersonas, sequences: Sequences) -> Matrix:
    """Mean over the sequences that show anything; what an empty session is given."""
    shown = sequences.take(np.flatnonzero(sequences.lengths > 0))
    if not len(shown):
        return np.zeros(personas.size, np.float32)
    return np.asarray(personas.personas(shown).mean(axis=0, dtype=np.float64), np.float32)


def session_keys(sessions: Sequences, seed: int) -> NDArray[np.uint64]:
    """A number for each session's items in their order: uint64, shape (b,).

    Equal sessions have equal keys and others have not (but for 1 in 2^64), so what is drawn by key
    depends on the visible items alone and not on the place among the rows.
    """
    place = np.arange(len(sessions.items)) - np.repeat(sessions.indptr[:-1], sessions.lengths)
    mixed = mix(sessions.items.astype(np.uint64) + (place.astype(np.uint64) << np.uint64(32)))
    # Sums by differences; uint64 wraps around, which does no harm.
    total = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    return mix(total[sessions.indptr[1:]] - total[sessions.indptr[:-1]] + mix(np.uint64(seed + 1)))


def mix(keys: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """SplitMix64's step (Steele, Lea, Flood, OOPSLA 2014): counters in, random bits out."""
    with np.errstate(over="ignore"):
        x = np.asarray(keys, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))
