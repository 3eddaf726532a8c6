"""The application: endpoints, errors, gate and their description, put together."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from personarec.web import limits, problems
from personarec.web.access import OPEN, Access
from personarec.web.bodies import Problem
from personarec.web.gate import Gate
from personarec.web.metrics import Metrics
from personarec.web.page.routes import page
from personarec.web.routes import router
from personarec.web.served import LiveModel, Served
from personarec.web.work import Work

_LOG = logging.getLogger("personarec.web")
DESCRIPTION = (
    "Recommendations from a trained run and its knowledge graph. Reads only. Each answer names the "
    "run and the version of the personas that it comes from; each error is a problem detail "
    "(RFC 9457)."
)
_ERRORS = {
    "400": "The body is no JSON.",
    "401": "No token, or another.",
    "403": "Not from the server's own machine.",
    "404": "An unknown user, item or address.",
    "413": "The request is too large.",
    "422": "The request is not as described.",
    "500": "A defect.",
    "503": "The graph does not answer, or too many requests wait.",
    "504": "It took too long.",
}


def create_app(
    live: LiveModel,
    access: Access,
    *,
    threads: int = 4,
    body_bytes: int = limits.BODY_BYTES,
    body_seconds: float = limits.BODY_SECONDS,
    answer_seconds: float = limits.ANSWER_SECONDS,
    waiting: int = limits.WAITING,
) -> FastAPI:
    """The application over a loaded model.

    Args:
        live: the model; its ``swapped`` is set here.
        access: who may ask.
        threads: requests worked on at a time.
        body_bytes: most bytes of a request's body.
        body_seconds: within which the body must be there.
        answer_seconds: within which the answer must be there.
        waiting: requests that may wait for a thread.
    """
    books = Metrics()
    work = Work(threads, waiting=waiting, seconds=answer_seconds)

    def swapped(served: Served) -> None:
        books.model(served)
        _LOG.info("answers come from run %s now", served.version.run)

    books.model(live.current)
    live.swapped = swapped

    app = FastAPI(
        title="personarec", version=version("personarec"), description=DESCRIPTION,
        # The pages that FastAPI has for people load scripts from elsewhere.
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.live, app.state.work, app.state.metrics = live, work, books
    app.include_router(router)
    app.include_router(page())
    for kind in problems.HANDLED:
        app.add_exception_handler(kind, problems.answer)
    app.add_middleware(
        Gate, access=access, metrics=books, body_bytes=body_bytes, body_seconds=body_seconds
    )
    described = _described(app, with_token=access.token is not None)
    app.openapi = lambda: described  # type: ignore[method-assign]
    return app


def _described(app: FastAPI, *, with_token: bool) -> dict[str, Any]:
    """FastAPI's description, with our errors in the place of its own."""
    described = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = described["components"]["schemas"]
    for own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(own, None)
    schemas["Problem"] = Problem.model_json_schema()
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, methods in described["paths"].items():
        for operation in methods.values():
            for status in _possible(path, operation, with_token=with_token):
                problem = {"description": _ERRORS[status], "content": content}
                operation["responses"][status] = problem
            if with_token and path not in OPEN:
                operation["security"] = [{"token": []}]
    if with_token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return described


def _possible(path: str, operation: dict[str, Any], *, with_token: bool) -> list[str]:
    """The errors that an operation can end in."""
    asks = "requestBody" in operation or "parameters" in operation
    possible = ["413", "500"]
    if with_token and path not in OPEN:
        possible += ["401"]
    if path == "/-/reload":
        possible += ["403", "503", "504"]
    elif path == "/ready" or asks:
        possible += ["503", "504"]
    if asks:
        possible += ["422"] if path == "/search" else ["404", "422"]
    if "requestBody" in operation:
        possible += ["400"]
    return possible
