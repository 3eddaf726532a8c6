"""HDGI's equations: against a dense transcription, and its gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from personarec.personas.hdgi import HDGIConfig, MetaPath
from personarec.personas.hdgi.backends import open_backend
from personarec.personas.hdgi.config import Variant
from personarec.personas.hdgi.features import Features
from personarec.personas.hdgi.inputs import PathFirst, PathInput, WeightFirst, path_inputs
from personarec.personas.hdgi.model import HDGI, PathAttention, PathConvolution
from personarec.personas.hdgi.operators import attention, convolution
from personarec.personas.hdgi.torch_backend import TorchBackend

N, WIDTH = 9, 7


def symmetric(seed: int, diagonal: bool = False) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.random((N, N)) < 0.3, 0 if diagonal else 1).astype(np.float32)
    return sparse.csr_array(np.maximum(dense, dense.T))


NARROW, WIDE = 6, 9
"""Sizes of vectors, below and above the features' width."""


def setting(
    variant: Variant, double: bool = False, size: int = NARROW
) -> tuple[HDGI, list[MetaPath], Tensor, HDGIConfig]:
    config = HDGIConfig(
        variant=variant, embedding_size=size, heads=3, semantic_size=4, double_self_loop=double
    )
    torch.manual_seed(0)
    model = HDGI(WIDTH, 2, config)
    paths = [MetaPath("one", (symmetric(1),)), MetaPath("two", (symmetric(2, True),))]
    return model, paths, torch.rand(N, WIDTH), config


def inputs_of(features: Features, paths: list[MetaPath], config: HDGIConfig) -> list[PathInput]:
    return path_inputs(features, paths, config, open_backend("torch", "cpu"), "cpu")


def dense_path(layer: torch.nn.Module, x: Tensor, adjacency: Tensor, config: HDGIConfig) -> Tensor:
    """Eq. 1 to 4 with full matrices, in the order of the authors' code."""
    eye = torch.eye(N)
    if isinstance(layer, PathConvolution):
        with_self = adjacency + eye
        root = torch.diag(with_self.sum(1) ** -0.5)
        normalised = root @ with_self @ root + (eye if config.double_self_loop else 0)
        return functional.prelu(normalised @ (x @ layer.weight) + layer.bias,
                                layer.activation.weight)  # fmt: skip
    assert isinstance(layer, PathAttention)
    heads = []
    for k in range(config.heads):
        width = config.embedding_size // config.heads
        h = x @ layer.weight[:, k * width : (k + 1) * width]
        pairs = torch.cat([h.repeat(1, N).view(N * N, -1), h.repeat(N, 1)], dim=1)
        e = functional.leaky_relu(pairs.view(N, N, -1) @ layer.score[k].reshape(-1), 0.2)
        e = torch.where(adjacency + eye > 0, e, torch.full_like(e, -9e15))
        heads.append(functional.leaky_relu(torch.softmax(e, 1) @ h, 0.01))
    return torch.cat(heads, dim=1)


def dense_mix(model: HDGI, x: Tensor, paths: list[MetaPath], config: HDGIConfig) -> Tensor:
    """Eq. 5 with full matrices."""
    found = [
        dense_path(layer, x, torch.from_numpy(p.factors[0].toarray()), config)
        for layer, p in zip(model.paths, paths, strict=True)
    ]
    s = model.semantic
    stacked = torch.stack(found)
    w = (torch.tanh(stacked @ s.weight + s.bias) @ s.query.T).mean(dim=(1, 2))
    return (torch.softmax(w, 0)[:, None, None] * stacked).sum(0)


