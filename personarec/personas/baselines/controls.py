"""Controls: personas that say nothing of their reader, so that what they gain is no preference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from kg.errors import ChangeSomethingError
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import (
    DensePersonas,
    Encoder,
    Matrix,
    TrainingData,
    mix,
    session_keys,
)


@dataclass(frozen=True, kw_only=True)
class RandomPersonas(DensePersonas):
    """A normal vector drawn for each session: equal sessions get the same, others unrelated ones.

    The mean of random *item* vectors would be no control: it is a random projection of the session,
    and a projection to hundreds of dimensions keeps most of what the session says.
    """

    seed: int

    def personas(self, sessions: Sequences) -> Matrix:
        """See :class:`DensePersonas`."""
        columns = mix(np.arange(self.size, dtype=np.uint64))
        drawn = np.empty((len(sessions), self.size), np.float32)
        keys = session_keys(sessions, self.seed)
        for start in range(0, len(keys), 4096):  # bounds the memory of the 64-bit numbers
            bits = mix(keys[start : start + 4096, None] ^ columns)
            drawn[start : start + 4096] = ndtri(((bits >> np.uint64(11)) + 0.5) / 2.0**53)
        drawn[sessions.lengths == 0] = self.center
        return drawn / np.float32(np.sqrt(self.size))


class RandomEncoder(Encoder):
    """Personas drawn by the visible items as a whole; item vectors drawn too."""

    name: ClassVar[str] = "random"

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        rng = np.random.default_rng(self.seed)
        items = rng.standard_normal((data.sequences.n_items, self.dim), np.float32)
        return RandomPersonas(items, np.zeros(self.dim, np.float32), seed=self.seed)


class ConstantEncoder(Encoder):
    """One persona for everybody; its score is popularity, the best that a constant can do."""

    name: ClassVar[str] = "constant"

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        n_items = data.sequences.n_items
        counts = np.bincount(data.sequences.items, minlength=n_items).astype(np.float32)
        persona = np.full(self.dim, self.dim**-0.5, np.float32)
        items = np.outer(counts / max(counts.max(initial=0), 1), persona)
        return DensePersonas(items, persona, np.repeat(persona[None], n_items, axis=0))


@dataclass(frozen=True, kw_only=True)
class ShuffledPersonas(DensePersonas):
    """Somebody else's persona.

    Attributes:
        keys: uint64, shape (n_users,), ascending: of the training users' sequences.
        donors: float32, shape (n_users, size): their personas.
        seed: of the keys.
    """

    keys: NDArray[np.uint64]
    donors: Matrix
    seed: int

    def personas(self, sessions: Sequences) -> Matrix:
        """See :class:`DensePersonas`."""
        # Keys are random numbers: the next one in order is a random other user, and for training
        # users the rule is a permutation without fixed points.
        place = np.searchsorted(self.keys, session_keys(sessions, self.seed), side="right")
        found = self.donors[place % len(self.donors)]
        return np.where(sessions.lengths[:, None] > 0, found, self.center)


class ShuffledEncoder(Encoder):
    """The personas of another encoder, rows permuted over the users.

    Every marginal stays and only the meaning goes. The training users' personas (of all their
    training items) are permuted among them, users of equal sequences as one; any other session gets
    that of a random training user.
    """

    name: ClassVar[str] = "shuffled"
    inner: Encoder

    @property
    def chooses(self) -> bool:
        """See :class:`Encoder`."""
        return self.inner.chooses

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        model = fit_dense(self.inner, data, self.name)
        found = shuffled(model, data, self.seed)
        return replace(found, chosen={"inner": self.inner.settled(model)})


def shuffled(model: DensePersonas, data: TrainingData, seed: int) -> ShuffledPersonas:
    """The training users' personas permuted among them; raises where there is only one."""
    users = data.sequences.take(np.flatnonzero(data.sequences.lengths > 0))
    if len(users) < 2:
        raise ChangeSomethingError("shuffled: needs two training users with items")
    keys = session_keys(users, seed)
    order = np.argsort(keys, kind="stable")
    return ShuffledPersonas(
        model.items, model.center, keys=keys[order], donors=model.personas(users)[order], seed=seed
    )


def fit_dense(encoder: Encoder, data: TrainingData, wrapper: str) -> DensePersonas:
    """The fitted encoder; raises ChangeSomethingError unless its personas are dense."""
    model = encoder.fit(data)
    if not isinstance(model, DensePersonas):
        raise ChangeSomethingError(f"{wrapper}: {encoder.name} is sparse; wrap a dense encoder")
    return model
