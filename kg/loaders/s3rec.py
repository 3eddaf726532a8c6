"""The files published with S3-Rec: ``Beauty.txt`` sequences and ``…_item2attributes.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from kg.errors import ChangeSomethingError
from kg.loaders.lines import read_lines, rejected
from kg.loaders.records import Interaction, ItemFact, Record, Rejected
from kg.schema import MINTED, mint_iri


def read_sequences(path: Path) -> Iterator[Record | Rejected]:
    """A user a line, then its items in time order; the position stands in for the time."""
    row = 0
    for line in read_lines(path):
        if isinstance(line, Rejected):
            yield line
            continue
        number, text = line
        user, *items = text.split() or [""]
        if not items:
            yield rejected(number, "no user with items", text)
        for position, item in enumerate(items):
            row += 1
            yield Interaction(user, item, None, position, row)


def read_attributes(path: Path) -> Iterator[Record | Rejected]:
    """One JSON object: item id -> list of attribute numbers."""
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ChangeSomethingError(f"{path}: broken JSON: {error}; fetch the file again") from None
    if not isinstance(content, dict):
        raise ChangeSomethingError(f"{path}: must be one JSON object, item -> list of attributes")
    for row, (item, attributes) in enumerate(content.items(), 1):
        if not isinstance(attributes, list):
            yield rejected(row, f"item {item}: attributes are not a list", repr(attributes))
            continue
        for attribute in attributes:
            if not isinstance(attribute, int | str) or isinstance(attribute, bool):
                reason = f"item {item}: attribute is neither a number nor a text: {attribute!r}"
                yield rejected(row, reason, repr(attributes))
                continue
            yield ItemFact(item, MINTED + "attribute", mint_iri("attribute", str(attribute)))
