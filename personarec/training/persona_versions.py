"""Personas of a data set: learned, saved, written to the graph as a version, read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.ingest.stage import Progress
from kg.partial import partial_path, remove
from kg.store import GraphStore
from kg.views import read_users
from kg.views.personas import (
    PersonaModel,
    Preference,
    check_vectors,
    current_model,
    read_personas,
    use_personas,
    versions,
    write_personas,
)
from kg.views.prototypes import Characteristic, Prototype, Prototypes
from personarec.evaluation.leakage import refuse_leak
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import ENCODER_FORMAT, TrainingData
from personarec.personas.facts import FactModel
from personarec.personas.registry import make_encoder
from personarec.training.config import TrainConfig
from personarec.training.data import FactColumn, GraphData
from personarec.training.parallel_fit import fit_together
from personarec.training.prototypes import make_prototypes

if TYPE_CHECKING:
    from personarec.personas.encoder import Encoder, Personas

Vectors = NDArray[np.float32]

STORED_FORMAT = 1
"""Raised whenever other vectors or prototypes would be made of the same fitted encoder."""
PERSONA_FORMAT = ENCODER_FORMAT + STORED_FORMAT
"""Higher whenever the same input would give other personas, so that they get a new version."""


@dataclass(frozen=True)
class Learned:
    """A version of personas before it is in the graph.

    Attributes:
        model: the version.
        users: their keys.
        vectors: long-term personas, float32, shape (n_users, dimension); no columns for personas
            that are lists of facts.
        preferences: strongest facts.
        prototypes: kinds of readers, where there are enough of them.
    """

    model: PersonaModel
    users: tuple[str, ...]
    vectors: Vectors
    preferences: list[Preference]
    prototypes: Prototypes | None


def encoder_of(config: TrainConfig) -> Encoder:
    """The encoder that a training names. Raises ChangeSomethingError for an unknown one."""
    return make_encoder(config.encoder, **config.encoder_settings)


class FittedPersonas:
    """The encoder of a training, fitted once for each phase when first asked for."""

    def __init__(self, data: GraphData, config: TrainConfig, processes: int = 1) -> None:
        """``processes`` train one model together, where the encoder can."""
        self.data, self.config, self.processes = data, config, processes
        self.encoder = encoder_of(config)
        self.sequences = data.split.fit(config.refit)  # what is reported is fitted to

    @cached_property
    def choosing(self) -> Personas:
        """Fitted to the training items, settings chosen by the validation items.

        Raises LeakError when a held-out item is among what it would be fitted to.
        """
        return self._fit(self.encoder, refit=False)

    @cached_property
    def reporting(self) -> Personas:
        """Fitted to what results are reported for: with ``refit`` to the validation items too.

        Raises LeakError when a test item is among what it would be fitted to.
        """
        if not self.config.refit:
            return self.choosing
        return self._fit(self.encoder.to_refit(lambda: self.choosing), refit=True)

    def _fit(self, encoder: Encoder, *, refit: bool) -> Personas:
        visible = TrainingData.of(self.data, refit=refit)
        rated = visible.graph.relations[visible.rated]
        refuse_leak(
            "RATED relations that personas are made of", rated, self.data.split.test, "test"
        )
        return fit_together(partial(encoder.fit, visible), self.processes)


def version_key(data: GraphData, sequences: Sequences, config: TrainConfig) -> str:
    """Identity of a version: a hash of all it is made of."""
    digest = hashlib.sha256(
        json.dumps(
            [
                PERSONA_FORMAT,
                data.name,
                config.encoder,
                encoder_of(config).model_dump(mode="json", serialize_as_any=True),
                config.facts.model_dump(mode="json"),
                config.preferences,
                config.prototypes.model_dump(),
            ]
        ).encode()
    )
    digest.update(data.graph.content_hash().encode())
    digest.update(json.dumps([data.catalogue.titles, data.descriptions]).encode())
    for user in data.users:
        digest.update(user.encode() + b"\n")
    # Encoders choose by the validation items, also where they are not fitted to them.
    for array in (sequences.indptr, sequences.items, data.split.valid):
        digest.update(np.ascontiguousarray(array.astype("<i8")).tobytes())
    return f"{data.name}-{config.encoder.replace(':', '-')}-{digest.hexdigest()[:8]}"


def learn_personas(store: GraphStore, facts: FactModel, fitted: FittedPersonas) -> Learned:
    """Personas with their strongest facts and prototypes; nothing is written.

    Raises:
        LeakError: a test item is among what they would be made of.
        ChangeSomethingError: the encoder gave vectors that a vector index would not take.
    """
    data, config, sequences = fitted.data, fitted.config, fitted.sequences
    # What is stored is looked at: who is near, and what kinds there are. What is next is asked of
    # the retriever, which makes personas with the encoder's own weights.
    personas = fitted.reporting.long_term(sequences)
    as_facts = facts.personas(sequences)
    if isinstance(personas, sparse.csr_array):
        vectors = np.zeros((len(data.users), 0), np.float32)
        # The encoder's own list of facts, where it is one of the graph's facts.
        if personas.shape[1] == len(data.fact_columns):
            as_facts = fitted.reporting.personas(sequences)
    else:
        vectors = np.asarray(personas, np.float32)
    model = PersonaModel(
        version_key(data, sequences, config),
        data.name,
        config.encoder,
        vectors.shape[1],
        config.fitted,
        len(data.users),
    )
    check_vectors(model, data.users, vectors)
    preferences = strongest_facts(data, as_facts, data.fact_columns, config.preferences)
    prototypes = make_prototypes(store, data, sequences, personas, config.prototypes)
    return Learned(model, data.users, vectors, preferences, prototypes)


def write_learned(store: GraphStore, learned: Learned, progress: Progress) -> None:
    """Write a version and make it current.

    Raises ChangeSomethingError when the graph's users are others than those of the version.
    """
    if read_users(store, learned.model.dataset) != learned.users:
        raise ChangeSomethingError(
            f"personas {learned.model.id} were made of other users than those of data set "
            f"{learned.model.dataset} now; run personarec personas train again"
        )
    write_personas(
        store,
        learned.model,
        learned.users,
        learned.vectors,
        learned.preferences,
        progress,
        learned.prototypes,
    )


def store_personas(
    store: GraphStore, facts: FactModel, fitted: FittedPersonas, progress: Progress
) -> tuple[PersonaModel, Vectors]:
    """Make the personas the current version, learned and written where they are not there yet.

    Args:
        store: the graph.
        facts: the fact persona.
        fitted: the encoder; nothing is fitted where the version is there.
        progress: called as the graph is written.

    Returns:
        the version and the stored vectors, float32, shape (n_users, dimension).
    """
    data = fitted.data
    key = version_key(data, fitted.sequences, fitted.config)
    known = {m.id: m for m in versions(store, data.name)}
    if key not in known:
        write_learned(store, learn_personas(store, facts, fitted), progress)
        known = {m.id: m for m in versions(store, data.name)}
    model = known[key]
    if model != current_model(store, data.name):
        use_personas(store, data.name, key)
    if not model.dimension:
        return model, np.zeros((len(data.users), 0), np.float32)
    return model, read_personas(store, model, data.users)


def strongest_facts(
    data: GraphData,
    personas: sparse.csr_array,
    columns: tuple[FactColumn, ...],
    most: int,
) -> list[Preference]:
    """The heaviest facts of each user's fact persona; weights are shares of its length."""
    result = []
    for user, key in enumerate(data.users):
        start, end = personas.indptr[user], personas.indptr[user + 1]
        weights, facts = personas.data[start:end], personas.indices[start:end]
        length = float(np.linalg.norm(weights))
        # Equal weights by column, so that every run keeps the same ones.
        for position in np.lexsort((facts, -weights))[:most]:
            column = columns[facts[position]]
            result.append(
                Preference(
                    key,
                    column.label,
                    column.entity,
                    column.relation,
                    float(weights[position]) / length,
                )
            )
    return result


