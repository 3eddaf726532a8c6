"""Meta-paths of HDGI: factored, composed, refused; features normalised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, RelationKey
from personarec.personas.hdgi import MetaPath, compose, normalise_features, walk

RATED: RelationKey = ("User", "RATED", "Book")
AUTHOR: RelationKey = ("Book", "AUTHOR", "Person")
LONG = [(RATED, False), (AUTHOR, False), (AUTHOR, True), (RATED, True)]


def graph() -> HeteroGraph:
    rng = np.random.default_rng(0)
    rated, author = rng.random((6, 5)) < 0.5, rng.random((5, 3)) < 0.5
    return HeteroGraph(
        {"User": tuple("abcdef"), "Book": tuple("ghijk"), "Person": tuple("lmn")},
        {
            RATED: sparse.csr_array(rated.astype(np.float32) * 4),
            AUTHOR: sparse.csr_array(author.astype(np.float32)),
        },
    )


def test_a_walk_counts_path_instances_whatever_the_ratings() -> None:
    path = walk(graph(), "long", LONG)
    rated = graph().relations[RATED].toarray() > 0
    author = graph().relations[AUTHOR].toarray()
    whole = (rated @ author) @ (rated @ author).T
    assert whole.max() > 1
    np.testing.assert_array_equal(path.degrees(), whole.sum(axis=1))
    (composed,) = compose(path).factors
    np.testing.assert_array_equal(composed.toarray(), whole > 0)
    assert composed.dtype == np.float32


def test_composing_stays_within_its_budget_and_says_the_number() -> None:
    path = walk(graph(), "long", LONG)
    (composed,) = compose(path).factors
    with pytest.raises(ChangeSomethingError, match=r"long joins up to \d+ pairs, more than .* 8"):
        compose(path, edge_budget=8)
    # No row can reach more nodes than there are, so n² is always enough.
    assert compose(path, edge_budget=36).factors[0].nnz == composed.nnz


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([(3, 2), (3, 3)], "does not chain"), ([(3, 2)], "must come back")],
)
def test_shapes_that_do_not_fit_are_refused(shapes: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaPath("p", tuple(sparse.csr_array(s, dtype=np.float32) for s in shapes))


def test_asymmetric_and_negative_matrices_are_refused() -> None:
    one_way = sparse.csr_array(np.array([[0, 1], [0, 0]], np.float32))
    with pytest.raises(ValueError, match="not symmetric"):
        MetaPath("p", (one_way,))
    with pytest.raises(ValueError, match="negative"):
        MetaPath("p", (-(one_way + sparse.csr_array(one_way.T)),))


def test_features_are_divided_by_sum_or_length_and_empty_rows_stay() -> None:
    x = np.array([[3, 4], [0, 0], [1, 0]], np.float32)
    by_sum, by_length = (normalise_features(x, how) for how in ("l1", "l2"))
    np.testing.assert_allclose(by_sum, [[3 / 7, 4 / 7], [0, 0], [1, 0]], rtol=1e-6)
    np.testing.assert_allclose(by_length, [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    packed = normalise_features(sparse.csr_array(x), "l1")
    assert sparse.issparse(packed)
    np.testing.assert_allclose(packed.toarray(), by_sum)
    assert normalise_features(x, "none") is x


def test_signed_features_are_not_divided_by_their_sum() -> None:
    with pytest.raises(ValueError, match="use l2"):
        normalise_features(np.array([[1.0, -0.999]], np.float32), "l1")
