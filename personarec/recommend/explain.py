"""Why an item is recommended: paths of the graph that moved its score, and by how much.

Each evidence is a sum over paths: a transition from item i of the session to item j adds
recency_i · T_ij to j's raw score, a shared fact f adds p_f · a_jf. What a path is said to
contribute is the fall of the fused score when its summand is 0, the scale of the evidence
(``fusion.standardise``) made anew without it: exact for the fusion, but not additive, since each
path is taken away alone. A path is shown where it contributes something and the graph has it. What
the sequence model adds comes from no single path, and no path is made up for it; nor for what a
learned rerank adds afterwards, nor for personas and prototypes of other readers, which no part of
the score looks at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from kg.schema import relation_type
from kg.store import GraphStore, statement
from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.retriever.linear import LinearModel
from personarec.retriever.neighbours import NeighbourModel
from personarec.retriever.recommender import Retriever
from personarec.retriever.transitions import TransitionModel

MOST = 3
"""Paths of each kind for one item."""
LEAST = 0.005
"""A fall of the score below which a path is not worth showing."""
_FLAT = 1e-12
"""Deviation below which an evidence says nothing, as in ``fusion.standardise``."""


@dataclass(frozen=True)
class GraphPath:
    """A path that connects an item of the history with the item recommended.

    Attributes:
        kind: ``transition`` (others went from one to the other), ``fact`` (both have it) or
            ``readers`` (the same people touched both).
        source: key of the item of the history.
        source_title: its title, or its key.
        target: key of the item recommended.
        evidence: of a transition its counts by gap and its ``direction``, ``forward`` from the
            source; of a fact its relation, key, name, what the relation means, and how many
            ``others`` of the history have it; of readers how many.
        contribution: how much lower the score before the rerank would be without it.
        share: the same as a share of that score; None where the score is not above 0, which is
            what an average item has.
    """

    kind: str
    source: str
    source_title: str
    target: str
    evidence: dict[str, Any]
    contribution: float
    share: float | None

    def words(self) -> str:
        """The path as a sentence."""
        given = self.evidence
        if self.kind == "fact":
            others = f" and {given['others']} more" if given["others"] else ""
            return f"like {self.source_title}{others}: {given['doc']} {given['name']}"
        if self.kind == "readers":
            return f"{_people(given['readers'])} chose both this and {self.source_title}"
        people = _people(given["gap1"] + given["gap2"] + given["gap3"])
        if given["direction"] == "forward":
            return f"{people} came to this soon after {self.source_title}"
        return f"{people} came to {self.source_title} soon after this"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "from": self.source,
            "fromTitle": self.source_title,
            "to": self.target,
            **self.evidence,
            "contribution": self.contribution,
            "share": self.share,
            "words": self.words(),
        }


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


class Shown(NamedTuple):
    """An item to explain: its index, and the score that it got before the rerank."""

    item: int
    score: float


class _Pair(NamedTuple):
    """What comes to an item through one of the history; ``fall`` of the score without it."""

    source: int
    target: int
    fall: float


class _Transition(NamedTuple):
    """A pair through transitions: its summand can be split between the two directions."""

    source: int
    target: int
    fall: float
    fall_of_share: Callable[[float], float]


class _Shared(NamedTuple):
    """What comes to an item through a fact, and which of the history has most of it."""

    source: int
    others: int
    fact: int
    target: int
    fall: float


def explain(
    store: GraphStore,
    label: str,
    retriever: Retriever,
    history: Sequence[int],
    shown: Sequence[Shown],
    titles: Mapping[str, str | None],
    most: int = MOST,
) -> list[list[GraphPath]]:
    """The paths that each item's score would miss most, those first, by Cypher.

    One statement for each kind of evidence, whatever the number of items.

    Args:
        store: the graph.
        label: label of the items.
        retriever: what scored the items.
        history: item indices of the session, oldest first.
        shown: the items, none twice.
        titles: by item key.
        most: paths of each kind for each item.
    """
    if not history or not shown:
        return [[] for _ in shown]
    keys = retriever.items
    scores = {keys[one.item]: one.score for one in shown}
    parts = _Parts(retriever, history, [one.item for one in shown])
    found: dict[str, list[GraphPath]] = {key: [] for key in scores}

    def add(kind: str, source: str, target: str, evidence: dict[str, Any], amount: float) -> None:
        share = amount / scores[target] if scores[target] > 0 else None
        title = titles.get(source) or source
        found[target].append(GraphPath(kind, source, title, target, evidence, amount, share))

    if steps := _strongest(parts.transitions(), most):
        for step, evidence, fall in _transitions(store, label, retriever, steps):
            add("transition", keys[step.source], keys[step.target], evidence, fall)
    if pairs := _strongest(parts.neighbours(), most):
        for pair, count in _readers(store, label, keys, pairs):
            add("readers", keys[pair.source], keys[pair.target], {"readers": count}, pair.fall)
    if shared := _strongest(parts.facts(), most):
        for one, evidence in _facts(store, label, retriever, shared):
            add("fact", keys[one.source], keys[one.target], evidence, one.fall)
    for paths in found.values():
        paths.sort(key=lambda p: (-p.contribution, p.kind, p.source, str(p.evidence)))
    return [found[keys[one.item]] for one in shown]


def _strongest(parts: Sequence[Any], most: int) -> list[Any]:
    """Of each target the parts whose loss weighs most, without those that weigh next to nothing."""
    by_target: dict[int, list[Any]] = defaultdict(list)
    for part in sorted(parts, key=lambda p: -p.fall):
        if part.fall > LEAST and len(by_target[part.target]) < most:
            by_target[part.target].append(part)
    return [part for some in by_target.values() for part in some]


# -- what the model says ---------------------------------------------------------------------------


class _Scale:
    """How an evidence's raw scores count in the total, as ``fusion.standardise`` has it."""

    def __init__(self, weight: float, scores: NDArray[np.float32], seen: NDArray[np.int64]) -> None:
        self._weight = weight
        self._scores = scores.astype(np.float64)
        self._seen = set(seen.tolist())
        unseen = np.delete(self._scores, seen)
        self._n = max(len(unseen), 1)
        self._sum, self._squares = float(unseen.sum()), float(np.square(unseen).sum())

    def fall(self, item: int, amount: float) -> float:
        """How much lower an item's total would be, were its raw score lower by an amount."""
        score = float(self._scores[item])
        less = score - amount
        if item in self._seen:  # scaled along with the others, without a say in the scale
            after = self._scaled(less, self._sum, self._squares)
        else:
            squares = self._squares - score**2 + less**2
            after = self._scaled(less, self._sum - amount, squares)
        return self._weight * (self._scaled(score, self._sum, self._squares) - after)

    def _scaled(self, score: float, total: float, squares: float) -> float:
        mean = total / self._n
        spread = max(squares / self._n - mean**2, 0.0) ** 0.5
        return (score - mean) / spread if spread > _FLAT else 0.0


