"""N-Triples out of the graph: what each item is, its facts with their predicates, and names.

Items and users have IRIs of ours (``urn:personarec:item:DATASET%3AID``). An item's resource is
joined by skos:closeMatch and not by owl:sameAs: several editions may share one, and would become
one item for a reasoner. Ratings and times of interactions have no place in plain triples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, serialize

from kg.export.reading import DataSetReader
from kg.schema import ABSTRACT, MINTED, RDFS_LABEL, SKOS, RelationType, mint_iri

TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
CLOSE_MATCH = SKOS + "closeMatch"
RATED = MINTED + "rated"
BATCH_ROWS = 5_000
NOT_IN_IRI = re.compile(r'[\x00-\x20<>"{}|^`\\]|%(?![0-9A-Fa-f]{2})')


def write_ntriples(data: DataSetReader, folder: Path, interactions: bool) -> dict[str, int]:
    """Write ``DATASET.nt``, the interactions too where asked for; number of triples."""
    name = f"{data.dataset}.nt"
    count = 0
    content = _triples(data, interactions)
    with (folder / name).open("wb") as file:
        while part := list(islice(content, BATCH_ROWS)):
            file.write(serialize(part, format=RdfFormat.N_TRIPLES) or b"")
            count += len(part)
    return {name: count}


def iri_of(text: str) -> NamedNode:
    """An IRI that N-Triples can hold: odd characters escaped; minted where it is no IRI at all."""
    escaped = NOT_IN_IRI.sub(lambda m: f"%{ord(m[0]):02X}", text)
    try:
        return NamedNode(escaped)
    except ValueError:
        return NamedNode(mint_iri("entity", text))


def _triples(data: DataSetReader, interactions: bool) -> Iterator[Any]:
    items = set(data.items)

    def node(label: str, key: str) -> NamedNode:
        if label == "User":
            return NamedNode(mint_iri("user", key))
        own = label == data.label and key in items
        return NamedNode(mint_iri("item", key)) if own else iri_of(key)

    def described(label: str, keys: Iterable[str]) -> Iterator[Any]:
        for key, properties in data.nodes(label, sorted(keys)):
            subject = node(label, key)
            yield Triple(subject, NamedNode(TYPE), NamedNode(f"{MINTED}type:{label}"))
            if title := properties.get("title") or properties.get("name"):
                yield Triple(subject, NamedNode(RDFS_LABEL), Literal(title))
            if label == data.label and key in items and properties.get("iri"):
                yield Triple(subject, NamedNode(CLOSE_MATCH), iri_of(properties["iri"]))
            if abstract := properties.get("abstract"):
                yield Triple(subject, NamedNode(ABSTRACT), Literal(abstract))

    reached: dict[str, set[str]] = {data.label: set(items), "User": set(data.users)}
    for kind in data.fact_kinds():
        relation, source, target = kind
        for subject, thing in data.pairs(kind, data.sources(source)):
            reached.setdefault(target, set()).add(thing)
            yield _fact(node(source, subject), relation, node(target, thing))
    for (relation, source, target), (subject, thing) in data.beyond(reached):
        yield _fact(node(source, subject), relation, node(target, thing))
    for label, keys in sorted(reached.items()):
        yield from described(label, keys)
    if interactions:
        for rating in data.ratings():
            ends = node("User", rating.user), node(data.label, rating.item)
            yield Triple(ends[0], NamedNode(RATED), ends[1])


def _fact(subject: NamedNode, relation: RelationType, thing: NamedNode) -> Any:
    return Triple(subject, NamedNode(relation.predicate or ""), thing)
