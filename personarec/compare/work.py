"""One cell made: models trained, evidence weighed on validation, test queries answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from personarec.compare.asking import Answers, answer, answer_reordered, reranked
from personarec.compare.cells import CellResult, read_metrics, read_tensors
from personarec.compare.checks import met_once
from personarec.compare.fitted import Fitted
from personarec.compare.networks import Networks, network_config, network_scorer, train_network
from personarec.compare.rows import FEW, ROWS, SASREC, Row, keeps_model
from personarec.compare.settings import Settings
from personarec.evaluation.metrics import Scorer, rank_all
from personarec.rerank.candidates import Candidates, gather
from personarec.rerank.features import ItemFeatures
from personarec.rerank.lessons import Lessons
from personarec.rerank.model import RerankConfig
from personarec.retriever.cold_items import ColdItems
from personarec.retriever.fusion import Trial, choose_weights, fused_scorer
from personarec.retriever.length_weights import (
    LengthWeights,
    fused_by_length,
    search_length_weights,
)
from personarec.retriever.popularity import item_counts
from personarec.retriever.weights import search_weights
from personarec.torch_threads import torch_threads

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.fusion import Evidence

CUTOFF = 10
"""Choices are made by NDCG at this rank."""
Say = Callable[[str], None]

STEPS = (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0)
"""Weights tried of one or two sources, the same for a control and its row; of more they are sought.
"""
RERANK = RerankConfig()
"""How a learned rerank is trained, the same for a control and its row; its seed is the cell's."""


def make_cell(
    row: Row, seed: int, settings: Settings, fitted: Fitted, bases: Mapping[str, Path], say: Say
) -> CellResult:
    """Make one row for one seed, on one thread: the same result alone or beside others.

    Args:
        row: what to make.
        seed: of everything random.
        settings: of the row and of what it is built on.
        fitted: evidence and personas.
        bases: folders of the finished cells of this seed that the row builds on, by row.
        say: called with lines of progress.

    Raises:
        ChangeSomethingError: the data do not allow it.
    """
    with torch_threads(1):
        return _Maker(row, seed, settings, fitted, bases, say).make()


def validated(
    row: Row, seed: int, settings: Settings, fitted: Fitted, bases: Mapping[str, Path]
) -> float:
    """Validation NDCG@10 of an evidence or a late fusion, and nothing of test.

    Arguments and errors are those of :func:`make_cell`.
    """
    with torch_threads(1):
        return _Maker(row, seed, settings, fitted, bases, lambda _: None).validated()


