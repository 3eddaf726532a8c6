"""Tab-separated interactions, items and facts: the headers that make any folder a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from kg.errors import ChangeSomethingError
from kg.loaders.lines import read_lines, read_records, rejected
from kg.loaders.records import Interaction, IriFact, Item, Record, Rejected

INTERACTIONS_HEADER = ("user_id", "item_id", "rating", "timestamp")
ITEMS_HEADER = ("item_id", "title", "genres", "dbpedia_uri")
FACTS_HEADER = ("head", "relation", "tail")
NO_GENRE = "(no genres listed)"


def _rows(path: Path, header: tuple[str, ...]) -> Iterator[tuple[int, list[str], str] | Rejected]:
    lines = read_lines(path)
    first = next(lines, None)
    found = tuple(first[1].split("\t")) if first and not isinstance(first, Rejected) else ()
    if found != header:
        raise ChangeSomethingError(
            f"{path}: the first line must be the header {' '.join(header)} (tab-separated), "
            f"found {' '.join(found)[:100] or 'none'}"
        )
    for line in lines:
        if isinstance(line, Rejected):
            yield line
            continue
        number, text = line
        cells = text.split("\t")
        if len(cells) != len(header):
            yield rejected(number, f"{len(cells)} columns instead of {len(header)}", text)
        else:
            yield number, cells, text


def read_table(
    path: Path, header: tuple[str, ...], parse: Callable[[int, list[str]], Record]
) -> Iterator[Record | Rejected]:
    """Records of a tab-separated file with exactly this header.

    ``parse`` makes a record of a line's number and cells, or raises ValueError with what is wrong.

    Raises ChangeSomethingError: the first line is another.
    """
    return read_records(_rows(path, header), lambda row, cells: (parse(row, cells),))


def required(value: str, name: str) -> str:
    """The value without outer blanks. Raises ValueError when nothing is left."""
    if not (value := value.strip()):
        raise ValueError(f"{name} is empty")
    return value


def number(value: str, name: str) -> float:
    """A finite number. Raises ValueError."""
    try:
        result = float(value)
    except ValueError:
        raise ValueError(f"{name} is not a number: {value[:50]!r}") from None
    if not math.isfinite(result):
        raise ValueError(f"{name} is not finite: {value[:50]!r}")
    return result


def whole(value: str, name: str) -> int:
    """A whole number, exact beyond 2**53 too; a fraction is cut off. Raises ValueError."""
    try:
        return int(value)
    except ValueError:
        return int(number(value, name))


def read_interactions(path: Path) -> Iterator[Record | Rejected]:
    """``user_id item_id rating timestamp``; the rating may be empty."""

    def parse(row: int, cells: list[str]) -> Interaction:
        user, item, rating, timestamp = cells
        return Interaction(
            required(user, "user_id"),
            required(item, "item_id"),
            number(rating, "rating") if rating.strip() else None,
            whole(timestamp, "timestamp"),
            row,
        )

    return read_table(path, INTERACTIONS_HEADER, parse)


def read_items(path: Path) -> Iterator[Record | Rejected]:
    """``item_id title genres dbpedia_uri``; genres part at ``|``; all but the id may be empty."""

    def parse(_row: int, cells: list[str]) -> Item:
        item, title, genres, iri = cells
        return Item(
            required(item, "item_id"),
            title.strip() or None,
            iri.strip() or None,
            tuple(g for g in (g.strip() for g in genres.split("|")) if g and g != NO_GENRE),
        )

    return read_table(path, ITEMS_HEADER, parse)


def read_facts(path: Path) -> Iterator[Record | Rejected]:
    """``head relation tail``: IRI, predicate (IRI or ``dbo:``/``dct:`` name), IRI."""

    def parse(_row: int, cells: list[str]) -> IriFact:
        head, relation, tail = (required(c, n) for c, n in zip(cells, FACTS_HEADER, strict=True))
        return IriFact(head, relation, tail)

    return read_table(path, FACTS_HEADER, parse)
