"""What every persona encoder keeps: the registered ones, and wrappers around dense ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, binary_matrix, row_normalised
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import (
    DensePersonas,
    Encoder,
    Matrix,
    Personas,
    TrainingData,
    incidence,
)
from personarec.personas.registry import ENCODERS, WRAPPERS, make_encoder

NAMES = [*ENCODERS, *(f"{w}:svd" for w in WRAPPERS), "shuffled:propagation", "shrunk:shuffled:svd"]
DENSE = [n for n in NAMES if n != "facts"]
NEWER_WEIGH_MORE = ("facts", "relational", "recent:svd", "text")
DIM, N_ITEMS = 6, 24
PAST = [1, 3, 5]
FUTURES = ([7, 9, 11, 0], [8, 10, 2, 4])
"""Users 0 and 1 have the same past and go different ways."""


def sequences() -> Sequences:
    """Two camps, two users of one past, an empty user."""
    rng = np.random.default_rng(0)
    lists: list[list[int]] = [PAST + FUTURES[0], PAST + FUTURES[1]]
    for user in range(40):
        start = 12 * (user % 2)
        lists.append([int(i) for i in start + rng.choice(11, 3 + user % 4, replace=False)])
    return Sequences.from_lists([*lists, []], N_ITEMS)


def training_data(known: Sequences) -> TrainingData:
    """Items 11 and 23 are nobody's but of users 0 and 1; one work lies outside the data set."""
    users = tuple(f"u{u}" for u in range(len(known)))
    films = (*(f"x:film-{i}" for i in range(N_ITEMS)), "x:outside")
    people = tuple(f"http://example.org/Person_{i % 4}_{i}" for i in range(6))
    rows = np.repeat(np.arange(len(known)), known.lengths)
    rated = binary_matrix(rows, known.items, (len(users), len(films)))
    made = binary_matrix(
        np.repeat(np.arange(N_ITEMS - 1), 2),
        np.concatenate([[i // 6, 4 + i // 12] for i in range(N_ITEMS - 1)]),
        (len(films), len(people)),
    )
    valid = np.where(known.lengths > 0, (known.items[known.indptr[:-1] % len(known.items)] + 1), -1)
    return TrainingData(
        known,
        HeteroGraph(
            {"User": users, "Movie": films, "Person": people},
            {("User", "RATED", "Movie"): rated, ("Movie", "DIRECTOR", "Person"): made},
        ),
        "Movie",
        (valid % N_ITEMS).astype(np.int32),
        tuple(f"Film of the {'sea' if i < 12 else 'sky'}" for i in range(N_ITEMS)),
    )


def encoder(name: str, **settings: object) -> Encoder:
    inside = name.rpartition(":")[2]
    more = {
        "lightgcn": {"epochs": 4, "batch_size": 64},
        "hdgi": {"epochs": 5},
        "relational": {"epochs": 3, "batch_size": 64, "negatives": 16},
    }.get(inside, {})
    return make_encoder(name, **({"dim": DIM, "seed": 1} | more | settings))


def fitted(name: str, known: Sequences | None = None) -> Personas:
    return encoder(name).fit(training_data(sequences() if known is None else known))


def dense(vectors: Matrix | sparse.csr_array) -> Matrix:
    return vectors.toarray() if sparse.issparse(vectors) else vectors


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_numbers(name: str) -> None:
    model, known = fitted(name), sequences()
    personas, items, scores = model.personas(known), model.items, model.score(known)
    for array in (personas, items, scores):
        assert array.dtype == np.float32
        assert np.isfinite(dense(array)).all()
    assert items.shape[0] == scores.shape[1] == N_ITEMS
    assert personas.shape == (len(known), items.shape[1])
    assert scores.shape == (len(known), N_ITEMS)
    if name in DENSE:
        assert isinstance(model, DensePersonas)
        assert 2 <= model.size <= DIM
        np.testing.assert_allclose(scores, personas @ items.T, atol=1e-5)
    scores[:] = 0  # the caller may overwrite it
    assert dense(model.score(known)).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same(name: str) -> None:
    known = sequences()
    first, second = fitted(name), fitted(name)
    np.testing.assert_array_equal(dense(first.items), dense(second.items))
    np.testing.assert_array_equal(dense(first.personas(known)), dense(second.personas(known)))


@pytest.mark.parametrize(
    "name", ["random", "propagation", "lightgcn", "hdgi", "relational", "shuffled:svd"]
)
def test_another_seed_gives_others(name: str) -> None:
    known = sequences()
    other = encoder(name, seed=2).fit(training_data(known))
    assert not np.allclose(fitted(name).personas(known), other.personas(known))


@pytest.mark.parametrize("name", NAMES)
def test_rows_follow_the_users(name: str) -> None:
    model, known = fitted(name), sequences()
    order = np.random.default_rng(3).permutation(len(known))
    found = dense(model.personas(known.take(order)))
    np.testing.assert_allclose(found, dense(model.personas(known))[order], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_long_term_personas_weigh_all_visible_items_alike(name: str) -> None:
    model, known = fitted(name), sequences()
    found = model.long_term(known)
    assert found.dtype == np.float32
    assert found.shape == (len(known), model.items.shape[1])
    one_by_one = [dense(model.long_term(known.take(np.array([u])))) for u in range(len(known))]
    np.testing.assert_allclose(dense(found), np.concatenate(one_by_one), atol=1e-6)
    # Items without a fact or a title in common, so that their order is seen.
    there, back = (Sequences.from_lists([[1, 8, 20][::step]], N_ITEMS) for step in (1, -1))
    if name == "random" or "shuffled" in name:  # drawn by the session as a whole
        return
    ours, theirs = (dense(model.long_term(s)) for s in (there, back))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert ours.any()
    in_order, turned = (dense(model.personas(s)) for s in (there, back))
    assert np.allclose(in_order, turned, atol=1e-6) != (name in NEWER_WEIGH_MORE)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_session_gets_the_mean_persona(name: str) -> None:
    model, known = fitted(name), sequences()
    empty = dense(model.personas(Sequences.from_lists([[], []], N_ITEMS)))
    if name not in DENSE:
        assert not empty.any()  # no fact is preferred
        return
    assert isinstance(model, DensePersonas)
    np.testing.assert_array_equal(empty, [model.center, model.center])
    if name == "random":
        assert not empty.any()  # the mean of what is drawn from
    elif not name.startswith("shrunk"):  # the mean of the personas that are shrunk
        users = known.take(np.flatnonzero(known.lengths > 0))
        np.testing.assert_allclose(empty[0], model.personas(users).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_sessions_of_no_training_user(name: str) -> None:
    model = fitted(name)
    strange = Sequences.from_lists([[23], [0, 23], list(range(N_ITEMS)), [6]], N_ITEMS)
    assert np.isfinite(dense(model.personas(strange))).all()
    assert np.isfinite(model.score(strange)).all()
    none = Sequences.from_lists([], N_ITEMS)
    assert model.personas(none).shape == (0, model.items.shape[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_session_may_have_an_item_twice(name: str) -> None:
    model = fitted(name)
    again = Sequences.from_lists([[0, 23, 0], [6, 6]], N_ITEMS)
    first = dense(model.personas(again))
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(dense(model.personas(again)), first)
    assert again.indptr.tolist() == [0, 3, 5]


# -- nothing after the position --------------------------------------------------------------------


def leaks(make: Encoder) -> list[str]:
    """Ways in which a persona knows what comes after its position.

    ``rows``: it changes with other rows of the call, where a training batch has the same user's
    later items. ``users``: it is looked up among the training users. Two users of one past swap
    their futures, so that all that is fitted stays as it was; a persona of the past that changes
    was told whose past it is.
    """
    known = sequences()
    model = make.fit(training_data(known))
    position = Sequences.from_lists([PAST, PAST[:1]], N_ITEMS)
    alone = dense(model.personas(position))
    found = []
    for future in FUTURES:
        batch = Sequences.from_lists([PAST, PAST[:1], PAST + future], N_ITEMS)
        if not np.allclose(dense(model.personas(batch))[:2], alone, atol=1e-6):
            found = ["rows"]
    swapped = known.take(np.array([1, 0, *range(2, len(known))]))
    order = np.array([1, 0, *range(2, len(known))])
    data = training_data(swapped)
    valid: NDArray[np.int32] = training_data(known).valid[order]  # type: ignore[index]
    again = make.fit(replace(data, valid=valid)).personas(position)
    return found + ([] if np.allclose(dense(again), alone, atol=1e-3) else ["users"])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_after_the_position_changes_a_persona(name: str) -> None:
    assert leaks(encoder(name)) == []


@dataclass(frozen=True)
class Transductive(DensePersonas):
    """Planted: one step of propagation over whoever is asked about together."""

    def personas(self, sessions: Sequences) -> Matrix:
        rows = row_normalised(incidence(sessions))
        own = rows @ self.items
        return np.asarray(own + rows @ (row_normalised(sparse.csr_array(rows.T)) @ own), np.float32)


class TransductiveEncoder(Encoder):
    def fit(self, data: TrainingData) -> Personas:
        rule = encoder("svd").fit(data)
        assert isinstance(rule, DensePersonas)
        return Transductive(rule.items, rule.center)


@dataclass(frozen=True, kw_only=True)
class Static(DensePersonas):
    """Planted: the persona of all the items of the user who began like this."""

    known: Sequences

    def personas(self, sessions: Sequences) -> Matrix:
        rows = []
        for row in range(len(sessions)):
            seen = sessions[row]
            whole = [self.known[u] for u in range(len(self.known))]
            alike = [w for w in whole if len(seen) and np.array_equal(w[: len(seen)], seen)]
            rows.append([*alike, seen][0])
        return super().personas(Sequences.from_lists(rows, N_ITEMS))


class StaticEncoder(Encoder):
    def fit(self, data: TrainingData) -> Personas:
        rule = encoder("svd").fit(data)
        assert isinstance(rule, DensePersonas)
        return Static(rule.items, rule.center, rule.inputs, known=data.sequences)


def test_planted_leaks_are_seen() -> None:
    assert leaks(TransductiveEncoder()) == ["rows"]
    assert leaks(StaticEncoder()) == ["users"]


# -- names and settings ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(ChangeSomethingError, match="dimension"):
        make_encoder(name, dimension=3)
    with pytest.raises(ChangeSomethingError, match="dim"):
        make_encoder(name, dim=0)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ChangeSomethingError, match="did you mean propagation"):
        make_encoder("propagatoin")
    with pytest.raises(ChangeSomethingError, match="did you mean shuffled"):
        make_encoder("shufled:svd")


def test_wrappers_refuse_what_is_not_dense() -> None:
    for wrapper in WRAPPERS:
        with pytest.raises(ChangeSomethingError, match="facts is sparse"):
            encoder(f"{wrapper}:facts").fit(training_data(sequences()))


def test_settings_reach_the_encoder_inside() -> None:
    made = make_encoder("shuffled:ease", dim=9, seed=4, regularisation=7)
    inside = made.inner  # type: ignore[attr-defined]
    assert (made.seed, inside.dim, inside.seed, inside.regularisation) == (4, 9, 4, 7)
