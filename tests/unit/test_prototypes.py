"""Prototypes: planted kinds of readers are found, and what is not there is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control, fisher_exact
from sklearn.metrics import adjusted_rand_score

from personarec.evaluation.sequences import Sequences
from personarec.personas import placement
from personarec.personas.naming import (
    Characteristics,
    Leanings,
    benjamini_hochberg,
    characterise,
    make_names,
    short_name,
)
from personarec.personas.placement import places
from personarec.personas.prototypes import (
    PrototypeConfig,
    clustered_space,
    find_clusters,
    resemblance,
)

KINDS, EACH, SIZE = 5, 30, 12


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Personas of five kinds around directions of their own, some longer than others."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.standard_normal((SIZE, KINDS)))[0].T
    labels = np.repeat(np.arange(KINDS), EACH)
    personas = centres[labels] + 0.12 * rng.standard_normal((KINDS * EACH, SIZE))
    personas = personas * rng.uniform(0.7, 1.4, len(labels))[:, None] + 3  # a bias all have
    return personas.astype(np.float32), labels


# -- clusters --------------------------------------------------------------------------------------


def test_planted_kinds_are_found_and_counted() -> None:
    personas, labels = planted()
    # The bias would drown everything but for the centring; lengths but for the scaling.
    found = find_clusters(personas, PrototypeConfig(most=8))
    assert found is not None
    assert found.centres.shape[0] == KINDS
    assert found.agreement > 0.95
    assert adjusted_rand_score(labels, found.labels) > 0.95
    again = find_clusters(personas, PrototypeConfig(most=8))
    assert again is not None
    np.testing.assert_array_equal(again.weights, found.weights)


def test_without_kinds_there_is_little_agreement() -> None:
    noise = np.random.default_rng(1).standard_normal((KINDS * EACH, SIZE)).astype(np.float32)
    found = find_clusters(noise, PrototypeConfig(most=6))
    assert found is not None
    assert found.agreement < 0.5


def test_sparse_personas_are_clustered_alike() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(KINDS), EACH)
    facts = np.zeros((len(labels), 100), np.float32)
    for row, kind in enumerate(labels):
        facts[row, rng.choice(20, 5, replace=False) + 20 * kind] = rng.uniform(0.5, 2, 5)
    facts[7] = 0  # somebody of whom nothing is known
    found = find_clusters(sparse.csr_array(facts), PrototypeConfig(number=KINDS))
    assert found is not None
    assert adjusted_rand_score(labels, found.labels) > 0.9
    assert np.isfinite(found.weights).all()


def test_too_few_readers_or_all_alike_have_no_kinds() -> None:
    personas, _ = planted()
    assert find_clusters(personas[:29], PrototypeConfig()) is None
    assert find_clusters(np.ones((50, 4), np.float32), PrototypeConfig()) is None


def test_a_number_that_is_given_is_taken() -> None:
    found = find_clusters(planted()[0], PrototypeConfig(number=3))
    assert found is not None
    assert found.weights.shape == (KINDS * EACH, 3)
    assert list(found.tried) == [3]


def test_a_reader_of_two_tastes_resembles_two_prototypes() -> None:
    centres = np.eye(3, dtype=np.float32)
    rows = np.array([[1, 0, 0], [0.7, 0.7, 0], [-1, -1, -0.5], [1, 0.02, 0]], np.float32)
    weights = resemblance(rows, centres)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(weights[0], [1, 0, 0])
    np.testing.assert_allclose(weights[1], [0.5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(weights[2], [0, 0, 1])  # the far side of all: the nearest
    np.testing.assert_allclose(weights[3], [1, 0, 0])  # a weight of .02 is noise


# -- what they are characterised by ----------------------------------------------------------------


def test_a_reader_leans_to_what_is_more_than_chance() -> None:
    # Fact 0 is on 2 items of 40, fact 1 on half of them.
    facts = sparse.csr_array(
        np.stack([np.arange(40) < 2, np.arange(40) % 2 == 0], axis=1).astype(np.float32)
    )
    readers = [[0, 1, 3], [2, 4, 5, 7], [0, 3, 5], list(range(40))]
    others = [[8 + i, 9 + i, 20 + i] for i in range(12)]
    leans = Leanings.of(Sequences.from_lists(readers + others, 40), facts).matrix.toarray()
    assert leans[0].tolist() == [True, False]
    assert leans[1].tolist() == [False, False]  # half of the items have it, and half of these
    assert leans[2].tolist() == [False, False]  # one item is no leaning
    assert leans[3].tolist() == [False, False]  # having touched everything is none either


def leaning(matrix: np.ndarray) -> Leanings:
    return Leanings(sparse.csc_array(matrix.astype(bool)))


def test_characteristic_facts_are_those_of_fishers_test() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), 40)
    leans = rng.random((120, 30)) < 0.1
    leans[:40, 4] |= rng.random(40) < 0.6
    leans[80:, 9] |= rng.random(40) < 0.4
    found = characterise(leaning(leans), labels, 3, np.ones(30))
    assert [f.facts.tolist() for f in found] == [[4], [], [9]]
    p = np.array(
        [
            fisher_exact(
                [
                    [leans[inside, fact].sum(), (~leans[inside, fact]).sum()],
                    [leans[~inside, fact].sum(), (~leans[~inside, fact]).sum()],
                ],
                "greater",
            ).pvalue
            for inside in (labels == g for g in range(3))
            for fact in range(30)
        ]
    )
    expected = false_discovery_control(p).reshape(3, 30)
    assert found[0].p[0] == pytest.approx(expected[0, 4])
    assert found[2].p[0] == pytest.approx(expected[2, 9])
    share = leans[:40, 4].mean()
    assert found[0].share[0] == pytest.approx(share)
    assert found[0].lift[0] == pytest.approx(share / leans[:, 4].mean())
    shuffled = rng.permutation(labels)
    assert all(len(f.facts) == 0 for f in characterise(leaning(leans), shuffled, 3, np.ones(30)))


def test_the_correction_counts_tests_that_are_left_out() -> None:
    p = np.array([0.001, 0.04, 0.03, 0.2])
    full = false_discovery_control(np.concatenate([p, np.ones(6)]))
    np.testing.assert_allclose(benjamini_hochberg(p, 10), full[:4])


# -- names -----------------------------------------------------------------------------------------


def characteristics(*facts: int) -> Characteristics:
    n = len(facts)
    score = np.linspace(1, 0.8, n)
    return Characteristics(np.array(facts), np.full(n, 0.5), np.full(n, 3.0), np.zeros(n), score)


NAMES = {
    0: "Stephen King", 1: "Novels by Stephen King", 2: "Horror fiction", 3: "Gothic fiction",
    4: "Thriller (genre)", 5: "Novels set in Maine", 6: "Richard Bachman",
}  # fmt: skip
LABELS = {0: "Person", 1: "Subject", 2: "Genre", 3: "LiteraryGenre", 4: "Genre", 5: "Subject",
          6: "Person"}  # fmt: skip


def names_of(*groups: Characteristics, leans: np.ndarray | None = None) -> list[str]:
    return make_names(groups, NAMES, LABELS, leaning(np.eye(10, 7) if leans is None else leans))


def test_a_name_says_different_things_of_different_kinds() -> None:
    (name,) = names_of(characteristics(0, 1, 2, 3, 5))
    assert name == "Stephen King · Horror fiction · Novels set in Maine"


def test_facts_of_the_same_readers_and_kind_are_named_once() -> None:
    assert names_of(characteristics(0, 6)) == ["Stephen King · Richard Bachman"]
    leans = np.zeros((10, 7))
    leans[:6, 0] = leans[1:6, 6] = 1
    assert names_of(characteristics(0, 6), leans=leans) == ["Stephen King"]


def test_a_weak_fact_of_another_kind_does_not_come_first() -> None:
    group = characteristics(2, 4, 3, 0)._replace(score=np.array([1, 0.9, 0.8, 0.1]))
    assert names_of(group) == ["Horror fiction · Thriller · Gothic fiction"]


def test_names_are_different_and_nothing_is_named_by_number() -> None:
    assert names_of(characteristics(0), characteristics(), characteristics(0)) == [
        "Stephen King", "Group 2", "Stephen King (2)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("Thriller (genre)", "Thriller"),
        ("(500) Days", "(500) Days"),
        ("(genre)", "(genre)"),
        ("17", "attribute 17"),
    ],
)
def test_what_tells_homonyms_apart_is_left_out(full: str, short: str) -> None:
    assert short_name(full) == short


# -- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [2_000, 60])
def test_near_personas_have_near_places(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "MOST_PLACED", most)
    personas, labels = planted()
    unit = personas - personas.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    found = places(unit, 0)
    np.testing.assert_array_equal(found, places(unit, 0))
    assert np.abs(found).max() <= 1
    distance = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).mean() > 0.95


def test_as_many_kinds_as_readers_can_be_asked_for() -> None:
    personas = np.random.default_rng(0).standard_normal((30, 5)).astype(np.float32)
    found = find_clusters(personas, PrototypeConfig(number=30))
    assert found is not None
    assert len(found.centres) == 30


def test_lists_of_facts_are_not_made_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = sparse.random_array((300, 2_000), density=0.01, format="csr", rng=0, dtype=np.float32)

    def toarray(*_: object, **__: object) -> None:
        raise AssertionError("users × facts")

    monkeypatch.setattr(sparse.csr_matrix, "toarray", toarray)
    assert clustered_space(sparse.csr_array(facts), 0).shape[0] == 300


def test_personas_of_one_dimension_have_places() -> None:
    space = np.where(np.arange(40) % 2, 1, -1).astype(np.float32)[:, None]
    assert places(space, seed=0).shape == (40, 2)