class _Maker:
    def __init__(
        self,
        row: Row,
        seed: int,
        settings: Settings,
        fitted: Fitted,
        bases: Mapping[str, Path],
        say: Say,
    ) -> None:
        self.row, self.seed, self.settings, self.fitted = row, seed, settings, fitted
        self.bases, self.say, self.world = bases, say, fitted.world
        self.seconds: dict[str, float] = {}

    def make(self) -> CellResult:
        return {
            "evidence": self._evidence_alone,
            "network": self._network,
            "late": self._late,
            "rerank": self._rerank,
            "learned": self._learned,
        }[self.row.kind]()

    def validated(self) -> float:
        return self._weighed().ndcg if self.row.kind == "late" else self._evidence_validated()

    def _evidence_alone(self) -> CellResult:
        (name,) = self.row.evidence
        report, valid = self._timed(
            "fit", lambda: (self._evidence(name, report=True), self._evidence_validated())
        )
        return self._answered(_evidence_scorer(report, self.world.protocol.test.visible), valid)

    def _evidence_validated(self) -> float:
        (name,) = self.row.evidence
        split = self.world.protocol.split
        scorer = _evidence_scorer(self._evidence(name, report=False), split.train)
        return rank_all(scorer, split.train, split.valid).ndcg(CUTOFF)

    def _evidence(self, name: str, *, report: bool) -> Evidence:
        settings = self.settings.evidence.get(name)
        return self.fitted.evidence(name, self.seed, report=report, settings=settings)

    def _network(self) -> CellResult:
        def said(record: Any) -> None:
            if record.ndcg is not None:
                self.say(f"epoch {record.epoch}, validation {record.ndcg:.4f}")

        shape = self.settings.sasrec
        networks, trained = self._timed(
            "fit",
            lambda: train_network(
                self.row, self.fitted, self.seed, shape, self.settings.options, said
            ),
        )
        best = max(r.ndcg for r in trained.history if r.ndcg is not None)
        result = self._answered(self._network_scorer(networks, self.row, report=True), best)
        return replace(
            result,
            notes=dict(result.notes) | {
                "epochs": trained.best_epoch,
                "shape": network_config(self.row, shape, self.fitted.world.config.dim).model_dump(),
            },
            tensors=networks.tensors() if keeps_model(self.row) else {},
        )  # fmt: skip

    def _late(self) -> CellResult:
        found = self._timed("weigh", self._weighed)
        scorer, evidence = self._sources(self.row, report=True)
        visible, cold = self.world.protocol.test.visible, self._cold(self.row, report=True)
        if isinstance(found, LengthWeights):
            by_length = fused_by_length(scorer, evidence, found, visible, cold)
            return replace(self._answered(by_length, found.ndcg), weights=found.named())
        fused = fused_scorer(scorer, evidence, found.weights, visible, cold)
        return replace(self._answered(fused, found.ndcg), weights=dict(found.weights))

    def _weighed(self) -> Trial | LengthWeights:
        split = self.world.protocol.split
        scorer, evidence = self._sources(self.row, report=False)
        if self.row.by_length:
            return search_length_weights(scorer, evidence, split.train, split.valid, seed=self.seed)
        if len(evidence) > FEW:
            return search_weights(scorer, evidence, split.train, split.valid, seed=self.seed)
        steps = dict.fromkeys(evidence, STEPS)
        best, _ = choose_weights(scorer, evidence, split.train, split.valid, steps)
        return best

    def _sources(self, row: Row, *, report: bool) -> tuple[Scorer, dict[str, Evidence]]:
        """Network and evidence of a late fusion."""
        base = ROWS[str(row.base)]
        return (
            self._network_scorer(self._restored(base.name), base, report=report),
            {name: self._evidence(name, report=report) for name in row.evidence},
        )

    def _cold(self, row: Row, *, report: bool) -> ColdItems | None:
        if row.cold is None:
            return None
        facts: Any = self._evidence(row.cold, report=report)
        return ColdItems.find(facts.items, item_counts(self.world.fit(report=report)))

    def _rerank(self) -> CellResult:
        base = ROWS[str(self.row.base)]
        second = self._network_scorer(self._restored(SASREC), ROWS[SASREC], report=True)
        first = self._scorer_of(base)
        test = self.world.protocol.test
        scorer = reranked(first, second, test, self.row.candidates)
        # Nothing is chosen here, so the base's validation stands.
        return self._answered(scorer, float(read_metrics(self.bases[base.name])["validation"]))

    def _learned(self) -> CellResult:
        base, split = ROWS[str(self.row.base)], self.world.protocol.split
        config = RERANK.model_copy(update={"seed": self.seed})
        lessons = self._timed(
            "gather",
            lambda: Lessons.gather(self._candidates(base, report=False), split.valid, self.seed),
        )
        model = self._timed(
            "fit", lambda: lessons.teach(config, test=met_once(split.test, self.world))
        )
        judged = self._timed("cross-fit", lambda: lessons.judge(config))
        result = self._result(
            lambda: answer_reordered(
                self._candidates(base, report=True), model, self.world.protocol.test
            ),
            judged.after,
        )
        return replace(result, notes=dict(result.notes) | {"validation before": judged.before})

    def _candidates(self, base: Row, *, report: bool) -> Callable[[NDArray[np.int64]], Candidates]:
        """The first of a finished late fusion: of validation users, or of test queries by place."""
        split, test = self.world.protocol.split, self.world.protocol.test
        sequences, targets = (test.visible, test.targets) if report else (split.train, split.valid)
        scorer, evidence, weights, cold = self._fusion(base, report=report)
        steps: Any = self._evidence("transitions", report=report)
        known = ItemFeatures.of(
            item_counts(self.world.fit(report=report)),
            steps.matrix,
            self.fitted.facts(base.facts, self.seed) if base.facts else None,
        )

        def gathered(places: NDArray[np.int64]) -> Candidates:
            return gather(
                scorer, evidence, weights, known, places, sequences, targets,
                k=self.row.candidates, cold=cold,
            )  # fmt: skip

        return gathered

    def _scorer_of(self, row: Row) -> Scorer:
        """The reported scorer of a finished row."""
        if row.kind == "network":
            return self._network_scorer(self._restored(row.name), row, report=True)
        scorer, evidence, weights, cold = self._fusion(row, report=True)
        return fused_scorer(scorer, evidence, weights, self.world.protocol.test.visible, cold)

    def _fusion(
        self, row: Row, *, report: bool
    ) -> tuple[Scorer, dict[str, Evidence], dict[str, float], ColdItems | None]:
        """Network, evidence, weights and cold items of a finished late fusion."""
        scorer, evidence = self._sources(row, report=report)
        weights = read_metrics(self.bases[row.name])["weights"]
        return scorer, evidence, weights, self._cold(row, report=report)

    def _restored(self, name: str) -> Networks:
        folder = self.bases[name]
        shape = read_metrics(folder)["notes"]["shape"]
        n_items = self.world.data.split.train.n_items
        return Networks.restore(read_tensors(folder), n_items, shape)

    def _network_scorer(self, networks: Networks, row: Row, *, report: bool) -> Scorer:
        test, train = self.world.protocol.test, self.world.protocol.split.train
        sessions = test.visible if report else train
        users = test.users if report else np.arange(len(train))
        return network_scorer(networks, row, self.fitted, self.seed, sessions, users, report=report)

    def _answered(self, scorer: Scorer, validation: float) -> CellResult:
        return self._result(lambda: answer(scorer, self.world.protocol.test), validation)

    def _result(self, asked: Callable[[], Answers], validation: float) -> CellResult:
        answers = self._timed("test", asked)
        notes = {"seconds": {k: round(v, 2) for k, v in self.seconds.items()}}
        return CellResult(answers, validation, notes=notes)

    def _timed(self, what: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started
        return result


def _evidence_scorer(evidence: Evidence, sessions: Sequences) -> Scorer:
    def score(places: NDArray[np.int64]) -> NDArray[np.float32]:
        return evidence.score(sessions.take(places))

    return score
