"""HeteroGraph: contents, hash, files, factored meta-paths; to torch and to DGL and back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, RelationKey, binary_matrix, row_normalised
from personarec.graphs import from_dgl, metapath_dgl, to_dgl, to_torch

RATED: RelationKey = ("User", "RATED", "Book")
AUTHOR: RelationKey = ("Book", "AUTHOR", "Person")


def small(seed: int = 0, users: int = 5, books: int = 6, people: int = 3) -> HeteroGraph:
    rng = np.random.default_rng(seed)

    def some(rows: int, columns: int) -> sparse.csr_array:
        pairs = np.argwhere(rng.random((rows, columns)) < 0.4)
        matrix = binary_matrix(pairs[:, 0], pairs[:, 1], (rows, columns))
        matrix.data[:] = rng.random(matrix.nnz).astype(np.float32) + 0.5
        return matrix

    return HeteroGraph(
        {
            "User": tuple(f"u{i}" for i in range(users)),
            "Book": tuple(f"b{i}" for i in range(books)),
            "Person": tuple(f"p{i}" for i in range(people)),
        },
        {RATED: some(users, books), AUTHOR: some(books, people)},
    )


def dgl_or_skip() -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("DGL NOT TESTED: its last usable release has wheels up to Python 3.11")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 7), st.integers(1, 4))
def test_dgl_round_trip(seed: int, users: int, books: int, people: int) -> None:
    dgl_or_skip()
    graph = small(seed, users, books, people)
    back = from_dgl(to_dgl(graph), graph.nodes)
    assert back.nodes == graph.nodes
    assert back.content_hash() == graph.content_hash()


def test_dgl_refuses_ids_that_do_not_fit() -> None:
    dgl_or_skip()
    graph = small()
    with pytest.raises(ValueError, match="5 nodes of type User, but 1 ids"):
        from_dgl(to_dgl(graph), graph.nodes | {"User": ("one",)})


def test_without_dgl_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dgl", None)
    with pytest.raises(ChangeSomethingError, match=r"pip install 'personarec\[dgl\]'"):
        to_dgl(small())


def test_torch_holds_the_same_numbers() -> None:
    graph = small()
    for key, tensor in to_torch(graph).items():
        np.testing.assert_array_equal(tensor.to_dense().numpy(), graph.relations[key].toarray())


def test_propagation_along_factors_equals_the_composed_path() -> None:
    graph = small()
    features = np.random.default_rng(1).random((5, 4)).astype(np.float32)
    path = [(RATED, False), (AUTHOR, False), (AUTHOR, True), (RATED, True)]
    composed = np.eye(5, dtype=np.float32)
    for key, reverse in path:
        matrix = graph.relations[key].T.tocsr() if reverse else graph.relations[key]
        composed = composed @ row_normalised(matrix).toarray()
    np.testing.assert_allclose(graph.propagate(path, features), composed @ features, rtol=1e-5)


def test_materialised_metapath_joins_the_right_pairs_within_its_budget() -> None:
    dgl_or_skip()
    graph = small()
    path = [(RATED, False), (RATED, True)]
    rated = graph.relations[RATED].toarray() > 0
    expected = {tuple(p) for p in np.argwhere(rated @ rated.T)}
    made = metapath_dgl(graph, path)
    assert {tuple(p) for p in np.stack([t.numpy() for t in made.edges()], axis=1)} == expected
    with pytest.raises(ChangeSomethingError, match=r"joins up to \d+ pairs"):
        metapath_dgl(graph, path, edge_budget=3)


def test_hash_follows_content_only(tmp_path: Path) -> None:
    graph = small()
    graph.save(tmp_path / "graph.npz")
    again = HeteroGraph.load(tmp_path / "graph.npz")
    assert again.content_hash() == graph.content_hash() == small().content_hash()
    assert again.nodes == graph.nodes
    graph.relations[RATED].data[0] += 1
    assert graph.content_hash() != again.content_hash()


def test_a_matrix_of_another_shape_is_refused() -> None:
    graph = small()
    with pytest.raises(ValueError, match="relation RATED: shape"):
        HeteroGraph(graph.nodes | {"User": ("only",)}, graph.relations)
