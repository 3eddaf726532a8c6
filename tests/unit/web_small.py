"""A small model and a graph of dictionaries behind it, for tests of the HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from scipy.sparse import csr_array

from kg.store import GraphStore, Statement
from kg.views.personas import PersonaModel
from personarec.personas.facts import FactModel
from personarec.recommend.service import Recommender
from personarec.rerank.candidates import feature_names
from personarec.rerank.features import ItemFeatures
from personarec.rerank.model import RerankConfig, Reranker, RerankNet
from personarec.rerank.part import RerankPart
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.transitions import TransitionModel
from personarec.web.access import Access
from personarec.web.app import create_app
from personarec.web.served import LiveModel, Served, Version

PERSONAS = PersonaModel("small-facts-0a1b2c3d", "small", "facts", 2, "train", 2)
TITLES = [
    "Dune", "Dune Messiah", "Foundation", "Second Foundation", "Château d'If", "Solaris",
    "Ubik", "Roadside Picnic", "Neuromancer", "Hyperion", "The Fall of Hyperion", None,
]  # fmt: skip
ITEMS = [f"small:i{place}" for place in range(len(TITLES))]
USERS = {"small:u1": [ITEMS[0], ITEMS[2]], "small:u2": [ITEMS[2], ITEMS[5]], "small:new": []}
HERBERT = "http://dbpedia.org/resource/Frank_Herbert"
ASIMOV = "http://dbpedia.org/resource/Isaac_Asimov"
SPACE = "http://dbpedia.org/resource/Space_opera"
NAMES = {HERBERT: "Frank Herbert", ASIMOV: "Isaac Asimov", SPACE: "Space opera"}
FACTS = {
    ("AUTHOR", HERBERT): (0, 1),
    ("AUTHOR", ASIMOV): (2, 3),
    ("LITERARY_GENRE_IS", SPACE): (0, 1, 2, 9, 10),
}
"""Which items have which fact."""
NEXT = {(0, 1): (3, 1, 0), (2, 3): (2, 0, 0), (1, 2): (0, 0, 1), (9, 10): (1, 0, 0)}
"""Transitions by gap between items."""
YEARS = {"1965 American novels": (0,), "1951 American novels": (2, 3), "1990s novels": (9,)}
"""Dated subjects, and what only looks like one."""
PROTOTYPE = "small:prototype-0a1b2c3d-01"


class SmallGraph:
    """Answers the statements that the server reads with; there is no way to write."""

    address = "small graph"

    def __init__(self) -> None:
        self.fault: Callable[[str], None] = lambda name: None
        self.read_names: list[str] = []

    def read(self, query: Statement, **given: Any) -> list[list[Any]]:
        self.fault(query.name)
        self.read_names.append(query.name)
        return cast(list[list[Any]], getattr(self, query.name)(**given))

    def data_sets(self) -> Any:
        return [["small", "books", "0" * 64, PERSONAS.id]]

    def first_items(self, dataset: str, most: int) -> Any:
        return [[[list(pair) for pair in zip(ITEMS, TITLES, strict=True)][:most]]]

    def current_persona(self, dataset: str) -> Any:
        p = PERSONAS
        return [[p.id, p.encoder, p.dimension, p.users, p.fitted]]

    def find_user(self, user: str) -> Any:
        return [[user]] if user in USERS else []

    def sample_users(self, dataset: str) -> Any:
        return [["small:u1"]]

    def history_of_user(self, user: str) -> Any:
        items = USERS.get(user)
        return [] if items is None else [[user, items, *[list(range(len(items)))] * 2]]

    def items_with_fact(self, entity: str, types: list[str], dataset: str) -> Any:
        # The statement is asked for each label that the far end may have.
        found = {i for (r, e), items in FACTS.items() if r in types and e == entity for i in items}
        return [[ITEMS[i]] for i in sorted(found)]

    def items_with_fact_named(self, name: str, types: list[str], dataset: str) -> Any:
        keys = [key for key, called in NAMES.items() if called.lower() == name.lower()]
        return [row for key in keys for row in self.items_with_fact(key, types, dataset)]

    def dated_subjects(self, dataset: str) -> Any:
        return [[name, [ITEMS[i] for i in items]] for name, items in YEARS.items()]

    def explain_transitions(self, sources: list[str], targets: list[str]) -> Any:
        return [
            [ITEMS[a], ITEMS[b], *gaps]
            for (a, b), gaps in NEXT.items()
            if ITEMS[a] in sources and ITEMS[b] in targets
        ]

    def explain_facts(self, items: list[str], types: list[str], facts: list[str]) -> Any:
        return [
            [ITEMS[i], relation, entity, NAMES[entity]]
            for (relation, entity), having in FACTS.items()
            for i in having
            if ITEMS[i] in items and relation in types and entity in facts
        ]

    def prototypes(self, model: str) -> Any:
        return [[PROTOTYPE, "written by Frank Herbert", 1, 2, 0.5, -0.5]]

    def prototype_facts(self, model: str) -> Any:
        return [[PROTOTYPE, "AUTHOR", "Frank Herbert", HERBERT, 0.75, 3.0, 0.001, 1]]

    def prototype_weights(self, user: str, model: str) -> Any:
        return [[PROTOTYPE, "written by Frank Herbert", 1.0]] if user == "small:u1" else []

    def show_persona(self, user: str, model: str) -> Any:
        return [["AUTHOR", "Frank Herbert", HERBERT, 0.5]] if user == "small:u1" else []

    def read_vectors(self, ids: list[str]) -> Any:
        return [[user, [1.0, 0.0]] for user in ids if user != "small:new"]

    def nearest_personas(self, user: str, index: str, k: int) -> Any:
        return [["small:u2", 0.95]]

    def shared_preferences(self, user: str, model: str, others: list[str]) -> Any:
        return [["small:u2", "AUTHOR", "Frank Herbert", HERBERT, 0.25]]

    def shared_items(self, user: str, others: list[str]) -> Any:
        return [["small:u2", 1]]

    def read_nodes(self, ids: list[str]) -> Any:
        return [[key, {"title": TITLES[ITEMS.index(key)], "iri": "urn:x"}] for key in ids]

    def facts_of_item(self, item: str, derived: list[str], k: int) -> Any:
        return [["AUTHOR", HERBERT, "Frank Herbert"]]


def small_retriever(seed: int = 0, weights: dict[str, float] | None = None) -> Retriever:
    """A sequence model of random weights beside the transitions and facts above."""
    torch.manual_seed(seed)
    size = len(ITEMS)
    places = np.array(list(NEXT)).T
    counts = [
        csr_array((np.array([gaps[g] for gaps in NEXT.values()]), places), shape=(size, size))
        for g in range(3)
    ]
    having = [(item, column) for column, items in enumerate(FACTS.values()) for item in items]
    facts = csr_array(
        (np.ones(len(having), np.float32), np.array(having).T), shape=(size, len(FACTS))
    )
    return Retriever(
        items=tuple(ITEMS),
        model=SasRec(size, SasRecConfig(embedding_size=8, max_length=5)).eval(),
        weights={"transitions": 0.5, "facts": 0.7} if weights is None else weights,
        popularity=np.arange(size, dtype=np.int64),
        evidence={
            "transitions": TransitionModel.from_counts(counts),
            "facts": FactModel.from_matrix(facts),
        },
        fact_keys=tuple(f"{relation} {entity}" for relation, entity in FACTS),
    )


def small_rerank(retriever: Retriever, candidates: int = 5, size: float = 5.0) -> RerankPart:
    """A net of random weights over all features that the retriever has."""
    n_items = len(retriever.items)
    facts = retriever.facts
    assert facts is not None
    steps = csr_array(np.random.default_rng(1).random((n_items, n_items)) < 0.1, dtype=np.float32)
    known = ItemFeatures.of(retriever.popularity, steps, csr_array(facts.items))
    names = feature_names(("sequence", *retriever.evidence), known)
    torch.manual_seed(3)
    net = RerankNet(len(names), 4, 0.1)
    torch.nn.init.normal_(net.net[-1].weight, std=size)
    torch.nn.init.constant_(net.fused, 0.7)
    return RerankPart(Reranker(names, net.eval(), RerankConfig(hidden=4, dropout=0.1)), known,
                      candidates)  # fmt: skip


def small_served(graph: SmallGraph, run: str = "small-0", seed: int = 0) -> Served:
    """A model over the small graph."""
    recommender = Recommender(cast(GraphStore, graph), "small", small_retriever(seed))
    return Served(Version(run, seed, PERSONAS, "0" * 64), recommender)


class SmallLive(LiveModel):
    """A live model whose next one is given, not read from disk."""

    def __init__(self, served: Served) -> None:
        self.current, self.dataset = served, served.dataset
        self.swapped = lambda _: None
        self.next: Served | Exception = served

    def refresh(self) -> bool:
        if isinstance(self.next, Exception):
            raise self.next
        changed = self.next is not self.current
        if changed:
            self.current = self.next
            self.swapped(self.next)
        return changed


def small_app(
    graph: SmallGraph | None = None, token: str | None = None, **limits: Any
) -> tuple[FastAPI, SmallLive]:
    """An application over the small model."""
    live = SmallLive(small_served(graph or SmallGraph()))
    return create_app(live, Access(token, local=True), **limits), live


def client_of(app: FastAPI, host: str = "127.0.0.1", **options: Any) -> TestClient:
    """A client of the application in this process, as from this machine."""
    return TestClient(app, base_url=f"http://{host}:8000", client=("127.0.0.1", 50_000), **options)
