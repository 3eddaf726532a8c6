from collections import Counter

import numpy as np

from personarec.evaluation.sequences import Sequences
from personarec.retriever.batches import IGNORED, Batch, training_batches


def sequences(seed: int = 0, users: int = 40, longest: int = 30) -> Sequences:
    """Sequences in which each item occurs once over all users, so that each pair is known."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest, size=users)
    items = np.arange(lengths.sum(), dtype=np.int32)
    return Sequences(np.concatenate(([0], np.cumsum(lengths))), items, int(lengths.sum()))


def pairs(batches: list[Batch]) -> Counter[tuple[int, int]]:
    return Counter(
        (int(item), int(target))
        for batch in batches
        for item, target in zip(batch.items.ravel(), batch.targets.ravel(), strict=True)
        if target != IGNORED
    )


def test_each_transition_is_a_target_once_in_every_epoch() -> None:
    data = sequences()
    expected = Counter((a, a + 1) for user in range(len(data)) for a in data[user][:-1].tolist())
    for epoch in range(4):
        assert pairs(training_batches(data, 32, 7, seed=0, epoch=epoch)) == expected


def test_rows_are_consecutive_items_of_their_user_padded_on_the_right() -> None:
    data = sequences()
    for batch in training_batches(data, 32, 7, seed=1, epoch=1):
        assert batch.items.shape == batch.targets.shape
        assert batch.items.shape[1] <= 7
        real = batch.targets != IGNORED
        assert (real[:, :-1] >= real[:, 1:]).all()
        assert ((batch.items == data.n_items) == ~real).all()
        for user, row, kept in zip(batch.users, batch.items, real, strict=True):
            assert set(row[kept]) <= set(data[user])


def test_batches_hold_like_lengths_and_about_as_many_targets() -> None:
    data = sequences(users=400)
    batches = training_batches(data, 64, 7, seed=0, epoch=0)
    sizes = [int((batch.targets != IGNORED).sum()) for batch in batches]
    assert max(sizes) < 64 + 7
    padding = sum(int((batch.targets == IGNORED).sum()) for batch in batches)
    assert padding < 0.1 * sum(sizes)


def test_same_seed_same_batches_other_epoch_other_batches() -> None:
    data = sequences()

    def content(seed: int, epoch: int) -> list[bytes]:
        return [b.items.tobytes() for b in training_batches(data, 32, 7, seed, epoch)]

    assert content(0, 1) == content(0, 1)
    assert content(0, 1) != content(0, 2)
    assert content(0, 1) != content(1, 1)


def test_sequences_without_a_next_item_give_no_batch() -> None:
    assert training_batches(Sequences.from_lists([[1], []], 3), 8, 5, seed=0, epoch=0) == []
