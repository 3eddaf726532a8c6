"""The endpoints: what is asked where, and which answer it gets."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response

from kg.errors import PersonarecError, one_line
from kg.store import statement
from personarec.web import answers, bodies, limits
from personarec.web.access import is_local
from personarec.web.metrics import MEDIA_TYPE, Metrics
from personarec.web.problems import ProblemError
from personarec.web.served import LiveModel, Served
from personarec.web.work import Work

router = APIRouter()
_LOG = logging.getLogger("personarec.web")


async def _live(request: Request) -> LiveModel:
    return cast(LiveModel, request.app.state.live)


async def _served(live: Live) -> Served:
    return live.current  # taken once: the whole request has one model


async def _work(request: Request) -> Work:
    return cast(Work, request.app.state.work)


async def _metrics(request: Request) -> Metrics:
    return cast(Metrics, request.app.state.metrics)


Live = Annotated[LiveModel, Depends(_live)]
Model = Annotated[Served, Depends(_served)]
Pool = Annotated[Work, Depends(_work)]
Books = Annotated[Metrics, Depends(_metrics)]
User = Annotated[
    str,
    Path(
        min_length=1,
        max_length=limits.TEXT,
        description="Key of the user, or the data set's own id.",
        examples=["DEMOR00007"],
    ),
]


def _json(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


@router.post(
    "/recommend",
    response_model=bodies.Recommendations,
    summary="Recommend to a known user or an anonymous session",
)
async def recommend(body: Annotated[bodies.Wanted, Body()], served: Model, work: Pool) -> Response:
    """The best items after the user's history, or after the items given."""
    return _json(await work.run(lambda: answers.recommended(served, body)))


@router.post(
    "/recommend/batch", response_model=bodies.BatchAnswer, summary="Recommend to many at once"
)
async def recommend_batch(body: bodies.Batch, served: Model, work: Pool) -> Response:
    """An entry for each; an unknown user or item spoils only its own."""
    return _json(await work.run(lambda: answers.batch(served, body)))


@router.post(
    "/sessions", response_model=bodies.SessionAnswer, summary="Recommend to an anonymous session"
)
async def sessions(body: bodies.ForItems, served: Model, work: Pool) -> Response:
    """The best items after the items given, and their persona. Nothing is kept of the session."""
    return _json(await work.run(lambda: answers.session(served, body)))


@router.get(
    "/personas/{user:path}/neighbours",
    response_model=bodies.Neighbours,
    summary="Users with a near persona",
)
async def neighbours(
    user: User,
    served: Model,
    work: Pool,
    n: Annotated[int, Query(ge=1, le=limits.NEIGHBOURS, description="How many.")] = 10,
) -> Response:
    """The users whose persona is nearest, and what they share."""
    return _json(await work.run(lambda: answers.near(served, user, n)))


@router.get(
    "/personas/{user:path}/prototypes",
    response_model=bodies.Resemblances,
    summary="Kinds of readers in a persona",
)
async def prototypes_of_user(user: User, served: Model, work: Pool) -> Response:
    """The prototypes that a user's persona is made of."""
    return _json(await work.run(lambda: answers.prototypes_of(served, user)))


@router.get("/prototypes", response_model=bodies.Prototypes, summary="Kinds of readers")
async def prototypes(served: Model, work: Pool) -> Response:
    """The prototypes of the personas, and the facts that each is characterised by."""
    return _json(await work.run(lambda: answers.prototypes(served)))


@router.get("/personas/{user:path}", response_model=bodies.Persona, summary="A persona in words")
async def persona(user: User, served: Model, work: Pool) -> Response:
    """The strongest facts of a user's persona."""
    return _json(await work.run(lambda: answers.persona(served, user)))


@router.get("/items/{item:path}", response_model=bodies.Item, summary="An item and its facts")
async def item(
    item: Annotated[
        str,
        Path(
            min_length=1,
            max_length=limits.TEXT,
            description="Key of the item, the data set's own id, or the exact title.",
            examples=["Dune"],
        ),
    ],
    served: Model,
    work: Pool,
) -> Response:
    """What the graph knows of an item."""
    return _json(await work.run(lambda: answers.item(served, item)))


@router.get("/search", response_model=bodies.SearchAnswer, summary="Items by title")
async def search(
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=limits.TEXT,
            description="Beginning or part of the title; case and accents make no difference.",
            examples=["found"],
        ),
    ],
    served: Model,
    work: Pool,
    n: Annotated[int, Query(ge=1, le=limits.FOUND, description="How many at most.")] = 10,
) -> Response:
    """Titles that begin with the text, then titles that contain it."""
    return _json(await work.run(lambda: answers.search(served, q, n)))


@router.get("/health", summary="The process answers")
async def health() -> bodies.Health:
    """Alive, whatever the graph does."""
    return bodies.Health()


@router.get("/ready", summary="Model and graph answer")
async def ready(served: Model, work: Pool) -> bodies.Ready:
    """Whether a request would get an answer now; 503 otherwise."""
    query = statement("current_persona")
    await work.run(lambda: served.recommender.store.read(query, dataset=served.dataset))
    return bodies.Ready(**answers.origin(served))


@router.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
async def metrics(books: Books) -> Response:
    """Requests, their times, errors and the model, in Prometheus's text format."""
    return Response(books.text(), media_type=MEDIA_TYPE)


@router.post("/-/reload", summary="Load the latest run")
async def reload(request: Request, live: Live, books: Books) -> bodies.Reloaded:
    """Load the latest run of the data set, if it is another; from this machine only."""
    if request.client is None or not is_local(request.client.host):
        raise ProblemError(403, "ask for this on the server's own machine, through 127.0.0.1")
    try:
        async with asyncio.timeout(limits.RELOAD_SECONDS):
            changed = await asyncio.to_thread(live.refresh)
    except TimeoutError:
        raise ProblemError(
            504, f"still loading after {limits.RELOAD_SECONDS:g} s; the swap comes when it is done"
        ) from None
    except PersonarecError as error:
        books.load_failed()
        still = live.current.version.run
        _LOG.error("reload: %s; still on run %s", one_line(error, 600), still)
        raise ProblemError(
            503, f"still on run {still}: {one_line(error, 600)}", {"Retry-After": "5"}
        ) from error
    return bodies.Reloaded(**answers.origin(live.current), changed=changed)