# -- saved in a folder -----------------------------------------------------------------------------


def save_learned(folder: Path, learned: Learned, config: TrainConfig) -> None:
    """Save a version in a folder, all of it or nothing; an earlier one there is replaced."""
    import polars as pl
    from safetensors.numpy import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(folder)
    remove(partial)
    partial.mkdir()
    found = learned.prototypes
    document = {
        "format": PERSONA_FORMAT,
        "model": asdict(learned.model),
        "config": config.model_dump(mode="json"),
        "users": learned.users,
        "agreement": found.agreement if found else None,
        "prototypes": [asdict(p) for p in found.prototypes] if found else None,
    }
    (partial / "personas.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    arrays = {"vectors": learned.vectors}
    if found:
        arrays |= {"weights": found.weights, "places": found.places}
    save_file(
        {k: np.ascontiguousarray(v) for k, v in arrays.items()}, partial / "arrays.safetensors"
    )
    rows = [asdict(p) for p in learned.preferences]
    pl.DataFrame(rows, schema=_PREFERENCE).write_parquet(partial / "preferences.parquet")
    remove(folder)
    partial.rename(folder)


def load_learned(folder: Path) -> Learned:
    """A saved version. Raises ChangeSomethingError for one of another release."""
    import polars as pl
    from safetensors.numpy import load_file

    document: Mapping[str, Any] = json.loads((folder / "personas.json").read_text("utf-8"))
    if document["format"] != PERSONA_FORMAT:
        raise ChangeSomethingError(
            f"{folder} was saved by another release; run personarec personas train again"
        )
    arrays = load_file(folder / "arrays.safetensors")
    prototypes = None
    if document["prototypes"] is not None:
        prototypes = Prototypes(
            tuple(_prototype(p) for p in document["prototypes"]),
            arrays["weights"],
            arrays["places"],
            document["agreement"],
        )
    rows = pl.read_parquet(folder / "preferences.parquet").iter_rows(named=True)
    return Learned(
        PersonaModel(**document["model"]),
        tuple(document["users"]),
        arrays["vectors"],
        [Preference(**row) for row in rows],
        prototypes,
    )


_PREFERENCE = {
    "user": str, "label": str, "entity": str, "relation": str, "weight": float
}  # fmt: skip


def _prototype(saved: Mapping[str, Any]) -> Prototype:
    x, y = saved["place"]
    facts = tuple(Characteristic(**fact) for fact in saved["facts"])
    return Prototype(saved["name"], saved["size"], (x, y), facts)
