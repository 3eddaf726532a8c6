"""A small model and a graph of dictionaries behind it, for tests of the HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient

from kg.store import GraphStore, Statement
from kg.views.personas import PersonaModel
from personarec.recommend.service import Recommender
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.web.access import Access
from personarec.web.app import create_app
from personarec.web.served import LiveModel, Served, Version
from personarec.web.titles import Titles

PERSONAS = PersonaModel("small-facts-0a1b2c3d", "small", "facts", 2, "train", 2)
TITLES = [
    "Dune", "Dune Messiah", "Foundation", "Second Foundation", "Château d'If", "Solaris",
    "Ubik", "Roadside Picnic", "Neuromancer", "Hyperion", "The Fall of Hyperion", None,
]  # fmt: skip
ITEMS = [f"small:i{place}" for place in range(len(TITLES))]
USERS = {"small:u1": [ITEMS[0], ITEMS[2]], "small:u2": [ITEMS[2], ITEMS[5]], "small:new": []}
HERBERT = "http://dbpedia.org/resource/Frank_Herbert"


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

    def export_items(self, dataset: str) -> Any:
        return [list(pair) for pair in zip(ITEMS, TITLES, strict=True)]

    def current_persona(self, dataset: str) -> Any:
        p = PERSONAS
        return [[p.id, p.encoder, p.dimension, p.users, p.fitted]]

    def find_user(self, user: str) -> Any:
        return [[user]] if user in USERS else []

    def sample_users(self, dataset: str) -> Any:
        return [["small:u1"]]

    def export_rated(self, ids: list[str]) -> Any:
        items = [item for user in ids for item in USERS[user]]
        return [[ids * len(items), items, list(range(len(items))), list(range(len(items)))]]

    def items_with_fact(self, entity: str, dataset: str) -> Any:
        return [[ITEMS[0]], [ITEMS[1]]] if entity == HERBERT else []

    def explain_transitions(self, read: list[str], item: str) -> Any:
        return [[read[-1], "Dune", item, 3, 1, 0]] if read else []

    def explain_facts(self, read: list[str], item: str, derived: list[str]) -> Any:
        return [[read[0], None, "AUTHOR", HERBERT, "Frank Herbert", item]] if read else []

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


def small_served(graph: SmallGraph, run: str = "small-0", seed: int = 0) -> Served:
    """A model of random weights over the small graph."""
    torch.manual_seed(seed)
    retriever = Retriever(
        items=tuple(ITEMS),
        model=SasRec(len(ITEMS), SasRecConfig(embedding_size=8, max_length=5)).eval(),
        weights={},
        popularity=np.arange(len(ITEMS), dtype=np.int64),
    )
    recommender = Recommender(cast(GraphStore, graph), "small", retriever)
    return Served(Version(run, seed, PERSONAS), recommender, Titles(recommender.titles))


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
