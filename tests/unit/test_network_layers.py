"""Layers of the sequence model against their equations."""

from typing import TypeVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from personarec.retriever.layers import Block, Dropout, LigrBlock, Norm
from personarec.retriever.persona_input import GatedAddition
from personarec.retriever.sasrec import SasRecConfig

SHAPE = SasRecConfig(embedding_size=8, heads=2, max_length=6, dropout=0.0, layer="ligr")


Module = TypeVar("Module", bound=nn.Module)


def filled(module: Module) -> Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def test_conditioned_norm_starts_as_the_plain_one_and_is_what_it_says() -> None:
    x, persona = torch.randn(2, 3, 8), torch.randn(2, 1, 4)
    torch.testing.assert_close(Norm(8, 4)(x, persona), Norm(8)(x))
    norm = filled(Norm(8, 4))
    assert norm.condition is not None
    plain = functional.layer_norm(x, (8,), norm.weight, norm.bias)
    moved = persona @ norm.condition.weight.T + norm.condition.bias
    expected = plain * (1 + moved[..., :8]) + moved[..., 8:]
    torch.testing.assert_close(norm(x, persona), expected)


def test_closed_gates_of_ligr_leave_the_input_and_open_ones_the_sublayers() -> None:
    block, x = filled(LigrBlock(SHAPE)), torch.randn(2, 4, 8)
    for gate in block.gates:
        nn.init.zeros_(gate.weight)
        nn.init.constant_(gate.bias, -100.0)
    torch.testing.assert_close(block(x, None, None)[0], x)
    for gate in block.gates:
        nn.init.constant_(gate.bias, 100.0)
    # What attention adds is the plain block's; the feed-forward layer is SwiGLU.
    plain = Block(SHAPE)
    plain.load_state_dict(block.state_dict(), strict=False)
    nn.init.zeros_(plain.down.weight)
    nn.init.zeros_(plain.down.bias)
    attended = plain(x, None, None)[0]
    normed = block.forward_norm(attended)
    inner = functional.silu(block.gate_up(normed)) * block.up(normed)
    torch.testing.assert_close(block(x, None, None)[0], attended + block.down(inner))


def test_gates_of_ligr_look_at_the_input_before_the_norm() -> None:
    block, x = filled(LigrBlock(SHAPE)), torch.randn(1, 1, 8)
    # The norm takes away a factor, the gate must not.
    assert not torch.allclose(block(3 * x, None, None)[0] - 3 * x, block(x, None, None)[0] - x)


def test_gated_addition_is_what_it_says() -> None:
    layer, states, persona = (
        filled(GatedAddition(8, 3, 0.0)),
        torch.randn(2, 4, 8),
        torch.randn(2, 1, 3),
    )
    projected = layer.project(persona).expand(2, 4, 8)
    gate = torch.sigmoid(layer.gate(torch.cat((states, projected), dim=-1)))
    torch.testing.assert_close(layer(states, persona), states + gate * projected)


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, x = Dropout(0.3), torch.ones(301, 999, requires_grad=True)
    y = layer(x)
    dropped = (y == 0).float()
    assert float(dropped.mean()) == pytest.approx(0.3, abs=0.005)
    assert float(y.detach().mean()) == pytest.approx(1, abs=0.01)
    assert len(y.detach().unique()) == 2
    # No row or column is dropped more than others, and neighbours do not know of each other.
    assert float((dropped.mean(dim=0) - 0.3).abs().max()) < 0.12
    assert float((dropped[:, 1:] * dropped[:, :-1]).mean()) == pytest.approx(0.09, abs=0.005)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())
    assert layer.eval()(x) is x
