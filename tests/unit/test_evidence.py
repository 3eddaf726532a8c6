"""That each evidence is the formula it says it is."""

import numpy as np
import pytest
from scipy import sparse

from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.retriever.evidence import EvidenceData, build_evidence
from personarec.retriever.item_matrix import strongest
from personarec.retriever.transitions import TransitionModel, transition_counts

N_ITEMS = 15
SESSIONS = Sequences.from_lists([[2, 0, 1], [], [14], [3, 3]], N_ITEMS)


@pytest.fixture
def data() -> EvidenceData:
    rng = np.random.default_rng(0)
    known = Sequences.from_lists(
        [rng.permutation(N_ITEMS - 1)[: rng.integers(1, 8)] for _ in range(40)], N_ITEMS
    )
    facts = sparse.csr_array((rng.random((N_ITEMS, 6)) < 0.4).astype(np.float32))
    relations = ("GENRE_IS",) * 3 + ("STARRING",) * 3
    return EvidenceData(known, facts, relations, tuple(transition_counts(known)))


def recency(decay: float) -> np.ndarray:
    return SESSIONS.recency(decay).toarray()


def incidence(known: Sequences) -> np.ndarray:
    dense = np.zeros((len(known), N_ITEMS))
    for user in range(len(known)):
        dense[user, known[user]] = 1
    return dense


@pytest.mark.parametrize("rows", [0.0, 4.0])
def test_linear_is_the_ridge_regression_of_each_item_on_the_others(
    data: EvidenceData, rows: float
) -> None:
    settings = {"regularisation": 3.0, "fact_rows": rows, "age_decay": 0.5}
    model = build_evidence("linear", data, settings)
    x = incidence(data.sequences)
    facts = FactModel.from_matrix(data.facts).items.toarray()
    x = np.concatenate((x, np.sqrt(rows) * facts.T))
    weights = np.zeros((N_ITEMS, N_ITEMS))
    for item in range(N_ITEMS):
        others = np.arange(N_ITEMS) != item
        gram = x[:, others].T @ x[:, others] + 3 * np.eye(N_ITEMS - 1)
        weights[others, item] = np.linalg.solve(gram, x[:, others].T @ x[:, item])
    np.testing.assert_allclose(model.score(SESSIONS), recency(0.5) @ weights, atol=1e-4)


def test_facts_regression_is_the_ridge_regression_of_the_next_item(data: EvidenceData) -> None:
    settings = {"regularisation": 2.0, "newest": 3, "facts": {"age_decay": 0.5}}
    model = build_evidence("facts-regression", data, settings)
    a = FactModel.from_matrix(data.facts).items.toarray()
    personas, following = [], []
    for user in range(len(data.sequences)):
        items = data.sequences[user]
        for place in range(max(1, len(items) - 3), len(items)):
            ages = np.arange(place)[::-1]
            personas.append((0.5**ages) @ a[items[:place]])
            following.append(np.eye(N_ITEMS)[items[place]])
    p, y = np.array(personas), np.array(following)
    weights = np.linalg.solve(p.T @ p + 2 * np.eye(6), p.T @ y)
    np.testing.assert_allclose(model.score(SESSIONS), recency(0.5) @ a @ weights, atol=1e-4)
    assert not model.score(SESSIONS)[:, 14].any()  # nobody came to it


def test_facts_regression_learns_about_the_commonest_facts(data: EvidenceData) -> None:
    model = build_evidence("facts-regression", data, {"max_facts": 2})
    counts = np.bincount(data.facts.indices, minlength=6)
    kept = np.sort(np.argsort(-counts, kind="stable")[:2])
    expected = FactModel.from_matrix(data.facts).items.toarray()[:, kept]
    np.testing.assert_array_equal(model.arrays()["facts"].toarray(), expected)


def test_two_hops_are_two_steps(data: EvidenceData) -> None:
    t = TransitionModel.from_counts(data.counts).matrix.toarray()
    a = FactModel.from_matrix(data.facts).items.toarray()
    p = recency(0.6)
    plain = build_evidence("transitions-2", data)
    np.testing.assert_allclose(plain.score(SESSIONS), p @ t @ t, atol=1e-5)
    alike = build_evidence("transitions-2", data, {"likeness": 0.5})
    s = a @ a.T
    expected = p @ (t @ t + 0.5 * (s @ t + t @ s))
    np.testing.assert_allclose(alike.score(SESSIONS), expected, atol=1e-5)


def test_neighbours_are_those_with_common_readers(data: EvidenceData) -> None:
    model = build_evidence("item-knn", data, {"shrinkage": 2.0, "age_decay": 0.5})
    x = incidence(data.sequences)
    weight = 1 / np.log(2 + x.sum(axis=1))
    common = x.T @ (weight[:, None] * x)
    readers = common.diagonal().copy()
    np.fill_diagonal(common, 0)
    likeness = common / (np.sqrt(np.outer(readers, readers)) + 2)
    np.testing.assert_allclose(model.score(SESSIONS), recency(0.5) @ likeness, atol=1e-5)


def test_popularity_counts_readings(data: EvidenceData) -> None:
    counts = np.bincount(data.sequences.items, minlength=N_ITEMS)
    found = build_evidence("popularity", data).score(SESSIONS)
    np.testing.assert_allclose(found, np.tile(np.log1p(counts), (4, 1)), rtol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_the_strongest_entries_are_kept(kind: type) -> None:
    rng = np.random.default_rng(0)
    dense = np.round(rng.standard_normal((9, 20)), 1).astype(np.float32)
    dense[3] = 0
    dense[4, 2:] = 0
    dense[5] = 1  # all alike: the first columns
    found = strongest(kind(dense), 5).toarray()
    for row, kept in zip(dense, found, strict=True):
        best = np.argsort(-np.abs(row), kind="stable")[:5]
        expected = np.zeros_like(row)
        expected[best] = row[best]
        np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(strongest(kind(dense), 20).toarray(), dense)
