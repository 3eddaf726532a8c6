"""Personas of a data set: computed, written to the graph as a version, read back."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kg.ingest.stage import Progress
from kg.store import GraphStore
from kg.views.personas import (
    PersonaModel,
    Preference,
    current_model,
    read_personas,
    write_personas,
)
from personarec.evaluation.leakage import refuse_leak
from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.personas.propagation import fit_propagation
from personarec.training.config import TrainConfig
from personarec.training.data import FactColumn, GraphData

PERSONA_FORMAT = 1
"""Raised whenever the same input would give other personas, so that they get a new version."""


def compute_personas(
    data: GraphData, sequences: Sequences, facts: FactModel, config: TrainConfig
) -> NDArray[np.float32]:
    """The users' vectors, float32, shape (n_users, size), made of ``sequences`` and facts alone.

    Raises LeakError when a test item is among what they would be made of.
    """
    graph = data.training_graph(sequences)
    rated = graph.relations["User", "RATED", data.catalogue.label]
    refuse_leak("RATED relations that personas are made of", rated, data.split.test, "test")
    dense = fit_propagation(graph, data.catalogue.label, facts.items, config.propagation)
    return dense.personas(sequences)


def version_key(data: GraphData, sequences: Sequences, config: TrainConfig) -> str:
    """Identity of a version: a hash of all it is made of."""
    digest = hashlib.sha256(
        json.dumps(
            [
                PERSONA_FORMAT,
                data.name,
                config.propagation.model_dump(),
                config.facts.model_dump(),
                config.preferences,
            ]
        ).encode()
    )
    digest.update(data.graph.content_hash().encode())
    for user in data.users:
        digest.update(user.encode() + b"\n")
    for array in (sequences.indptr, sequences.items):
        digest.update(np.ascontiguousarray(array.astype("<i8")).tobytes())
    return f"{data.name}-propagation-{digest.hexdigest()[:8]}"


def store_personas(
    store: GraphStore,
    data: GraphData,
    sequences: Sequences,
    facts: FactModel,
    config: TrainConfig,
    progress: Progress,
) -> tuple[PersonaModel, NDArray[np.float32]]:
    """Write the personas as the current version where they are not, and read them back.

    Returns:
        the version and the stored vectors, float32, shape (n_users, size).
    """
    key = version_key(data, sequences, config)
    model = current_model(store, data.name)
    if model is None or model.id != key:
        vectors = compute_personas(data, sequences, facts, config)
        model = PersonaModel(
            key, data.name, "propagation", vectors.shape[1], config.fitted, len(data.users)
        )
        preferences = strongest_facts(
            data, facts.personas(sequences), data.fact_columns, config.preferences
        )
        write_personas(store, model, data.users, vectors, preferences, progress)
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
