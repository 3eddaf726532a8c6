"""Personas in the graph: versions written beside each other, one of them current.

The dense vector is a property of the user named after its version, under a vector index of its own;
the strongest facts are PREFERS relations that carry the version's id. Personas that are themselves
lists of facts have no vector. Readers follow the data set's ``personaModel``; one small transaction
moves it when all of a version is there, its prototypes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from kg.ingest.stage import Progress
from kg.ingest.tables import RelationKind, RelationRow, Writer
from kg.store import GraphStore, statement
from kg.views.export import batches, read_users
from kg.views.prototypes import Prototypes, delete_prototypes, write_prototypes

USERS = 500  # users a transaction
VECTOR_BYTES = 4_000_000  # of vectors a message
MOST_DIMENSIONS = 4096
"""Most that a vector index of Neo4j has; held to on the embedded engine too, so that personas made
on one fit the other."""


@dataclass(frozen=True)
class PersonaModel:
    """One version of a data set's personas.

    ``fitted`` says of which interactions it was made; ``id`` holds a hash of content, so the same
    personas are the same version. ``dimension`` is 0 for personas that are lists of facts alone.
    """

    id: str
    dataset: str
    encoder: str
    dimension: int
    fitted: str
    users: int

    @property
    def property_name(self) -> str:
        """Name of the user property that holds the vector."""
        return "persona" + self.id.rpartition("-")[2]

    @property
    def index(self) -> str:
        """Name of the vector index over the property."""
        return f"{self.property_name}_vector"

    @property
    def place_name(self) -> str:
        """Name of the user property that holds the place on the map of personas."""
        return f"{self.property_name}_place"


@dataclass(frozen=True)
class Preference:
    """A strong fact of a user's persona."""

    user: str
    label: str
    entity: str
    relation: str
    weight: float


def write_personas(
    store: GraphStore,
    model: PersonaModel,
    users: Sequence[str],
    vectors: NDArray[np.float32],
    preferences: Sequence[Preference],
    progress: Progress,
    prototypes: Prototypes | None = None,
) -> None:
    """Write a version, where it is not there yet, and make it current.

    Args:
        store: the graph.
        model: the version.
        users: keys of the users, shape (n,).
        vectors: float32, shape (n, dimension), finite and not zero.
        preferences: strongest facts, any order.
        progress: called with users done.
        prototypes: kinds of readers among them, where there are any.

    Raises:
        ChangeSomethingError: vectors of another shape, with NaN or infinity, zero, or too long.
    """
    check_vectors(model, users, vectors)
    before = current_model(store, model.dataset)
    if model not in versions(store, model.dataset):
        _write_version(store, model, users, vectors, preferences, progress, prototypes)
    use_personas(store, model.dataset, model.id)
    _remove_old(store, model.dataset, before)


