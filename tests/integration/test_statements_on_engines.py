"""Every statement of kg/cypher is understood by both engines."""

from __future__ import annotations

import re

import pytest

from kg.store import GraphStore, statement, statement_names
from kg.store.statements import _source

NAMES = {
    "label": "Movie", "source": "Movie", "target": "Person", "type": "DIRECTED_BY",
    "property": "persona00000000", "index": "persona00000000_vector", "constraint": "movie_id",
    "values": ("title", "iri"), "columns": ("source",),
}  # fmt: skip
PARAMETERS = {
    "ids": [], "rows": [], "sources": [], "targets": [], "others": [], "read": [], "derived": [],
    "facts": [], "types": [], "books": {}, "properties": {}, "dimension": 4, "k": 3, "most": 3,
    "now": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
SCHEMA = ("create_constraint", "create_vector_index", "drop_index")


@pytest.mark.parametrize("name", [n for n in statement_names() if n not in SCHEMA])
def test_explained(store: GraphStore, name: str) -> None:
    header, text = _source(name)
    used = set(re.findall(r"\{\{(\w+)\}\}", text))
    query = statement(name, **{k: v for k, v in NAMES.items() if k in used})
    if query.text.startswith("SHOW") and store.engine == "neo4j":
        store.read(query)
        return
    needed = {p: PARAMETERS.get(p, "x") for p in re.findall(r"\$(\w+)", query.text)}
    store.read_text(f"EXPLAIN {query.text}", needed, 1)
    assert header["mode"] in ("read", "write")


def test_a_broken_statement_would_be_seen(store: GraphStore) -> None:
    from kg.errors import PersonarecError

    with pytest.raises(PersonarecError):
        store.read_text("EXPLAIN MATCH (n:Movie RETURN n", {}, 1)
