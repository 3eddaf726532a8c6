"""What a loader yields: records of a few kinds, or a row it could not use.

The protocol is one function: ``read(path) -> Iterator[Record | Rejected]``, streamed: the records
of a line come before the next line is read. A loader knows its file format and nothing of the
graph; it never drops a row in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Interaction(NamedTuple):
    """A user touched an item."""

    user: str
    item: str
    rating: float | None
    timestamp: int
    row: int
    """Row number in the source, which orders interactions of one timestamp."""


class Item(NamedTuple):
    """What a source says of an item."""

    item: str
    title: str | None
    iri: str | None
    genres: tuple[str, ...] = ()


class IriFact(NamedTuple):
    """A fact about a resource; it concerns every item linked to that IRI."""

    subject: str
    predicate: str
    object: str


class ItemFact(NamedTuple):
    """A fact about an item by its own id; the object is an IRI."""

    item: str
    predicate: str
    object: str


class ItemPair(NamedTuple):
    """A relation between two items by their own ids."""

    item: str
    predicate: str
    other: str


class UserFact(NamedTuple):
    """A fact about a user by its own id; the object is an IRI."""

    user: str
    predicate: str
    object: str


class Link(NamedTuple):
    """An item is this resource: how that was found, and how sure it is (0 to 1)."""

    item: str
    iri: str
    method: str
    score: float | None


class Label(NamedTuple):
    """A resource's name."""

    iri: str
    text: str


class Abstract(NamedTuple):
    """What a resource is, in a paragraph."""

    iri: str
    text: str


KEYS: dict[type, int] = {
    Interaction: 2,
    Item: 1,
    IriFact: 3,
    ItemFact: 3,
    ItemPair: 3,
    UserFact: 3,
    Link: 2,
    Label: 1,
    Abstract: 1,
}
"""How many of a record's first fields are keys of the graph."""

Record = Interaction | Item | IriFact | ItemFact | ItemPair | UserFact | Link | Label | Abstract


class Rejected(NamedTuple):
    """A row set aside, and why."""

    line: int
    reason: str
    text: str


Read = Callable[[Path], Iterator[Record | Rejected]]


@dataclass(frozen=True)
class Loader:
    """A source format by name."""

    name: str
    doc: str
    read: Read
    by_line: bool = True
    """Whether its files consist of lines that can be mended one by one."""