def check_vectors(model: PersonaModel, users: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Refuse vectors that a vector index would take in silence and then answer wrongly.

    Raises ChangeSomethingError.
    """
    if vectors.shape != (len(users), model.dimension):
        raise ChangeSomethingError(
            f"personas of {model.id}: shape {vectors.shape} instead of "
            f"({len(users)}, {model.dimension}); train them again"
        )
    if model.dimension > MOST_DIMENSIONS:
        raise ChangeSomethingError(
            f"personas of {model.id}: {model.dimension} dimensions, and a vector index holds at "
            f"most {MOST_DIMENSIONS}; nothing was written; train with a smaller --dim"
        )
    if not model.dimension:
        return
    bad = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    if bad.any():
        raise ChangeSomethingError(
            f"personas of {model.id}: {int(bad.sum())} vectors are zero or not finite, first that "
            f"of {users[int(np.argmax(bad))]}; nothing was written; train with another encoder"
        )


def _write_version(
    store: GraphStore,
    model: PersonaModel,
    users: Sequence[str],
    vectors: NDArray[np.float32],
    preferences: Sequence[Preference],
    progress: Progress,
    prototypes: Prototypes | None,
) -> None:
    store.ensure_schema()
    sequence = max((m.sequence for m in _records(store, model.dataset)), default=0) + 1
    properties = {k: v for k, v in asdict(model).items() if k != "id"} | {"sequence": sequence}
    if model.dimension:
        properties |= {"property": model.property_name, "index": model.index}
    if prototypes is not None:
        properties["agreement"] = round(prototypes.agreement, 6)
    _set_status(store, model, "writing", properties)
    if model.dimension:
        _write_vectors(store, model, users, vectors, progress)
    _write_preferences(store, model, preferences, progress)
    if prototypes is not None:
        write_prototypes(store, model, users, prototypes, progress)
    if model.dimension:
        store.create_vector_index(model.index, "User", model.property_name, model.dimension)
    _set_status(store, model, "complete")


def _write_vectors(
    store: GraphStore,
    model: PersonaModel,
    users: Sequence[str],
    vectors: NDArray[np.float32],
    progress: Progress,
) -> None:
    write = statement("write_vectors", property=model.property_name)
    size = max(1, min(USERS, VECTOR_BYTES // (9 * model.dimension)))  # a number takes 9 bytes
    done = 0
    for part in batches(range(len(users)), size):
        rows = [{"id": users[i], "vector": vectors[i].tolist()} for i in part]
        store.write(write, rows=rows)
        progress("writing personas", done := done + len(part), len(users))


def _set_status(
    store: GraphStore, model: PersonaModel, status: str, properties: dict[str, Any] | None = None
) -> None:
    """Say how far a version is, so that what a killed process left is found and removed."""
    properties = (properties or {}) | {"status": status}
    store.write(statement("merge_persona_model"), id=model.id, properties=properties)


def _write_preferences(
    store: GraphStore, model: PersonaModel, preferences: Sequence[Preference], progress: Progress
) -> None:
    writer = Writer(store, model.dataset, model.id, lambda: None)
    ordered = sorted(preferences, key=lambda p: (p.label, p.user))
    done = 0
    for label, group in groupby(ordered, key=lambda p: p.label):
        rows = [
            RelationRow(
                p.user,
                p.entity,
                {
                    "model": model.id,
                    "relation": p.relation,
                    "weight": round(p.weight, 6),
                    "source": "train",
                },
            )
            for p in group
        ]
        for start in range(0, len(rows), 5_000):
            part = rows[start : start + 5_000]
            writer.relations(
                RelationKind("PREFERS", "User", label), part, key=("model", "relation")
            )
            progress("writing preferences", done := done + len(part), len(ordered))


class _Record(NamedTuple):
    """A version as the graph has it, complete or not."""

    model: PersonaModel
    sequence: int
    status: str


def _records(store: GraphStore, dataset: str) -> list[_Record]:
    return [
        _Record(PersonaModel(key, dataset, encoder, dimension, fitted, users), sequence, status)
        for key, encoder, dimension, users, fitted, sequence, status in store.read(
            statement("persona_models"), dataset=dataset
        )
    ]


def versions(store: GraphStore, dataset: str) -> list[PersonaModel]:
    """Complete versions of a data set, oldest first."""
    return [r.model for r in _records(store, dataset) if r.status == "complete"]


def current_model(store: GraphStore, dataset: str) -> PersonaModel | None:
    """The version that readers follow, or None."""
    rows = store.read(statement("current_persona"), dataset=dataset)
    if not rows:
        return None
    key, encoder, dimension, users, fitted = rows[0]
    return PersonaModel(key, dataset, encoder, dimension, fitted, users)


def require_model(store: GraphStore, dataset: str) -> PersonaModel:
    """The current version. Raises ChangeSomethingError when there is none."""
    model = current_model(store, dataset)
    if model is None:
        raise ChangeSomethingError(
            f"data set {dataset} has no personas yet; run personarec train --dataset {dataset}"
        )
    return model


def use_personas(store: GraphStore, dataset: str, model: str) -> None:
    """Make a version current. Raises ChangeSomethingError for one that is not there."""
    known = [m.id for m in versions(store, dataset)]
    if model not in known:
        raise ChangeSomethingError(
            f"data set {dataset} has no persona version {model!r}; "
            f"there are: {', '.join(known) or 'none'}"
        )
    store.write(statement("set_current_persona"), dataset=dataset, model=model)


def _remove_old(store: GraphStore, dataset: str, before: PersonaModel | None) -> None:
    """Remove all but the current version and the one before, for readers that began with it."""
    current = require_model(store, dataset)
    records = [r for r in _records(store, dataset) if r.model != current]
    whole = [r.model for r in records if r.status == "complete"]
    # What a killed process left half written or half removed goes too.
    partial = [r.model for r in records if r.status != "complete"]
    users = read_users(store, dataset)
    kept = before if before in whole else whole[-1] if whole else None
    for model in partial + [m for m in whole if m != kept]:
        # Said first: a version that is half removed must not be found.
        _set_status(store, model, "removing")
        for part in batches(users, USERS):
            store.write(statement("delete_preferences"), ids=part, model=model.id)
            store.write(statement("remove_vectors", property=model.property_name), ids=part)
        delete_prototypes(store, model, users)
        if model.dimension:
            store.drop_vector_index(model.index, "User", model.property_name)
        store.write(statement("delete_persona_model"), id=model.id)


def read_personas(
    store: GraphStore, model: PersonaModel, users: Sequence[str]
) -> NDArray[np.float32]:
    """The stored vectors of ``users``: float32, shape (len(users), dimension).

    Raises ChangeSomethingError when one is missing, or when the version has none.
    """
    if not model.dimension:
        raise ChangeSomethingError(
            f"personas {model.id} are lists of facts without a vector; for vectors run personarec "
            f"personas train --dataset {model.dataset} --encoder propagation, then personas write"
        )
    vectors = np.zeros((len(users), model.dimension), np.float32)
    position = {u: i for i, u in enumerate(users)}
    query = statement("read_vectors", property=model.property_name)
    found = 0
    for part in batches(users, USERS):
        for key, vector in store.read(query, ids=part):
            vectors[position[key]] = vector
            found += 1
    if found != len(users):
        raise ChangeSomethingError(
            f"{len(users) - found} of {len(users)} users have no persona of version {model.id}; "
            "run personarec train --force"
        )
    return vectors


@dataclass(frozen=True)
class Neighbour:
    """A user with a near persona, and what both like.

    ``cosine`` is that of the vectors; without vectors, as much of it as the strongest facts make.
    """

    user: str
    cosine: float
    shared: list[dict[str, Any]]
    shared_items: int


def neighbours(store: GraphStore, user: str, model: PersonaModel, n: int = 10) -> list[Neighbour]:
    """Nearest users by persona, and the facts they share.

    Through the vector index, or through shared facts where the version has no vectors.

    Args:
        store: the graph.
        user: key of the user.
        model: persona version.
        n: how many.

    Raises:
        ChangeSomethingError: the user has come after the version was made.
    """
    if model.dimension:
        known = statement("read_vectors", property=model.property_name)
        if not store.read(known, ids=[user]):
            raise ChangeSomethingError(
                f"user {user} has no persona of version {model.id}, which was made before it came; "
                f"run personarec personas train --dataset {model.dataset}, then personas write"
            )
        # More than asked for: the index is approximate, and the user is itself an answer.
        rows = store.read(
            statement("nearest_personas", property=model.property_name),
            user=user, index=model.index, k=max(200, 2 * n),
        )[:n]  # fmt: skip
        # The index scores (1 + cosine) / 2 on both engines.
        rows = [[other, 2 * score - 1] for other, score in rows]
    else:
        rows = store.read(statement("nearest_preferences"), user=user, model=model.id, k=n)
    others = [r[0] for r in rows]
    shared: dict[str, list[dict[str, Any]]] = {o: [] for o in others}
    for other, relation, name, key, strength in store.read(
        statement("shared_preferences"), user=user, model=model.id, others=others
    ):
        shared[other].append({"relation": relation, "name": name, "id": key, "strength": strength})
    items = dict(store.read(statement("shared_items"), user=user, others=others))
    return [Neighbour(o, cosine, shared[o], int(items.get(o, 0))) for o, cosine in rows]


def preferences_of(store: GraphStore, user: str, model: PersonaModel) -> list[dict[str, Any]]:
    """The strongest facts of a user's persona: relation, name, id, weight, strongest first."""
    columns = ("relation", "name", "id", "weight")
    rows = store.read(statement("show_persona"), user=user, model=model.id)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def require_user(store: GraphStore, dataset: str, user: str) -> str:
    """Key of a user given by key or by the data set's own id. Raises ChangeSomethingError."""
    key = user if user.startswith(f"{dataset}:") else f"{dataset}:{user}"
    if not store.read(statement("find_user"), user=key):
        some = ", ".join(r[0] for r in store.read(statement("sample_users"), dataset=dataset))
        raise ChangeSomethingError(
            f"no user {user!r} in data set {dataset}; there are, for example: {some or 'none'}"
        )
    return key
