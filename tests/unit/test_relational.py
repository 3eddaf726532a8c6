"""The relational encoder: its passes, its corruption, sampled training, and what it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kg.views import HeteroGraph, binary_matrix  # noqa: E402
from personarec.evaluation.persona_probe import rank_sessions  # noqa: E402
from personarec.evaluation.sequences import Sequences  # noqa: E402
from personarec.personas.baselines.controls import ConstantEncoder  # noqa: E402
from personarec.personas.encoder import TrainingData  # noqa: E402
from personarec.personas.relational import RecentPersonas, RelationalEncoder  # noqa: E402
from personarec.personas.relational.graph import Passing, rewired  # noqa: E402
from personarec.personas.relational.model import RelationalModel  # noqa: E402
from personarec.personas.relational.training import Fitted, Trainer  # noqa: E402

N_ITEMS = 40
RATED = ("User", "RATED", "Book")
QUICK = {"dim": 12, "epochs": 12, "batch_size": 64, "negatives": 20, "learning_rate": 0.02}


def ring(n_users: int = 80, seed: int = 0) -> TrainingData:
    """Readers who go on to the next book of a ring, with detours: what comes last tells the next.

    Book 39 is nobody's, and has the author of 37 and 38.
    """
    rng = np.random.default_rng(seed)
    lists, valid = [], []
    for user in range(n_users):
        at = user % (N_ITEMS - 1)
        walk = [(at + step) % (N_ITEMS - 1) for step in range(7)]
        walk[int(rng.integers(5))] = int(rng.integers(N_ITEMS - 1))
        lists.append(walk[:6])
        valid.append(walk[6])
    known = Sequences.from_lists(lists, N_ITEMS)
    users = tuple(f"u{u}" for u in range(n_users))
    rows = np.repeat(np.arange(n_users), known.lengths)
    people = np.minimum(np.arange(N_ITEMS) // 3, 12)
    graph = HeteroGraph(
        {
            "User": users,
            "Book": tuple(f"b{i}" for i in range(N_ITEMS)),
            "Person": tuple(f"p{i}" for i in range(people.max() + 1)),
            "Subject": ("narrow", "broad"),
        },
        {
            RATED: binary_matrix(rows, known.items, (n_users, N_ITEMS)),
            ("Book", "AUTHOR", "Person"): binary_matrix(
                np.arange(N_ITEMS), people, (N_ITEMS, people.max() + 1)
            ),
            ("Book", "SUBJECT_IS", "Subject"): binary_matrix(
                np.arange(20), np.zeros(20, int), (N_ITEMS, 2)
            ),
            ("Subject", "BROADER", "Subject"): binary_matrix(np.array([0]), np.array([1]), (2, 2)),
        },
    )
    return TrainingData(known, graph, "Book", np.array(valid, np.int32))


def ndcg(model: RecentPersonas, data: TrainingData) -> float:
    assert data.valid is not None
    return rank_sessions(model.score, data.sequences, data.valid).ndcg(10)


def test_sampling_every_neighbour_is_the_whole_graph() -> None:
    data = ring()
    passing = Passing.of(data.graph, "Book")
    torch.manual_seed(0)
    model = RelationalModel(passing, 8, 10, 0.8, "User")
    items = np.array([5, 39, 0, 17])
    sample = passing.sample(items, 10_000, np.random.default_rng(0))
    with torch.no_grad():  # attention starts even, whatever is sampled
        whole = model.inputs(passing.whole())[items]
        torch.testing.assert_close(model.inputs(sample), whole, atol=1e-5, rtol=1e-4)


def test_messages_reach_over_two_hops_and_never_from_a_user() -> None:
    data = ring()
    passing = Passing.of(data.graph, "Book")
    model = RelationalModel(passing, 8, 10, 0.8, "User")
    own = model.inputs.own
    assert set(own) == {"Book", "Person", "Subject"}  # no parameter belongs to a user
    block = passing.whole()
    heard = model.inputs(block)[3].sum()
    heard.backward()
    moved = {kind: np.flatnonzero(table.grad.abs().sum(1)) for kind, table in own.items()}
    assert moved["Person"].tolist() == [1]  # its author
    assert moved["Subject"].tolist() == [0, 1]  # its subject, and the broader one
    assert {3, 4, 5} <= set(moved["Book"])  # the author's other books, and the readers'


def test_rewiring_keeps_every_degree() -> None:
    graph = ring().graph
    before, after = (
        g.relations[RATED] for g in (graph, rewired(graph, RATED, np.random.default_rng(0)))
    )
    for axis in (0, 1):
        np.testing.assert_array_equal(before.sum(axis), after.sum(axis))
    assert (before != after).nnz > before.nnz / 2


def test_the_order_is_learned_and_sampling_learns_it_as_well() -> None:
    data = ring()
    popular = rank_sessions(
        ConstantEncoder(dim=2).fit(data).score, data.sequences, data.valid
    ).ndcg(10)
    whole = ndcg(RelationalEncoder(**QUICK).fit(data), data)
    sampled = ndcg(RelationalEncoder(**QUICK, edge_budget=0, fan_out=4).fit(data), data)
    assert whole > 2 * popular + 0.2
    assert sampled > whole - 0.1


@pytest.mark.parametrize(("averaging", "kept"), [(None, 4), (1.0, 30 / 10), (0.0, 10 / 4)])
def test_vectors_are_averaged_over_the_epochs_the_later_ones_weighing_more(
    averaging: float | None, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, epoch = ring(40), iter(range(1, 5))  # vectors are asked for after an epoch alone

    def fitted(_: Trainer) -> Fitted:
        number = np.full((N_ITEMS, 3), next(epoch), np.float32)
        return Fitted(number, -number, number[0])

    monkeypatch.setattr(Trainer, "epoch", lambda _: 0.0)
    monkeypatch.setattr(Trainer, "fitted", fitted)
    encoder = RelationalEncoder(**QUICK | {"epochs": 4, "averaging": averaging})
    found = Trainer(encoder, data.graph, RATED, data.sequences).run(None)
    for vectors, expected in ((found.inputs, kept), (found.outputs, -kept), (found.weights, kept)):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, rtol=1e-6)


def test_the_rule_weighs_by_age_and_shows_the_newest_alone() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2, N_ITEMS, 4)).astype(np.float32)
    rule = RecentPersonas.of(
        *vectors, np.array([1, 0.5, 0.25], np.float32), ring().sequences, offset=True
    )
    found = rule.personas(Sequences.from_lists([[30, 1, 2, 3], [1, 2, 3], [3]], N_ITEMS))
    inputs = vectors[1]
    expected = (inputs[3] + 0.5 * inputs[2] + 0.25 * inputs[1]) / np.sqrt(1.75)
    np.testing.assert_allclose(found[0, :-1], expected[:-1], rtol=1e-5)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    np.testing.assert_allclose(found[2, :-1], inputs[3, :-1], rtol=1e-5)
    assert (found[:, -1] == 1).all()  # what the offsets are read by


@pytest.mark.parametrize("corruption", ["edges", "features", "both"])
@pytest.mark.parametrize("budget", [0, 10**6])
def test_the_other_losses_train_too(corruption: str, budget: int) -> None:
    settings = QUICK | {"epochs": 1, "links": 0.1, "contrast": 0.1, "corruption": corruption}
    plain = RelationalEncoder(**QUICK | {"epochs": 1}, edge_budget=budget).fit(ring(40))
    model = RelationalEncoder(**settings, edge_budget=budget).fit(ring(40))
    assert np.isfinite(model.items).all()
    assert not np.allclose(model.items, plain.items)


def test_a_book_that_nobody_has_is_placed_by_its_author() -> None:
    """Cold: it has nothing of its own, and its author is learned from the other books."""
    data = ring()
    model = RelationalEncoder(**QUICK).fit(data)
    after = Sequences.from_lists([[35, 36, 37]], N_ITEMS)
    scores = model.score(after)[0]
    assert scores[39] > np.median(scores)


def test_without_facts_and_without_validation_it_is_fitted_all_the_same() -> None:
    data = ring(40)
    bare = HeteroGraph(
        {k: data.graph.nodes[k] for k in ("User", "Book")}, {RATED: data.graph.relations[RATED]}
    )
    quick = QUICK | {"epochs": 1}
    for readers in (True, False):
        model = RelationalEncoder(**quick, readers=readers).fit(
            replace(data, graph=bare, valid=None)
        )
        assert np.isfinite(model.items).all()
