"""Amazon item descriptions of 2014, 2018 and 2023, one a line or Parquet row.

Read are title, categories, and brand or store. Left out on purpose: ``also_buy``, ``also_view``,
``bought_together``, ``related`` (amazon_also.py has them), and ranks and average ratings. They were
counted from purchases and reviews made after those a model learns from, so they would leak what is
held out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from kg.loaders.amazon import ITEM_KEYS, item_key, read_objects
from kg.loaders.lines import rejected
from kg.loaders.records import Item, ItemFact, Record, Rejected
from kg.schema import MINTED, mint_iri

DESCRIPTION_KEYS = (*ITEM_KEYS, "title", "category", "categories", "brand", "store")
TAG = re.compile(r"<(?:/?[A-Za-z]|!--)[^<>]*>")
CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]+")
SCRAPS = ("gettime()", "apagestart", "<script", "<style", "<!doctype", "<html")
"""What a piece of a page's code in place of a title holds, in lower case."""
AUTHOR_PAGE = re.compile(r"Visit Amazon's (.+) Page")


def read_metadata(path: Path) -> Iterator[Record | Rejected]:
    """An Item a line, then its facts; an unusable category or brand is rejected by itself."""
    for line in read_objects(path, DESCRIPTION_KEYS):
        if isinstance(line, Rejected):
            yield line
            continue
        number, content, text = line
        try:
            item = item_key(content)
            yield Item(item, _title(content), None)
        except ValueError as error:
            yield rejected(number, str(error), text)
            continue
        for read, kind in ((_categories, "category"), (_brands, "brand")):
            try:
                names = read(content)
            except ValueError as error:
                yield rejected(number, f"item {item[:50]}: {error}", text)
                continue
            for name in names:
                yield ItemFact(item, MINTED + kind, mint_iri(kind, name))


def _title(content: dict[str, Any]) -> str | None:
    raw = _text(content.get("title"), "title")
    folded = raw.casefold()
    return None if any(scrap in folded for scrap in SCRAPS) else _clean(raw) or None


def _categories(content: dict[str, Any]) -> list[str]:
    """Names in their order, each once; the 2014 form is a list of paths."""
    found = content.get("categories") or content.get("category") or []
    if not isinstance(found, list):
        raise ValueError(f"categories are not a list: {found!r}"[:100])
    parts = [p for entry in found for p in (entry if isinstance(entry, list) else [entry])]
    names = (_clean(_text(part, "category")) for part in parts)
    return list(dict.fromkeys(name for name in names if name))


def _brands(content: dict[str, Any]) -> list[str]:
    """The brand, or what took its place in 2023, the store; of a book this is its author."""
    for key in ("brand", "store"):
        name = _clean(_text(content.get(key), key))
        if page := AUTHOR_PAGE.fullmatch(name):
            name = page[1]
        if name:
            return [name]
    return []


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text: {value!r}"[:100])
    return value


def _clean(text: str) -> str:
    """Text without tags, entities and control characters, its blanks made single."""
    return " ".join(CONTROL.sub(" ", unescape(TAG.sub(" ", text))).split())
