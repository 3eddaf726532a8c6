"""HDGI over torch sparse and over DGL: the same vectors, losses and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from kg.errors import ChangeSomethingError
from personarec.personas.hdgi import HDGIConfig, HDGIOptions, MetaPath, compose, train_hdgi
from personarec.personas.hdgi.backends import open_backend
from personarec.personas.hdgi.config import Variant
from personarec.personas.hdgi.inputs import path_inputs
from personarec.personas.hdgi.model import HDGI

N = 80
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _dgl() -> None:
    try:
        open_backend("dgl", "cpu")
    except ChangeSomethingError as error:
        pytest.skip(f"DGL NOT TESTED: {error}")


def paths(variant: Variant) -> list[MetaPath]:
    """A weighted single matrix and a chain of four, composed for attention."""
    rng = np.random.default_rng(0)
    drawn = np.triu(rng.random((N, N)) < 0.05, 1) * rng.random((N, N)).astype(np.float32)
    items = sparse.csr_array((rng.random((N, 40)) < 0.05).astype(np.float32))
    facts = sparse.csr_array((rng.random((40, 9)) < 0.2).astype(np.float32))
    chain = (items, facts, sparse.csr_array(facts.T), sparse.csr_array(items.T))
    found = [MetaPath("single", (sparse.csr_array(drawn + drawn.T),)), MetaPath("chain", chain)]
    return [found[0], compose(found[1])] if variant == "attention" else found


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("variant", ["convolution", "attention"])
@pytest.mark.parametrize("size", [16, 32], ids=["narrower than the features", "wider"])
def test_same_vectors_loss_and_gradients(variant: Variant, double: bool, size: int) -> None:
    config = HDGIConfig(
        variant=variant, embedding_size=size, heads=4, semantic_size=8, double_self_loop=double
    )
    torch.manual_seed(0)
    model = HDGI(20, 2, config)
    features = np.random.default_rng(1).random((N, 20), np.float32)
    order = torch.randperm(N)
    found = []
    for name in ("torch", "dgl"):
        backend = open_backend(name, "cpu")
        inputs = path_inputs(features, paths(variant), config, backend, "cpu")
        vectors, beta = model.embed(inputs)
        loss = model.loss(inputs, order)
        found.append([vectors, beta, loss, *torch.autograd.grad(loss, list(model.parameters()))])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)
    gradients = found[0][3:]
    assert all(float(g.abs().max()) > 0 for g in gradients), "a gradient of 0 compares nothing"


@pytest.mark.parametrize("variant", ["convolution", "attention"])
def test_a_short_training_ends_at_the_same_vectors(variant: Variant) -> None:
    features = np.random.default_rng(1).random((N, 20), np.float32)
    config = HDGIConfig(variant=variant, embedding_size=32, heads=4, semantic_size=8)
    ours, theirs = (
        train_hdgi(features, paths(variant), config, HDGIOptions(epochs=10, backend=name))
        for name in ("torch", "dgl")
    )
    np.testing.assert_allclose(ours.losses, theirs.losses, atol=TOLERANCE)
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, atol=TOLERANCE)
