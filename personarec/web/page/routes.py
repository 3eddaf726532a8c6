"""What the page asks for beyond the HTTP API. Not described there: it changes with the page."""

from __future__ import annotations

import threading
import time
from typing import Annotated, Any, cast

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from kg.errors import ChangeSomethingError, one_line
from kg.schema import FACT_RELATIONS, NODE_TYPES, RELATION_TYPES, Role, target_label
from kg.store import GraphStore
from kg.store.query import read_only_query
from kg.views.neighbourhood import Neighbour, Node, find_users, neighbourhood
from kg.views.personas import PersonaModel
from kg.views.prototypes import read_places, read_prototypes
from personarec.web import bodies, limits
from personarec.web.answers import origin
from personarec.web.page.drawing import Drawing
from personarec.web.page.files import INDEX, read_files, send
from personarec.web.page.recipes import read_recipes
from personarec.web.problems import ProblemError
from personarec.web.served import LiveModel, Served
from personarec.web.work import Work

ROWS = 200
"""Rows of a query typed by hand."""
QUERY_SECONDS = 8.0
"""That such a query may take; less than a request may, so that the reason is told."""
TOOK_TOO_LONG = (
    f"the query took more than {QUERY_SECONDS:g} s and was stopped; start it at one node, or bound "
    "it with WITH … LIMIT"
)
NEIGHBOURS = 60  # of each type around a node
USERS = 30  # of a search
MAP_USERS = 20_000  # dots on the map
EXAMPLE = 3  # items of the session that shows what the page does

# What a relation is called where the schema's own words are a sentence: forwards and backwards.
_WORDS = {
    "RATED": ("rated", "rated by"),
    "NEXT": ("others went on to", "others came from"),
    "PREFERS": ("prefers", "preferred by"),
    "RESEMBLES": ("is like", "those like this"),
    "CHARACTERISED_BY": ("characterised by", "characteristic of"),
    "BROADER": ("part of", "narrower subjects"),
    "HAS_TRAIT": ("has the trait", "trait of"),
}


class Typed(bodies.Request):
    """A query typed by hand."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    parameters: Annotated[dict[str, Any], Field(default_factory=dict)]


def page() -> APIRouter:
    """The page's files and answers. Each application has one of its own."""
    router = APIRouter(include_in_schema=False)
    own = read_files()
    recipes = [recipe.as_dict() for recipe in read_recipes()]
    one_at_a_time = threading.Lock()
    places: dict[str, dict[str, Any]] = {}

    @router.get("/")
    async def index(request: Request) -> Response:
        return send(own[INDEX], request)

    @router.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        if name not in own:
            raise ProblemError(404, f"the page has no file {name!r}")
        return send(own[name], request)

    @router.get("/page/about")
    async def about(request: Request) -> dict[str, Any]:
        served = _served(request)
        return await _work(request).run(lambda: _about(served))

    @router.get("/page/recipes")
    async def all_recipes() -> list[dict[str, Any]]:
        return recipes

    @router.get("/page/users")
    async def users(
        request: Request,
        q: Annotated[str, Query(max_length=limits.TEXT)] = "",
        n: Annotated[int, Query(ge=1, le=USERS)] = 8,
    ) -> list[str]:
        served = _served(request)
        store = served.recommender.store
        return await _work(request).run(lambda: find_users(store, served.dataset, q, n))

    @router.get("/page/node")
    async def node(
        request: Request,
        id: Annotated[str, Query(min_length=1, max_length=limits.IRI)],
        label: Annotated[str, Query(max_length=50)] = "",
        n: Annotated[int, Query(ge=1, le=NEIGHBOURS)] = 6,
    ) -> dict[str, Any]:
        served = _served(request)
        return await _work(request).run(lambda: _node(served, label, id, n))

    @router.get("/page/map")
    async def persona_map(request: Request) -> dict[str, Any]:
        served = _served(request)
        personas = served.version.personas
        if personas is None:
            return {"prototypes": [], "users": [], "more": 0}
        if personas.id not in places:  # a version never changes once it is written
            found = await _work(request).run(lambda: _map(served.recommender.store, personas))
            places.clear()
            places[personas.id] = found
        return places[personas.id]

    @router.post("/page/query")
    async def query(typed: Typed, request: Request) -> dict[str, Any]:
        served = _served(request)

        def run() -> dict[str, Any]:
            # One at a time: a query by hand may be heavy, and requests must find a thread.
            if not one_at_a_time.acquire(blocking=False):
                raise ProblemError(
                    503, "another query runs; try again in a moment", {"Retry-After": "1"}
                )
            try:
                return _query(served, typed)
            finally:
                one_at_a_time.release()

        return await _work(request).run(run)

    return router


# -- parts -----------------------------------------------------------------------------------------


def _served(request: Request) -> Served:
    return cast(LiveModel, request.app.state.live).current


def _work(request: Request) -> Work:
    return cast(Work, request.app.state.work)


