import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, binary_matrix
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.persona_probe import mapped_ndcg
from personarec.evaluation.sequences import Sequences
from personarec.personas.baselines.controls import ConstantEncoder, RandomEncoder, ShuffledEncoder
from personarec.personas.baselines.ease import EaseEncoder, EasePersonas
from personarec.personas.baselines.features import MeanItemEncoder
from personarec.personas.baselines.svd import SvdEncoder
from personarec.personas.encoder import DensePersonas, TrainingData, session_keys
from personarec.personas.facts import FactModel
from personarec.personas.inductive_hdgi import InductiveHdgiEncoder
from personarec.personas.propagation import PropagationConfig, PropagationEncoder, fit_propagation
from personarec.personas.shrinkage import STRENGTHS, ShrunkEncoder, ShrunkPersonas

N = 16


def camps(users: int = 60, *, facts: bool = True) -> TrainingData:
    """Even users have items of the first half, odd ones of the second; facts name the half."""
    rng = np.random.default_rng(0)
    lists = [rng.choice(8, 4, replace=False) + 8 * (u % 2) for u in range(users)]
    known = Sequences.from_lists([r[:3] for r in lists], N)
    rated = binary_matrix(np.repeat(np.arange(users), 3), known.items, (users, N))
    nodes = {
        "User": tuple(f"u{u}" for u in range(users)),
        "Movie": tuple(f"i{i}" for i in range(N)),
        "Subject": ("http://example.org/resource/Sea_stories", "http://example.org/c#Caf%C3%A9"),
    }
    relations = {("User", "RATED", "Movie"): rated}
    if facts:
        relations["Movie", "SUBJECT_IS", "Subject"] = binary_matrix(
            np.arange(N), np.arange(N) // 8, (N, 2)
        )
    return TrainingData(
        known,
        HeteroGraph(nodes, relations),
        "Movie",
        np.array([r[3] for r in lists], np.int32),
        tuple("Odd one" if i % 2 else None for i in range(N)),
    )


def other_camp(model: DensePersonas) -> float:
    """Share of the best four unseen items that are of the wrong half."""
    scores = model.score(Sequences.from_lists([[0, 1, 2], [8, 9, 10]], N))
    scores[0, :3] = scores[1, 8:11] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :4] // 8
    return float((best != [[0], [1]]).mean())


# -- what encoders are given -----------------------------------------------------------------------


def test_rated_of_the_held_out_is_refused() -> None:
    data = camps()
    assert data.valid is not None
    whole = data.sequences.append(data.valid)
    rows = np.repeat(np.arange(len(whole)), whole.lengths)
    leaky = HeteroGraph(
        data.graph.nodes, {data.rated: binary_matrix(rows, whole.items, (len(whole), N))}
    )
    with pytest.raises(LeakError, match="60 are not in the training sequences"):
        TrainingData(data.sequences, leaky, "Movie")


def test_parts_of_other_sizes_are_refused() -> None:
    data = camps()
    with pytest.raises(ValueError, match="titles"):
        replace(data, titles=("one",))
    with pytest.raises(ValueError, match="validation"):
        replace(data, valid=np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="shape"):
        replace(data, sequences=data.sequences.take(np.arange(4)))


def test_keys_are_of_items_and_their_order() -> None:
    sessions = Sequences.from_lists([[1, 2], [2, 1], [1, 2], [], [1], [1, 2, 0], []], 9)
    keys = session_keys(sessions, 0)
    assert keys[0] == keys[2]
    assert keys[3] == keys[6]
    assert len(set(keys.tolist())) == 5
    assert not np.isin(session_keys(sessions, 1), keys).any()


# -- controls --------------------------------------------------------------------------------------


def test_random_personas_of_like_sessions_are_unrelated() -> None:
    model = RandomEncoder(dim=64).fit(camps())
    base = list(range(10))
    sessions = Sequences.from_lists([base, *([*base, i] for i in range(10, 16)), base], N)
    p = model.personas(sessions)
    np.testing.assert_array_equal(p[0], p[-1])
    np.testing.assert_allclose(np.linalg.norm(p, axis=1), 1, atol=0.35)
    assert np.abs(p[1:-1] @ p[0]).max() < 0.5


def test_the_score_of_a_constant_is_popularity() -> None:
    data = camps()
    model = ConstantEncoder().fit(data)
    counts = np.bincount(data.sequences.items, minlength=N)
    np.testing.assert_allclose(model.score(data.sequences)[5], counts / counts.max(), rtol=1e-5)


