from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from personarec.evaluation.metrics import rank_all
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.training import (
    EpochRecord,
    LeakWarning,
    TrainingOptions,
    encode_sessions,
    select_and_refit,
    sequence_scorer,
    train,
)

N_ITEMS = 12
SMALL = SasRecConfig(embedding_size=16, heads=2, blocks=2, max_length=6, dropout=0.1)
WITH_PERSONA = SMALL.model_copy(update={"persona_size": 3})
QUICK = TrainingOptions(epochs=15, batch_size=64, learning_rate=0.01, negatives=8, threads=1)


def model(config: SasRecConfig = SMALL) -> SasRec:
    torch.manual_seed(0)
    made = SasRec(N_ITEMS, config)
    for parameter in made.parameters():  # a bias of 0 would hide what it is added to
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def cycles(users: int = 80, length: int = 8) -> Sequences:
    """Each item is followed by the next one, round and round."""
    starts = np.random.default_rng(0).integers(0, N_ITEMS, size=users)
    return Sequences.from_lists(
        [(start + np.arange(length)) % N_ITEMS for start in starts], N_ITEMS
    )


@pytest.fixture(scope="module")
def split() -> Split:
    whole = cycles()
    last = np.array(
        [row[-1] for row in (whole[user] for user in range(len(whole)))], dtype=np.int32
    )
    following = (last + 1) % N_ITEMS
    return Split(whole, following.astype(np.int32), ((following + 1) % N_ITEMS).astype(np.int32))


@pytest.mark.parametrize(
    "config", [SMALL, WITH_PERSONA, SMALL.model_copy(update={"layer": "ligr"})]
)
def test_later_items_and_padding_change_nothing_before_them(config: SasRecConfig) -> None:
    net = model(config)
    persona = torch.randn(2, 3) if config.persona_size else None
    items = torch.tensor([[1, 2, 3, N_ITEMS, N_ITEMS], [1, 2, 3, 4, 5]])
    with torch.no_grad():
        states = net(items, persona)
        short = net(items[:, :3], persona)
    assert states.shape == (2, 5, 16)
    assert torch.isfinite(states).all()
    torch.testing.assert_close(states[:, :3], short)
    if persona is None:
        torch.testing.assert_close(states[0, :3], states[1, :3])


def test_order_matters() -> None:
    net = model()
    with torch.no_grad():
        a, b = net(torch.tensor([[1, 2, 3], [2, 1, 3]]))[:, -1]
    assert not torch.allclose(a, b)


def test_persona_reaches_every_place_and_is_no_parameter() -> None:
    net = model(WITH_PERSONA)
    items = torch.tensor([[1, 2, 3], [1, 2, 3]])
    with torch.no_grad():
        a, b = net(items, torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]))
        same, again = net(items, torch.ones(2, 3))
    assert ((a - b).abs().max(dim=-1).values > 1e-4).all()
    torch.testing.assert_close(same, again)
    assert net.persona is not None
    assert {p.shape for p in net.persona.parameters()} == {(16, 3), (16,)}


