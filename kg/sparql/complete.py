"""Answers that are complete: rows are believed only when the endpoint's own counts agree.

A public endpoint that is short of time or rows answers 200 with a part. So each block of keys is
asked twice, for the number of rows of each key and for the rows. If they differ, or a header says
that something was left out, the block is halved and each half asked; a single key that still
differs is an error. Counts come first: they are whole when every key is in them, and they say
whether the rows would meet the endpoint's limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from kg.errors import ChangeSomethingError, TryAgainError
from kg.sparql.cache import Row
from kg.sparql.client import Endpoint, IncompleteError
from kg.sparql.question import Question

BATCH = 100
MAX_BATCH = 150
SINGLE_ATTEMPTS = 3
SINGLE_PAUSE = 5.0
"""Seconds, times the attempt."""


def complete(
    endpoint: Endpoint, question: Question, keys: Iterable[str], batch: int = BATCH
) -> Iterator[list[Row]]:
    """All rows of a question for all keys, block by block in the order of the keys.

    Raises:
        ValueError: ``batch`` is not within 1 and 150.
        NotATermError: a key that is no term.
        TryAgainError: the endpoint gives no answer, or keeps giving a part for a single key.
        ChangeSomethingError: it refuses, or a single key has more rows than it ever returns.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"{batch} keys in a query: 1 to {MAX_BATCH}")
    unique = list(dict.fromkeys(keys))
    for start in range(0, len(unique), batch):
        yield from _block(endpoint, question, unique[start : start + batch])


def _block(endpoint: Endpoint, question: Question, keys: Sequence[str]) -> Iterator[list[Row]]:
    if len(keys) == 1:
        yield _single(endpoint, question, keys[0])
        return
    try:
        rows = _believed(endpoint, question, keys)
    except _DisagreedError as error:
        endpoint.note_split(error.query, str(error))
        middle = len(keys) // 2
        yield from _block(endpoint, question, keys[:middle])
        yield from _block(endpoint, question, keys[middle:])
    else:
        yield rows


def _single(endpoint: Endpoint, question: Question, key: str) -> list[Row]:
    for attempt in range(1, SINGLE_ATTEMPTS + 1):
        try:
            return _believed(endpoint, question, [key])
        except _DisagreedError as error:
            if error.expected >= endpoint.max_rows:
                raise ChangeSomethingError(
                    f"{endpoint.url}: {key} alone has {error.expected} rows and the endpoint "
                    f"returns {endpoint.max_rows} at most; leave it out, or read it from a dump"
                ) from error
            # Either answer may be the wrong one: neither is kept.
            endpoint.cache.forget(question.counts_query([key]))
            reason = str(error)
        if attempt < SINGLE_ATTEMPTS:
            endpoint.pause(SINGLE_PAUSE * attempt)
    raise TryAgainError(
        f"{endpoint.url}: no complete answer about {key}: {reason}, {SINGLE_ATTEMPTS} times; what "
        f"was answered before is kept in {endpoint.cache.folder}: run the same again later"
    )


class _DisagreedError(Exception):
    """A block that is not believed: the query at fault, and the rows it should have."""

    def __init__(self, reason: str, query: str, expected: int = 0) -> None:
        super().__init__(reason)
        self.query = query
        self.expected = expected


def _believed(endpoint: Endpoint, question: Question, keys: Sequence[str]) -> list[Row]:
    """The rows of a block. Raises _DisagreedError when they cannot be believed."""
    counts_query, rows_query = question.counts_query(keys), question.rows_query(keys)
    try:
        answer = endpoint.select(counts_query, lambda rows: _wrong_counts(rows, keys))
    except IncompleteError as error:
        raise _DisagreedError(str(error), counts_query) from error
    expected = {row["s"].value: int(row["n"].value) for row in answer}
    total = sum(expected.values())
    if total >= endpoint.max_rows:
        reason = f"{total} rows to come, the endpoint's limit is {endpoint.max_rows}"
        raise _DisagreedError(reason, rows_query, total)
    try:
        return endpoint.select(rows_query, lambda rows: _wrong_rows(rows, expected))
    except IncompleteError as error:
        raise _DisagreedError(str(error), rows_query) from error


def _wrong_counts(rows: list[Row], keys: Sequence[str]) -> str | None:
    """Counts must name each key once, those without rows too."""
    if any(not {"s", "n"} <= row.keys() or not row["n"].value.isdecimal() for row in rows):
        return "counts that are no numbers"
    counted = Counter(row["s"].value for row in rows)
    if counted != Counter(keys):
        wrong = next(iter((Counter(keys) - counted) + (counted - Counter(keys))))
        return f"counts of {len(rows)} keys instead of {len(keys)}, {wrong!r} is one that differs"
    return None


def _wrong_rows(rows: list[Row], expected: dict[str, int]) -> str | None:
    """Every key must have the number of rows that was counted, and no row may come twice.

    A row that came twice could stand in the count for one that is missing. Rows of one graph are
    distinct.
    """
    if any(not {"s", "o"} <= row.keys() for row in rows):
        return "rows without a key or a value"
    if len({tuple(sorted(row.items())) for row in rows}) < len(rows):
        return "a row came twice (if it always does: name the endpoint's default graph)"
    found = Counter(row["s"].value for row in rows)
    for key in sorted(found.keys() | expected.keys()):
        if found[key] != expected.get(key, 0):
            return f"{found[key]} rows of {key!r} instead of the {expected.get(key, 0)} counted"
    return None
