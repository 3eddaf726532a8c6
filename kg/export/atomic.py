"""RecBole's atomic files out of the graph; kg/loaders/recbole.py reads them back.

RecBole wants one entity an item and one item an entity, and drops interactions with items that have
none. So an item's entity is the resource it is linked to; where it has none, or another item
(an edition of the same book) was first with it, an IRI of ours stands in. Facts are written with
full predicate IRIs. What has no place in these files: names of entities, abstracts, scores of
links, who said what, and more than one blank between the words of a title.

RecBole reads with pandas, which takes the words NA, null, None and nan for a missing value, also
where one is the id of a user.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kg.errors import ChangeSomethingError
from kg.export.reading import DataSetReader
from kg.schema import MINTED, USER_RELATIONS, mint_iri

TRAIT = "trait"
ATTRIBUTE = MINTED + "attribute:"
COLUMN = re.compile(r"[\w.-]+")


def write_atomic(data: DataSetReader, folder: Path) -> dict[str, int]:
    """Write ``.inter``, ``.item``, ``.user``, ``.link`` and ``.kg``; rows a file.

    Raises ChangeSomethingError for a key with a line break, which the format cannot hold.
    """
    entities: dict[str, str] = {}
    linked: set[str] = set()
    rows = {
        "inter": _write(folder, data, "inter", INTER, _interactions(data)),
        "item": _write(folder, data, "item", ITEM, _items(data, entities, linked)),
        "kg": _write(folder, data, "kg", KG, _facts(data, entities, linked)),
        "link": _write(
            folder, data, "link", LINK,
            ((data.own_id(key), entities[key]) for key in data.items if key in linked),
        ),
    }  # fmt: skip
    columns = _trait_columns(data)
    header = ["user_id:token", *(f"{name}:{kind}" for name, kind in columns.items())]
    rows["user"] = _write(folder, data, "user", header, _users(data, list(columns)))
    return {f"{data.dataset}.{suffix}": count for suffix, count in rows.items()}


INTER = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")
ITEM = ("item_id:token", "title:token_seq")
LINK = ("item_id:token", "entity_id:token")
KG = ("head_id:token", "relation_id:token", "tail_id:token")


def _write(
    folder: Path,
    data: DataSetReader,
    suffix: str,
    header: Iterable[str],
    rows: Iterable[Iterable[Any]],
) -> int:
    count = 0
    line = io.StringIO()
    writer = csv.writer(line, delimiter="\t", lineterminator="\n")
    with (folder / f"{data.dataset}.{suffix}").open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join(header) + "\n")
        for row in rows:
            writer.writerow(row)
            text = line.getvalue()
            if "\r" in text or "\n" in text[:-1]:
                raise ChangeSomethingError(
                    f"atomic files cannot hold a line break, as in {text[:80]!r}; "
                    "use --format parquet, or mend the source and load it again"
                )
            file.write(text)
            line.seek(0)
            line.truncate()
            count += 1
    return count


def _interactions(data: DataSetReader) -> Iterator[tuple[Any, ...]]:
    for rating in data.ratings():
        stars = "" if rating.rating is None else rating.rating
        yield data.own_id(rating.user), data.own_id(rating.item), stars, rating.timestamp


def _items(
    data: DataSetReader, entities: dict[str, str], linked: set[str]
) -> Iterator[tuple[str, str]]:
    """Rows of ``.item``; fills in each item's entity, and which items have a link of their own."""
    taken: set[str] = set()
    for key, properties in data.nodes(data.label, data.items):
        iri = properties.get("iri")
        if iri and iri not in taken:
            taken.add(iri)
            linked.add(key)
            entities[key] = iri
        else:
            entities[key] = mint_iri("item", data.own_id(key))
        yield data.own_id(key), " ".join((properties.get("title") or "").split())


def _facts(
    data: DataSetReader, entities: dict[str, str], linked: set[str]
) -> Iterator[tuple[str, str, str]]:
    reached: dict[str, set[str]] = {}
    for kind in data.fact_kinds():
        relation, source, target = kind
        if source == "User":
            continue
        own = entities if target == data.label else {}
        for item, thing in data.pairs(kind, data.items):
            linked |= {item, thing} if thing in own else {item}
            reached.setdefault(target, set()).add(thing)
            yield entities[item], relation.predicate or "", own.get(thing, thing)
    for (relation, _, _), (subject, thing) in data.beyond(reached):
        yield subject, relation.predicate or "", thing


# -- traits ----------------------------------------------------------------------------------------


def _users(data: DataSetReader, columns: list[str]) -> Iterator[list[str]]:
    with_traits = _traits_by_user(data)
    pending = next(with_traits, None)
    for user in data.users:
        cells: dict[str, list[str]] = {}
        if pending and pending[0] == user:
            for thing in pending[1]:
                name, value = _split(thing)
                name, value = (name, value) if name in columns else (TRAIT, thing)
                cells.setdefault(name, []).append(value)
            pending = next(with_traits, None)
        yield [data.own_id(user), *(" ".join(cells.get(name, ())) for name in columns)]


def _trait_columns(data: DataSetReader) -> dict[str, str]:
    """Column -> type. A name whose values would not come back as they were has no column."""
    kinds: dict[str, str] = {}
    spaced: set[str] = set()
    unfit = False
    for _, things in _traits_by_user(data):
        found: dict[str, int] = {}
        for thing in things:
            name, value = _split(thing)
            unfit |= not name
            if name:
                found[name] = found.get(name, 0) + 1
                kinds.setdefault(name, "token")
                spaced |= {name} if " " in value else set()
        kinds |= {name: "token_seq" for name, count in found.items() if count > 1}
    lost = {n for n, kind in kinds.items() if kind == "token_seq" and n in spaced}
    columns = {n: kinds[n] for n in sorted(kinds) if n not in lost}
    return columns | ({TRAIT: "token_seq"} if unfit or lost else {})


def _traits_by_user(data: DataSetReader) -> Iterator[tuple[str, list[str]]]:
    (relation,) = USER_RELATIONS
    kind = (relation, "User", relation.targets[0])
    for user, pairs in groupby(data.pairs(kind, data.users), key=lambda pair: pair[0]):
        yield user, [thing for _, thing in pairs]


def _split(thing: str) -> tuple[str, str]:
    """A trait as (column, value); no column where it is not of the form name=value."""
    text = unquote(thing.removeprefix(ATTRIBUTE)) if thing.startswith(ATTRIBUTE) else ""
    name, _, value = text.partition("=")
    fits = (
        mint_iri("attribute", text) == thing
        and value
        and value == " ".join(value.split())
        and COLUMN.fullmatch(name)
        and name not in ("user_id", TRAIT)
    )
    return (name, value) if fits else ("", thing)
