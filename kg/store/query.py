"""Queries typed by hand: read-only, and on the embedded engine free of what it answers wrongly."""

from __future__ import annotations

import re

from kg.errors import ChangeSomethingError
from kg.store.graph_store import GraphStore, Row

_LITERALS = re.compile(
    r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`(?:``|[^`])*`|//[^\n]*|/\*.*?\*/", re.DOTALL
)
_WRITING = re.compile(
    r"\b(CREATE|MERGE|SET|DELETE|DETACH|REMOVE|DROP|FOREACH|LOAD\s+CSV|INSERT|ALTER|GRANT|DENY|"
    r"REVOKE|TERMINATE|START|STOP|RENAME)\b",
    re.IGNORECASE,
)
_READING_CALLS = re.compile(
    r"\bCALL\s+(?!\s*[{(]|db\.index\.vector\.queryNodes\b|db\.labels\b|db\.relationshipTypes\b|"
    r"db\.propertyKeys\b|db\.indexes\b|dbms\.components\b)",
    re.IGNORECASE,
)

_AGGREGATE = r"(?:count|sum|avg|min|max|collect|stdev|percentileCont|percentileDisc)\s*\([^()]*\)"
EMBEDDED_REFUSES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), what, rewrite)
    for pattern, what, rewrite in (
        (
            rf"\b{_AGGREGATE}\s*(?:[-+*/%<>=\[]|IN\b)|(?:[-+*/%<>=]\s*){_AGGREGATE}",
            "an aggregate inside an expression",
            "give it a name first: WITH count(x) AS n … then use n",
        ),
        (
            r"\bYIELD\b[^{}]*?\bWHERE\b",
            "YIELD … WHERE",
            "put WITH between: YIELD a, b WITH a, b WHERE …",
        ),
        (
            r"\b(?:shortestPath|allShortestPaths)\b|\bSHORTEST\b",
            "a shortest path",
            "use a path of bounded length, such as -[*1..3]-, with ORDER BY length(p) LIMIT 1",
        ),
        (r"\[\s*\w*\s*:\s*\$\(|:\s*\$\(", "a dynamic label or type", "use type(r) IN $types"),
        (r"\b(?:apoc|gds)\.", "APOC or GDS", "use plain Cypher, or a Neo4j server that has it"),
        (r"\bdb\.index\.fulltext\b|\bFULLTEXT\b", "full-text search", "use CONTAINS"),
        (r"^\s*CYPHER\b", "a CYPHER prefix", "leave it out"),
        (r"!=", "!=", "write <>"),
        (
            r"\bexists\s*\(",
            "exists(property)",
            "write property IS NOT NULL, or EXISTS { pattern }",
        ),
        (
            r"\bvector\.similarity\.",
            "a vector similarity value",
            "use db.index.vector.queryNodes, whose score is (1 + cosine) / 2",
        ),
    )
)


def read_only_query(
    store: GraphStore, text: str, parameters: dict[str, object], limit: int
) -> tuple[list[str], list[Row]]:
    """Run a reader's query; (column names, at most ``limit`` rows).

    Raises:
        ChangeSomethingError: the query writes, or is one the embedded engine may answer wrongly
            without a word (the message says how to write it).
    """
    bare = _LITERALS.sub(" ", text)
    if match := _WRITING.search(bare):
        raise ChangeSomethingError(
            f"kg query only reads, and this says {match.group(0).upper()}; "
            "write through kg ingest, or with the database's own shell"
        )
    if match := _READING_CALLS.search(bare):
        called = bare[match.end() :].split("(")[0].split()[0] if bare[match.end() :].strip() else ""
        raise ChangeSomethingError(
            f"kg query only reads, and the procedure {called} is not known to; "
            "use the database's own shell"
        )
    if store.engine == "embedded":
        for pattern, what, rewrite in EMBEDDED_REFUSES:
            if pattern.search(bare):
                raise ChangeSomethingError(
                    f"the embedded engine may answer {what} wrongly; {rewrite} "
                    "(or use --graph with a Neo4j server)"
                )
    return store.read_text(text, parameters, limit)
