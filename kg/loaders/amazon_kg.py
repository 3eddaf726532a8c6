"""The files of Amazon-KG v1: items with their DBpedia links, triples, item metadata, ratings.

They are named ``.csv`` and are tab-separated (github.com/WangYuhan-0520/Amazon-KG-dataset); commas
are taken too, and a first line that names the columns is recognised and not needed. Resources are
written short: ``res:``, ``cat:``, ``dbo:`` … Items and item metadata follow the published files.
Triples and ratings are described there and not published: ``iid head relation tail`` and
``uid iid y`` are read as that description has them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from kg.loaders.lines import read_lines, read_records, rejected
from kg.loaders.prefixes import resource_iri
from kg.loaders.records import Interaction, IriFact, Item, ItemFact, Label, Record, Rejected
from kg.loaders.tsv import number, required, whole
from kg.schema import DCT, MINTED, RDFS_LABEL

HEADER_WORDS = {
    "iid", "uid", "title", "uri", "metadata", "head", "head-entity", "relation", "tail",
    "tail-entity", "y", "rating", "timestamp",
}  # fmt: skip
GAP = re.compile(r"\.\*")
ESCAPED = re.compile(r"\\(.)")
LANGUAGE = re.compile(r'"(.*)"(?:@([A-Za-z-]+))?', re.DOTALL)

Parse = Callable[[int, list[str]], Iterator[Record]]


def read_items(path: Path) -> Iterator[Record | Rejected]:
    """``iid title uri``: the title is a pattern for DBpedia's labels, ``.*`` between its words.

    Many an item has several rows with rival links (one title, four novels); which one
    counts is for the ingest to say (the first row, where nothing better is known). A link to a
    disambiguation page is no link, and its row is rejected.
    """

    def parse(_row: int, cells: list[str]) -> Iterator[Record]:
        item, title, uri = _of_length(cells, 3)
        iri = resource_iri(uri.strip()) if uri.strip() else None
        if uri.strip() and iri is None:
            raise ValueError(f"uri is not an IRI: {uri[:50]!r}")
        if iri and iri.endswith("_(disambiguation)"):
            raise ValueError("the link is to a disambiguation page")
        yield Item(required(item, "iid"), title_of(title) or None, iri)

    return _read(path, parse)


def read_triples(path: Path) -> Iterator[Record | Rejected]:
    """``iid head relation tail``, or without iid: facts, and labels in English."""

    def parse(_row: int, cells: list[str]) -> Iterator[Record]:
        head, relation, tail = cells[1:] if len(cells) == 4 else _of_length(cells, 3)
        subject = resource_iri(required(head, "head-entity"))
        if subject is None:
            raise ValueError(f"head-entity is not an IRI: {head[:50]!r}")
        predicate = resource_iri(required(relation, "relation")) or relation.strip()
        if predicate == RDFS_LABEL:
            yield Label(subject, _label(required(tail, "tail-entity")))
            return
        thing = resource_iri(required(tail, "tail-entity"))
        if thing is None:
            raise ValueError(f"tail-entity is neither an IRI nor the row a label: {tail[:50]!r}")
        yield IriFact(subject, predicate, thing)

    return _read(path, parse)


def read_item_metadata(path: Path) -> Iterator[Record | Rejected]:
    """``iid`` and then resources: ``cat:`` is what the item is about, ``res:`` an attribute.

    The file does not say by which relation a ``res:`` belongs to the item (author, genre and
    sequel stand side by side).
    """

    def parse(_row: int, cells: list[str]) -> Iterator[Record]:
        item, *names = (cell.strip() for cell in cells)
        required(item, "iid")
        if not any(names):
            raise ValueError("no metadata")
        for name in names:
            iri = resource_iri(name)
            if name and iri is None:
                raise ValueError(f"metadata is not an IRI: {name[:50]!r}")
            if iri:
                about = "/resource/Category:" in iri
                yield ItemFact(item, DCT + "subject" if about else MINTED + "attribute", iri)

    return _read(path, parse)


def read_ratings(path: Path) -> Iterator[Record | Rejected]:
    """``uid iid y``, perhaps with a timestamp; without one, the order is that of the rows."""

    def parse(row: int, cells: list[str]) -> Iterator[Record]:
        user, item, stars, *time = cells if len(cells) == 4 else _of_length(cells, 3)
        yield Interaction(
            required(user, "uid"),
            required(item, "iid"),
            number(stars, "y") if stars.strip() else None,
            whole(time[0], "timestamp") if time else 0,
            row,
        )

    return _read(path, parse)


def title_of(pattern: str) -> str:
    """A title out of the pattern it was made into: ``The.*Lamp`` is ``The Lamp``."""
    return " ".join(ESCAPED.sub(r"\1", GAP.sub(" ", pattern)).split())


def _label(text: str) -> str:
    if match := LANGUAGE.fullmatch(text):
        text, language = match.groups()
        if language and not language.lower().startswith("en"):
            raise ValueError(f"label in language {language!r}, only English is kept")
    return required(text, "label")


def _of_length(cells: list[str], length: int) -> list[str]:
    if len(cells) != length:
        raise ValueError(f"{len(cells)} columns instead of {length}")
    return cells


def _read(path: Path, parse: Parse) -> Iterator[Record | Rejected]:
    return read_records(_rows(path), parse)


def _rows(path: Path) -> Iterator[tuple[int, list[str], str] | Rejected]:
    for line in read_lines(path):
        if isinstance(line, Rejected):
            yield line
            continue
        row, text = line
        try:
            cells = next(csv.reader([text], delimiter="\t" if "\t" in text else ","), [])
        except csv.Error as error:
            yield rejected(row, str(error), text)
            continue
        if row > 1 or not cells or {c.strip().lower() for c in cells} - HEADER_WORDS:
            yield row, cells, text