@pytest.mark.parametrize("variant", ["convolution", "attention"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_vectors_and_loss_are_those_of_the_equations(
    variant: Variant, double: bool, size: int
) -> None:
    model, paths, x, config = setting(variant, double, size)
    inputs = inputs_of(x.numpy(), paths, config)
    true = dense_mix(model, x, paths, config)
    found, beta = model.embed(inputs)
    torch.testing.assert_close(found, true, atol=1e-5, rtol=1e-5)
    assert float(beta.sum()) == pytest.approx(1)

    order = torch.randperm(N)
    shuffled = dense_mix(model, x[order], paths, config)
    summary = torch.sigmoid(true.mean(0)).expand(N, -1).contiguous()
    logits = torch.cat([model.discriminator(h, summary)[:, 0] for h in (true, shuffled)])
    answers = torch.cat([torch.ones(N), torch.zeros(N)])
    expected = functional.binary_cross_entropy_with_logits(logits, answers)
    loss = model.loss(inputs, order)
    torch.testing.assert_close(loss, expected)

    wanted = torch.autograd.grad(expected, list(model.parameters()), retain_graph=True)
    for got, want in zip(torch.autograd.grad(loss, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-4)


def test_the_second_self_loop_changes_the_convolution_and_not_the_attention() -> None:
    for variant, same in (("convolution", False), ("attention", True)):
        found = []
        for double in (False, True):
            model, paths, x, config = setting(variant, double)  # type: ignore[arg-type]
            found.append(model.embed(inputs_of(x.numpy(), paths, config))[0])
        assert torch.allclose(*found) == same


@pytest.mark.parametrize(("size", "order"), [(NARROW, WeightFirst), (WIDE, PathFirst)])
def test_sparse_features_give_the_same_as_dense_ones(size: int, order: type) -> None:
    model, paths, x, config = setting("convolution", size=size)
    x = torch.where(x > 0.5, x, 0)
    inputs = inputs_of(x.numpy(), paths, config)
    assert {type(i) for i in inputs} == {order}
    dense = model.loss(inputs, torch.arange(N).roll(1))
    packed = inputs_of(sparse.csr_array(x.numpy()), paths, config)
    assert {type(i) for i in packed} == {WeightFirst}, "Â X would be dense"
    loss = model.loss(packed, torch.arange(N).roll(1))
    torch.testing.assert_close(loss, dense)
    for got, want in zip(
        torch.autograd.grad(loss, list(model.parameters())),
        torch.autograd.grad(dense, list(model.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-4)


def test_the_written_gradient_of_the_attention_is_the_true_one() -> None:
    attend = attention(MetaPath("one", (symmetric(3)[:4, :4],)), TorchBackend("cpu"))
    torch.manual_seed(0)
    values = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    left, right = (torch.randn(4, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(attend, (values, left, right))


def test_attention_stands_scores_far_apart() -> None:
    attend = attention(MetaPath("one", (symmetric(3),)), TorchBackend("cpu"))
    left, right = torch.zeros(N, 1), torch.linspace(-1e4, 1e4, N).unsqueeze(1)
    found = attend(torch.ones(N, 1, 2), left, right)
    torch.testing.assert_close(found, torch.ones(N, 1, 2))


def test_factored_convolution_equals_the_product_of_its_factors() -> None:
    rng = np.random.default_rng(0)
    items = sparse.csr_array((rng.random((N, 5)) < 0.4).astype(np.float32))
    facts = sparse.csr_array((rng.random((5, 4)) < 0.4).astype(np.float32))
    chain = (items, facts, sparse.csr_array(facts.T), sparse.csr_array(items.T))
    whole = sparse.csr_array(items @ facts @ facts.T @ items.T)
    assert whole.max() > 1, "some pair is joined more than once"
    config = HDGIConfig(embedding_size=6)
    x = torch.rand(N, 6)
    kept, made = (
        convolution(MetaPath("chain", f), config, open_backend("torch", "cpu"), "cpu")(x)
        for f in (chain, (whole,))
    )
    torch.testing.assert_close(kept, made)
    dense = torch.from_numpy(whole.toarray()) + torch.eye(N)
    root = torch.diag(dense.sum(1) ** -0.5)
    torch.testing.assert_close(kept, root @ dense @ root @ x)


def test_attention_over_a_factored_path_is_refused() -> None:
    half = symmetric(1)
    with pytest.raises(ValueError, match="compose the path first"):
        attention(MetaPath("long", (half, half)), TorchBackend("cpu"))


def test_weights_are_drawn_as_in_the_authors_code() -> None:
    torch.manual_seed(0)
    model = HDGI(50, 1, HDGIConfig(embedding_size=64, semantic_size=16))
    path = model.paths[0]
    assert isinstance(path, PathConvolution)
    spreads = {
        "W": (path.weight, math.sqrt(6 / (50 + 64))),
        "semantic W": (model.semantic.weight, 1.414 * math.sqrt(6 / (64 + 16))),
        "semantic b": (model.semantic.bias, 1.414 * math.sqrt(6 / (1 + 16))),
        "M": (model.discriminator.weight, math.sqrt(6 / (64 * 64 + 64))),
    }
    for name, (tensor, bound) in spreads.items():
        assert 0.7 * bound < float(tensor.detach().abs().max()) <= bound, name
    assert path.activation.weight.tolist() == [0.25]
    assert not path.bias.any()
    attentive = HDGI(50, 1, HDGIConfig(variant="attention", embedding_size=64, heads=8)).paths[0]
    assert isinstance(attentive, PathAttention)
    bound = 1.414 * math.sqrt(6 / (50 + 8))
    assert 0.9 * bound < float(attentive.weight.detach().abs().max()) <= bound


def test_heads_must_divide_the_size() -> None:
    with pytest.raises(ValueError, match="no multiple of 8 heads"):
        HDGIConfig(variant="attention", embedding_size=60)
