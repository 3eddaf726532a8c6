"""The table of one seed: every row trained, weighed on validation, and ranked on test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.leakage import refuse_leak, refuse_long, refuse_transitions
from personarec.evaluation.metrics import Ranking, Scorer, rank_all
from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.retriever.fusion import Evidence, choose_weights, fused_scorer
from personarec.retriever.popularity import item_counts
from personarec.retriever.training import Trained, select_and_refit, sequence_scorer, train
from personarec.retriever.transitions import TransitionModel, transition_counts
from personarec.training.config import TOKEN_ROWS, Row, TrainConfig
from personarec.training.data import GraphData, known_prefix, shuffled_rows

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
    """

    fit: Sequences
    personas: Vectors
    transitions: TransitionModel
    facts: FactModel


@dataclass(frozen=True)
class RowResult:
    """One row of the table for one seed."""

    ranking: Ranking
    weights: dict[str, float]


@dataclass(frozen=True)
class SeedResult:
    """One seed: the rows, and the base model that is kept."""

    rows: dict[Row, RowResult]
    base: Trained
    weights: dict[str, float]


def check_phase(data: GraphData, phase: Phase, counts: list, *, refit: bool) -> None:  # type: ignore[type-arg]
    """Stop a training whose inputs know the answer.

    Raises LeakError naming what leaked where.
    """
    allowed = data.split.fit(refit)
    refuse_long("training sequences", phase.fit, allowed)
    refuse_leak("training sequences", phase.fit, data.split.test, "test")
    if not refit:
        refuse_leak("training sequences", phase.fit, data.split.valid, "validation")
    refuse_transitions("NEXT relations", counts, transition_counts(allowed))


def run_seed(
    data: GraphData, choose: Phase, report: Phase, config: TrainConfig, seed: int, say: Say
) -> SeedResult:
    """Train and rank every row of the table.

    Settings (epochs, fusion weights) are chosen with ``choose`` on validation items; ranks are of
    test items with ``report``, which is the same phase unless the training refits.
    """
    return _Seed(data, choose, report, config, seed, say).run()


class _Seed:
    def __init__(
        self,
        data: GraphData,
        choose: Phase,
        report: Phase,
        config: TrainConfig,
        seed: int,
        say: Say,
    ) -> None:
        self.data, self.choose, self.report = data, choose, report
        self.config, self.seed, self.say = config, seed, say
        self.prefix = known_prefix(data.split)

    def run(self) -> SeedResult:
        rows: dict[Row, RowResult] = {}
        wanted = self.config.rows
        if "popularity" in wanted:
            rows["popularity"] = self._rank(self._popularity())
        self.say("SASRec")
        selected, base = self._train(None)
        choosing = sequence_scorer(selected.model, self.choose.fit)
        reporting = sequence_scorer(base.model, self.prefix)
        if "none" in wanted:
            rows["none"] = self._rank(reporting)
        for row in TOKEN_ROWS:
            if row in wanted:
                self.say(f"SASRec with the {row} token" if row != "persona" else "persona token")
                rows[row] = self._token_row(row)
        weights: dict[str, float] = {}
        for row, names in _EVIDENCE.items():
            if row in wanted or row == "transitions+facts":
                self.say(f"fusion: {row}")
                result, found = self._fused(choosing, reporting, names)
                if row in wanted:
                    rows[row] = result
                if row == "transitions+facts":
                    weights = found
        return SeedResult({r: rows[r] for r in wanted}, base, weights)

    def _train(self, personas: tuple[Vectors, Vectors] | None) -> tuple[Trained, Trained]:
        """The model to choose settings with, and the one to report."""
        size = personas[0].shape[1] if personas else 0
        shape = self.config.sasrec.model_copy(update={"persona_size": size})
        options = self.config.options.model_copy(update={"seed": self.seed})
        choosing, reporting = personas or (None, None)
        if self.config.refit:
            return select_and_refit(
                self.data.split,
                shape,
                options,
                personas=choosing,
                refit_personas=reporting,
                on_epoch=self._said,
            )
        once = train(
            self.choose.fit,
            shape,
            options,
            valid=self.data.split.valid,
            personas=choosing,
            on_epoch=self._said,
        )
        return once, once

    def _said(self, record: object) -> None:
        epoch, ndcg = getattr(record, "epoch", 0), getattr(record, "ndcg", None)
        found = f", validation NDCG@10 {ndcg:.4f}" if ndcg is not None else ""
        self.say(f"  epoch {epoch}{found}")

    def _token_row(self, row: Row) -> RowResult:
        choosing, reporting = self.choose.personas, self.report.personas
        if row == "constant":
            choosing, reporting = _constant(choosing), _constant(reporting)
        elif row == "shuffled":
            order = shuffled_rows(len(choosing), self.seed)
            choosing, reporting = choosing[order], reporting[order]
        _, trained = self._train((choosing, reporting))
        return self._rank(sequence_scorer(trained.model, self.prefix, reporting))

    def _fused(
        self, choosing: Scorer, reporting: Scorer, names: tuple[str, ...]
    ) -> tuple[RowResult, dict[str, float]]:
        best, _ = choose_weights(
            choosing,
            self._evidence(self.choose, names),
            self.choose.fit,
            self.data.split.valid,
            _GRID,
        )
        scorer = fused_scorer(
            reporting, self._evidence(self.report, names), best.weights, self.prefix
        )
        ranked = self._rank(scorer)
        return RowResult(ranked.ranking, dict(best.weights)), dict(best.weights)

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

    def _rank(self, scorer: Scorer) -> RowResult:
        return RowResult(rank_all(scorer, self.prefix, self.data.split.test), {})


def _constant(personas: Vectors) -> Vectors:
    """The same unit vector for everybody: the control for the mere presence of a token."""
    return np.full_like(personas, 1 / np.sqrt(personas.shape[1]))


_EVIDENCE: dict[Row, tuple[str, ...]] = {
    "transitions": ("transitions",),
    "facts": ("facts",),
    "transitions+facts": ("transitions", "facts"),
    "transitions+shuffled facts": ("transitions", "shuffled facts"),
}
_STEPS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45)
_FACT_STEPS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6)
# The shuffled control is given the same choice of weights as the facts it controls for.
_GRID = {"transitions": _STEPS, "facts": _FACT_STEPS, "shuffled facts": _FACT_STEPS}
