"""All that the cells of one comparison share: data, split and settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.store import GraphStore
from kg.views.links import ItemLinks, read_links
from personarec.compare.config import CompareConfig
from personarec.evaluation.error_analysis import ItemKnowledge
from personarec.evaluation.protocols import Protocol, make_protocol
from personarec.evaluation.sequences import Sequences
from personarec.retriever.popularity import item_counts
from personarec.training.data import GraphData, read_data
from personarec.training.environment import environment

SERIES = frozenset({"IN_SERIES", "PREVIOUS_WORK", "SUBSEQUENT_WORK"})


@dataclass(frozen=True)
class World:
    """What every cell of a comparison is made from.

    Attributes:
        data: the data set, its split replaced by the protocol's.
        protocol: what is fitted and what is asked for.
        config: settings.
        out: folder of the comparison.
        data_hash: of everything read; not of the split, which follows from it and its name.
        links: of the items.
        environment: machine and versions.
        texts: folder that keeps vectors of texts and answers of language models.
    """

    data: GraphData
    protocol: Protocol
    config: CompareConfig
    out: Path
    data_hash: str
    links: ItemLinks
    environment: dict[str, Any]
    texts: Path | None = None

    def fit(self, *, report: bool) -> Sequences:
        """What models are fitted to: to choose settings, or to be reported."""
        return self.data.split.fit(refit=report and self.config.refit)


def read_world(
    store: GraphStore, dataset: str, config: CompareConfig, out: Path | None, home: Path
) -> World:
    """Read and split a data set.

    Args:
        store: the graph.
        dataset: name of the data set.
        config: settings; a split that is not named is chosen here.
        out: folder of the comparison; under ``home`` where none is given.
        home: folder for all state.

    Raises:
        ChangeSomethingError: the data set is not there, or cannot be split so.
    """
    data = read_data(store, dataset, home / "texts" if config.texts else None)
    links = read_links(store, dataset, data.catalogue)
    protocol = _protocol(config, data)
    config = config.model_copy(update={"split": protocol.name})
    data = replace(data, split=protocol.split)
    out = out or home / "compare" / f"{dataset}-{protocol.name}{'-refit' if config.refit else ''}"
    return World(
        data,
        protocol,
        config,
        out,
        data.content_hash(),
        links,
        environment(store.engine),
        home / "texts",
    )


def _protocol(config: CompareConfig, data: GraphData) -> Protocol:
    if config.split is not None:
        return make_protocol(config.split, data.interactions)
    try:
        return make_protocol("global-temporal", data.interactions)
    except ChangeSomethingError:
        return make_protocol("leave-one-out", data.interactions)


def item_knowledge(world: World) -> ItemKnowledge:
    """What errors are explained by."""
    data, links = world.data, world.links
    titles: dict[str, int] = {}
    words = ["".join(filter(str.isalnum, (t or "").casefold())) for t in data.catalogue.titles]
    return ItemKnowledge(
        item_counts(world.fit(report=True)),
        _series(data),
        np.array([titles.setdefault(w, len(titles)) if w else -1 for w in words], np.int64),
        links.linked if links.linked.any() else None,
        links.score,
    )


def _series(data: GraphData) -> sparse.csr_array:
    """Not 0 where two items are of one series, or one comes before or after the other."""
    n_items = len(data.catalogue.ids)
    total = sparse.csr_array((n_items, n_items), dtype=np.float32)
    for (_, name, _), matrix in data.graph.relations.items():
        if name not in SERIES:
            continue
        own = sparse.csr_array(matrix[:n_items])
        # Works before and after are nodes of the items' own type, the items first.
        joined = own @ own.T if name == "IN_SERIES" else own[:, :n_items]
        total = sparse.csr_array(total + joined + joined.T)
    total = sparse.csr_array(total - sparse.diags_array(total.diagonal()))
    total.eliminate_zeros()
    return total
