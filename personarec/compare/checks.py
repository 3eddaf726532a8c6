"""The leak checks of a comparison: they run before anything is fitted, and stand in the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personarec.compare.world import World
from personarec.evaluation.leakage import (
    LeakError,
    refuse_known_users,
    refuse_late,
    refuse_later_purchases,
    refuse_leak,
    refuse_long,
    refuse_popularity,
    refuse_transitions,
)
from personarec.evaluation.protocols import TEMPORAL, UNSEEN_USERS
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import MINIMUM_LENGTH
from personarec.personas.encoder import TrainingData
from personarec.retriever.evidence import EvidenceData
from personarec.retriever.popularity import item_counts
from personarec.retriever.transitions import transition_counts


@dataclass(frozen=True)
class Check:
    """A leak check that passed; one that fails stops the comparison."""

    name: str
    found: str


def run_checks(world: World) -> list[Check]:
    """Look for the answers in what is going to be fitted.

    Raises:
        LeakError: found; the message says what and where.
    """
    data, protocol = world.data, world.protocol
    checks = []
    phases = {"what settings are chosen on": False}
    if world.config.refit:
        phases["what is fitted to be reported"] = True
    for where, report in phases.items():
        fitted, allowed = world.fit(report=report), allowed_sequences(world, report=report)
        refuse_long(where, fitted, allowed)
        for held_out, what in ((data.split.test, "test"), (data.split.valid, "validation")):
            if what == "test" or not report:
                refuse_leak(where, fitted, met_once(held_out, world), what)
        evidence = EvidenceData.of(data, fitted)
        refuse_transitions(f"transitions of {where}", evidence.counts, transition_counts(allowed))
        refuse_popularity(f"popularity of {where}", item_counts(evidence.sequences), allowed)
        if protocol.cuts:
            first, second = protocol.cuts
            cut = second if report or first is None else first
            interactions = data.interactions
            refuse_late(where, fitted, interactions.timestamp, interactions.indptr, cut)
        if protocol.name == UNSEEN_USERS:
            refuse_known_users(where, fitted, protocol.test.users)
        rated = TrainingData.of(data, refit=report)
        matrix = rated.graph.relations[rated.rated]
        refuse_leak(f"RATED relations of {where}", matrix, met_once(data.split.test, world))
        checks.append(
            Check(
                where,
                f"{len(fitted.items)} interactions of {(fitted.lengths > 0).sum()} users, "
                "none held out, in sequences, transitions, popularity and RATED relations",
            )
        )
    relations = sorted({column.relation for column in data.fact_columns})
    refuse_later_purchases("facts", relations)
    left_out = f" ({', '.join(data.left_out)} left out)" if data.left_out else ""
    checks.append(
        Check(
            "facts",
            f"{data.facts.nnz} of {len(relations)} relations, none derived from later "
            f"purchases{left_out}",
        )
    )
    _check_queries(world)
    shown = protocol.test.visible.lengths
    checks.append(
        Check(
            "test queries",
            f"{len(protocol.test)} of {len(np.unique(protocol.test.users))} users; each shows the "
            f"user's items before the target, {shown.min()} to {shown.max()} of them",
        )
    )
    return checks


def allowed_sequences(world: World, *, report: bool) -> Sequences:
    """What may be fitted at most, from interactions and rule alone: not from the split itself."""
    interactions, protocol = world.data.interactions, world.protocol
    whole = Sequences.from_interactions(interactions)
    lengths = whole.lengths.copy()
    if protocol.name == TEMPORAL and protocol.cuts:
        first, second = protocol.cuts
        before = interactions.timestamp < (second if report or first is None else first)
        lengths = np.bincount(interactions.user[before], minlength=len(whole)).astype(np.int64)
        if first is None and not report:
            lengths -= np.where(lengths >= MINIMUM_LENGTH, 1, 0)
    elif protocol.name == UNSEEN_USERS:
        lengths[protocol.test.users] = 0
        if not report:
            lengths = _before_validation(whole, protocol.split.valid, lengths)
    else:
        lengths -= np.where(lengths >= MINIMUM_LENGTH, 1 if report else 2, 0)
    inside = np.arange(len(whole.items)) - np.repeat(whole.indptr[:-1], whole.lengths)
    keep = inside < np.repeat(lengths, whole.lengths)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return Sequences(indptr, whole.items[keep], whole.n_items)


def _before_validation(
    whole: Sequences, valid: NDArray[np.int32], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``lengths``, of who validates that of what comes before the item asked for."""
    owner = np.repeat(np.arange(len(whole)), whole.lengths)
    asked = np.flatnonzero(whole.items == valid[owner])
    found = np.where(valid >= 0, 0, lengths)
    found[owner[asked]] = asked - whole.indptr[owner[asked]]
    return found


def _check_queries(world: World) -> None:
    """What is shown must be a beginning of the user's interactions, and the target what follows."""
    whole = Sequences.from_interactions(world.data.interactions)
    queries = world.protocol.test
    shown = queries.visible
    refuse_long("what is shown at test", shown, whole.take(queries.users))
    place = whole.indptr[queries.users] + shown.lengths
    inside = shown.lengths < whole.lengths[queries.users]
    if not inside.all() or not np.array_equal(whole.items[place], queries.targets):
        raise LeakError("what is shown at test: the target is not the item that came next")


def met_once(held_out: NDArray[np.int32], world: World) -> NDArray[np.int32]:
    """Held-out items that their users met once; a repeat is among the fitted items rightly."""
    whole = Sequences.from_interactions(world.data.interactions)
    owner = np.repeat(np.arange(len(whole)), whole.lengths)
    times = np.bincount(owner[whole.items == held_out[owner]], minlength=len(whole))
    return np.where(times == 1, held_out, -1).astype(np.int32)
