"""Protocols: what is fitted, what is shown when the test items are asked for, and how it is split.

Leave-one-out keeps every user in training and asks for the last item; other users' later items are
then among what is trained on, so a claim wants the global temporal split. The user-disjoint split
asks for items of users that training never saw, after so many items: anonymous sessions. Settings
are then chosen on such sessions too, not on the long histories of those who were there, if there
are enough of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError, did_you_mean
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import MINIMUM_LENGTH, Split, leave_one_out

if TYPE_CHECKING:
    from kg.views.interactions import Interactions

LEAVE_ONE_OUT, TEMPORAL, UNSEEN_USERS = "leave-one-out", "global-temporal", "user-disjoint"

PREFIX_LENGTHS = (1, 2, 3, 5, 10)
"""Items of an unseen user that are shown, in the user-disjoint split."""
HELD_OUT = 0.1
"""Share of the interactions after each cut of the temporal split."""
QUERIES = 10
"""Later items of one user that the temporal split asks for, at most."""
VALIDATORS = 200
"""Users to validate with as the test is made; fewer would choose by chance, and the last items of
all who are trained on validate."""
UNSEEN = 0.2
"""Share of the users that training never sees, in the user-disjoint split; as many validate."""


@dataclass(frozen=True)
class Queries:
    """What is asked at test: after these items, where does that one come?

    Attributes:
        visible: q sequences, what is shown and masked.
        targets: int32, shape (q,), item indices.
        users: int64, shape (q,), whose they are; a user may be asked for more than once.
    """

    visible: Sequences
    targets: NDArray[np.int32]
    users: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Protocol:
    """A split with its test queries.

    Attributes:
        name: as ``--split`` names it.
        words: what it is, for the report.
        split: what may be fitted, with the validation items and one held-out item per user.
        test: the queries that results are reported for.
        cuts: seconds since 1970 of the first validation and the first test interaction, where the
            split is by time; the first is None where last items before the second validate.
    """

    name: str
    words: str
    split: Split
    test: Queries
    cuts: tuple[int | None, int] | None = None


def make_protocol(name: str, interactions: Interactions) -> Protocol:
    """Split a data set.

    Raises:
        ChangeSomethingError: no such split, no times to cut at, or nobody left to test.
    """
    require_protocol(name)
    protocol = PROTOCOLS[name](interactions)
    if not len(protocol.test) or not (protocol.split.valid >= 0).any():
        what = "test" if not len(protocol.test) else "choose settings by"
        raise ChangeSomethingError(
            f"the {name} split of {len(interactions.users)} users and {len(interactions)} "
            f"interactions leaves nobody to {what}: load more data, or take another --split"
        )
    return protocol


def require_protocol(name: str) -> None:
    """Refuse a split that there is not. Raises ChangeSomethingError, which names the nearest."""
    if name not in PROTOCOLS:
        raise ChangeSomethingError(
            f"no split {name!r}; there are: {', '.join(PROTOCOLS)}{did_you_mean(name, PROTOCOLS)}"
        )


def _leave_one_out(interactions: Interactions) -> Protocol:
    split = leave_one_out(interactions)
    users = np.flatnonzero(split.test >= 0).astype(np.int64)
    shown = split.fit(refit=True).take(users)
    return Protocol(
        LEAVE_ONE_OUT,
        "a user's last item by (time, row order) tests, the one before validates",
        split,
        Queries(shown, split.test[users], users),
    )


def _global_temporal(interactions: Interactions) -> Protocol:
    times = interactions.timestamp
    _refuse_bare_order(interactions)
    ordered = np.sort(times)
    first_valid, first_test = (
        int(ordered[min(int(len(ordered) * (1 - share)), len(ordered) - 1)])
        for share in (2 * HELD_OUT, HELD_OUT)
    )
    whole = Sequences.from_interactions(interactions)
    train, before = (_until(whole, times < cut) for cut in (first_valid, first_test))
    # The first item from the cut on, so that what is shown is what was trained on.
    has_next = (train.lengths > 0) & (before.lengths > train.lengths)
    valid = np.full(len(whole), -1, np.int32)
    valid[has_next] = whole.items[(whole.indptr[:-1] + train.lengths)[has_next]]
    cuts: tuple[int | None, int] = (first_valid, first_test)
    validation = f"the {HELD_OUT:.0%} before them validate"
    if np.count_nonzero(has_next) < VALIDATORS:
        train, valid = _without_last(before)
        cuts = (None, first_test)
        validation = "each user's last item before them validates"
    asked = _later_places(whole, before.lengths)
    users = np.repeat(np.arange(len(whole)), whole.lengths)[asked]
    place = asked - whole.indptr[users]
    test = np.full(len(whole), -1, np.int32)
    test[users[::-1]] = whole.items[asked[::-1]]  # the first of those asked for
    return Protocol(
        TEMPORAL,
        f"the newest {HELD_OUT:.0%} of all interactions test, {validation}; nothing at or after a "
        f"cut is fitted; at most {QUERIES} later items of each user are asked for, drawn at "
        "random, each after all that came before it",
        Split(train, valid, test, refitted=before),
        Queries(_first_items(whole, users, place), whole.items[asked], users),
        cuts,
    )


def _without_last(sequences: Sequences) -> tuple[Sequences, NDArray[np.int32]]:
    """The sequences without their last items, and these: int32, shape (n_users,), −1 for none.

    At least two items stay, or there is nothing to learn a next item from.
    """
    enough = sequences.lengths >= MINIMUM_LENGTH
    last = sequences.indptr[1:][enough] - 1
    held_out = np.full(len(sequences), -1, np.int32)
    held_out[enough] = sequences.items[last]
    keep = np.ones(len(sequences.items), bool)
    keep[last] = False
    return _until(sequences, keep), held_out


def _later_places(whole: Sequences, before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of items to ask for, in order: at most ``QUERIES`` of each user, after at least one.

    Drawn at random, so that they are neither always the first of a new sitting nor always the last.

    Args:
        whole: all sequences.
        before: int64, shape (n_users,): items of each user that are not asked for.
    """
    owner = np.repeat(np.arange(len(whole)), whole.lengths)
    later = np.arange(len(whole.items)) - whole.indptr[owner] >= np.maximum(before, 1)[owner]
    found = np.flatnonzero(later)
    found = found[np.lexsort((np.random.default_rng(0).random(len(found)), owner[found]))]
    drawn = np.arange(len(found)) - np.searchsorted(owner[found], owner[found])
    return np.sort(found[drawn < QUERIES])