class _Parts:
    """What comes to some items' scores, by the path that it comes through."""

    def __init__(self, retriever: Retriever, history: Sequence[int], items: list[int]) -> None:
        self._retriever = retriever
        self._session = Sequences.from_lists([history], len(retriever.items))
        self._seen = np.unique(np.asarray(history, np.int64))
        self._items = np.asarray(items, np.int64)

    def transitions(self) -> list[_Transition]:
        """Through transitions, both directions of a pair in one."""
        return [
            _Transition(
                source, target, scale.fall(target, amount),
                lambda share, scale=scale, target=target, amount=amount: scale.fall(  # type: ignore[misc]
                    target, share * amount
                ),
            )
            for scale, source, target, amount in self._pairs(TransitionModel)
        ]  # fmt: skip

    def neighbours(self) -> list[_Pair]:
        """Through item-item weights that are learnt from who touched what."""
        falls: dict[tuple[int, int], float] = defaultdict(float)
        for kind in (LinearModel, NeighbourModel):
            for scale, source, target, amount in self._pairs(kind):
                falls[source, target] += scale.fall(target, amount)
        return [_Pair(source, target, fall) for (source, target), fall in falls.items()]

    def facts(self) -> list[_Shared]:
        """Through facts that an item shares with the history."""
        result: list[_Shared] = []
        if not self._retriever.fact_keys:
            return result
        for scale, model in self._used(FactModel):
            persona = model.personas(self._session)
            liked = np.zeros(model.items.shape[1], np.float32)
            liked[persona.indices] = persona.data
            recency = self._session.recency(model.config.age_decay)
            having = csr_array(model.items[recency.indices]).tocsc()
            for item in self._items.tolist():
                own = slice(model.items.indptr[item], model.items.indptr[item + 1])
                facts = model.items.indices[own]
                amounts = model.items.data[own] * liked[facts]
                for fact, amount in zip(facts.tolist(), amounts.tolist(), strict=True):
                    if amount <= 0:
                        continue
                    those = slice(having.indptr[fact], having.indptr[fact + 1])
                    rows = having.indices[those]
                    most = rows[np.argmax(having.data[those] * recency.data[rows])]
                    result.append(
                        _Shared(
                            int(recency.indices[most]), len(rows) - 1, fact, item,
                            scale.fall(item, amount),
                        )
                    )  # fmt: skip
        return result

    def _used(self, kind: type[Any]) -> Iterator[tuple[_Scale, Any]]:
        """Evidence of a kind that weighs something."""
        for name, model in self._retriever.evidence.items():
            weight = self._retriever.weights[name]
            if isinstance(model, kind) and weight:
                yield _Scale(weight, model.score(self._session)[0], self._seen), model

    def _pairs(self, kind: type[Any]) -> Iterator[tuple[_Scale, int, int, float]]:
        """Summands of models that score by recency · matrix: scale, source, target, amount."""
        for scale, model in self._used(kind):
            recency = self._session.recency(model.config.age_decay)
            block = np.asarray(model.matrix[recency.indices][:, self._items].toarray())
            block = block * recency.data[:, None]
            for row, column in zip(*np.nonzero(block), strict=True):
                yield (
                    scale, int(recency.indices[row]), int(self._items[column]),
                    float(block[row, column]),
                )  # fmt: skip


