"""A data set out of the graph, as plain arrays in a stable order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kg.schema import FACT_RELATIONS, target_label
from kg.store import GraphStore, Statement, statement
from kg.views.hetero import HeteroGraph, RelationKey, binary_matrix
from kg.views.interactions import Interactions

T = TypeVar("T")
BATCH = 2_000  # nodes a query; bounds the size of its columns
FEW = 50_000  # nodes that come as one list; of more, one answer would be too large


@dataclass(frozen=True)
class Catalogue:
    """Items of a data set in stable order, with their titles."""

    label: str
    ids: tuple[str, ...]
    titles: tuple[str | None, ...]


def batches(ids: Sequence[T], size: int = BATCH) -> Iterator[list[T]]:
    """Consecutive slices of ``ids``."""
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])


def read_catalogue(store: GraphStore, dataset: str, label: str) -> Catalogue:
    """Items of a data set, by id."""
    few, every = statement("first_items", label=label), statement("export_items", label=label)
    rows = _nodes(store, few, every, dataset)
    return Catalogue(label, tuple(r[0] for r in rows), tuple(r[1] for r in rows))


def read_users(store: GraphStore, dataset: str) -> tuple[str, ...]:
    """Users of a data set, by id."""
    few, every = statement("first_users"), statement("export_users")
    return tuple(row[0] for row in _nodes(store, few, every, dataset))


def _nodes(store: GraphStore, few: Statement, every: Statement, dataset: str) -> list[list[Any]]:
    """Rows of ``every``, sorted; where they are few, as the list that ``few`` gives."""
    rows: list[list[Any]]
    ((rows,),) = store.read(few, dataset=dataset, most=FEW + 1)
    return sorted(rows if len(rows) <= FEW else store.read(every, dataset=dataset))


def read_interactions(store: GraphStore, dataset: str, catalogue: Catalogue) -> Interactions:
    """All interactions of a data set, sorted by (user, timestamp, row)."""
    users = read_users(store, dataset)
    query = statement("export_rated", target=catalogue.label)
    columns = _columns(store, query, users, 4)
    user = _positions(columns[0], users)
    item = _positions(columns[1], catalogue.ids)
    timestamp = np.array(columns[2], np.int64)
    row = np.array(columns[3], np.int64)
    order = np.lexsort((row, timestamp, user))
    return Interactions(
        users,
        catalogue.ids,
        user[order].astype(np.int32),
        item[order].astype(np.int32),
        timestamp[order],
        row[order],
    )


def read_facts(store: GraphStore, catalogue: Catalogue) -> HeteroGraph:
    """Items, the entities their facts name, and the fact relations between them."""
    label = catalogue.label
    pairs: dict[RelationKey, tuple[list[str], list[str]]] = {}
    for relation in FACT_RELATIONS:
        if label not in relation.sources:
            continue
        target = target_label(relation, label)
        query = statement("export_relations", source=label, type=relation.name, target=target)
        sources, targets = _columns(store, query, catalogue.ids, 2)
        if sources:
            pairs[label, relation.name, target] = (sources, targets)
    nodes: dict[str, tuple[str, ...]] = {label: catalogue.ids}
    for kind in sorted({key[2] for key in pairs}):
        found = {t for key, (_, targets) in pairs.items() if key[2] == kind for t in targets}
        # Works outside the data set follow its own items, so that item indices stay as they are.
        known = nodes.get(kind, ())
        nodes[kind] = known + tuple(sorted(found - set(known)))
    relations = {
        key: binary_matrix(
            _positions(sources, nodes[key[0]]),
            _positions(targets, nodes[key[2]]),
            (len(nodes[key[0]]), len(nodes[key[2]])),
        )
        for key, (sources, targets) in pairs.items()
    }
    return HeteroGraph(nodes, relations)


def read_transitions(store: GraphStore, catalogue: Catalogue) -> list[sparse.csr_array]:
    """Transition counts of gaps 1, 2, 3: int32 CSR, shape (items, items)."""
    query = statement("export_transitions", label=catalogue.label)
    sources, targets, *gaps = _columns(store, query, catalogue.ids, 5)
    rows, columns = _positions(sources, catalogue.ids), _positions(targets, catalogue.ids)
    size = len(catalogue.ids)
    result = []
    for counts in gaps:
        matrix = sparse.csr_array(
            (np.array(counts, np.int32), (rows, columns)), shape=(size, size), dtype=np.int32
        )
        matrix.eliminate_zeros()
        result.append(matrix)
    return result


def read_columns(store: GraphStore, query: Statement, ids: Sequence[str]) -> list[list[Any]]:
    """The columns that a statement has collected for nodes by their keys.

    Raises ValueError: columns of unequal length. ``collect()`` drops nulls, so a missing property
    would shift the values after it to the wrong row.
    """
    columns: list[list[Any]]
    (columns,) = store.read(query, ids=ids)
    if len({len(c) for c in columns}) != 1:
        raise ValueError(f"{query.name}: columns of unequal length; a property is missing")
    return columns


def _columns(
    store: GraphStore, query: Statement, ids: Sequence[str], width: int
) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(width)]
    # Two at a time: the server reads one batch while the driver unpacks the other.
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda part: read_columns(store, query, part), batches(ids)):
            for column, values in zip(columns, found, strict=True):
                column.extend(values)
    return columns


def _positions(keys: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    index = {key: position for position, key in enumerate(known)}
    return np.fromiter((index[k] for k in keys), np.int64, len(keys))
