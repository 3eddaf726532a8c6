"""A small world to compare in, made without a graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kg.views import Catalogue, HeteroGraph, Interactions, binary_matrix
from kg.views.links import ItemLinks
from personarec.compare.config import CompareConfig
from personarec.compare.world import World
from personarec.evaluation.protocols import make_protocol
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions
from personarec.training.data import GraphData, fact_matrix

N_USERS, N_ITEMS = 40, 24
LINKED_USERS, LINKED_ITEMS = 96, 48


def ordered(rows: list[tuple[int, int, int]], n_users: int, n_items: int) -> Interactions:
    """Interactions of (user, item, time), sorted by user and time."""
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    return Interactions(
        tuple(f"u{u:02}" for u in range(n_users)), tuple(f"i{i:02}" for i in range(n_items)),
        user.astype(np.int32), item.astype(np.int32), time.astype(np.int64),
        np.arange(len(user), dtype=np.int64),
    )  # fmt: skip


def small_data(*, also: bool = False) -> GraphData:
    """Users who walk through the items of one author, at times that rise."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(N_USERS):
        start, author = rng.integers(0, 300), user % 4
        items = rng.permutation(np.arange(author, N_ITEMS, 4))[: rng.integers(3, 7)]
        rows += [(user, int(i), int(start + 100 * k)) for k, i in enumerate(items)]
    interactions = ordered(rows, N_USERS, N_ITEMS)
    ids = interactions.items
    everything = np.arange(N_ITEMS)
    relations = {
        ("Book", "AUTHOR", "Person"): binary_matrix(everything, everything % 4, (N_ITEMS, 4)),
        ("Book", "IN_SERIES", "Series"): binary_matrix(everything, everything // 6, (N_ITEMS, 4)),
    }
    if also:
        relations["Book", "ALSO_BOUGHT", "Book"] = binary_matrix(
            everything[1:], everything[:-1], (N_ITEMS, N_ITEMS)
        )
    nodes = {"Book": ids, "Person": tuple("abcd"), "Series": tuple("wxyz")}
    graph = HeteroGraph(nodes, relations)
    catalogue = Catalogue("Book", ids, tuple(f"Title {i}" for i in range(N_ITEMS)))
    facts, columns = fact_matrix(graph, catalogue)
    split = make_protocol("leave-one-out", interactions).split
    return GraphData("small", catalogue, interactions, split, graph, facts, columns)


def linked_data() -> GraphData:
    """Each user has three items drawn at random, then three that facts link in a row."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(LINKED_USERS):
        triple = 3 * (user % (LINKED_ITEMS // 3)) + np.arange(3)
        drawn = rng.choice(np.setdiff1d(np.arange(LINKED_ITEMS), triple), 3, replace=False)
        rows += [(user, int(i), k) for k, i in enumerate([*drawn, *triple])]
    interactions = ordered(rows, LINKED_USERS, LINKED_ITEMS)
    ids = interactions.items
    # Each shares a fact with the item after it.
    earlier = np.flatnonzero(np.arange(LINKED_ITEMS) % 3 < 2)
    n = len(earlier)
    facts = binary_matrix(
        np.concatenate([earlier, earlier + 1]), np.tile(np.arange(n), 2), (LINKED_ITEMS, n)
    )
    graph = HeteroGraph(
        {"Book": ids, "Person": tuple(f"p{i:02}" for i in range(n))},
        {("Book", "AUTHOR", "Person"): facts},
    )
    catalogue = Catalogue("Book", ids, (None,) * LINKED_ITEMS)
    split = make_protocol("leave-one-out", interactions).split
    return GraphData(
        "linked", catalogue, interactions, split, graph, *fact_matrix(graph, catalogue)
    )


def small_world(out: Path, *, split: str = "leave-one-out", **changes: Any) -> World:
    """The world of these data, with networks that train in no time."""
    data = small_data()
    protocol = make_protocol(split, data.interactions)
    config = CompareConfig(
        split=split,
        sasrec=SasRecConfig(embedding_size=16, max_length=8),
        options=TrainingOptions(epochs=2, batch_size=64, negatives=0),
        samples=200,
        **{"seeds": 2, **changes},
    )
    linked = np.arange(N_ITEMS) % 2 == 0
    return World(
        replace(data, split=protocol.split), protocol, config, out, data.content_hash(),
        ItemLinks(linked, np.where(linked, 0.9, np.nan)), {},
    )  # fmt: skip
