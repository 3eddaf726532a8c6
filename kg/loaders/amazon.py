"""Amazon reviews of 2014, 2018 and 2023, one a line or Parquet row; its keys tell its form.

2014 and 2018: reviewerID, asin, overall, unixReviewTime (seconds).
2023: user_id, parent_asin (or asin), rating, timestamp (milliseconds).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from kg.loaders.lines import read_lines, read_records, rejected
from kg.loaders.parquet import read_rows
from kg.loaders.records import Interaction, Record, Rejected

ITEM_KEYS = ("asin", "parent_asin")
REVIEW_KEYS = (
    *ITEM_KEYS, "reviewerID", "overall", "unixReviewTime", "user_id", "rating", "timestamp",
)  # fmt: skip

MAX_LITERAL = 256 * 1024
"""Characters of a Python-literal line: its syntax tree takes hundreds of bytes a character."""


def read_reviews(path: Path) -> Iterator[Record | Rejected]:
    """One interaction a line; review texts are left out (those of held-out reviews would leak)."""
    return read_records(read_objects(path, REVIEW_KEYS), _interaction)


def read_objects(
    path: Path, keys: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, Any], str] | Rejected]:
    """Every line as (line number, object, text), from JSON or the Python literals of 2014.

    Of a file named ``….parquet``, every row, with the columns that ``keys`` names.
    """
    if path.suffix.lower() == ".parquet":
        yield from read_rows(path, keys)
        return
    for line in read_lines(path):
        if isinstance(line, Rejected):
            yield line
            continue
        number, text = line
        if not text.strip():
            yield rejected(number, "blank line (is the file cut short?)", text)
            continue
        try:
            content = _parsed(text)
        except ValueError as error:
            yield rejected(number, str(error), text)
            continue
        if isinstance(content, dict):
            yield number, content, text
        else:
            yield rejected(number, "not a JSON object", text)


def item_key(record: dict[str, Any]) -> str:
    """The item's id; since 2023 reviews and descriptions meet at the parent. Raises ValueError."""
    return _key(record, "parent_asin" if record.get("parent_asin") else "asin")


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not text.startswith("{'"):
            raise ValueError(f"broken JSON: {error}") from None
    if len(text) > MAX_LITERAL:
        raise ValueError(f"Python literal longer than {MAX_LITERAL} characters")
    try:
        content = ast.literal_eval(text)
        orjson.dumps(content)  # refuses what JSON could not hold: sets, bytes, half characters
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError("neither JSON nor a Python literal") from None
    return content


def _interaction(row: int, review: dict[str, Any]) -> tuple[Interaction]:
    # A Parquet file of several forms has the columns of all, empty where they are not a row's own.
    if "user_id" in review and review.get("reviewerID") is None:
        user, rating, time, unit = "user_id", "rating", "timestamp", 1000
    else:
        user, rating, time, unit = "reviewerID", "overall", "unixReviewTime", 1
    stars = None if review.get(rating) is None else float(_number(review, rating))
    seconds = int(_number(review, time)) // unit
    return (Interaction(_key(review, user), item_key(review), stars, seconds, row),)


def _number(review: dict[str, Any], name: str) -> int | float:
    value = review.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name} is not a number: {value!r}"[:100])
    if not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} is not finite: {value!r}")
    return value


def _key(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is missing or not a text: {value!r}"[:100])
    return value.strip()
