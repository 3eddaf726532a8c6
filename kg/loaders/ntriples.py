"""N-Triples: facts between resources; rdfs:label and dbo:abstract in English (or untagged)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from kg.loaders.lines import read_lines, rejected
from kg.loaders.records import Abstract, IriFact, Label, Record, Rejected
from kg.schema import ABSTRACT, RDFS_LABEL

_TEXTS = {RDFS_LABEL: "label", ABSTRACT: "abstract"}


def read_ntriples(path: Path) -> Iterator[Record | Rejected]:
    """Parse line by line, so that one broken line costs one line."""
    for line in read_lines(path):
        if isinstance(line, Rejected):
            yield line
            continue
        number, text = line
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        try:
            triples = list(parse(input=text, format=RdfFormat.N_TRIPLES))
        except SyntaxError as error:
            yield rejected(number, f"not N-Triples: {error.msg}", text)
            continue
        for triple in triples:
            yield _record(number, text, triple)


def _record(number: int, text: str, triple: object) -> Record | Rejected:
    subject, predicate, value = triple.subject, triple.predicate, triple.object  # type: ignore[attr-defined]
    if not isinstance(subject, NamedNode):
        return rejected(number, "the subject is not an IRI", text)
    if isinstance(value, NamedNode):
        return IriFact(subject.value, predicate.value, value.value)
    if predicate.value not in _TEXTS or not isinstance(value, Literal):
        return rejected(number, "the object is not an IRI, nor the line a label or abstract", text)
    return _text(number, text, subject.value, _TEXTS[predicate.value], value)


def _text(number: int, text: str, subject: str, kind: str, value: Literal) -> Record | Rejected:
    if value.language and not value.language.lower().startswith("en"):
        reason = f"{kind} in language {value.language!r}, only English is kept"
        return rejected(number, reason, text)
    if not value.value.strip() or "\0" in value.value:
        return rejected(number, f"the {kind} is empty or holds a NUL character", text)
    return Label(subject, value.value) if kind == "label" else Abstract(subject, value.value)
