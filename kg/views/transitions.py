"""Transitions between items as NEXT relations: the training's counts, written to the graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from scipy import sparse

from kg.ingest.stage import Progress
from kg.ingest.tables import Counts, RelationKind, RelationRow, Writer
from kg.store import GraphStore
from kg.views.export import Catalogue, batches

SOURCES = 1_000  # items a transaction


def write_transitions(
    store: GraphStore,
    dataset: str,
    catalogue: Catalogue,
    counts: Sequence[sparse.csr_array],
    run: str,
    progress: Progress,
) -> Counts:
    """Make the data set's NEXT relations say exactly ``counts``; others are deleted.

    Args:
        store: the graph.
        dataset: name of the data set.
        catalogue: its items.
        counts: gaps 1, 2, 3; integer CSR, shape (items, items), of training interactions only.
        run: the training's id, kept as load id.
        progress: called with items done.
    """
    union = sparse.coo_array(sum((c != 0).astype(np.int8) for c in counts))
    order = np.lexsort((union.col, union.row))
    rows, columns = union.row[order], union.col[order]
    gaps = [np.asarray(sparse.csr_array(c)[rows, columns]).ravel().tolist() for c in counts]
    ids = catalogue.ids
    by_source = {
        source: [
            RelationRow(source, ids[c], {"gap1": a, "gap2": b, "gap3": d, "source": "train"})
            for _, c, a, b, d in group
        ]
        for source, group in (
            (ids[r], list(g))
            for r, g in groupby(
                zip(rows.tolist(), columns.tolist(), *gaps, strict=True), key=lambda x: x[0]
            )
        )
    }
    kind = RelationKind("NEXT", catalogue.label, catalogue.label)
    writer = Writer(store, dataset, run, lambda: None)
    total = Counts()
    done = 0
    for part in batches(ids, SOURCES):
        relations = [r for source in part for r in by_source.get(source, ())]
        total += writer.relations(kind, relations, replace_sources=part)
        progress("writing transitions", done := done + len(part), len(ids))
    return total
