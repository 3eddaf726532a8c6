"""RecBole's atomic files: ``.inter``, ``.item``, ``.user``, ``.link``, ``.kg``.

Tab-separated, with a header of ``name:type``; a type is token, token_seq, float or float_seq, and
the parts of a sequence are separated by blanks (recbole.io/docs/user_guide/data/atomic_files.html).
Cells may be quoted as in CSV, because RecBole reads them so, but a row is one line.

A numeric column of an item or user becomes no fact: the graph joins by equal values, and what such
columns hold of an item (ranks, average ratings) was counted after the fact and would leak.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from kg.errors import ChangeSomethingError
from kg.loaders.lines import read_lines, read_records
from kg.loaders.prefixes import resource_iri
from kg.loaders.records import (
    Interaction,
    IriFact,
    Item,
    ItemFact,
    Link,
    Record,
    Rejected,
    UserFact,
)
from kg.loaders.tsv import number, required, whole
from kg.schema import DBO, DCT, MINTED, mint_iri

TYPES = ("token", "token_seq", "float", "float_seq")
USERS = ("user_id", "userID", "userId", "user")
ITEMS = ("item_id", "itemID", "itemId", "item")
RATINGS = ("rating", "stars")
TIMES = ("timestamp", "time", "date")
TITLES = ("title", "item_name", "movie_title", "name")
GENRES = ("class", "genre", "genres", "categories")
HEADS = ("head_id", "head_entity_id", "head_entity", "head")
KINDS = ("relation_id", "relation")
TAILS = ("tail_id", "tail_entity_id", "tail_entity", "tail")
ENTITIES = ("entity_id", "entity")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:\S+$")  # small letters: "Dune: Part Two" is a name
TRAIT = "trait"
"""Column of a ``.user`` file for traits that are not of the form name=value."""

PAPER_RELATIONS = {
    "subject_is": DCT + "subject",
    "directed_by": DBO + "director",
    "director": DBO + "director",
    "musiccomposer_is": DBO + "musicComposer",
    "composer_is": DBO + "composer",
    "starring": DBO + "starring",
    "writer_is": DBO + "writer",
    "author": DBO + "author",
    "executiveProducer_is": DBO + "executiveProducer",
    "producer": DBO + "producer",
    "genre_is": DBO + "genre",
    "literaryGenre_is": DBO + "literaryGenre",
    "got_award": DBO + "award",
    "openingTheme": DBO + "openingTheme",
    "previousWork": DBO + "previousWork",
    "subsequentWork": DBO + "subsequentWork",
    "creator": DBO + "creator",
    "presenter": DBO + "presenter",
    "have_artist": DBO + "artist",
    "series": DBO + "series",
    "notableWork": DBO + "notableWork",
    "brand": MINTED + "brand",
    "category": MINTED + "category",
}
"""Relation names of the Amazon-KG paper (SIGIR 2024, doi 10.1145/3626772.3657880) -> predicates.

Its also_buy_product, also_view_product and rated are missing on purpose: they would leak.
"""


class Column(NamedTuple):
    """A column of a header."""

    place: int
    name: str
    type: str


Parse = Callable[[int, list[str]], Iterator[Record]]
Plan = Callable[["Header"], Parse]


class Header:
    """The columns of a file, by name and type. Raises ChangeSomethingError with what is missing."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        try:
            cells = [cell.strip().partition(":") for cell in _cells(text)]
        except ValueError:
            cells = []
        names = {name for name, _, _ in cells}
        if not all(names) or len(names) < max(1, len(cells)) or {c[2] for c in cells} - set(TYPES):
            raise ChangeSomethingError(
                f"{path}: the first line must be a header of name:type cells, tab-separated, "
                f"each name once, types {', '.join(TYPES)}; found {text[:100]!r}"
            )
        self.columns = [Column(place, c[0], c[2]) for place, c in enumerate(cells)]

    def find(self, names: tuple[str, ...], *types: str) -> Column | None:
        """The column with the first of the names that is there, of one of the types."""
        known = {c.name: c for c in self.columns if c.type in types}
        return next((known[n] for n in names if n in known), None)

    def key(self, names: tuple[str, ...], *, beside: Column | None = None) -> Column:
        """The token column of one of the names, else the first other one named ``…_id``."""
        ids = [c for c in self.columns if c.type == "token" and c.name.endswith("_id")]
        found = self.find(names, "token") or next((c for c in ids if c != beside), None)
        if found is None:
            there = " ".join(f"{c.name}:{c.type}" for c in self.columns)
            raise ChangeSomethingError(
                f"{self.path}: no column {names[0]}:token; there are: {there[:100]}"
            )
        return found