def _user_disjoint(interactions: Interactions) -> Protocol:
    whole = Sequences.from_interactions(interactions)
    n_users = len(whole)
    rng = np.random.default_rng(0)
    order, apart = rng.permutation(n_users), int(np.ceil(n_users * UNSEEN))
    unseen, asked = np.zeros(n_users, bool), np.zeros(n_users, bool)
    unseen[order[:apart]] = True
    asked[order[apart : 2 * apart]] = True
    trained = _until(whole, np.repeat(~unseen, whole.lengths))
    prefixes = ", ".join(map(str, PREFIX_LENGTHS))
    asked &= trained.lengths > 1
    if np.count_nonzero(asked) >= VALIDATORS:
        train, valid = _without_rest(trained, asked, rng)
        validation = (
            f"as many others validate, each after one of {prefixes} items, and no more of them is "
            "fitted until settings are chosen"
        )
    else:
        train, valid = _without_last(trained)
        validation = "the others' last items validate"
    queries: list[tuple[NDArray[np.int64], int]] = [
        (np.flatnonzero(unseen & (whole.lengths > length)), length) for length in PREFIX_LENGTHS
    ]
    users = np.concatenate([found for found, _ in queries]).astype(np.int64)
    lengths = np.concatenate([np.full(len(found), length) for found, length in queries])
    targets = whole.items[whole.indptr[users] + lengths]
    return Protocol(
        UNSEEN_USERS,
        f"{UNSEEN:.0%} of the users are never trained on; their next item is asked for after "
        f"{prefixes} items; {validation}",
        Split(train, valid, np.full(n_users, -1, np.int32), refitted=trained),
        Queries(_first_items(whole, users, lengths), targets, users),
    )


def _without_rest(
    sequences: Sequences, asked: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Sequences, NDArray[np.int32]]:
    """The sequences with those of ``asked`` cut to a length that is drawn, and what came next.

    int32, shape (n_users,), −1 for who is not asked; all of ``asked`` have two items or more. What
    is shown of them is fitted too, as with any session that was there when a model was made.
    """
    possible = np.searchsorted(PREFIX_LENGTHS, sequences.lengths)
    drawn = np.floor(rng.random(len(sequences)) * possible).astype(np.int64)
    shown = np.where(asked, np.take(PREFIX_LENGTHS, drawn), sequences.lengths)
    held_out = np.full(len(sequences), -1, np.int32)
    held_out[asked] = sequences.items[(sequences.indptr[:-1] + shown)[asked]]
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    place = np.arange(len(sequences.items)) - sequences.indptr[owner]
    return _until(sequences, place < shown[owner]), held_out


PROTOCOLS = {
    LEAVE_ONE_OUT: _leave_one_out,
    TEMPORAL: _global_temporal,
    UNSEEN_USERS: _user_disjoint,
}


def _refuse_bare_order(interactions: Interactions) -> None:
    """Where a source has no times they are 0, or each user's places: no cut goes through those."""
    starts = interactions.indptr[:-1][np.diff(interactions.indptr) > 0]
    first = interactions.timestamp[starts]
    if len(first) > 1 and (first == first[0]).all():
        raise ChangeSomethingError(
            "the global-temporal split needs the times of interactions, and this data set has a "
            "bare order only: take --split leave-one-out or user-disjoint"
        )


def _until(whole: Sequences, keep: NDArray[np.bool_]) -> Sequences:
    """The sequences with only the places that are kept."""
    kept = np.concatenate(([0], np.cumsum(keep)))
    return Sequences(kept[whole.indptr], whole.items[keep], whole.n_items)


def _first_items(
    whole: Sequences, users: NDArray[np.int64], lengths: NDArray[np.int64]
) -> Sequences:
    """The first so many items of each of ``users``, as new rows."""
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    where = np.repeat(whole.indptr[users] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return Sequences(indptr, whole.items[where], whole.n_items)