# -- what the graph says ---------------------------------------------------------------------------


def _transitions(
    store: GraphStore, label: str, retriever: Retriever, steps: Sequence[_Transition]
) -> Iterator[tuple[_Transition, dict[str, Any], float]]:
    """Transitions of pairs in either direction, each with its own share of the pair's summand."""
    keys = retriever.items
    model = next(m for m in retriever.evidence.values() if isinstance(m, TransitionModel))
    ends = sorted({keys[s.source] for s in steps} | {keys[s.target] for s in steps})
    query = statement("explain_transitions", label=label)
    counts = {
        (source, target): tuple(gaps)
        for source, target, *gaps in store.read(query, sources=ends, targets=ends)
    }
    decay, backward = model.config.gap_decay, model.config.backward
    for step in steps:
        source, target = keys[step.source], keys[step.target]
        there = counts.get((source, target), (0, 0, 0))
        back = counts.get((target, source), (0, 0, 0))
        strengths = (
            ("forward", there, sum(c * decay**gap for gap, c in enumerate(there))),
            ("backward", back, backward * sum(c * decay**gap for gap, c in enumerate(back))),
        )
        whole = sum(strength for *_, strength in strengths)
        for direction, gaps, strength in strengths:
            fall = step.fall_of_share(strength / whole) if strength > 0 else 0.0
            if fall > LEAST:
                evidence = dict(zip(("gap1", "gap2", "gap3"), gaps, strict=True))
                yield step, {**evidence, "direction": direction}, fall


def _readers(
    store: GraphStore, label: str, keys: Sequence[str], pairs: Sequence[_Pair]
) -> list[tuple[_Pair, int]]:
    """How many touched both items of each pair; pairs that nobody did are left out."""
    ends = sorted({keys[p.source] for p in pairs} | {keys[p.target] for p in pairs})
    query = statement("explain_readers", label=label)
    readers = {item: set(users) for item, users in store.read(query, items=ends)}
    nobody: set[str] = set()
    both = [
        (p, len(readers.get(keys[p.source], nobody) & readers.get(keys[p.target], nobody)))
        for p in pairs
    ]
    return [(pair, count) for pair, count in both if count]


def _facts(
    store: GraphStore, label: str, retriever: Retriever, shared: Sequence[_Shared]
) -> list[tuple[_Shared, dict[str, Any]]]:
    """Facts that the graph has at both ends, with their names."""
    keys = retriever.items
    wanted = [retriever.fact_keys[one.fact].split(" ", 1) for one in shared]
    names = read_facts(
        store,
        label,
        sorted({keys[one.source] for one in shared} | {keys[one.target] for one in shared}),
        wanted,
    )
    found = []
    for one, (relation, fact) in zip(shared, wanted, strict=True):
        name = names.get((keys[one.target], relation, fact))
        if name is None or (keys[one.source], relation, fact) not in names:
            continue
        evidence = {
            "relation": relation, "fact": fact, "name": name, "doc": relation_type(relation).doc,
            "others": one.others,
        }  # fmt: skip
        found.append((one, evidence))
    return found


def read_facts(
    store: GraphStore, label: str, items: Sequence[str], facts: Sequence[Sequence[str]]
) -> dict[tuple[str, str, str], str]:
    """Which of the items have which of the facts, as (item, relation, fact) with the fact's name.

    Args:
        store: the graph.
        label: label of the items.
        items: their keys.
        facts: pairs of relation and entity.
    """
    rows = store.read(
        statement("explain_facts", label=label),
        items=list(items),
        types=sorted({relation for relation, _ in facts}),
        facts=sorted({fact for _, fact in facts}),
    )
    return {(item, relation, fact): name for item, relation, fact, name in rows}
