"""The rows of the table: models trained, evidence weighed on validation, ranks on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from personarec.console import say
from personarec.evaluation.leakage import refuse_leak, refuse_long, refuse_transitions
from personarec.evaluation.metrics import Ranking, Scorer, rank_all
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import Personas
from personarec.personas.facts import FactModel
from personarec.retriever.cold_items import ColdItems
from personarec.retriever.evidence import (
    PERSONA,
    EvidenceData,
    FittedEvidence,
    build_evidence,
    too_large,
)
from personarec.retriever.fusion import Evidence, choose_weights, fused_scorer
from personarec.retriever.parallel import Peers
from personarec.retriever.popularity import item_counts
from personarec.retriever.sasrec import SasRec
from personarec.retriever.training import (
    EpochRecord,
    Trained,
    leak_intended,
    select_and_refit,
    sequence_scorer,
    train,
)
from personarec.retriever.transitions import TransitionModel, transition_counts
from personarec.retriever.weights import search_weights
from personarec.training.config import RERANKED, TOKEN_ROWS, Row, TrainConfig
from personarec.training.data import GraphData, known_prefix, shuffled_rows
from personarec.training.parallel_fit import fit_together
from personarec.training.rerank import Reranked, learn_rerank

Vectors = NDArray[np.float32]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Phase:
    """What is fitted to one set of sequences: the choosing phase, or the reported one.

    Attributes:
        fit: sequences everything here is fitted to.
        personas: float32, shape (n_users, size).
        transitions: transition evidence.
        facts: fact evidence (facts are the same in both phases; nothing is fitted).
        evidence: all that the kept retriever adds up, by name.
        cold: items that the fit sequences do not have, for the kept retriever.
    """

    fit: Sequences
    personas: Vectors
    transitions: TransitionModel
    facts: FactModel
    evidence: dict[str, FittedEvidence]
    cold: ColdItems


@dataclass(frozen=True)
class Inputs:
    """All that training needs; settings (epochs, weights) are chosen with ``choose``, ranks are of
    test items with ``report``, which is the same phase unless the training refits.
    """

    data: GraphData
    choose: Phase
    report: Phase
    config: TrainConfig


@dataclass(frozen=True)
class RowResult:
    """One row of the table for one seed."""

    ranking: Ranking
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JobResult:
    """What one job gave: its rows, and from the base job what the kept retriever is made of.

    Attributes:
        rows: of the table.
        base: the sequence model.
        weights: of the evidence.
        rerank: a learned one, why there is none, or None: not asked for.
    """

    rows: dict[Row, RowResult]
    base: SasRec | None = None
    weights: dict[str, float] = field(default_factory=dict)
    rerank: Reranked | str | None = None


BASE = "base"
"""The job of the model without a token, its fusions, and popularity."""


def job_names(config: TrainConfig) -> list[str]:
    """Independent jobs of one seed: each trains one model."""
    return [BASE, *(row for row in TOKEN_ROWS if row in config.rows)]


def make_phase(
    data: GraphData,
    fit: Sequences,
    personas: Vectors,
    facts: FactModel,
    counts: list[sparse.csr_array],
    config: TrainConfig,
    encoder: Personas | None = None,
) -> Phase:
    """Build all evidence from the fit sequences, their transition counts and the facts.

    What the catalogue is too large for is left out, and the persona where there is no ``encoder``
    fitted to the sequences that scores the next item by it.

    Raises ChangeSomethingError for an evidence that is not there or that the data do not allow.
    """
    transitions = TransitionModel.from_counts(counts, config.transitions)
    made: dict[str, FittedEvidence] = {"transitions": transitions, "facts": facts}
    known = EvidenceData.of(data, fit, counts, encoder)
    names = [
        n
        for n in config.evidence
        if not too_large(n, fit.n_items) and (n != PERSONA or encoder is not None)
    ]
    for name in names:
        if name not in made:
            made[name] = build_evidence(name, known)
    cold = ColdItems.find(facts.items, item_counts(fit))
    return Phase(fit, personas, transitions, facts, {n: made[n] for n in names}, cold)


def check_phase(
    data: GraphData, phase: Phase, counts: list[sparse.csr_array], *, refit: bool
) -> None:
    """Stop a training whose inputs know the answer.

    Raises LeakError naming what leaked where.
    """
    allowed = data.split.fit(refit)
    refuse_long("training sequences", phase.fit, allowed)
    refuse_leak("training sequences", phase.fit, data.split.test, "test")
    if not refit:
        refuse_leak("training sequences", phase.fit, data.split.valid, "validation")
    refuse_transitions("NEXT relations", counts, transition_counts(allowed))


def run_job(inputs: Inputs, seed: int, job: str, say: Say) -> JobResult:
    """Train one model and rank its rows of the table."""
    return _Job(inputs, seed, say).run(job)


def _epoch_line(seed: int, record: EpochRecord) -> str:
    return f"seed {seed}: epoch {record.epoch}, validation {record.ndcg:.4f}"


def _said_first(seed: int, record: EpochRecord) -> None:
    """Of processes that train one model, the first says it: the caller's ``say`` stays with him."""
    if record.ndcg is not None and Peers.current().rank == 0:
        say(_epoch_line(seed, record))


