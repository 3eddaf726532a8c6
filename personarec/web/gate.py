"""What every request passes on its way in and out: id, access, size, books, log."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personarec.web import limits
from personarec.web.access import Access
from personarec.web.metrics import Metrics
from personarec.web.problems import MEDIA_TYPE, ProblemError, document

ID_HEADER = "x-request-id"
_LOG = logging.getLogger("personarec.web")
_USABLE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        metrics: Metrics,
        body_bytes: int = limits.BODY_BYTES,
        body_seconds: float = limits.BODY_SECONDS,
    ) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the lifespan passes by."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get(ID_HEADER, "")
        request_id = given if _USABLE_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = request_id
            await send(message)

        self._metrics.in_progress.inc()
        try:
            self._check(scope["path"], headers)
            body = await self._body(headers, receive)
            await self._app(scope, _replayed(body, receive), sending)
        except ProblemError as problem:
            await _send_problem(problem, request_id, sending)
        except _GoneError:
            status = 499  # as in nginx: the client went away before it had asked
        except Exception:
            _LOG.exception("%s: a defect of personarec", request_id)
            if not status:
                text = "a defect of personarec; the server's log has it under this request_id"
                await _send_problem(ProblemError(500, text), request_id, sending)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.in_progress.dec()
            self._metrics.request(scope["method"], route, status or 500, seconds)
            # The path as ASCII text in quotes: what a client wrote cannot end the line.
            _LOG.info(
                "%s %s %s %d %.1f ms",
                request_id, scope["method"], ascii(scope["path"][:200]), status, 1000 * seconds,
            )  # fmt: skip

    def _check(self, path: str, headers: Headers) -> None:
        if not self._access.knows(headers.get("host", "").encode("latin-1")):
            raise ProblemError(
                421, "this server answers to localhost only; use the address that it printed"
            )
        if not self._access.admits(path, headers.get("authorization", "").encode("latin-1")):
            raise ProblemError(
                401, "show the token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"}
            )

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body, which is small, before anything is done for it."""
        too_large = ProblemError(
            413, f"a request may have {self._body_bytes} bytes", {"Connection": "close"}
        )
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._body_bytes:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part = message.get("body", b"")
                    parts.append(part)
                    size += len(part)
                    if size > self._body_bytes:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise ProblemError(
                408,
                f"the request was not all there after {self._body_seconds:g} s; send it again",
                {"Connection": "close"},
            ) from None


class _GoneError(Exception):
    """The client closed the connection."""


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body that was read already, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _send_problem(problem: ProblemError, request_id: str, send: Send) -> None:
    body = document(problem.status, problem.detail, request_id)
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