def _about(served: Served) -> dict[str, Any]:
    recommender = served.recommender
    return origin(served) | {
        "label": recommender.label,
        "engine": recommender.store.engine,
        "items": len(recommender.titles),
        "example": _example(served),
        "kinds": {node.label: _kind(node.label) for node in NODE_TYPES},
        "relations": {r.name: _WORDS.get(r.name, (r.doc, f"{r.doc} this")) for r in RELATION_TYPES},
        "targets": {r.name: target_label(r, recommender.label) for r in FACT_RELATIONS},
        "rows": ROWS,
        "seconds": QUERY_SECONDS,
    }


def _example(served: Served) -> dict[str, Any]:
    """A session that hangs together, the last of it what most have touched, and some reader."""
    recommender = served.recommender
    retriever, titles = recommender.retriever, recommender.titles
    by_popularity = np.argsort(-retriever.popularity, kind="stable")
    titled = (int(i) for i in by_popularity if titles.get(retriever.items[i]))
    session: list[int] = []
    if (first := next(titled, None)) is not None:
        near = retriever.recommend([first], 5 * EXAMPLE)
        session = [f.item for f in near if titles.get(retriever.items[f.item])][: EXAMPLE - 1]
        session.append(first)
    keys = [retriever.items[i] for i in session]
    users = find_users(recommender.store, served.dataset, "", USERS)
    return {
        "items": [{"item": key, "title": titles[key]} for key in keys],
        "user": users[len(users) // 2] if users else None,
    }


def _kind(label: str) -> str:
    """How a node is drawn."""
    if label == "Person":
        return "person"
    role = next((n.role for n in NODE_TYPES if n.label == label), None)
    kinds = {Role.USER: "reader", Role.ITEM: "item", Role.ENTITY: "fact", Role.DERIVED: "prototype"}
    return kinds.get(role, "other") if role else "other"


def _node(served: Served, label: str, key: str, n: int) -> dict[str, Any]:
    """A node and its neighbours. Raises ChangeSomethingError where there is none."""
    own = served.recommender.label
    # Most keys belong to the data set's items and readers; an entity's needs a look at each label.
    labels = (
        [label] if label else list(dict.fromkeys([own, "User", *(t.label for t in NODE_TYPES)]))
    )
    if label and label not in {t.label for t in NODE_TYPES}:
        raise ProblemError(404, f"the graph has no label {label!r}")
    store, personas = served.recommender.store, served.version.personas
    version = personas.id if personas else None
    looked_at = (neighbourhood(store, labels, k, version, n) for k in served.recommender.keys(key))
    found = next((one for one in looked_at if one is not None), None)
    if found is None:
        raise ProblemError(404, f"the graph has no node {key!r}")
    return _drawn(found.node) | {
        "properties": {
            k: v for k, v in found.properties.items() if isinstance(v, str | int | float)
        },
        "relations": [
            {
                "relation": r.relation,
                "outgoing": r.outgoing,
                "total": r.total,
                "nodes": [_neighbour(one) for one in r.neighbours],
            }
            for r in found.relations
        ],
    }


def _drawn(node: Node) -> dict[str, Any]:
    return {"ref": f"{node.label}:{node.id}", "label": node.label, "id": node.id, "name": node.name}


def _neighbour(one: Neighbour) -> dict[str, Any]:
    return _drawn(one.node) | {"strength": one.strength, "through": one.through}


def _map(store: GraphStore, personas: PersonaModel) -> dict[str, Any]:
    """All prototypes and readers of a persona version, each with its place."""
    prototypes = [
        {
            "id": p.id,
            "ref": f"PersonaPrototype:{p.id}",
            "name": p.name,
            "size": p.size,
            "x": p.place[0],
            "y": p.place[1],
            "facts": [
                {"relation": f.relation, "name": f.name, "lift": f.lift} for f in p.facts[:5]
            ],
        }
        for p in read_prototypes(store, personas)
    ]
    number = {p["id"]: place for place, p in enumerate(prototypes)}
    places = read_places(store, personas)
    return {
        "prototypes": prototypes,
        "users": [
            [p.user, round(p.x, 4), round(p.y, 4), number.get(p.prototype, -1)]
            for p in places[:MAP_USERS]
        ],
        "more": max(0, len(places) - MAP_USERS),
    }


def _query(served: Served, typed: Typed) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        columns, rows = read_only_query(
            served.recommender.store, typed.text, typed.parameters, ROWS + 1, QUERY_SECONDS
        )
    except ChangeSomethingError as error:
        raise ProblemError(400, complaint(error)) from error
    drawing = Drawing()
    return {
        "columns": columns,
        "rows": drawing.rows(rows[:ROWS]),
        "more": len(rows) > ROWS,
        "graph": drawing.as_dict(),
        "ms": round(1000 * (time.perf_counter() - began)),
    }


def complaint(error: ChangeSomethingError) -> str:
    """What the one who typed the query can mend: our own refusal, or the engine's complaint."""
    cause = error.__cause__
    if cause is None:
        return one_line(error, 600).replace("kg query only reads", "this box only reads")
    text = one_line(getattr(cause, "message", None) or cause, 600)
    code = getattr(cause, "code", None) or ""
    if "command.timeout" in text or "TransactionTimedOut" in code:
        return TOOK_TOO_LONG
    return f"the graph does not take this query: {text}"
