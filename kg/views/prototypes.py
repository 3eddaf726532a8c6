"""Prototypes in the graph: kinds of readers, what each is characterised by, and who is like which.

They belong to one persona version, are written before it becomes current and go when it goes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kg.ingest.stage import Progress
from kg.ingest.tables import NodeRow, RelationKind, RelationRow, Writer
from kg.store import GraphStore, statement
from kg.views.export import batches, read_users

if TYPE_CHECKING:
    from kg.views.personas import PersonaModel

USERS = 500  # users a transaction
RELATIONS = 5_000  # relations a batch
SOURCE = "train"


@dataclass(frozen=True)
class Characteristic:
    """A fact that a prototype's readers lean to more often than readers at large.

    Attributes:
        relation: through which relation items carry the fact.
        label: of the entity.
        entity: its key.
        share: share of the prototype's readers that lean to it.
        lift: ``share`` over the share among all readers.
        p: chance of such a share by luck, corrected for the number of facts tested.
    """

    relation: str
    label: str
    entity: str
    share: float
    lift: float
    p: float


@dataclass(frozen=True)
class Prototype:
    """A kind of reader, to be written.

    Attributes:
        name: in words.
        size: readers it is the strongest prototype of.
        place: x, y on the map.
        facts: the most characteristic first.
    """

    name: str
    size: int
    place: tuple[float, float]
    facts: tuple[Characteristic, ...]


@dataclass(frozen=True)
class Prototypes:
    """All prototypes of a persona version, those with most readers first.

    Attributes:
        prototypes: the prototypes.
        weights: float32, shape (n_users, n_prototypes), rows add up to 1; 0 is not written.
        places: float32, shape (n_users, 2): users on the map.
        agreement: adjusted Rand index between clusterings of redrawn readers, 1 is perfect.
    """

    prototypes: tuple[Prototype, ...]
    weights: NDArray[np.float32]
    places: NDArray[np.float32]
    agreement: float


def prototype_id(model: PersonaModel, number: int) -> str:
    """Key of a version's prototype, numbered from 0; it begins with the data set's name."""
    return f"{model.dataset}:prototype-{model.id.rpartition('-')[2]}-{number + 1:02d}"


# -- writing, a step of write_personas -------------------------------------------------------------


def write_prototypes(
    store: GraphStore,
    model: PersonaModel,
    users: Sequence[str],
    found: Prototypes,
    progress: Progress,
) -> None:
    """Write the prototypes of a version that is not current yet.

    What a killed process left of the same version is deleted first.
    """
    delete_prototypes(store, model, users)
    writer = Writer(store, model.dataset, model.id, lambda: None)
    ids = [prototype_id(model, n) for n in range(len(found.prototypes))]
    nodes = [
        NodeRow(
            key,
            {
                "dataset": model.dataset,
                "model": model.id,
                "name": p.name,
                "rank": rank,
                "size": p.size,
                "x": p.place[0],
                "y": p.place[1],
                "source": SOURCE,
            },
        )
        for rank, (key, p) in enumerate(zip(ids, found.prototypes, strict=True), 1)
    ]
    writer.nodes("PersonaPrototype", nodes)
    _write_facts(writer, ids, found)
    _write_places(store, model, users, found.places)
    rows = [
        RelationRow(users[u], ids[p], {"weight": round(float(weight), 6), "source": SOURCE})
        for u, weights in enumerate(found.weights)
        for p, weight in enumerate(weights)
        if weight > 0
    ]
    done = 0
    for part in batches(rows, RELATIONS):
        writer.relations(RelationKind("RESEMBLES", "User", "PersonaPrototype"), part)
        progress("writing prototypes", done := done + len(part), len(rows))


def _write_facts(writer: Writer, ids: Sequence[str], found: Prototypes) -> None:
    facts = [
        (fact.label, key, rank, fact)
        for key, prototype in zip(ids, found.prototypes, strict=True)
        for rank, fact in enumerate(prototype.facts, 1)
    ]
    for label, group in groupby(sorted(facts, key=lambda f: f[:3]), key=lambda f: f[0]):
        rows = [
            RelationRow(
                key,
                fact.entity,
                {
                    "relation": fact.relation,
                    "share": round(fact.share, 6),
                    "lift": round(fact.lift, 6),
                    "p": float(f"{fact.p:.4g}"),
                    "rank": rank,
                    "source": SOURCE,
                },
            )
            for _, key, rank, fact in group
        ]
        kind = RelationKind("CHARACTERISED_BY", "PersonaPrototype", label)
        for part in batches(rows, RELATIONS):
            writer.relations(kind, part, key=("relation",))


def _write_places(
    store: GraphStore, model: PersonaModel, users: Sequence[str], places: NDArray[np.float32]
) -> None:
    write = statement("write_vectors", property=model.place_name)
    for part in batches(range(len(users)), RELATIONS):
        rows = [{"id": users[i], "vector": places[i].tolist()} for i in part]
        store.write(write, rows=rows)


def delete_prototypes(store: GraphStore, model: PersonaModel, users: Sequence[str]) -> None:
    """Delete a version's prototypes, users' weights and places, in small transactions."""
    for part in batches(users, USERS):
        store.write(statement("delete_resemblances"), ids=part, model=model.id)
        store.write(statement("remove_vectors", property=model.place_name), ids=part)
    store.write(statement("delete_prototypes"), model=model.id)


# -- reading ---------------------------------------------------------------------------------------


class PrototypeFact(NamedTuple):
    """A characteristic fact as it is read: see :class:`Characteristic`."""

    relation: str
    name: str
    id: str
    share: float
    lift: float
    p: float


@dataclass(frozen=True)
class StoredPrototype:
    """A prototype as it is read.

    Attributes:
        id: its key.
        name: in words.
        size: readers it is the strongest prototype of.
        place: x, y on the map.
        facts: the most characteristic first.
    """

    id: str
    name: str
    size: int
    place: tuple[float, float]
    facts: tuple[PrototypeFact, ...]


class Resemblance(NamedTuple):
    """How much of a prototype is in a user's persona; a user's weights add up to 1."""

    id: str
    name: str
    weight: float


class Place(NamedTuple):
    """Where a user stands on the map, and the key of the user's strongest prototype."""

    user: str
    x: float
    y: float
    prototype: str


