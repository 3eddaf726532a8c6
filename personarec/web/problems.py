"""Errors as problem details (RFC 9457), each in one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kg.errors import PersonarecError, TryAgainError, one_line
from personarec.web.bodies import KINDS

MEDIA_TYPE = "application/problem+json"
SHOWN = 3  # complaints about one request
_LOG = logging.getLogger("personarec.web")


class ProblemError(Exception):
    """Ends a request with a status and a line of advice."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def document(status: int, detail: str, request_id: str) -> bytes:
    """The body of a problem."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": " ".join(detail.split()),
        "request_id": request_id,
    }
    return json.dumps(content).encode("ascii")  # escaped: a request may hold half a character


def of_library(error: PersonarecError, request_id: str) -> ProblemError:
    """A library's error as what the client can do about it.

    An unknown user or item is the client's mistake. What the graph refused, or could not answer,
    is not, and its text names places on the server: the log gets it.
    """
    if isinstance(error, TryAgainError):
        _LOG.error("%s: %s", request_id, one_line(error, 600))
        return ProblemError(
            503, "the graph does not answer; try again in a moment", {"Retry-After": "1"}
        )
    if error.__cause__ is not None:  # the store chains the driver's error to its own
        _LOG.error("%s: %s", request_id, one_line(error, 600))
        return ProblemError(500, "the graph refused the request; the server's log says why")
    return ProblemError(404, one_line(error, 600))


def complaints(errors: Sequence[Any]) -> str:
    """The first complaints about a request: where, and what."""
    lines = [f"{_place(e['loc'][1:]) or e['loc'][0]}: {e['msg']}" for e in errors[:SHOWN]]
    more = [f"and {len(errors) - SHOWN} more"] if len(errors) > SHOWN else []
    return "; ".join(lines + more)


def _place(names: Sequence[str | int]) -> str:
    """A field's place, without the kinds of request, which the client never wrote."""
    pairs = zip(names, [*names[1:], 0], strict=False)
    return ".".join(str(n) for n, after in pairs if n not in KINDS or not isinstance(after, str))


async def answer(request: Request, error: Exception) -> Response:
    """The response to an error that ends a request."""
    request_id = request.state.request_id
    problem: ProblemError
    if isinstance(error, ProblemError):
        problem = error
    elif isinstance(error, PersonarecError):
        problem = of_library(error, request_id)
    elif isinstance(error, RequestValidationError):
        problem = ProblemError(422, complaints(error.errors()))
    elif isinstance(error, HTTPException):
        problem = ProblemError(error.status_code, str(error.detail), error.headers)
    else:
        raise error
    return Response(
        document(problem.status, problem.detail, request_id),
        problem.status,
        problem.headers,
        MEDIA_TYPE,
    )


HANDLED = (ProblemError, PersonarecError, RequestValidationError, HTTPException)
