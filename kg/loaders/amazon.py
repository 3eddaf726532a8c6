"""Amazon reviews, 2018 form: JSON lines with reviewerID, asin, overall and unixReviewTime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from kg.loaders.lines import read_lines, rejected
from kg.loaders.records import Interaction, Record, Rejected


def read_reviews(path: Path) -> Iterator[Record | Rejected]:
    """One interaction a line; review texts are left out (those of held-out reviews would leak)."""
    for line in read_lines(path):
        if isinstance(line, Rejected):
            yield line
            continue
        number, text = line
        if not text.strip():
            yield rejected(number, "blank line (is the file cut short?)", text)
            continue
        try:
            yield _interaction(number, orjson.loads(text))
        except orjson.JSONDecodeError as error:
            yield rejected(number, f"broken JSON: {error}", text)
        except ValueError as error:
            yield rejected(number, str(error), text)


def _interaction(row: int, review: Any) -> Interaction:
    if not isinstance(review, dict):
        raise ValueError("not a JSON object")
    rating = review.get("overall")
    if rating is not None and not _is_number(rating):
        raise ValueError(f"overall is not a number: {rating!r}")
    time = review.get("unixReviewTime")
    if time is None or not _is_number(time):
        raise ValueError(f"unixReviewTime is not a number: {time!r}")
    return Interaction(
        _key(review, "reviewerID"),
        _key(review, "asin"),
        None if rating is None else float(rating),
        int(time),
        row,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _key(review: dict[str, Any], name: str) -> str:
    value = review.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is missing or not a text: {value!r}"[:100])
    return value.strip()
