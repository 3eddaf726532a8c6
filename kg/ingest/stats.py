"""What is in the graph: numbers of nodes and relations, data sets and their loads."""

from __future__ import annotations

from typing import Any

from kg.errors import ChangeSomethingError
from kg.ingest.dump import relation_kinds
from kg.schema import NODE_TYPES, Role
from kg.store import GraphStore, statement

LOAD_COLUMNS = (
    "id", "status", "startedAt", "finishedAt", "rowsIn", "merged", "duplicates", "filtered",
    "quarantined", "created", "changed",
)  # fmt: skip


def data_sets(store: GraphStore) -> list[dict[str, Any]]:
    """Data sets with their domain, content hash and current persona model."""
    columns = ("id", "domain", "contentHash", "personaModel")
    return [dict(zip(columns, row, strict=True)) for row in store.read(statement("data_sets"))]


def loaded_names(store: GraphStore) -> list[str]:
    """Names of the data sets that were loaded."""
    return [str(d["id"]) for d in data_sets(store) if d["domain"]]


def require_data_set(store: GraphStore, name: str) -> dict[str, Any]:
    """The data set of a name. Raises ChangeSomethingError when it is not in the graph."""
    loaded = {d["id"]: d for d in data_sets(store) if d["domain"]}
    if name in loaded:
        return loaded[name]
    known = ", ".join(loaded) or "none yet"
    raise ChangeSomethingError(
        f"data set {name!r} is not in the graph of the {store.address} (there: {known}); "
        f"run personarec kg ingest --dataset {name} first"
    )


def stats(store: GraphStore, dataset: str | None = None) -> dict[str, Any]:
    """Counts of nodes by label and relations by type; those of one data set where it is named.

    Entities are shared, so a data set's count leaves them out.
    """
    nodes: dict[str, int] = {}
    for node in NODE_TYPES:
        if dataset is None:
            rows = store.read(statement("count_nodes", label=node.label))
        elif node.role is not Role.ENTITY and node.label != "DataSet":
            rows = store.read(statement("count_data_set_nodes", label=node.label), dataset=dataset)
        else:
            continue
        if rows[0][0]:
            nodes[node.label] = rows[0][0]
    relations: dict[str, int] = {}
    for name, source in sorted({(r.name, source) for r, source, _ in relation_kinds()}):
        if dataset is None:
            rows = store.read(statement("count_relations", type=name, source=source))
        else:
            rows = store.read(
                statement("count_data_set_relations", type=name, source=source), dataset=dataset
            )
        if rows[0][0]:
            relations[name] = relations.get(name, 0) + rows[0][0]
    loads = [
        dict(zip(LOAD_COLUMNS, row, strict=True))
        for d in data_sets(store)
        if dataset in (None, d["id"])
        for row in store.read(statement("loads"), dataset=d["id"])
    ]
    return {"nodes": nodes, "relations": relations, "loads": loads}
