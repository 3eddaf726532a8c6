"""Take a data set out of the graph, in small transactions, and nothing of any other.

Safe to repeat after any failure: readers stop finding the data set first, its loads go before its
content (so that no journal is believed afterwards), and its own node goes last.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neo4j import SummaryCounters

from kg.errors import ChangeSomethingError
from kg.ingest.stage import Progress
from kg.ingest.stats import data_sets, stats
from kg.schema import ENTITY_RELATIONS, NODE_TYPES, Role
from kg.store import GraphStore, Statement, Transaction, statement

NODES = 1_000  # nodes a transaction
RELATIONS = 5_000  # relations a transaction, more only where one node alone has more

PERSONS_WORK = ("corrections.tsv", "mended.jsonl")
"""Files of a data set's folder that a removal leaves: nobody could make them again."""

_OWN = tuple(n.label for n in NODE_TYPES if n.role in (Role.USER, Role.ITEM, Role.DERIVED))
_SHARED = tuple(n.label for n in NODE_TYPES if n.role in (Role.ENTITY, Role.ITEM))


@dataclass
class RemoveResult:
    """What a removal took away."""

    dataset: str
    nodes: dict[str, int] = field(default_factory=dict)
    relations: int = 0
    orphans: int = 0
    """Shared nodes that no relation touched any more."""
    kept_for: list[str] = field(default_factory=list)
    """Data sets with an open load that may count on nodes without relations: those were kept."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def planned(store: GraphStore, dataset: str) -> str:
    """What a removal would take away, in words. Raises ChangeSomethingError: no such data set."""
    _require(store, dataset)
    found = stats(store, dataset)
    nodes = ", ".join(f"{count} {label}" for label, count in found["nodes"].items())
    return (
        f"{nodes or 'no'} nodes and {sum(found['relations'].values())} relations of data set "
        f"{dataset}, and what entities no other data set uses"
    )


def remove(store: GraphStore, dataset: str, home: Path, progress: Progress) -> RemoveResult:
    """Take away a data set's nodes, relations, personas, ledger, stage and journals.

    Shared nodes go where no relation touches them any more. Run directories stay.

    Args:
        store: the graph.
        dataset: name of the data set.
        home: the project's home folder.
        progress: called with nodes done.

    Raises:
        ChangeSomethingError: there is no such data set.
        TryAgainError: another process runs the embedded engine, or the server went away; running
            again goes on from there.
    """
    _require(store, dataset)
    removal = _Removal(store, dataset, progress)
    removal.drop_vector_indexes()
    removal.close()
    for label in _OWN:
        removal.nodes(label)
    removal.orphans()
    removal.nodes("PersonaModel")
    _remove_folder(home, dataset)
    store.write(statement("delete_data_set"), dataset=dataset)
    return removal.result


def _require(store: GraphStore, dataset: str) -> None:
    # One without a domain counts too: its first load, or its removal, was interrupted.
    names = [d["id"] for d in data_sets(store)]
    if dataset not in names:
        raise ChangeSomethingError(
            f"data set {dataset!r} is not in the graph of the {store.address} "
            f"(there: {', '.join(names) or 'none yet'}); nothing to remove"
        )


def _remove_folder(home: Path, dataset: str) -> None:
    folder = home / "ingest" / dataset
    # A name that is no plain folder name came from no manifest; nothing was staged under it.
    if Path(dataset).parts == (dataset,) and dataset != ".." and folder.is_dir():
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in PERSONS_WORK:
                entry.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


class _Removal:
    def __init__(self, store: GraphStore, dataset: str, progress: Progress) -> None:
        self.store = store
        self.dataset = dataset
        self.progress = progress
        self.result = RemoveResult(dataset)

    def drop_vector_indexes(self) -> None:
        """First, because the embedded engine of another process refuses it."""
        rows = self.store.read(statement("persona_indexes"))
        shared = {index for owner, index, _ in rows if owner != self.dataset}
        for owner, index, prop in rows:
            if owner == self.dataset and index not in shared:
                self.store.drop_vector_index(index, "User", prop)

    def close(self) -> None:
        """From here on readers do not find the data set, and no load of it can be gone on with."""
        self._write(statement("close_data_set"), dataset=self.dataset)
        self.nodes("Load")

    def nodes(self, label: str) -> None:
        """The data set's own nodes of a label, after all relations that leave any of them."""
        rows = self.store.read(statement("data_set_nodes", label=label), dataset=self.dataset)
        keys = sorted(row[0] for row in rows)
        for part in _parts(keys):
            self._relations(label, part)
        for part in _parts(keys):
            gone = self._write(statement("delete_nodes", label=label), ids=part).nodes_deleted
            self.result.nodes[label] = self.result.nodes.get(label, 0) + gone
            self.progress(f"removing {label}", self.result.nodes[label], len(keys))

    def _relations(self, label: str, keys: Sequence[str]) -> None:
        degrees = self.store.read(statement("count_outgoing", label=label), ids=list(keys))
        for part in _packed(degrees):
            done = self._write(statement("delete_outgoing", label=label), ids=part)
            self.result.relations += done.relationships_deleted
        self.progress(f"removing relations of {label}", self.result.relations, None)

    def orphans(self) -> None:
        """Shared nodes without relations; not while another load may be about to relate them."""
        open_loads = self.store.read(statement("open_loads"), dataset=self.dataset)
        if open_loads:
            self.result.kept_for = sorted({row[0] for row in open_loads})
            return
        self._stray_facts()
        for label in _SHARED:
            keys = sorted(row[0] for row in self.store.read(statement("orphans", label=label)))
            for part in _parts(keys):
                done = self._write(statement("delete_orphans", label=label), ids=part)
                self.result.orphans += done.nodes_deleted
                self.progress("removing orphans", self.result.orphans, None)

    def _stray_facts(self) -> None:
        """Relations between shared nodes that would keep each other from being orphans."""
        for relation in ENTITY_RELATIONS:
            (source,), (target,) = relation.sources, relation.targets
            names = {"type": relation.name, "source": source, "target": target}
            keys = sorted(row[0] for row in self.store.read(statement("stray_sources", **names)))
            for part in _parts(keys):
                done = self._write(statement("delete_stray_facts", **names), ids=part)
                self.result.relations += done.relationships_deleted

    def _write(self, query: Statement, **parameters: Any) -> SummaryCounters:
        """In a transaction that holds the data set's lock, so that no load comes between."""

        def work(tx: Transaction) -> SummaryCounters:
            token = f"remove {secrets.token_hex(8)}"  # new each time, see Writer
            tx.execute(statement("lock_data_set"), dataset=self.dataset, token=token)
            return tx.execute(query, **parameters)

        return self.store.transaction(work)


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), NODES):
        yield list(keys[start : start + NODES])


def _packed(degrees: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
    """Keys of (key, relations) in parts of at most RELATIONS relations, or of one key."""
    part: list[str] = []
    size = 0
    for key, degree in degrees:
        if part and size + degree > RELATIONS:
            yield part
            part, size = [], 0
        part.append(key)
        size += degree
    if part:
        yield part
