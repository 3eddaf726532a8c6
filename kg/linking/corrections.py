"""A person's word on links: kept apart from the linker's output, and stronger than it.

Corrections are kept in a file of the data set and applied over whatever the linker finds, so they
survive linking again. The latest word on an item wins: an accepted resource replaces what was said
of the item before; a rejected resource stays rejected until it, or another, is accepted.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from kg.errors import ChangeSomethingError
from kg.ingest.stage import Stage
from kg.linking.files import EFFECTIVE, LINKS, read_links, write_links, written_table
from kg.linking.link import Linked
from kg.linking.staged import SOURCE_METHOD, read_items
from kg.loaders.lines import read_lines
from kg.loaders.records import Rejected

CORRECTIONS = "corrections.tsv"
HEADER = ("item_id", "verdict", "iri")
GIVEN_HEADER = ["item_id", "iri"]
ACCEPTED = "accepted"
_NOT_IN_IRIS = frozenset('<>"{}|^`\\')  # RFC 3987; blanks and control characters are none either

Verdict = Literal["accept", "reject"]


class Correction(NamedTuple):
    """One verdict; a rejection with an empty IRI is of any link of the item."""

    item: str
    verdict: Verdict
    iri: str


def read_given(path: Path, verdict: Verdict, items: dict[str, str]) -> list[Correction]:
    """The corrections in a person's file: item_id and iri, tab-separated, a header if one likes.

    Args:
        path: the file; blank lines are passed over.
        verdict: what the file says of each pair.
        items: id of each item of the data set -> the link that the data set gave, or empty.

    Raises:
        ChangeSomethingError: the file cannot be read, or a line is not usable; says which.
    """
    found: list[Correction] = []
    try:
        for line in read_lines(path):
            if isinstance(line, Rejected):
                raise ChangeSomethingError(f"{path}:{line.line}: {line.reason}; correct the line")
            number, text = line
            cells = [cell.strip() for cell in text.split("\t")]
            if cells == [""] or (number == 1 and cells == GIVEN_HEADER):
                continue
            try:
                found.append(_parse(cells, verdict, items))
            except ValueError as error:
                raise ChangeSomethingError(f"{path}:{number}: {error}") from None
    except OSError as error:
        raise ChangeSomethingError(
            f"cannot read {path}: {error.strerror}; check the path"
        ) from None
    return found


def _parse(cells: list[str], verdict: Verdict, items: dict[str, str]) -> Correction:
    if verdict == "reject" and len(cells) == 1:
        cells = [*cells, ""]
    if len(cells) != 2:
        raise ValueError(f"{len(cells)} columns; a line is item_id, a tab, and an IRI")
    item, iri = cells[0], normalize("NFC", cells[1])
    if item not in items:
        raise ValueError(f"no item {item[:50]!r} in this data set; give the data set's own ids")
    if not iri and verdict == "accept":
        raise ValueError("no IRI; name the resource that the item is")
    scheme, colon, rest = iri.partition(":")
    usable = scheme.isascii() and scheme.isalnum() and colon and rest
    if iri and (not usable or any(c in _NOT_IN_IRIS or c <= " " or c == "\x7f" for c in iri)):
        raise ValueError(f"{iri[:80]!r} is no IRI; give it in full, as in the address bar")
    if verdict == "reject" and items[item] and iri in ("", items[item]):
        raise ValueError(
            f"the link of {item[:50]!r} is in the data set's own files; take it out there, "
            "or accept another"
        )
    return Correction(item, verdict, iri)


def stored(folder: Path) -> list[Correction]:
    """The corrections of a data set, by item. Raises ChangeSomethingError: a bad line."""
    path = folder / CORRECTIONS
    if not path.is_file():
        return []
    found = []
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            cells = line.removesuffix("\n").split("\t")
            if number == 1 and tuple(cells) == HEADER:
                continue
            if number == 1 or len(cells) != 3 or cells[1] not in ("accept", "reject"):
                raise ChangeSomethingError(
                    f"{path}:{number}: not a row of {' '.join(HEADER)}; correct the line"
                )
            item, verdict, iri = cells
            found.append(Correction(item, "accept" if verdict == "accept" else "reject", iri))
    return found


def correct(
    staged: Stage, folder: Path, accept: Path | None, reject: Path | None
) -> dict[str, Any]:
    """Store a person's files of corrections, rejections last: every line of both, or nothing.

    Args:
        staged: the data set's stage, which knows its items.
        folder: its folder of link files.
        accept: file of links that are right, or None.
        reject: file of links that are wrong, or None.

    Raises:
        ChangeSomethingError: a file cannot be read, or a line of one is not usable.
    """
    items = {i.item: i.iri if i.method == SOURCE_METHOD else "" for i in read_items(staged)}
    given = read_given(accept, "accept", items) if accept else []
    given += read_given(reject, "reject", items) if reject else []
    kept, links = store(folder, given)
    return {
        "dataset": staged.data_set,
        "corrections": kept,
        "links": links,
        "file": str(folder / CORRECTIONS),
    }


def store(folder: Path, given: list[Correction]) -> tuple[int, int]:
    """Add corrections to those of a data set and apply all: how many there are then, and links."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "corrections.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would lose one's corrections
        kept = _latest([*stored(folder), *given])
        with written_table(folder / CORRECTIONS, HEADER) as file:
            file.writelines("\t".join(c) + "\n" for c in kept)
        return len(kept), apply(folder)


def apply(folder: Path) -> int:
    """Write effective-links.tsv from links.tsv and the corrections; how many links there are."""
    return write_links(folder / EFFECTIVE, effective_links(folder))


def effective_links(folder: Path) -> Iterator[Linked]:
    """The linker's links with the corrections applied, in the linker's order, then by item."""
    accepted = {c.item: c.iri for c in stored(folder) if c.verdict == "accept"}
    rejected = {(c.item, c.iri) for c in stored(folder) if c.verdict == "reject"}
    for found in read_links(folder / LINKS):
        if found.item in accepted:
            continue
        if (found.item, "") not in rejected and (found.item, found.iri) not in rejected:
            yield found
    for item, iri in sorted(accepted.items()):
        yield Linked(item, iri, ACCEPTED, 1.0, "", 1.0)


def _latest(said: list[Correction]) -> list[Correction]:
    """What is left of corrections in the order they were given."""
    accepted: dict[str, str] = {}
    rejected: dict[str, set[str]] = {}
    for item, verdict, iri in said:
        if verdict == "accept":
            accepted[item] = iri
            rejected.pop(item, None)
        else:
            rejected.setdefault(item, set()).add(iri)
            if iri in ("", accepted.get(item)):
                accepted.pop(item, None)
    return sorted(
        [Correction(i, "accept", iri) for i, iri in accepted.items()]
        + [Correction(i, "reject", iri) for i, iris in rejected.items() for iri in iris]
    )
