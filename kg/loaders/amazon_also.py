"""Amazon's "also bought" lists of 2014, 2018 and 2023, out of the files of item descriptions.

They are a leak, and so a loader of their own that a data set has to ask for: Amazon counted them
from purchases of the whole period, held-out ones among them, when the pages were fetched. A model
that sees them in training has seen something of its test set.

2014: ``related``, with also_bought, also_viewed and bought_together; its fourth list,
buy_after_viewing, mixes purchases with views and has no relation here. 2018: also_buy, also_view.
2023: bought_together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kg.loaders.amazon import ITEM_KEYS, item_key, read_objects
from kg.loaders.lines import rejected
from kg.loaders.records import ItemPair, Record, Rejected
from kg.schema import relation_type

LISTS = {
    "also_bought": "ALSO_BOUGHT",
    "also_buy": "ALSO_BOUGHT",
    "also_viewed": "ALSO_VIEWED",
    "also_view": "ALSO_VIEWED",
    "bought_together": "BOUGHT_TOGETHER",
}
ASIN = re.compile(r"[A-Z0-9]{10}")


def read_also(path: Path) -> Iterator[Record | Rejected]:
    """A pair for each entry of each list; an entry that is no item's id is rejected by itself.

    The lists of 2018 hold pieces of pages here and there in place of ids.
    """
    for line in read_objects(path, (*ITEM_KEYS, "related", *LISTS)):
        if isinstance(line, Rejected):
            yield line
            continue
        number, content, text = line
        try:
            item = item_key(content)
        except ValueError as error:
            yield rejected(number, str(error), text)
            continue
        related = content.get("related") or {}
        if not isinstance(related, dict):
            yield rejected(number, f"item {item[:50]}: related is not a map of lists", text)
            related = {}
        for name, relation in LISTS.items():
            predicate = relation_type(relation).predicate or ""
            for found in (content.get(name), related.get(name)):
                for pair in _pairs(item, predicate, name, found):
                    yield rejected(number, pair, text) if isinstance(pair, str) else pair


def _pairs(item: str, predicate: str, name: str, found: Any) -> Iterator[ItemPair | str]:
    """Pairs, or what is wrong with an entry."""
    if found is None or found == "":
        return
    if not isinstance(found, list):
        yield f"item {item[:50]}: {name} is not a list: {found!r}"
        return
    for other in found:
        if not isinstance(other, str) or not ASIN.fullmatch(other.strip()):
            yield f"item {item[:50]}: {name} holds what is no item's id: {other!r}"
        elif other.strip() == item:
            yield f"item {item[:50]}: {name} holds the item itself"
        else:
            yield ItemPair(item, predicate, other.strip())
