"""Evidence by name: everything that scores items from a session alone, without a network.

Each is three things at once: a baseline of its own, a source for late fusion, and a part of the
saved retriever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from scipy.sparse import csr_array

from kg.errors import ChangeSomethingError, did_you_mean, one_line
from personarec.personas.facts import FactConfig, FactModel
from personarec.retriever.fact_regression import FactRegressionConfig, FactRegressionModel
from personarec.retriever.linear import LinearConfig, LinearModel
from personarec.retriever.neighbours import NeighbourConfig, NeighbourModel
from personarec.retriever.persona_scores import PersonaScores, PersonaScoresConfig
from personarec.retriever.popularity import PopularityConfig, PopularityModel
from personarec.retriever.transitions import TransitionConfig, TransitionModel, transition_counts
from personarec.retriever.two_hops import TwoHopConfig, TwoHopModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from personarec.evaluation.sequences import Sequences
    from personarec.personas.encoder import Personas
    from personarec.training.data import GraphData

Arrays = dict[str, csr_array | NDArray[Any]]
"""What a fitted evidence is made of: sparse matrices and arrays by name."""


@dataclass(frozen=True)
class EvidenceData:
    """All that evidence may be built from.

    Attributes:
        sequences: the fit sequences.
        facts: csr, shape (n_items, n_facts), 1 where an item has a fact.
        relations: name of the relation of each column of ``facts``.
        counts: transitions, one csr per gap, as ``transition_counts`` returns them; of the fit
            sequences only.
        personas: an encoder fitted to the same sequences, where there is one.

    Raises:
        ValueError: parts of different size.
    """

    sequences: Sequences
    facts: csr_array
    relations: tuple[str, ...]
    counts: tuple[csr_array, ...]
    personas: Personas | None = None

    def __post_init__(self) -> None:
        n_items = self.sequences.n_items
        if self.facts.shape != (n_items, len(self.relations)):
            raise ValueError(
                f"facts have shape {self.facts.shape}, there are {n_items} items and "
                f"{len(self.relations)} columns named"
            )
        if any(count.shape != (n_items, n_items) for count in self.counts):
            raise ValueError("transitions and sequences must be of one catalogue")

    @classmethod
    def of(
        cls, data: GraphData, sequences: Sequences, counts: Sequence[csr_array] | None = None,
        personas: Personas | None = None,
    ) -> EvidenceData:  # fmt: skip
        """Of a data set.

        Args:
            data: gives the facts.
            sequences: the fit sequences.
            counts: transitions as read from the graph; counted from ``sequences`` if not given.
            personas: an encoder fitted to ``sequences``.
        """
        return cls(
            sequences,
            data.facts,
            tuple(column.relation for column in data.fact_columns),
            tuple(transition_counts(sequences) if counts is None else counts),
            personas,
        )


class FittedEvidence(Protocol):
    """Evidence that can be built, saved and restored; see ``fusion.Evidence`` for the score."""

    @property
    def config(self) -> BaseModel:
        """How it was built."""

    @classmethod
    def fit(cls, data: EvidenceData, config: Any) -> Self:
        """Build it; raises ChangeSomethingError where the data do not allow it."""

    def arrays(self) -> Arrays:
        """What it is made of, for ``restore``."""

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: Any) -> Self:
        """The same again from its ``arrays``."""

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items), a fresh array; of each row's visible items alone."""


PERSONA = "persona"
"""Name of the evidence that a fitted encoder gives."""
EVIDENCE: Mapping[str, tuple[type[FittedEvidence], BaseModel]] = {
    "popularity": (PopularityModel, PopularityConfig()),
    "transitions": (TransitionModel, TransitionConfig()),
    "transitions-2": (TwoHopModel, TwoHopConfig()),
    "linear": (LinearModel, LinearConfig()),
    "linear+facts": (LinearModel, LinearConfig(fact_rows=10.0)),
    "facts": (FactModel, FactConfig()),
    "facts-regression": (FactRegressionModel, FactRegressionConfig()),
    "item-knn": (NeighbourModel, NeighbourConfig()),
    PERSONA: (PersonaScores, PersonaScoresConfig()),
}
"""What builds each evidence, and its settings where none are given."""


def evidence_config(name: str, settings: Mapping[str, Any] | None = None) -> BaseModel:
    """Settings of an evidence: its own defaults, changed by ``settings``.

    Raises:
        ChangeSomethingError: no such name or setting, or an impossible value.
    """
    _, default = _known(name)
    try:
        return type(default)(**{**default.model_dump(), **(settings or {})})
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise ChangeSomethingError(
            f"evidence {name}: setting {where!r}: {one_line(Exception(wrong['msg']))}; there are: "
            f"{', '.join(type(default).model_fields)}"
        ) from error


def build_evidence(
    name: str, data: EvidenceData, settings: Mapping[str, Any] | BaseModel | None = None
) -> FittedEvidence:
    """Build an evidence.

    Args:
        name: one of ``EVIDENCE``.
        data: what it is built from.
        settings: those that differ from the default of that name, or its configuration.

    Raises:
        ChangeSomethingError: no such name or setting, or data that do not allow it.
    """
    kind, default = _known(name)
    if isinstance(settings, type(default)):
        return kind.fit(data, settings)
    given = settings.model_dump() if isinstance(settings, BaseModel) else settings
    return kind.fit(data, evidence_config(name, given))


def too_large(name: str, n_items: int) -> bool:
    """Whether a catalogue is larger than an evidence takes with its default settings."""
    most = getattr(_known(name)[1], "max_items", None)
    return most is not None and n_items > most


def restore_evidence(
    name: str, arrays: Mapping[str, Any], settings: Mapping[str, Any]
) -> FittedEvidence:
    """A saved evidence from its arrays and settings.

    Raises:
        ChangeSomethingError: no such name or setting.
        KeyError: an array is missing.
    """
    return _known(name)[0].restore(arrays, evidence_config(name, settings))


def _known(name: str) -> tuple[type[FittedEvidence], BaseModel]:
    if name not in EVIDENCE:
        raise ChangeSomethingError(
            f"no evidence {name!r}; there are: {', '.join(EVIDENCE)}{did_you_mean(name, EVIDENCE)}"
        )
    return EVIDENCE[name]
