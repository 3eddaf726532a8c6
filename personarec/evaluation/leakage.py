"""Guards that stop a run whose inputs know the answer.

Each guard is cheap enough to run before every fit. A leak multiplies results without a sound (a
held-out edge left in the graph made five times the hit rate in a probe), so it stops the run.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceABC
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from kg.errors import ChangeSomethingError

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences


class LeakError(ChangeSomethingError):
    """Held-out data was found in an input; the message names what and where."""


def refuse_leak(
    where: str, fitted: Sequences | csr_array, held_out: NDArray[np.int32], what: str = "held-out"
) -> None:
    """Refuse an input that contains held-out interactions.

    An item a user touched before and again as the held-out one looks like a leak too: only pass
    data in which a user meets an item once, or check the repeats with ``refuse_long``.

    Args:
        where: name of the input, for the message.
        fitted: sequences, or a user × item matrix (a persona's source, RATED edges).
        held_out: int32, shape (n_users,), item per user, -1 for none.
        what: name of the held-out part, for the message.

    Raises:
        LeakError: some user's held-out item is in the user's row.
    """
    indptr, indices = (
        (fitted.indptr, fitted.indices)
        if isinstance(fitted, csr_array)
        else (fitted.indptr, fitted.items)
    )
    if len(indptr) - 1 != len(held_out):
        raise ValueError(f"{where} has {len(indptr) - 1} users, {what} has {len(held_out)}")
    lengths = np.diff(indptr)
    leaked = indices == np.repeat(held_out, lengths)
    if isinstance(fitted, csr_array):
        leaked &= fitted.data != 0  # an explicit zero says nothing
    if leaked.any():
        users = np.unique(np.repeat(np.arange(len(held_out)), lengths)[leaked])
        raise LeakError(
            f"{where}: {len(users)} {what} interactions leaked in, the first is user "
            f"{users[0]}, item {held_out[users[0]]}; build it from the fit sequences only"
        )


def refuse_long(where: str, fitted: Sequences, allowed: Sequences) -> None:
    """Refuse sequences that are not a beginning of those allowed.

    Raises:
        LeakError: some user has more items than allowed, or others.
    """
    if len(fitted) != len(allowed):
        raise ValueError(f"{where} has {len(fitted)} users, {len(allowed)} are allowed")
    lengths = fitted.lengths
    longer = np.flatnonzero(lengths > allowed.lengths)
    if len(longer):
        raise LeakError(
            f"{where}: {len(longer)} users have more items than the fit sequences allow, "
            f"the first is user {longer[0]}"
        )
    offsets = np.arange(len(fitted.items)) - np.repeat(fitted.indptr[:-1], lengths)
    other = fitted.items != allowed.items[np.repeat(allowed.indptr[:-1], lengths) + offsets]
    if other.any():
        user = int(np.repeat(np.arange(len(fitted)), lengths)[other][0])
        raise LeakError(f"{where}: the items of user {user} are not those of the fit sequences")


def refuse_transitions(
    where: str, counts: SequenceABC[csr_array], allowed: SequenceABC[csr_array]
) -> None:
    """Refuse transition counts above what the fit sequences hold.

    Args:
        where: name of the input, for the message.
        counts: csr, shape (n_items, n_items), one per gap, as read for fitting.
        allowed: the same counted from the fit sequences.

    Raises:
        LeakError: some transition is counted more often than it occurs.
    """
    if len(counts) > len(allowed):
        raise LeakError(f"{where}: transitions at {len(counts)} gaps, {len(allowed)} are allowed")
    for gap, (found, known) in enumerate(zip(counts, allowed, strict=False), start=1):
        excess = csr_array(found.astype(np.int64) - known.astype(np.int64)).tocoo()
        above = excess.data > 0
        if above.any():
            first = int(np.argmax(above))
            raise LeakError(
                f"{where}: {int(excess.data[above].sum())} transitions at gap {gap} are not in the "
                f"fit sequences, the first is {excess.row[first]} → {excess.col[first]}"
            )


def refuse_late(
    where: str, fitted: Sequences, times: NDArray[np.int64], indptr: NDArray[np.int64], cut: int
) -> None:
    """Refuse sequences that hold interactions at or after a cut in time.

    Args:
        where: name of the input, for the message.
        fitted: sequences; a beginning of each user's interactions.
        times: int64, shape (n,), of all interactions, sorted by user and time.
        indptr: int64, shape (n_users + 1,): whose they are.
        cut: first moment that may not be known.

    Raises:
        LeakError: the last fitted item of some user came at the cut or later.
    """
    lengths = fitted.lengths
    some = np.flatnonzero(lengths > 0)
    last = times[indptr[:-1][some] + lengths[some] - 1]
    if (last >= cut).any():
        user = int(some[np.argmax(last >= cut)])
        raise LeakError(
            f"{where}: {int((last >= cut).sum())} users have interactions at or after the cut "
            f"({cut}), the first is user {user}; fit to what came before it"
        )


def refuse_known_users(where: str, fitted: Sequences | csr_array, users: NDArray[np.int64]) -> None:
    """Refuse fitted input that holds anything of users who must be strangers at test.

    Args:
        where: name of the input, for the message.
        fitted: sequences, or a user × item matrix.
        users: int64, indices of the test users.

    Raises:
        LeakError: some test user has a fitted interaction.
    """
    known = users[np.diff(fitted.indptr)[users] > 0]
    if len(known):
        raise LeakError(
            f"{where}: {len(np.unique(known))} of the users that are tested were fitted to, the "
            f"first is user {known[0]}; leave them out"
        )


def refuse_popularity(where: str, counts: NDArray[np.integer], allowed: Sequences) -> None:
    """Refuse item counts above what the fit sequences hold.

    Raises:
        LeakError: some item is counted more often than it occurs.
    """
    excess = counts - np.bincount(allowed.items, minlength=allowed.n_items)
    if (excess > 0).any():
        raise LeakError(
            f"{where}: {int(excess[excess > 0].sum())} interactions more than the fit sequences "
            f"hold, the first of item {int(np.argmax(excess > 0))}; count the fit sequences only"
        )


LATER_PURCHASES = frozenset({"ALSO_BOUGHT", "ALSO_VIEWED", "BOUGHT_TOGETHER"})
"""Relations that a shop derived from purchases up to the day its pages were copied."""


def refuse_later_purchases(where: str, relations: SequenceABC[str]) -> None:
    """Refuse facts that were derived from later purchases of other people.

    Raises:
        LeakError: a relation of ``LATER_PURCHASES`` is among them.
    """
    found = sorted(LATER_PURCHASES & set(relations))
    if found:
        raise LeakError(
            f"{where}: {', '.join(found)} were derived from later purchases, the held-out ones "
            "among them; load the data set without --also, or leave these relations out"
        )