def test_shuffled_personas_are_those_of_others() -> None:
    data = camps(10)
    inner = SvdEncoder(dim=4)
    own = inner.fit(data).personas(data.sequences)
    other = ShuffledEncoder(inner=inner).fit(data).personas(data.sequences)
    keys = session_keys(data.sequences, 0)
    assert len(set(keys.tolist())) == len(keys)
    order = np.lexsort(own.T), np.lexsort(other.T)
    np.testing.assert_array_equal(own[order[0]], other[order[1]])
    assert not (own == other).all(axis=1).any()


# -- models ----------------------------------------------------------------------------------------


def test_propagation_is_the_function_it_was() -> None:
    data = camps()
    facts = FactModel.from_matrix(data.facts()).items
    config = PropagationConfig(embedding_size=5, feature_size=8, seed=3)
    expected = fit_propagation(data.graph, "Movie", facts, config)
    found = PropagationEncoder(dim=5, feature_size=8, seed=3).fit(data)
    np.testing.assert_array_equal(found.items, expected.items)


@pytest.mark.parametrize("scaled", [False, True])
def test_svd_is_that_of_numpy(scaled: bool) -> None:
    data = camps()
    x = data.matrix().toarray().astype(np.float64)
    left, right = (np.sqrt(x.sum(axis=a)) if scaled else np.ones(x.shape[1 - a]) for a in (1, 0))
    _, _, vt = np.linalg.svd(x / left[:, None] / right)
    expected = (x / right) @ vt[:4].T @ vt[:4] * right / x.sum(axis=1, keepdims=True)
    model = SvdEncoder(dim=4, scaled=scaled).fit(data)
    assert model.size == 4
    np.testing.assert_allclose(model.score(data.sequences), expected, atol=1e-4)
    assert other_camp(model) == 0


def test_ease_is_its_closed_form() -> None:
    data = camps()
    x = data.matrix().toarray().astype(np.float64)
    p = np.linalg.inv(x.T @ x + 5 * np.eye(N))
    expected = -p / p.diagonal()
    np.fill_diagonal(expected, 0)
    model = EaseEncoder(dim=N - 1, regularisation=5).fit(data)
    assert isinstance(model, EasePersonas)
    np.testing.assert_allclose(model.full, expected, atol=1e-5)
    np.testing.assert_allclose(model.full_score(data.sequences), x @ expected, atol=1e-4)
    low = EaseEncoder(dim=2, regularisation=5).fit(data)
    assert low.size == 2
    assert other_camp(low) == 0


def test_the_factors_of_ease_are_the_nearest_of_their_rank() -> None:
    data = camps()
    model = EaseEncoder(dim=5).fit(data)
    assert isinstance(model, EasePersonas)
    assert model.inputs is not None
    u, s, vt = np.linalg.svd(model.full)
    np.testing.assert_allclose(model.inputs @ model.items.T, u[:, :5] * s[:5] @ vt[:5], atol=1e-5)


def test_ease_refuses_too_many_items_with_the_number() -> None:
    with pytest.raises(ChangeSomethingError, match=r"16 items .* at most 15 are allowed"):
        EaseEncoder(max_items=15).fit(camps())


def test_mean_item_is_the_mean_of_features_and_needs_some() -> None:
    data = camps()
    model = MeanItemEncoder(dim=2).fit(data)
    np.testing.assert_allclose(
        model.personas(data.sequences)[1], model.items[data.sequences[1]].mean(axis=0), rtol=1e-5
    )
    # An item of the other half has no fact in common.
    assert (
        abs(float(model.items[0] @ model.items[8])) < 1e-5 < float(model.items[0] @ model.items[1])
    )
    with pytest.raises(ChangeSomethingError, match="no item has a fact"):
        MeanItemEncoder().fit(camps(facts=False))


# -- LightGCN --------------------------------------------------------------------------------------


