"""Prototypes of a data set's personas: clustered, characterised, named, and put on a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kg.store import GraphStore
from kg.views.prototypes import Characteristic, Prototype, Prototypes, entity_names
from personarec.evaluation.sequences import Sequences
from personarec.personas.naming import BACKSTAGE, Leanings, characterise, make_names
from personarec.personas.placement import places
from personarec.personas.prototypes import PrototypeConfig, find_clusters
from personarec.training.data import GraphData


def make_prototypes(
    store: GraphStore,
    data: GraphData,
    sequences: Sequences,
    personas: NDArray[np.float32] | sparse.csr_array,
    config: PrototypeConfig,
) -> Prototypes | None:
    """Prototypes of the users' personas; None where there are too few users.

    Args:
        store: the graph, for the names of entities.
        data: the data set.
        sequences: what the personas were made of.
        personas: float32, shape (n_users, size).
        config: settings.
    """
    clusters = find_clusters(personas, config)
    if clusters is None:
        return None
    number, labels = len(clusters.centres), clusters.labels
    leanings = Leanings.of(sequences, data.facts)
    worth = np.array([0.5 if c.relation in BACKSTAGE else 1.0 for c in data.fact_columns])
    groups = characterise(leanings, labels, number, worth)
    columns = {fact: data.fact_columns[fact] for group in groups for fact in group.facts.tolist()}
    known = entity_names(store, {(c.label, c.entity) for c in columns.values()})
    names = make_names(
        groups,
        {fact: known[c.label, c.entity] for fact, c in columns.items()},
        {fact: c.label for fact, c in columns.items()},
        leanings,
    )
    where = places(clusters.space, config.seed)
    sizes = np.bincount(labels, minlength=number)
    prototypes = []
    for number, (name, group) in enumerate(zip(names, groups, strict=True)):
        own = where[labels == number] if sizes[number] else where
        x, y = np.median(own, axis=0).tolist()
        facts = tuple(
            Characteristic(
                columns[fact].relation, columns[fact].label, columns[fact].entity, share, lift, p
            )
            for fact, share, lift, p, _ in zip(*(a.tolist() for a in group), strict=True)
        )
        prototypes.append(Prototype(name, int(sizes[number]), (x, y), facts))
    return Prototypes(tuple(prototypes), clusters.weights, where, clusters.agreement)
