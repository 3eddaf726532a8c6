"""One SPARQL endpoint, asked politely: slowly, patiently, and never the same thing twice.

Transport is SPARQLWrapper (POST, JSON), patience is tenacity. What may pass is tried again a
bounded number of times: 429, 5xx, time-outs, broken connections, and answers with status 200 that
are no SPARQL results. A Retry-After is honoured. Redirects are not followed: a POST would arrive
as a GET without its query, and a query must not go to a host that nobody named.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import orjson

from kg.errors import ChangeSomethingError, TryAgainError, one_line
from kg.sparql.cache import AnswerCache, Entry, Row, Term

if TYPE_CHECKING:
    from tenacity import RetryCallState

MAX_BYTES = 256 * 1024 * 1024
LONGEST_WAIT = 600.0
"""Seconds; an endpoint that asks for more is left alone until the user runs again."""


def default_user_agent(contact: str | None = None) -> str:
    """Who asks; ``contact`` (an address) lets the endpoint's keepers write to a person."""
    try:
        number = version("personarec")
    except PackageNotFoundError:
        number = "unreleased"
    return f"personarec/{number} (fetches facts of linked items; {contact or 'no contact given'})"


class IncompleteError(Exception):
    """An answer that is not all there is; the message says how that shows."""


class _PassingError(Exception):
    """A failure that may pass."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Endpoint:
    """A SPARQL endpoint and the cache of its answers.

    Args:
        url: Where it is, ``https://dbpedia.org/sparql``.
        cache: Folder for its answers.
        user_agent: Says who asks; see :func:`default_user_agent`.
        default_graph: Graph to ask, where the endpoint holds several.
        min_interval: Least seconds between two requests.
        timeout: Seconds that one request may take, from first byte to last.
        attempts: How often one query is sent before giving up.
        max_rows: Rows at which the endpoint is known to cut an answer.
        clock: Seconds since 1970.
        sleep: Called with seconds.

    Raises:
        ChangeSomethingError: the address is none, or the folder cannot be made.
    """

    def __init__(
        self,
        url: str,
        cache: Path,
        *,
        user_agent: str,
        default_graph: str | None = None,
        min_interval: float = 1.0,
        timeout: float = 130.0,
        attempts: int = 6,
        max_rows: int = 10_000,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            shown = url.rpartition("@")[2]  # a password must not come to the screen
            raise ChangeSomethingError(
                f"{shown!r} is not the address of an endpoint: give http(s)://host/path, "
                "without user or password"
            )
        if not user_agent.isprintable() or not user_agent.isascii():
            raise ChangeSomethingError("the user agent must be printable ASCII on one line")
        self.url = url
        self.cache = AnswerCache(cache, url, default_graph)
        self.max_rows = max_rows
        self.requests = 0
        """Requests sent."""
        self.from_cache = 0
        """Queries that the cache answered."""
        self.oldest: str | None = None
        """When the oldest answer used was retrieved: ISO 8601, UTC."""
        self._user_agent = user_agent
        self.default_graph = default_graph
        self._min_interval = min_interval
        self._timeout = timeout
        self._attempts = attempts
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0

    def select(self, query: str, complaint: Callable[[list[Row]], str | None]) -> list[Row]:
        """The rows of a SELECT, from the cache or the endpoint.

        Args:
            query: Its text.
            complaint: Says what is wrong with rows that came in, or None. Only rows without a
                complaint are kept.

        Raises:
            IncompleteError: rows are missing, now or when it was last asked and ``note_split``.
            TryAgainError: no answer after the last attempt.
            ChangeSomethingError: the endpoint refuses the query, or sends elsewhere.
        """
        entry = self.cache.get(query)
        if entry is None:
            rows = self._ask(query)
            if reason := complaint(rows):
                raise IncompleteError(reason)
            entry = Entry(rows, self._now())
            self.cache.put(query, entry)
        else:
            self.from_cache += 1
            if entry.incomplete:
                raise IncompleteError(entry.incomplete)
        self.oldest = min(self.oldest or entry.retrieved, entry.retrieved)
        return entry.rows

    def note_split(self, query: str, reason: str) -> None:
        """Keep that this query is better asked in parts, so that a later run does so at once."""
        self.cache.put(query, Entry([], self._now(), reason))

    def pause(self, seconds: float) -> None:
        """Wait, by the endpoint's clock."""
        self._sleep(seconds)

    # -- one query, several attempts ---------------------------------------------------------------

    def _ask(self, query: str) -> list[Row]:
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=self._wait,
            retry=retry_if_exception_type(_PassingError),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._send, query)
        except _PassingError as error:
            raise TryAgainError(
                f"{self.url}: {error}, {self._attempts} times in a row; what it answered before is "
                f"kept in {self.cache.folder}: run the same again later and it goes on from there"
            ) from error

    @cached_property
    def _backoff(self) -> Callable[[RetryCallState], float]:
        from tenacity import wait_exponential, wait_random

        return wait_exponential(multiplier=2, max=60) + wait_random(0, 2)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, _PassingError) else None
        return self._backoff(state) if asked is None else asked

    def _send(self, query: str) -> list[Row]:
        """One attempt."""
        # A clock set back must not stop us for longer than the interval.
        wait = min(self._min_interval, self._next - self._clock())
        if wait > 0:
            self._sleep(wait)
        self._next = self._clock() + self._min_interval
        self.requests += 1
        try:
            with self._transport(query).query().response as response:
                body = _read(response, time.monotonic() + self._timeout)
                status, headers = response.status, response.headers
        except HTTPError as error:
            with error:
                raise self._refusal(error) from error
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise ChangeSomethingError(
                    f"{self.url}: its certificate is not trusted: {one_line(error.reason)}; "
                    "check the address and this machine's certificates"
                ) from error
            raise _PassingError(f"no answer ({one_line(error)})") from error
        except (OSError, HTTPException) as error:
            raise _PassingError(f"connection broken ({one_line(error) or repr(error)})") from error
        rows = _results(body, headers.get("Content-Type", "no type"))
        if reason := _cut_off(status, headers, len(rows), self.max_rows):
            raise IncompleteError(reason)
        return rows

    def _transport(self, query: str) -> Any:
        from kg.sparql.transport import Transport

        wrapper = Transport(self.url, self._user_agent, self._timeout)
        wrapper.setQuery(query)
        if self.default_graph:
            wrapper.addDefaultGraph(self.default_graph)
        return wrapper

    def _refusal(self, error: HTTPError) -> Exception:
        """What a status of 300 or more means."""
        said = ""
        with suppress(OSError, HTTPException):  # the status alone must do then
            said = _shown(error.read(2_000).decode("utf-8", "replace").strip().partition("\n")[0])
        what = f"HTTP {error.code}" + (f": {said}" if said else "")
        if error.code == 429 or error.code >= 500:
            wait = _retry_after(error.headers.get("Retry-After"), self._clock())
            if wait is not None and wait > LONGEST_WAIT:
                return TryAgainError(
                    f"{self.url}: {what}; it asks to be left alone for {wait:.0f} s. What it "
                    f"answered before is kept in {self.cache.folder}: run the same again after that"
                )
            return _PassingError(what, wait)
        if 300 <= error.code < 400:
            target = error.headers.get("Location", "nowhere")
            return ChangeSomethingError(
                f"{self.url}: HTTP {error.code}, moved to {_shown(target)}; "
                "redirects are not followed: give that address if you trust it"
            )
        return ChangeSomethingError(
            f"{self.url} refuses the query: {what}; check the endpoint's address and its limits"
        )

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")


