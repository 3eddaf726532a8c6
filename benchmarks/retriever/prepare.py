"""A data set for both sides: ``kg ingest``, our split as arrays, and our export as atomic files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kg.export import export_data_set
from kg.ingest import ingest
from kg.store import connect
from kg.views import Interactions, read_catalogue, read_interactions
from personarec.datasets.manifest import resolve
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split, leave_one_out


@dataclass(frozen=True)
class Prepared:
    """What was written.

    Attributes:
        split: file of our split.
        atomic: folder that holds NAME/NAME.inter.
        name: of the data set.
        users: number of them.
        items: number of them.
        targets: items that the training asks for.
        valid: hash of the (user, item) pairs held out for validation.
        test: the same for the test.
    """

    split: Path
    atomic: Path
    name: str
    users: int
    items: int
    targets: int
    valid: str
    test: str


def prepare(dataset: str, folder: Path) -> Prepared:
    """Load a data set into an embedded graph in ``folder`` and write it out for both sides."""
    sources = resolve(dataset)
    with connect(None, folder / "home") as store:
        ingest(store, sources, folder / "home", _quiet)
        catalogue = read_catalogue(store, sources.name, sources.item_label)
        interactions = read_interactions(store, sources.name, catalogue)
        out = folder / "atomic" / sources.name
        out.parent.mkdir(exist_ok=True)
        export_data_set(store, sources.name, "atomic", out, _quiet, force=True)
    split = leave_one_out(interactions)
    save_split(split, folder / "split.npz")
    return Prepared(
        folder / "split.npz",
        out.parent,
        sources.name,
        len(interactions.users),
        len(interactions.items),
        int(np.maximum(split.train.lengths - 1, 0).sum()),
        _fingerprint(interactions, split.valid, sources.name),
        _fingerprint(interactions, split.test, sources.name),
    )


def save_split(split: Split, file: Path) -> None:
    """The arrays of a split, for :func:`load_split`."""
    np.savez(
        file,
        indptr=split.train.indptr,
        items=split.train.items,
        n_items=split.train.n_items,
        valid=split.valid,
        test=split.test,
    )


def load_split(file: Path) -> Split:
    """What :func:`save_split` wrote."""
    found = np.load(file)
    train = Sequences(found["indptr"], found["items"], int(found["n_items"]))
    return Split(train, found["valid"], found["test"])


def replicated(split: Split, times: int) -> Split:
    """So many times the users, with the same items each."""
    train = split.train
    lengths = np.tile(train.lengths, times)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return Split(
        Sequences(indptr, np.tile(train.items, times), train.n_items),
        np.tile(split.valid, times),
        np.tile(split.test, times),
    )


def _fingerprint(interactions: Interactions, held_out: NDArray[np.int32], dataset: str) -> str:
    """As with_recbole.py makes it of its own tables."""
    prefix = f"{dataset}:"
    lines = sorted(
        f"{interactions.users[user].removeprefix(prefix)}"
        f"\t{interactions.items[held_out[user]].removeprefix(prefix)}"
        for user in np.flatnonzero(held_out >= 0)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _quiet(_what: str, _done: int, _total: int | None) -> None:
    """A progress callback that says nothing."""
