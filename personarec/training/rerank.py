"""The learned rerank of a training: taught by validation items, kept where these say it helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.metrics import Ranking, Scorer
from personarec.rerank.candidates import gather
from personarec.rerank.features import ItemFeatures
from personarec.rerank.lessons import CUTOFF, Gathered, Judged, Lessons
from personarec.rerank.model import RerankConfig, Reranker, TooFewError
from personarec.rerank.part import RerankPart
from personarec.retriever.popularity import item_counts
from personarec.torch_threads import torch_threads

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.training.data import GraphData
    from personarec.training.table import Inputs, Phase

_BLOCK = 512
"""Users whose test items are ranked at a time."""


@dataclass(frozen=True)
class Reranked:
    """A learned rerank of one seed.

    Attributes:
        model: taught by all validation items.
        judged: what such a model is worth on validation items that it has not seen.
        ranking: of the test items.
    """

    model: Reranker
    judged: Judged
    ranking: Ranking


def learn_rerank(
    inputs: Inputs,
    choosing: Scorer,
    reporting: Scorer,
    weights: Mapping[str, float],
    prefix: Sequences,
    seed: int,
) -> Reranked | str:
    """Teach and judge a rerank of the fusion, and rank the test items with it.

    Args:
        inputs: data and phases: it is taught by what was fitted without the validation items, and
            ranks by the features of what is reported.
        choosing: the sequence model of the first phase.
        reporting: that of the second.
        weights: of the fusion.
        prefix: what may be looked at when the test items are asked for.
        seed: of the net and of the folds.

    Returns:
        The rerank, or why there is none.

    Raises:
        LeakError: a validation item is a test item.
    """
    config, split = RerankConfig(seed=seed), inputs.data.split

    def gathered(
        scorer: Scorer, phase: Phase, sequences: Sequences, targets: NDArray[np.int32]
    ) -> Gathered:
        known = item_features(inputs.data, phase)
        return lambda users: gather(
            scorer, phase.evidence, weights, known, users, sequences, targets, cold=phase.cold
        )

    with torch_threads(1):  # the same result alone or beside others
        taught_by = gathered(choosing, inputs.choose, inputs.choose.fit, split.valid)
        lessons = Lessons.gather(taught_by, split.valid, seed)
        try:
            model, judged = lessons.teach(config, split.test), lessons.judge(config)
        except TooFewError as error:
            return str(error)
        asked = gathered(reporting, inputs.report, prefix, split.test)
        users = np.flatnonzero(split.test >= 0).astype(np.int64)
        ranks = np.empty(len(users))
        for start in range(0, len(users), _BLOCK):
            found = asked(users[start : start + _BLOCK])
            ranks[start : start + _BLOCK] = found.reordered(model.score(found))
    return Reranked(model, judged, Ranking(users, ranks))


def item_features(data: GraphData, phase: Phase) -> ItemFeatures:
    """What a rerank knows of items, of the fit sequences of a phase."""
    facts = data.facts if data.facts.nnz else None
    return ItemFeatures.of(item_counts(phase.fit), phase.transitions.matrix, facts)


def kept_part(found: Reranked | str | None, data: GraphData, report: Phase) -> RerankPart | None:
    """The rerank for the kept retriever; None where validation does not say that it helps."""
    if not isinstance(found, Reranked) or not found.judged.helps:
        return None
    return RerankPart(found.model, item_features(data, report))


def rerank_document(seeds: tuple[int, ...], found: list[Reranked | str | None]) -> dict[str, Any]:
    """What metrics.json says of it; the kept retriever is that of the first seed."""
    first = found[0]
    return {
        "kept": isinstance(first, Reranked) and first.judged.helps,
        "why": _why(first),
        "seeds": [
            {
                "seed": seed,
                f"validation NDCG@{CUTOFF}": {
                    "before": one.judged.before,
                    "after": one.judged.after,
                    "mean": one.judged.gain.mean,
                    "low": one.judged.gain.low,
                    "high": one.judged.gain.high,
                },
            }
            for seed, one in zip(seeds, found, strict=True)
            if isinstance(one, Reranked)
        ],
    }


def _why(found: Reranked | str | None) -> str:
    if found is None:
        return "no learned rerank: not asked for"
    if isinstance(found, str):
        return f"no learned rerank: {found.removeprefix('rerank: ')}"
    judged, gain = found.judged, found.judged.gain
    verdict = "kept" if judged.helps else "not kept"
    return (
        f"learned rerank {verdict}: cross-fitted validation NDCG@{CUTOFF} {judged.before:.4f} -> "
        f"{judged.after:.4f}, {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
        + ("" if judged.helps else ", not clearly better")
    )
