"""Training of HDGI: same seed, same vectors; stops and keeps weights as published."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from kg.errors import ChangeSomethingError
from personarec.personas.hdgi import HDGIConfig, HDGIOptions, MetaPath, published, train_hdgi
from personarec.personas.hdgi.config import Variant

SMALL = HDGIConfig(embedding_size=16, semantic_size=4)
ATTENTIVE = HDGIConfig(variant="attention", embedding_size=16, heads=2, semantic_size=4)


def two_groups(n: int = 60) -> tuple[np.ndarray, list[MetaPath]]:
    """Nodes of two groups, joined within, with features of their group."""
    rng = np.random.default_rng(0)
    group = np.arange(n) % 2
    same = np.equal.outer(group, group)
    drawn = np.triu((rng.random((n, n)) < 0.2) & same, 1)
    features = rng.random((n, 8)).astype(np.float32)
    features[:, 0] += 3 * group
    return features, [MetaPath("same", (sparse.csr_array((drawn | drawn.T).astype(np.float32)),))]


@pytest.mark.parametrize("config", [SMALL, ATTENTIVE], ids=["convolution", "attention"])
def test_training_lowers_the_loss_and_repeats(config: HDGIConfig) -> None:
    features, paths = two_groups()
    options = HDGIOptions(seed=3, epochs=60, learning_rate=0.02)
    torch.manual_seed(1)
    first = train_hdgi(features, paths, config, options)
    torch.manual_seed(2)  # what others drew must not matter
    second = train_hdgi(features, paths, config, options)
    np.testing.assert_array_equal(first.embeddings, second.embeddings)
    assert first.losses == second.losses
    assert min(first.losses) < first.losses[0] - 0.1
    assert first.embeddings.dtype == np.float32
    assert first.embeddings.shape == (60, 16)
    assert np.isfinite(first.embeddings).all()
    np.testing.assert_allclose(first.path_weights, [1.0])
    other = train_hdgi(features, paths, config, options.model_copy(update={"seed": 4}))
    assert not np.allclose(other.embeddings, first.embeddings)


def test_the_weights_of_the_lowest_loss_are_kept_and_patience_counts_from_them() -> None:
    features, paths = two_groups()
    seen: list[tuple[int, float]] = []
    options = HDGIOptions(epochs=500, patience=5, learning_rate=0.05)
    trained = train_hdgi(features, paths, SMALL, options, lambda *step: seen.append(step))
    assert [loss for _, loss in seen] == list(trained.losses)
    assert trained.best_epoch == int(np.argmin(trained.losses)) + 1
    assert len(trained.losses) == trained.best_epoch + 5 < 500
    # The loss is taken before the step, so stopping there gives the same weights.
    again = train_hdgi(
        features, paths, SMALL, options.model_copy(update={"epochs": trained.best_epoch})
    )
    np.testing.assert_array_equal(again.embeddings, trained.embeddings)


def test_no_step_at_all_gives_the_weights_as_drawn() -> None:
    features, paths = two_groups()
    drawn = train_hdgi(features, paths, SMALL, HDGIOptions(epochs=0))
    first = train_hdgi(features, paths, SMALL, HDGIOptions(epochs=1))
    assert (drawn.best_epoch, drawn.losses) == (0, ())
    np.testing.assert_array_equal(drawn.embeddings, first.embeddings)


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    features, paths = two_groups()
    features[0, 0] = np.nan
    with pytest.raises(ChangeSomethingError, match="loss is nan at step 1; lower learning_rate"):
        train_hdgi(features, paths, SMALL)


def test_paths_and_features_must_fit() -> None:
    features, paths = two_groups()
    with pytest.raises(ValueError, match="60 nodes, but there are features of 59"):
        train_hdgi(features[1:], paths, SMALL)
    with pytest.raises(ValueError, match="at least one meta-path"):
        train_hdgi(features, [], SMALL)


def test_the_global_generator_and_the_threads_are_left_alone() -> None:
    features, paths = two_groups()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train_hdgi(features, paths, SMALL, HDGIOptions(epochs=2, threads=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("variant", "size", "semantic", "rate", "patience"),
    [("convolution", 512, 16, 0.001, 50), ("attention", 64, 8, 0.02, 30)],
)
def test_published_settings(
    variant: Variant, size: int, semantic: int, rate: float, patience: int
) -> None:
    config, options = published(variant, seed=7)
    assert (config.variant, config.embedding_size, config.semantic_size) == (
        variant, size, semantic
    )  # fmt: skip
    assert config.double_self_loop
    assert (options.learning_rate, options.patience, options.seed) == (rate, patience, 7)
