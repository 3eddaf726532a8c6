"""A learned rerank inside the retriever: sums, order, what may be a candidate, how it is saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from web_small import ITEMS, SmallGraph, small_rerank, small_retriever

from kg.store import GraphStore
from personarec.evaluation.sequences import Sequences
from personarec.recommend.filters import Filters
from personarec.recommend.service import Options, Recommender, Whom
from personarec.rerank.candidates import Candidates, feature_names, gather
from personarec.rerank.model import RerankConfig
from personarec.rerank.part import RerankPart
from personarec.retriever.best import best
from personarec.retriever.checkpoint import CheckpointError, load_checkpoint
from personarec.retriever.fusion import fused_scorer
from personarec.retriever.recommender import Retriever, Scores
from personarec.retriever.training import sequence_scorer

K = 5
SESSIONS = [[0, 2], [5], [2, 2, 9, 1], [0, 1, 2, 3, 4, 5, 6], list(range(len(ITEMS)))]
ANONYMOUS = [None] * len(SESSIONS)


def reranked(candidates: int = K, size: float = 5.0, **changes: dict[str, float]) -> Retriever:
    plain = small_retriever(**changes)
    return replace(plain, rerank=small_rerank(plain, candidates, size))


def scored(retriever: Retriever) -> list[Scores]:
    return list(retriever.scores(SESSIONS, ANONYMOUS))


def gathered(retriever: Retriever, targets: NDArray[np.int32] | None = None) -> Candidates:
    """Candidates as the comparison and the training gather them."""
    assert retriever.rerank is not None
    sessions = Sequences.from_lists(SESSIONS, len(ITEMS))
    return gather(
        sequence_scorer(retriever.model, sessions), retriever.evidence, retriever.weights,
        retriever.rerank.known, np.arange(len(SESSIONS)), sessions, targets, k=K,
        cold=retriever.cold,
    )  # fmt: skip


@pytest.mark.parametrize("weights", [None, {"transitions": 0.0, "facts": 1.0}])
def test_the_order_is_that_of_the_comparison(weights: dict[str, float] | None) -> None:
    """The retriever against ``gather`` and ``Candidates.reordered``, for every item as target."""
    made = reranked(weights=weights) if weights else reranked()
    assert made.rerank is not None
    found = gathered(made)
    learned = made.rerank.model.score(found)
    lists = found.best(learned, K)
    moved = False
    for row, scores in enumerate(scored(made)):
        first = found.items[row][found.items[row] >= 0]
        assert best(scores.total, K, SESSIONS[row]).tolist() == lists[row][: len(first)].tolist()
        moved |= lists[row][: len(first)].tolist() != first.tolist()
        for item in np.setdiff1d(np.arange(len(ITEMS)), SESSIONS[row]):
            asked = gathered(made, np.full(len(SESSIONS), item, np.int32))
            rank = 1 + best(scores.total, len(ITEMS), SESSIONS[row]).tolist().index(item)
            assert asked.reordered(learned)[row] == rank
    assert moved


def test_parts_add_up_exactly_and_the_rest_is_the_fusion() -> None:
    plain, made = small_retriever(), reranked()
    for before, after in zip(scored(plain), scored(made), strict=True):
        assert list(after.parts) == [*before.parts, "rerank"]
        for name, part in before.parts.items():
            np.testing.assert_array_equal(after.parts[name], part)
        total = np.zeros(len(ITEMS), np.float32)
        for part in after.parts.values():
            total += part
        np.testing.assert_array_equal(after.total, total)
        assert [after.fused(i) for i in range(len(ITEMS))] == before.total.tolist()
        assert [before.fused(i) for i in range(len(ITEMS))] == before.total.tolist()


@pytest.mark.parametrize("size", [0.0, 5.0, 100.0])
def test_what_is_no_candidate_stays_below_in_its_order(size: float) -> None:
    for row, scores in enumerate(scored(reranked(size=size))):
        fused = np.array([scores.fused(i) for i in range(len(ITEMS))], np.float32)
        added = scores.parts["rerank"]
        seen = sorted(set(SESSIONS[row]))
        before = best(fused, len(ITEMS), seen)
        first, rest = before[:K], before[K:]
        after = best(scores.total, len(ITEMS), seen)
        assert sorted(after[: len(first)]) == sorted(first)
        assert after[len(first) :].tolist() == rest.tolist()
        if len(first):
            assert added[first].mean() == pytest.approx(0, abs=1e-5 * max(size, 1))
        if len(rest):
            assert scores.total[rest].max() < scores.total[first].min()
        # One number for all that were not reordered, and nothing for what the session shows.
        assert len(set(added[rest].tolist())) <= 1
        assert (added[rest] <= 0).all()
        assert (added[seen] == 0).all()


def test_seen_items_eat_no_places_of_candidates() -> None:
    made = reranked()
    for row, scores in enumerate(scored(made)):
        fused = np.array([scores.fused(i) for i in range(len(ITEMS))], np.float32)
        fused[SESSIONS[row]] = np.inf  # best of all, were they asked
        left = len(ITEMS) - len(set(SESSIONS[row]))
        found = gathered(made).items[row]
        assert (found >= 0).sum() == min(K, left)
        assert not set(found.tolist()) & set(SESSIONS[row])
        assert not scores.parts["rerank"][SESSIONS[row]].any()


def test_scores_do_not_depend_on_filters_and_paths_not_on_the_rerank() -> None:
    graph = cast(GraphStore, SmallGraph())
    made, plain = (Recommender(graph, "small", r) for r in (reranked(), small_retriever()))
    whom = Whom((ITEMS[0], ITEMS[2]))
    options = Options(len(ITEMS), explained=len(ITEMS))
    everything = {one.item: one for one in made.recommend(whom, options)}
    for filters in (Filters(titled_only=True), Filters(exclude_seen=False)):
        for one in made.recommend(whom, Options(len(ITEMS), filters)):
            if one.item in everything:
                assert one.score == everything[one.item].score
                assert one.parts == everything[one.item].parts
    paths = {one.item: one.paths for one in plain.recommend(whom, options)}
    assert any(paths.values())
    assert {item: one.paths for item, one in everything.items()} == paths
    words = {one.item: one.reranked() for one in everything.values()}
    for item, said in words.items():
        assert ("raised" in said) == (everything[item].parts["rerank"] > 0)
        assert ("lowered" in said) == (everything[item].parts["rerank"] < 0)
    assert not any(one.reranked() for one in plain.recommend(whom, options))


def test_a_session_without_items_is_not_reranked() -> None:
    (found,) = reranked().scores([[]], [None])
    assert set(found.parts) == {"popularity"}


def test_saved_and_loaded_it_scores_the_same(tmp_path: Path) -> None:
    made = reranked()
    made.save(tmp_path / "model")
    loaded = Retriever.load(tmp_path / "model")
    assert loaded.rerank is not None
    assert loaded.rerank.model.config == RerankConfig(hidden=4, dropout=0.1)
    for a, b in zip(scored(made), scored(loaded), strict=True):
        np.testing.assert_array_equal(a.total, b.total)
        np.testing.assert_array_equal(a.parts["rerank"], b.parts["rerank"])


def test_a_checkpoint_from_before_there_was_a_rerank_loads(tmp_path: Path) -> None:
    small_retriever().save(tmp_path / "model")
    tensors, document = load_checkpoint(tmp_path / "model")
    # What was written then, to the letter.
    assert not [name for name in tensors if name.startswith("rerank")]
    assert set(document) == {
        "format", "items", "sasrec", "weights", "persona_users", "evidence", "fact_keys",
    }  # fmt: skip
    assert Retriever.load(tmp_path / "model").rerank is None


def test_a_rerank_taught_with_other_evidence_is_refused(tmp_path: Path) -> None:
    made = reranked()
    facts = {"facts": made.evidence["facts"]}
    with pytest.raises(ValueError, match="was taught with fused, rank by fused, sequence"):
        replace(made, evidence=facts)
    small = replace(made.rerank.known, columns={"popularity": np.zeros(3, np.float32)})  # type: ignore[union-attr]
    names = feature_names(("sequence", *made.evidence), small)
    part = RerankPart(replace(made.rerank.model, names=names), small)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="of one catalogue"):
        replace(made, rerank=part)
    made.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    document = json.loads(path.read_text("utf-8"))
    document["rerank"]["config"]["hidden"] = 5
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(CheckpointError, match="no checkpoint of a retriever"):
        Retriever.load(tmp_path / "model")


def test_the_scorer_of_the_table_is_the_retriever() -> None:
    """Fused scores before the rerank are those that the table ranks by."""
    made = reranked()
    sessions = Sequences.from_lists(SESSIONS, len(ITEMS))
    scorer = fused_scorer(
        sequence_scorer(made.model, sessions), made.evidence, made.weights, sessions
    )
    fused = scorer(np.arange(len(SESSIONS)))
    for row, scores in enumerate(scored(made)):
        own = [scores.fused(i) for i in range(len(ITEMS))]
        np.testing.assert_allclose(own, fused[row], rtol=1e-5, atol=1e-5)