def test_lightgcn_walks_as_in_the_paper() -> None:
    import torch

    from personarec.personas.baselines.lightgcn import _mean_of_powers

    x = camps().matrix().toarray()
    n_users = len(x)
    a = np.block([[np.zeros((n_users, n_users)), x], [x.T, np.zeros((N, N))]])
    root = np.sqrt(np.maximum(a.sum(axis=1), 1))
    a = a / root[:, None] / root
    expected = (np.eye(len(a)) + a + a @ a + a @ a @ a) / 4
    walk = _mean_of_powers(sparse.csr_array(x), 3)
    np.testing.assert_allclose(walk(torch.eye(len(a))).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(expected, expected.T)  # so the gradient walks the same way


def test_the_gradient_of_lightgcn_is_that_of_its_loss() -> None:
    import torch

    from personarec.personas.baselines.lightgcn import _gradient, _mean_of_powers

    walk = _mean_of_powers(camps().matrix(), 2)
    torch.manual_seed(0)
    start = torch.randn(60 + N, 3, requires_grad=True)
    rows = [torch.tensor([0, 1, 0]), torch.tensor([60, 69, 61]), torch.tensor([75, 60, 60])]
    user, good, bad = ((walk(torch.eye(60 + N)) @ start)[r] for r in rows)
    loss = -torch.log(torch.sigmoid((user * good - user * bad).sum(1))).mean()
    (loss + 0.1 / 2 * sum(start[r].square().sum() for r in rows) / 3).backward()
    assert start.grad is not None
    np.testing.assert_allclose(_gradient(start, walk, rows, 0.1), start.grad, atol=1e-6)


def test_lightgcn_draws_what_users_have_not_got() -> None:
    from personarec.personas.baselines.lightgcn import _negatives

    x = camps().matrix()
    users = np.repeat(np.arange(60), 50)
    drawn = _negatives(x, users, np.random.default_rng(0))
    assert not x.toarray()[users, drawn].any()
    assert set(drawn.tolist()) == set(range(N))


def test_lightgcn_learns_the_camps() -> None:
    from personarec.personas.baselines.lightgcn import LightGcnEncoder

    model = LightGcnEncoder(dim=8, epochs=30, batch_size=64).fit(camps())
    assert other_camp(model) == 0


# -- HDGI ------------------------------------------------------------------------------------------


def test_hdgi_gives_an_item_the_mean_of_its_users() -> None:
    from personarec.personas.hdgi import HDGIConfig, HDGIEncoder, HDGIOptions, HDGIPersonaConfig

    data = camps()
    order = np.argsort(session_keys(data.sequences, 2), kind="stable")
    config = HDGIPersonaConfig(
        model=HDGIConfig(embedding_size=4), training=HDGIOptions(seed=2, epochs=3), feature_size=4
    )
    rated = sparse.csr_array(data.graph.relations[data.rated][order])
    graph = HeteroGraph(data.graph.nodes, data.graph.relations | {data.rated: rated})
    users = HDGIEncoder(config).encode(graph, "Movie")
    model = InductiveHdgiEncoder(dim=4, seed=2, epochs=3).fit(data)
    owners = np.flatnonzero(rated.toarray()[:, 5])
    np.testing.assert_allclose(model.items[5], users[owners].mean(axis=0), atol=1e-6)


def test_hdgi_of_facts_tells_the_camps_apart_and_needs_some() -> None:
    model = InductiveHdgiEncoder(dim=4, user_features="items", epochs=3).fit(camps())
    sea, cafe = model.items[:8].mean(axis=0), model.items[8:].mean(axis=0)
    within = np.abs(model.items[:8] - sea).max()
    assert np.abs(sea - cafe).max() > 5 * within
    with pytest.raises(ChangeSomethingError, match="no item has a fact"):
        InductiveHdgiEncoder(user_features="items").fit(camps(facts=False))


# -- shrinkage -------------------------------------------------------------------------------------


def test_shrinkage_is_its_formula() -> None:
    data = camps()
    inner = SvdEncoder(dim=4)
    source = inner.fit(data)
    model = ShrunkEncoder(inner=inner, kappa=2.0).fit(data)
    sessions = Sequences.from_lists([[1], [1, 2, 3], []], N)
    p, mean = source.personas(sessions), source.center
    np.testing.assert_allclose(
        model.personas(sessions),
        [p[0] / 3 + mean * 2 / 3, p[1] * 0.6 + mean * 0.4, mean],
        rtol=1e-5,
    )
    same = ShrunkEncoder(inner=inner, kappa=0).fit(data)
    np.testing.assert_allclose(same.personas(sessions), p, rtol=1e-6)


def test_the_strength_of_shrinkage_is_chosen_or_given() -> None:
    data = camps()
    chosen = ShrunkEncoder(inner=SvdEncoder(dim=4)).fit(data)
    assert isinstance(chosen, ShrunkPersonas)
    assert data.valid is not None
    found = {
        kappa: mapped_ndcg(ShrunkPersonas.around(chosen.source, kappa), data.sequences, data.valid)
        for kappa in STRENGTHS
    }
    assert len(set(found.values())) > 1
    assert found[chosen.kappa] == max(found.values())
    with pytest.raises(ChangeSomethingError, match="give kappa"):
        ShrunkEncoder(inner=SvdEncoder(dim=4)).fit(replace(data, valid=None))


def test_names_of_encoders_load_nothing_heavy() -> None:
    code = (
        "import sys, personarec.personas.registry\n"
        "print({'numpy', 'torch', 'sklearn', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
