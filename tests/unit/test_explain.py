"""Explanations say what moved the score, by how much, and nothing that did not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from web_small import HERBERT, ITEMS, TITLES, SmallGraph, small_retriever

from kg.store import GraphStore
from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.recommend.explain import GraphPath, Shown, explain
from personarec.retriever.best import best
from personarec.retriever.linear import LinearConfig, LinearModel
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.transitions import TransitionModel, transition_counts

N_ITEMS = 250
MANY = 1_000


class LargeGraph:
    """Says yes to whatever it is asked for, from the very matrices that the model is made of."""

    def __init__(self, sequences: Sequences, facts: csr_array) -> None:
        self.sequences = sequences
        self.counts = [c.toarray() for c in transition_counts(sequences)]
        self.facts = facts.toarray()

    def read(self, query: Any, **given: Any) -> list[list[Any]]:
        return cast(list[list[Any]], getattr(self, query.name)(**given))

    def explain_transitions(self, sources: list[str], targets: list[str]) -> Any:
        return [
            [a, b, *(int(c[int(a[1:]), int(b[1:])]) for c in self.counts)]
            for a in sources
            for b in targets
        ]

    def explain_facts(self, items: list[str], types: list[str], facts: list[str]) -> Any:
        return [
            [i, "AUTHOR", f, f] for i in items for f in facts if self.facts[int(i[1:]), int(f[1:])]
        ]

    def explain_readers(self, items: list[str]) -> Any:
        readers: dict[str, list[str]] = {}
        for user in range(len(self.sequences)):
            for item in self.sequences[user].tolist():
                readers.setdefault(f"i{item}", []).append(f"u{user}")
        return [[item, readers[item]] for item in items if item in readers]


def made(seed: int = 0) -> tuple[Retriever, LargeGraph]:
    """A retriever of random data with transitions, facts and a linear model."""
    rng = np.random.default_rng(seed)
    lists = [(int(rng.integers(N_ITEMS)) + rng.integers(0, 12, 8)) % N_ITEMS for _ in range(600)]
    sequences = Sequences.from_lists([np.unique(x).tolist() for x in lists], N_ITEMS)
    facts = csr_array((rng.random((N_ITEMS, 90)) < 0.06).astype(np.float32))
    known = csr_array(
        (np.ones(len(sequences.items), np.float32), sequences.items, sequences.indptr),
        shape=(len(sequences), N_ITEMS),
    )
    gram = (known.T @ known).toarray()
    inverse = np.linalg.inv(gram + 20 * np.eye(N_ITEMS))
    weights = np.eye(N_ITEMS) - inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    torch.manual_seed(seed)
    retriever = Retriever(
        items=tuple(f"i{i}" for i in range(N_ITEMS)),
        model=SasRec(N_ITEMS, SasRecConfig(embedding_size=8, max_length=5)).eval(),
        weights={"transitions": 0.4, "facts": 0.6, "linear": 0.5},
        popularity=np.ones(N_ITEMS, np.int64),
        evidence={
            "transitions": TransitionModel.from_counts(transition_counts(sequences)),
            "facts": FactModel.from_matrix(facts),
            "linear": LinearModel(csr_array(weights.astype(np.float32)), LinearConfig()),
        },
        fact_keys=tuple(f"AUTHOR f{f}" for f in range(90)),
    )
    return retriever, LargeGraph(sequences, facts)


def scores_of(retriever: Retriever, session: list[int]) -> Any:
    (found,) = retriever.scores([session], [None])
    return found


def explained(
    retriever: Retriever, graph: Any, session: list[int], items: list[int], most: int
) -> list[list[GraphPath]]:
    total = scores_of(retriever, session).total
    shown = [Shown(item, float(total[item])) for item in items]
    return explain(cast(GraphStore, graph), "Book", retriever, session, shown, {}, most)


def without(retriever: Retriever, path: GraphPath) -> Retriever:
    """The model without exactly what a path stands for."""
    source, target = int(path.source[1:]), int(path.target[1:])
    evidence = dict(retriever.evidence)
    if path.kind == "fact":
        facts = evidence["facts"]
        assert isinstance(facts, FactModel)
        items = facts.items.toarray()
        items[target, int(path.evidence["fact"][1:])] = 0
        evidence["facts"] = FactModel(csr_array(items), facts.config)
    else:
        name = {"transition": "transitions", "readers": "linear"}[path.kind]
        model = cast(Any, evidence[name])
        matrix = model.matrix.toarray()
        matrix[source, target] = 0
        evidence[name] = type(model)(csr_array(matrix), model.config)
    return replace(retriever, evidence=evidence)


def test_what_is_taken_away_lowers_the_score_by_what_was_said() -> None:
    retriever, graph = made()
    tried = set()
    for session in ([3, 7, 12], [50, 50, 52, 240], list(range(200, 220))):
        total = scores_of(retriever, session).total
        items = best(total, 2, session).tolist()
        items += [session[0]]  # seen items are scaled along, and may be asked for
        for item, paths in zip(items, explained(retriever, graph, session, items, 2), strict=True):
            for path in paths:
                both = [p for p in paths if (p.kind, p.source) == (path.kind, path.source)]
                if path.kind == "transition" and len(both) > 1:
                    continue  # both directions stand in one entry of the matrix
                if path.kind == "fact" and item in session:
                    continue  # the fact would leave the session's persona too
                fall = total[item] - scores_of(without(retriever, path), session).total[item]
                assert fall == pytest.approx(path.contribution, rel=1e-3, abs=1e-5)
                assert path.share is None or path.share == pytest.approx(
                    path.contribution / total[item], rel=1e-5
                )
                tried.add(path.kind)
    assert tried == {"transition", "fact", "readers"}


def test_the_strongest_are_shown() -> None:
    retriever, graph = made()
    session = list(range(200, 220))
    items = best(scores_of(retriever, session).total, 3, session).tolist()
    few = explained(retriever, graph, session, items, 2)
    for some, everything in zip(
        few, explained(retriever, graph, session, items, MANY), strict=True
    ):
        for kind in ("fact", "readers"):
            all_falls = [p.contribution for p in everything if p.kind == kind]
            assert len(all_falls) > 2
            assert [p.contribution for p in some if p.kind == kind] == all_falls[:2]


def test_what_adds_nothing_is_never_shown() -> None:
    retriever, graph = made()
    session, items = [3, 7, 12], list(range(0, N_ITEMS, 7))
    for weights in (
        {"transitions": 0.0, "facts": 0.5, "linear": 0.0},
        {"transitions": 0.5, "facts": 0.0, "linear": 0.0},
        {"transitions": 0.0, "facts": 0.0, "linear": 0.0},
    ):
        silent = replace(retriever, weights=weights)
        found = [p for paths in explained(silent, graph, session, items, MANY) for p in paths]
        kinds = {"transitions": "transition", "facts": "fact", "linear": "readers"}
        assert {p.kind for p in found} == {kinds[k] for k, w in weights.items() if w}
        assert all(p.contribution > 0 for p in found)


# -- on the small graph ----------------------------------------------------------------------------


def small_paths(graph: SmallGraph, session: list[int], item: int) -> list[GraphPath]:
    titles = dict(zip(ITEMS, TITLES, strict=True))
    retriever = small_retriever()
    (paths,) = explain(
        cast(GraphStore, graph), "Book", retriever, session, [Shown(item, 2.0)], titles
    )
    return paths


def test_paths_in_words() -> None:
    words = {p.words() for p in small_paths(SmallGraph(), [0], 1)}
    assert words == {
        "4 people came to this soon after Dune",
        "like Dune: written by Frank Herbert",
        "like Dune: of literary genre Space opera",
    }
    (back,) = (p for p in small_paths(SmallGraph(), [10], 9) if p.kind == "transition")
    assert back.words() == "1 person came to The Fall of Hyperion soon after this"
    assert back.evidence["direction"] == "backward"
    shared = [p for p in small_paths(SmallGraph(), [2, 0, 9], 10) if p.kind == "fact"]
    assert [p.words() for p in shared] == [
        "like Hyperion and 2 more: of literary genre Space opera"
    ]


def test_what_the_graph_does_not_have_is_not_shown() -> None:
    class Emptied(SmallGraph):
        def explain_transitions(self, sources: list[str], targets: list[str]) -> Any:
            return []

        def explain_facts(self, items: list[str], types: list[str], facts: list[str]) -> Any:
            rows = super().explain_facts(items, types, facts)
            # The source has lost its author; the item recommended still has it.
            return [r for r in rows if not (r[0] == ITEMS[0] and r[2] == HERBERT)]

    paths = small_paths(Emptied(), [0], 1)
    assert [p.evidence["name"] for p in paths] == ["Space opera"]


def test_nothing_to_explain() -> None:
    assert small_paths(SmallGraph(), [], 1) == []
    assert small_paths(SmallGraph(), [5], 6) == []


def test_a_share_of_a_score_that_is_not_above_0_is_none() -> None:
    (paths,) = explain(
        cast(GraphStore, SmallGraph()), "Book", small_retriever(), [0], [Shown(1, -0.5)], {}
    )
    assert paths
    assert {p.share for p in paths} == {None}


def test_one_statement_for_each_kind_whatever_the_number_of_items() -> None:
    graph = SmallGraph()
    shown = [Shown(item, 1.0) for item in (1, 2, 3, 9, 10)]
    explain(cast(GraphStore, graph), "Book", small_retriever(), [0], shown, {})
    assert sorted(graph.read_names) == ["explain_facts", "explain_transitions"]
