"""What is in the graph: counts, schema, queries, exports, and the removal of a data set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.ingest import planned, remove
from kg.schema import NODE_TYPES, RELATION_TYPES
from kg.store import GraphStore
from personarec.console import out, print_table, progress_bar
from personarec.datasets.manifest import name_of

if TYPE_CHECKING:
    from kg.export import ExportResult
    from kg.ingest import RemoveResult


def remove_data_set(
    store: GraphStore, dataset: str, home: Path, *, confirmed: bool
) -> RemoveResult:
    """Take a data set out of the graph. Raises ChangeSomethingError unless it is confirmed."""
    name = name_of(dataset)
    if not confirmed:
        raise ChangeSomethingError(f"would remove {planned(store, name)}; add --yes to do it")
    with progress_bar() as progress:
        return remove(store, name, home, progress)


def print_removed(result: RemoveResult) -> None:
    """What a removal took away, and what it left."""
    nodes = ", ".join(f"{count} {label}" for label, count in result.nodes.items())
    out.print(
        f"removed data set {result.dataset}: {nodes or 'no'} nodes, {result.relations} relations, "
        f"{result.orphans} shared nodes that nothing else uses",
        markup=False,
    )
    if result.kept_for:
        out.print(
            f"kept shared nodes without relations, because loads of {', '.join(result.kept_for)} "
            "are open; the next kg remove takes them",
            markup=False,
        )


def export_to(
    store: GraphStore, dataset: str, form: str, out: Path, *, force: bool, interactions: bool
) -> ExportResult:
    """Write a data set of the graph into a folder."""
    from kg.export import export_data_set

    with progress_bar() as progress:
        return export_data_set(
            store, dataset, form, out, progress, force=force, interactions=interactions
        )


def print_exported(result: ExportResult) -> None:
    """The files of an export, and where they are."""
    print_table(f"data set {result.dataset}", ("file", "rows"), sorted(result.files.items()))
    out.print(f"written: {result.folder}", markup=False)


def print_stats(found: dict[str, Any]) -> None:
    """Counts, and the ledger."""
    print_table("nodes", ("label", "count"), sorted(found["nodes"].items()))
    print_table("relations", ("type", "count"), sorted(found["relations"].items()))
    if found["loads"]:
        columns = tuple(found["loads"][0])
        print_table("loads", columns, [tuple(load.values()) for load in found["loads"]])


def schema_document() -> dict[str, Any]:
    """The schema as plain data."""
    return {
        "nodes": [asdict(n) | {"role": n.role.value} for n in NODE_TYPES],
        "relations": [asdict(r) for r in RELATION_TYPES],
    }


def print_schema() -> None:
    """The schema as two tables."""
    print_table(
        "nodes",
        ("label", "role", "properties", "what"),
        [
            (n.label, n.role.value, ", ".join(p.name for p in n.properties), n.doc)
            for n in NODE_TYPES
        ],
    )
    print_table(
        "relations",
        ("type", "from", "to", "predicate", "what"),
        [
            (
                r.name, " ".join(r.sources), " ".join(t or "the same" for t in r.targets),
                r.predicate, r.doc,
            )
            for r in RELATION_TYPES
        ],
    )  # fmt: skip