def test_personas_must_match_the_configuration() -> None:
    items = torch.tensor([[1]])
    with pytest.raises(ValueError, match="without a persona"):
        model()(items, torch.ones(1, 3))
    with pytest.raises(ValueError, match="without a persona"):
        model(WITH_PERSONA.model_copy(update={"persona_source": "prefix"}))(items, torch.ones(1, 3))
    with pytest.raises(ValueError, match="with a persona"):
        model(WITH_PERSONA)(items)
    with pytest.raises(ValueError, match="max_length is 6"):
        model()(torch.zeros(1, 7, dtype=torch.long))
    with pytest.raises(ValueError, match=r"shape \(80, 2\), .* \(80, 3\)"):
        train(cycles(), WITH_PERSONA, QUICK, personas=np.ones((80, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="shape None"):
        train(cycles(), WITH_PERSONA, QUICK)
    with pytest.raises(ValueError, match="the configuration asks for none"):
        train(cycles(), SMALL, QUICK, personas=np.ones((80, 3), dtype=np.float32))


def test_unknown_keys_and_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValidationError):
        SasRecConfig(embeding_size=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="not a multiple"):
        SasRecConfig(embedding_size=10, heads=3)
    with pytest.raises(ValidationError):
        TrainingOptions(epoch=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="sampling_power to 0"):
        TrainingOptions(loss="gbce")
    with pytest.raises(ValidationError, match="negatives to 1"):
        TrainingOptions(loss="gbce", sampling_power=0, negatives=0)


def test_encoding_does_not_depend_on_the_company() -> None:
    net = model()
    sessions = Sequences.from_lists([[1], [], [2, 3, 4, 5, 6, 7, 8, 9], [1, 2]], N_ITEMS)
    together = encode_sessions(net, sessions)
    assert np.isfinite(together).all()
    for user in range(4):
        alone = encode_sessions(net, sessions.take(np.array([user])))[0]
        np.testing.assert_allclose(together[user], alone, atol=1e-5)
    cut = encode_sessions(net, Sequences.from_lists([[4, 5, 6, 7, 8, 9]], N_ITEMS))
    np.testing.assert_allclose(together[2], cut[0], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        ({"negatives": 0}, "pre-norm"),
        ({}, "pre-norm"),
        ({}, "ligr"),
        ({"bfloat16": True}, "pre-norm"),
        # It first learns that all are rare, and only then which are not.
        (
            {
                "loss": "gbce",
                "sampling_power": 0.0,
                "epochs": 40,
                "patience": 30,
                "learning_rate": 0.03,
            },
            "pre-norm",
        ),
    ],
)
def test_learns_what_follows_and_ranks_it_first(
    split: Split, change: dict[str, Any], layer: str
) -> None:
    options = QUICK.model_copy(update=change)
    config = SMALL.model_copy(update={"layer": layer})
    records: list[EpochRecord] = []
    selected, refitted = select_and_refit(split, config, options, on_epoch=records.append)
    assert selected.history[-1].loss < selected.history[0].loss / 2
    assert len(refitted.history) == selected.best_epoch
    assert records == [*selected.history, *refitted.history]
    history = split.fit(refit=True)
    ranking = rank_all(sequence_scorer(refitted.model, history), history, split.test)
    assert ranking.hit_rate(1) > 0.9


def test_same_seed_same_model(split: Split) -> None:
    options = QUICK.model_copy(update={"epochs": 3})
    runs = [train(split.train, SMALL, options, valid=split.valid).model for _ in range(2)]
    for a, b in zip(runs[0].parameters(), runs[1].parameters(), strict=True):
        assert torch.equal(a, b)
    other = train(split.train, SMALL, options.model_copy(update={"seed": 1})).model
    assert not torch.equal(runs[0].table, other.table)


def test_training_leaves_the_callers_random_state_and_threads_alone(split: Split) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train(split.train, SMALL, QUICK.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_stops_early_and_gives_back_the_best_epoch(split: Split) -> None:
    options = QUICK.model_copy(
        update={"epochs": 60, "evaluate_every": 1, "patience": 2, "learning_rate": 0.02}
    )
    result = train(split.train, SMALL, options, valid=split.valid)
    ndcg = [record.ndcg for record in result.history]
    assert len(ndcg) == result.best_epoch + 2 < 60
    assert ndcg[result.best_epoch - 1] == max(value for value in ndcg if value is not None)


def test_a_persona_that_tells_the_answer_is_used(split: Split) -> None:
    # The plumbing from matrix to token, seen from outside: sequences that say nothing, a persona
    # that says all. This is also what a leaking persona looks like.
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 3, size=200)
    lists = [[11, int(k), 11, int(k)] for k in kind]
    sequences = Sequences.from_lists([row[:2] for row in lists], N_ITEMS)
    personas = np.eye(3, dtype=np.float32)[kind]
    with pytest.warns(LeakWarning, match="holds their answers"):
        result = train(sequences, WITH_PERSONA, QUICK, personas=personas)
    asked = Sequences.from_lists([[11]] * 3, N_ITEMS)
    scores = sequence_scorer(result.model, asked, np.eye(3, dtype=np.float32))(np.arange(3))
    assert list(scores.argmax(axis=1)) == [0, 1, 2]


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ValueError, match="no sequence has two items"):
        train(Sequences.from_lists([[1], []], N_ITEMS), SMALL, QUICK)