# -- reading an answer -----------------------------------------------------------------------------


def _read(response: Any, deadline: float) -> bytes:
    """The body as far as it comes; one that ends early is no JSON.

    Raises:
        OSError: the connection breaks, or it takes too long.
        IncompleteError: it is longer than we are ready to hold; a part of the block may do.
    """
    parts: list[bytes] = []
    size = 0
    # read1: one receive a call, so that a body that drips in cannot outlast the deadline.
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise IncompleteError(f"more than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
    return b"".join(parts)


def _shown(text: str) -> str:
    """What an endpoint said, fit for one line of a terminal."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:200]


def _results(body: bytes, content_type: str) -> list[Row]:
    """The rows of a SPARQL JSON document."""
    try:
        bindings = orjson.loads(body)["results"]["bindings"]
        return [
            {n: Term(str(t["type"]), str(t["value"]), str(t.get("xml:lang", ""))) for n, t in items}
            for items in (row.items() for row in bindings)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        start = _shown(body[:60].decode("utf-8", "replace"))
        raise _PassingError(
            f"HTTP 200 without SPARQL results ({_shown(content_type)}: {start})"
        ) from None


def _cut_off(status: int, headers: Any, rows: int, max_rows: int) -> str | None:
    """What shows that the endpoint left rows out, or None.

    Virtuoso says X-SPARQL-MaxRows when an answer met its limit, and X-SQL-State (S1TAT) or, in
    later versions, status 206 when time ran out and it sent what it had.
    """
    if status != 200:
        return f"HTTP {status}, a partial answer"
    if state := headers.get("X-SQL-State"):
        return f"X-SQL-State {state}, the query ran out of time"
    limit = headers.get("X-SPARQL-MaxRows")
    # With fewer rows than its number it merely states the limit; the counts decide then.
    if limit is not None and not (limit.strip().isdecimal() and rows < int(limit)):
        return f"X-SPARQL-MaxRows {limit}, the answer met the endpoint's limit"
    if rows >= max_rows:
        return f"{rows} rows, the endpoint's limit"
    return None


def _retry_after(text: str | None, now: float) -> float | None:
    """Seconds to wait from a Retry-After, which has seconds or a date; None where it has neither.

    RFC 9110, 10.2.3.
    """
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, until.timestamp() - now)