def read_inter(path: Path) -> Iterator[Record | Rejected]:
    """``user_id item_id rating timestamp``; rating and timestamp may be absent.

    Without a timestamp (Amazon-KG v2.0 has none, and its rating is always 1) every time is 0 and
    the order of a user's rows is that of the file. Leave-one-out then holds out what the file names
    last, which is the latest only where the file was written in the order of time.
    """

    def plan(header: Header) -> Parse:
        user = header.key(USERS)
        item = header.key(ITEMS, beside=user)
        rating = header.find(RATINGS, "float", "token")
        time = header.find(TIMES, "float", "token")

        def parse(row: int, cells: list[str]) -> Iterator[Record]:
            stars = cells[rating.place].strip() if rating else ""
            yield Interaction(
                required(cells[user.place], user.name),
                required(cells[item.place], item.name),
                number(stars, "rating") if stars else None,
                whole(cells[time.place], time.name) if time else 0,
                row,
            )

        return parse

    return _read(path, plan)


def read_item(path: Path) -> Iterator[Record | Rejected]:
    """An item a row: title, genres, and each other token as an attribute ``name=value``."""

    def plan(header: Header) -> Parse:
        item = header.key(ITEMS)
        title = header.find(TITLES, "token", "token_seq")
        genres = header.find(GENRES, "token", "token_seq")
        others = _tokens(header, item, title, genres)

        def parse(_row: int, cells: list[str]) -> Iterator[Record]:
            key = required(cells[item.place], item.name)
            name = " ".join(cells[title.place].split()) if title else ""
            found = tuple(dict.fromkeys(_values(genres, cells))) if genres else ()
            yield Item(key, name or None, None, found)
            for column in others:
                for value in _values(column, cells):
                    thing = mint_iri("attribute", f"{column.name}={value}")
                    yield ItemFact(key, MINTED + "attribute", thing)

        return parse

    return _read(path, plan)


def read_user(path: Path) -> Iterator[Record | Rejected]:
    """Each token of a user as a trait ``name=value``; an IRI in a column ``trait`` as itself."""

    def plan(header: Header) -> Parse:
        user = header.key(USERS)
        others = _tokens(header, user)

        def parse(_row: int, cells: list[str]) -> Iterator[Record]:
            key = required(cells[user.place], user.name)
            for column in others:
                for value in _values(column, cells):
                    iri = resource_iri(value) if column.name == TRAIT else None
                    thing = iri or mint_iri("attribute", f"{column.name}={value}")
                    yield UserFact(key, MINTED + "trait", thing)

        return parse

    return _read(path, plan)


def read_link(path: Path) -> Iterator[Record | Rejected]:
    """``item_id entity_id``: which entity of the ``.kg`` file an item is."""

    def plan(header: Header) -> Parse:
        item = header.key(ITEMS)
        entity = header.key(ENTITIES, beside=item)

        def parse(_row: int, cells: list[str]) -> Iterator[Record]:
            key = required(cells[item.place], item.name)
            yield Link(key, _entity(cells[entity.place], entity.name), "recbole", None)

        return parse

    return _read(path, plan)


def read_kg(path: Path) -> Iterator[Record | Rejected]:
    """``head_id relation_id tail_id``; a relation that the schema lacks is left as it is named.

    A relation is an IRI, a prefixed name or a name of the Amazon-KG paper. An entity that is no
    IRI or prefixed name (a Freebase id) gets an IRI of ours.
    """

    def plan(header: Header) -> Parse:
        tokens = [c for c in header.columns if c.type == "token"]
        named = [header.find(names, "token") for names in (HEADS, KINDS, TAILS)]
        if None in named and len(tokens) != 3:
            raise ChangeSomethingError(
                f"{path}: no columns head_id:token relation_id:token tail_id:token"
            )
        head, kind, tail = [c for c in named if c] if None not in named else tokens

        def parse(_row: int, cells: list[str]) -> Iterator[Record]:
            relation = required(cells[kind.place], kind.name)
            yield IriFact(
                _entity(cells[head.place], head.name),
                PAPER_RELATIONS.get(relation) or resource_iri(relation) or relation,
                _entity(cells[tail.place], tail.name),
            )

        return parse

    return _read(path, plan)


def _read(path: Path, plan: Plan) -> Iterator[Record | Rejected]:
    lines = read_lines(path)
    first = next(lines, None)
    text = first[1] if first and not isinstance(first, Rejected) else ""
    header = Header(path, text)
    parse = plan(header)

    def of_text(row: int, text: str) -> Iterator[Record]:
        cells = _cells(text)
        if len(cells) != len(header.columns):
            raise ValueError(f"{len(cells)} columns instead of {len(header.columns)}")
        return parse(row, cells)

    rows = (n if isinstance(n, Rejected) else (*n, n[1]) for n in lines)
    yield from read_records(rows, of_text)


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter="\t"), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _tokens(header: Header, *taken: Column | None) -> list[Column]:
    return [c for c in header.columns if c not in taken and c.type in ("token", "token_seq")]


def _values(column: Column, cells: list[str]) -> list[str]:
    parts = cells[column.place].split()
    return parts if column.type == "token_seq" else [" ".join(parts)] if parts else []


def _entity(text: str, name: str) -> str:
    text = required(text, name)
    iri = resource_iri(text) or (text if SCHEME.match(text) else None)
    return iri or mint_iri("entity", text)