class _Job:
    def __init__(self, inputs: Inputs, seed: int, say: Say) -> None:
        self.inputs, self.data, self.config = inputs, inputs.data, inputs.config
        self.choose, self.report = inputs.choose, inputs.report
        self.seed, self.say = seed, say
        self.prefix = known_prefix(inputs.data.split)

    def run(self, job: str) -> JobResult:
        if job == BASE:
            return self._base()
        (row,) = (r for r in TOKEN_ROWS if r == job)
        return JobResult({row: self._token_row(row)})

    def _base(self) -> JobResult:
        rows: dict[Row, RowResult] = {}
        wanted = self.config.rows
        if "popularity" in wanted:
            rows["popularity"] = RowResult(self._rank(self._popularity()))
        selected, base = self._train(None)
        choosing = sequence_scorer(selected.model, self.choose.fit)
        reporting = sequence_scorer(base.model, self.prefix)
        if "none" in wanted:
            rows["none"] = RowResult(self._rank(reporting))
        for row, names in _EVIDENCE.items():
            if row in wanted:
                self.say(f"seed {self.seed}: fusion of {row}")
                rows[row] = self._fused(choosing, reporting, names)
        # The retriever that is kept, whether or not its row is asked for.
        self.say(f"seed {self.seed}: fusion of {KEPT}")
        rows[KEPT] = self._all_evidence(choosing, reporting)
        weights, rerank = rows[KEPT].weights, None
        if self.config.rerank:
            self.say(f"seed {self.seed}: learned rerank of {KEPT}")
            rerank = learn_rerank(self.inputs, choosing, reporting, weights, self.prefix, self.seed)
        if isinstance(rerank, Reranked):
            rows[RERANKED] = RowResult(rerank.ranking)
        shown = {r: rows[r] for r in wanted if r in rows}
        return JobResult(shown, base.model, weights, rerank)

    def _train(self, personas: tuple[Vectors, Vectors] | None) -> tuple[Trained, Trained]:
        """The model to choose settings with, and the one to report."""
        size = personas[0].shape[1] if personas else 0
        shape = self.config.sasrec.model_copy(update={"persona_size": size})
        options = self.config.options.model_copy(update={"seed": self.seed})
        choosing, reporting = personas or (None, None)
        processes = self.config.processes
        said = partial(_said_first, self.seed) if processes > 1 else self._said
        if self.config.refit:
            both = partial(
                select_and_refit,
                self.data.split,
                shape,
                options,
                personas=choosing,
                refit_personas=reporting,
                on_epoch=said,
            )
            return fit_together(both, processes)
        one = partial(
            train,
            self.choose.fit,
            shape,
            options,
            valid=self.data.split.valid,
            personas=choosing,
            on_epoch=said,
        )
        once = fit_together(one, processes)
        return once, once

    def _said(self, record: EpochRecord) -> None:
        if record.ndcg is not None:
            self.say(_epoch_line(self.seed, record))

    def _token_row(self, row: Row) -> RowResult:
        choosing, reporting = self.choose.personas, self.report.personas
        if row == "constant":
            choosing, reporting = _constant(choosing), _constant(reporting)
        elif row == "shuffled":
            order = shuffled_rows(len(choosing), self.seed)
            choosing, reporting = choosing[order], reporting[order]
        with leak_intended():
            _, trained = self._train((choosing, reporting))
        return RowResult(self._rank(sequence_scorer(trained.model, self.prefix, reporting)))

    def _fused(self, choosing: Scorer, reporting: Scorer, names: tuple[str, ...]) -> RowResult:
        best, _ = choose_weights(
            choosing,
            self._evidence(self.choose, names),
            self.choose.fit,
            self.data.split.valid,
            _GRID,
        )
        return self._weighed(reporting, self._evidence(self.report, names), best.weights)

    def _all_evidence(self, choosing: Scorer, reporting: Scorer) -> RowResult:
        best = search_weights(
            choosing, self.choose.evidence, self.choose.fit, self.data.split.valid, seed=self.seed
        )
        return self._weighed(reporting, self.report.evidence, best.weights, self.report.cold)

    def _weighed(
        self,
        reporting: Scorer,
        evidence: Mapping[str, Evidence],
        weights: Mapping[str, float],
        cold: ColdItems | None = None,
    ) -> RowResult:
        scorer = fused_scorer(reporting, evidence, weights, self.prefix, cold)
        return RowResult(self._rank(scorer), dict(weights))

    def _evidence(self, phase: Phase, names: tuple[str, ...]) -> dict[str, Evidence]:
        known: dict[str, Evidence] = {
            "transitions": phase.transitions,
            "facts": phase.facts,
            "shuffled facts": phase.facts.shuffled(self.seed),
        }
        return {n: known[n] for n in names}

    def _popularity(self) -> Scorer:
        counts = item_counts(self.report.fit).astype(np.float32)

        def score(users: NDArray[np.int64]) -> NDArray[np.float32]:
            return np.tile(counts, (len(users), 1))

        return score

    def _rank(self, scorer: Scorer) -> Ranking:
        return rank_all(scorer, self.prefix, self.data.split.test)


def _constant(personas: Vectors) -> Vectors:
    """The same unit vector for everybody: the control for the mere presence of a token."""
    return np.full_like(personas, 1 / np.sqrt(personas.shape[1]))


KEPT: Row = "all evidence"
"""The row whose weights the saved retriever has."""

_EVIDENCE: dict[Row, tuple[str, ...]] = {
    "transitions": ("transitions",),
    "facts": ("facts",),
    "transitions+facts": ("transitions", "facts"),
    "transitions+shuffled facts": ("transitions", "shuffled facts"),
}
_STEPS = (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45)
_FACT_STEPS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6)
# The shuffled control is given the same choice of weights as the facts it controls for.
_GRID = {"transitions": _STEPS, "facts": _FACT_STEPS, "shuffled facts": _FACT_STEPS}