def read_prototypes(store: GraphStore, model: PersonaModel) -> list[StoredPrototype]:
    """Prototypes of a version, those with most readers first; [] for a version without any."""
    facts: dict[str, list[PrototypeFact]] = {}
    for key, relation, name, entity, share, lift, p, _ in store.read(
        statement("prototype_facts"), model=model.id
    ):
        facts.setdefault(key, []).append(PrototypeFact(relation, name, entity, share, lift, p))
    return [
        StoredPrototype(key, name, size, (x, y), tuple(facts.get(key, ())))
        for key, name, _, size, x, y in store.read(statement("prototypes"), model=model.id)
    ]


def prototypes_of_user(store: GraphStore, user: str, model: PersonaModel) -> list[Resemblance]:
    """A user's prototypes by key of the user, most first."""
    rows = store.read(statement("prototype_weights"), user=user, model=model.id)
    return [Resemblance(*row) for row in rows]


def readers_of_prototype(store: GraphStore, prototype: str, n: int = 10) -> list[tuple[str, float]]:
    """Keys and weights of the users who have most of a prototype, by key of the prototype."""
    rows = store.read(statement("prototype_readers"), prototype=prototype, k=n)
    return [(user, weight) for user, weight in rows]


def read_places(store: GraphStore, model: PersonaModel) -> list[Place]:
    """All users on the map of a version, by key; [] for a version without prototypes."""
    best: dict[str, tuple[float, Place]] = {}
    query = statement("persona_places", property=model.place_name)
    for part in batches(read_users(store, model.dataset)):
        for user, place, prototype, weight in store.read(query, ids=part, model=model.id):
            had = best.get(user)
            if had is None or (-weight, prototype) < (-had[0], had[1].prototype):
                best[user] = (weight, Place(user, place[0], place[1], prototype))
    return [best[user][1] for user in sorted(best)]


def entity_names(
    store: GraphStore, entities: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Names of entities given as (label, key); the key where there is no name."""
    found = {entity: entity[1] for entity in entities}
    for label in sorted({label for label, _ in entities}):
        keys = sorted(key for of, key in entities if of == label)
        for part in batches(keys):
            for key, properties in store.read(statement("read_nodes", label=label), ids=part):
                found[label, key] = properties.get("name") or properties.get("title") or key
    return found


def read_agreement(store: GraphStore, model: PersonaModel) -> float | None:
    """How well a version's prototypes agree when readers are redrawn; None without prototypes."""
    rows = store.read(statement("prototype_agreement"), model=model.id)
    return rows[0][0] if rows else None
