"""Personas inside the sequence model: what each fusion sees, and what training leaves alone."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from personarec.evaluation.sequences import Sequences
from personarec.retriever.persona_input import PrefixPersona
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.training import (
    LeakWarning,
    TrainingOptions,
    encode_sessions,
    sequence_scorer,
    train,
)

N_ITEMS = 12
FUSIONS = ("token", "add", "norms")
QUICK = TrainingOptions(epochs=2, batch_size=64, learning_rate=0.01, negatives=8)


def config(fusion: str = "token", source: str = "prefix", **more: Any) -> SasRecConfig:
    shape = {"embedding_size": 8, "heads": 2, "blocks": 2, "max_length": 6, "dropout": 0.0}
    persona = {"persona_size": 3, "persona_source": source, "fusion": fusion}
    return SasRecConfig(**{**shape, **persona, **more})


def model(shape: SasRecConfig) -> SasRec:
    torch.manual_seed(0)
    made = SasRec(N_ITEMS, shape)
    for parameter in made.parameters():  # what starts at 0 would hide what it is multiplied with
        torch.nn.init.normal_(parameter, std=0.3)
    if made.prefix is not None:
        made.prefix.vectors[:-1] = torch.randn(N_ITEMS, 3)
    return made.eval()


def vectors(seed: int = 0, n: int = N_ITEMS, size: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, size)).astype(np.float32)


def noise(users: int = 60, length: int = 8) -> Sequences:
    """Sequences that say nothing: every item drawn alike."""
    drawn = np.random.default_rng(3).integers(0, N_ITEMS, size=(users, length))
    return Sequences.from_lists(drawn.tolist(), N_ITEMS)


def test_persona_of_the_prefix_is_the_decayed_sum_up_to_each_place() -> None:
    made = PrefixPersona(4, 2, decay=0.5)
    made.vectors[:4] = torch.tensor([[1.0, 0], [0, 1], [2, 2], [0, 0]])
    found = made(torch.tensor([[0, 1, 2, 4]]))[0]
    torch.testing.assert_close(
        found, torch.tensor([[1.0, 0], [0.5, 1], [2.25, 2.5], [1.125, 1.25]])
    )
    assert not list(made.parameters())
    assert "vectors" in made.state_dict()


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("layer", ["pre-norm", "ligr"])
def test_with_personas_of_the_prefix_no_state_knows_later_items(fusion: str, layer: str) -> None:
    net = model(config(fusion, layer=layer))
    items = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 9, 7]])
    with torch.no_grad():
        a, b = net(items)
        short = net(items[:, :3])
    torch.testing.assert_close(a[:3], b[:3])
    torch.testing.assert_close(a[:3], short[0])
    assert not torch.allclose(a[3], b[3])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_persona_of_the_prefix_matters_at_every_place_and_needs_no_user(fusion: str) -> None:
    net = model(config(fusion))
    items = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        before = net(items)[0]
        assert net.prefix is not None
        net.prefix.vectors[1] += 1  # of the first item, so of every prefix
        after = net(items)[0]
    assert ((before - after).abs().max(dim=-1).values > 1e-4).all()
    sessions = Sequences.from_lists([[1, 2], [], [5]], N_ITEMS)
    assert np.isfinite(encode_sessions(net, sessions)).all()


@pytest.mark.parametrize("fusion", [*FUSIONS, "rows"])
def test_a_given_persona_matters_at_every_place(fusion: str) -> None:
    net = model(config(fusion, "given", persona_size=8))
    items = torch.tensor([[1, 2, 3], [1, 2, 3]])
    with torch.no_grad():
        a, b = net(items, torch.eye(8)[:2])
    assert ((a - b).abs().max(dim=-1).values > 1e-4).all()


def test_token_per_place_is_the_token_that_a_session_ending_there_would_have() -> None:
    # One block, where a token in front and a token per place are the same thing: the state of
    # each place equals the last state of a model that is given this place's persona.
    net = model(config("token", blocks=1))
    alone = model(config("token", "given", blocks=1))
    alone.load_state_dict(net.state_dict(), strict=False)
    items = torch.tensor([[4, 2, 7, 1]])
    assert net.prefix is not None
    with torch.no_grad():
        states, personas = net(items)[0], net.prefix(items)[0]
        for place in range(4):
            cut = alone(items[:, : place + 1], personas[place : place + 1])[0, -1]
            torch.testing.assert_close(states[place], cut)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_frozen_vectors_stay_as_given_and_are_saved_with_the_model(fusion: str) -> None:
    given = vectors()
    trained = train(noise(), config(fusion), QUICK, item_vectors=given)
    kept = trained.model.state_dict()["prefix.vectors"].numpy()
    np.testing.assert_array_equal(kept[:-1], given)
    assert not kept[-1].any()
    again = SasRec(N_ITEMS, trained.model.config)
    again.load_state_dict(trained.model.state_dict())
    asked = Sequences.from_lists([[1, 2]], N_ITEMS)
    np.testing.assert_array_equal(
        encode_sessions(again.eval(), asked), encode_sessions(trained.model, asked)
    )


def test_frozen_personas_stay_as_given() -> None:
    given = vectors(n=60)
    before = given.copy()
    with pytest.warns(LeakWarning):
        train(noise(), config("token", "given"), QUICK, personas=given)
    np.testing.assert_array_equal(given, before)


def test_rows_of_users_are_trained_from_where_they_start() -> None:
    given = vectors(n=60, size=8)
    shape = config("rows", "given", persona_size=8)
    with pytest.warns(LeakWarning):
        trained = train(noise(), shape, QUICK, personas=given)
    assert trained.rows is not None
    assert trained.rows.shape == (60, 8)
    started = given * 0.02 / np.sqrt(np.mean(given**2))
    moved = np.abs(trained.rows - started).max(axis=1)
    assert (moved > 1e-4).all()
    # Not so far that nothing of the start is left.
    assert np.corrcoef(trained.rows.ravel(), started.ravel())[0, 1] > 0.3
    asked = Sequences.from_lists([[1, 2], [1, 2]], N_ITEMS)
    known = sequence_scorer(trained.model, asked, trained.rows[:2])(np.arange(2))
    assert not np.allclose(known[0], known[1])


def test_rows_are_those_of_the_best_epoch() -> None:
    data = noise()
    valid = np.random.default_rng(5).integers(0, N_ITEMS, size=60).astype(np.int32)
    options = QUICK.model_copy(update={"epochs": 12, "evaluate_every": 1, "patience": 12})
    shape = config("rows", "given", persona_size=8)
    given = np.ones((60, 8), dtype=np.float32)
    best = train(data, shape, options, valid=valid, personas=given)
    assert best.best_epoch < 12, "the last epoch was the best: the test would show nothing"
    stopped = train(data, shape, options, stop_after=best.best_epoch, personas=given)
    assert best.rows is not None
    assert stopped.rows is not None
    np.testing.assert_array_equal(best.rows, stopped.rows)


def test_rows_must_be_as_wide_as_items_and_belong_to_users() -> None:
    with pytest.raises(ValidationError, match="persona_size 3 must be embedding_size 8"):
        config("rows", "given")
    with pytest.raises(ValidationError, match="persona_source is 'given'"):
        config("rows", "prefix", persona_size=8)


def test_item_vectors_must_match_the_configuration() -> None:
    with pytest.raises(ValueError, match=r"item_vectors have shape None, .* \(12, 3\)"):
        train(noise(), config(), QUICK)
    with pytest.raises(ValueError, match=r"item_vectors .* asks for none"):
        train(noise(), config("token", "given"), QUICK, personas=np.ones((60, 3), np.float32),
              item_vectors=vectors())  # fmt: skip
    with pytest.raises(ValueError, match=r"initial_items have shape \(12, 3\), .* \(12, 8\)"):
        train(noise(), config(), QUICK, item_vectors=vectors(), initial_items=vectors())


def test_items_start_where_they_are_told_to_on_the_scale_of_random_ones() -> None:
    given = 50 * vectors(size=8)
    shape = SasRecConfig(embedding_size=8, max_length=6)
    slow = QUICK.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    table = train(noise(), shape, slow, initial_items=given).model.item_table.detach().numpy()
    np.testing.assert_allclose(table, given * 0.02 / np.sqrt(np.mean(given**2)), atol=1e-5)


def loss_at_the_end(fusion: str, source: str) -> float:
    """Training loss on sequences that say nothing, with personas of their own items."""
    data = noise(users=250)  # too many to be learnt by heart
    options = QUICK.model_copy(
        update={"epochs": 25, "negatives": 0, "batch_size": 512, "learning_rate": 0.02}
    )
    shape = config(fusion, source, persona_size=N_ITEMS, blocks=1)
    identity = np.eye(N_ITEMS, dtype=np.float32)
    if source == "prefix":
        return train(data, shape, options, item_vectors=identity).history[-1].loss
    personas = np.asarray(data.recency(1.0).toarray() / 8, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)
        return train(data, shape, options, personas=personas).history[-1].loss


@pytest.mark.parametrize("fusion", FUSIONS)
def test_personas_of_all_training_items_leak_and_those_of_the_prefix_do_not(fusion: str) -> None:
    # Nothing can be known of the next item here: a loss clearly below ln 12 is looking it up.
    chance = np.log(N_ITEMS)
    assert loss_at_the_end(fusion, "given") < chance - 0.15
    assert loss_at_the_end(fusion, "prefix") > chance - 0.12


def test_only_personas_that_differ_by_user_are_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakWarning)
        train(noise(), config("token", "given"), QUICK, personas=np.ones((60, 3), np.float32))
        train(noise(), config("token"), QUICK, item_vectors=vectors())
    with pytest.warns(LeakWarning, match="persona_source 'prefix'"):
        train(noise(), config("token", "given"), QUICK, personas=vectors(n=60))
