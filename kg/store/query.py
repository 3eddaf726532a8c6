"""Queries typed by hand: read-only, and on the embedded engine free of what it answers wrongly."""

from __future__ import annotations

import re

from kg.errors import ChangeSomethingError
from kg.store.graph_store import GraphStore, Row

# A line comment ends at a carriage return too.
_LITERALS = re.compile(
    r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|(?P<name>`(?:``|[^`])*`)|//[^\r\n]*|/\*.*?\*/",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\u+([0-9a-fA-F]{4})")
# A clause may follow a number without a blank; what follows . : or $ is a name and no clause.
_WORD = r"(?<![A-Za-z_)\]]\.)(?<![:$])(?:\b|(?<=\d))"
_WRITING = re.compile(
    rf"{_WORD}(CREATE|MERGE|SET|DELETE|DETACH|REMOVE|DROP|FOREACH|LOAD\s+CSV|INSERT|ALTER|GRANT|"
    r"DENY|REVOKE|TERMINATE|ST(?:ART|OP)\s+DATABASE|RENAME)\b",
    re.IGNORECASE,
)
_UNKNOWN_CALL = re.compile(
    rf"{_WORD}CALL\b\s*+(?![{{(]|(?:db\.index\.vector\.queryNodes|db\.labels|db\.relationshipTypes|"
    r"db\.propertyKeys|db\.indexes|dbms\.components)(?![\w.]))(?P<name>[^\s({]*)",
    re.IGNORECASE,
)

_ARGUMENTS = r"\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)"
_AGGREGATE = (
    r"\b(?:count|sum|avg|min|max|collect|stdevp?|percentileCont|percentileDisc)\s*" + _ARGUMENTS
)
EMBEDDED_REFUSES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), what, rewrite)
    for pattern, what, rewrite in (
        (
            rf"{_AGGREGATE}\s*(?:[-+*/%^<>=\[]|(?:IN|IS|AND|OR|XOR|STARTS|ENDS|CONTAINS)\b)|"
            rf"(?:[-+*/%^<>=]|\b(?:IN|AND|OR|XOR|NOT)\b)\s*{_AGGREGATE}",
            "an aggregate inside an expression",
            "give it a name first: WITH count(x) AS n … then use n",
        ),
        (
            r"\bYIELD\b(?:(?!\b(?:WITH|RETURN|MATCH|UNWIND|CALL|UNION)\b)[^{}])*?\bWHERE\b",
            "YIELD … WHERE",
            "put WITH between: YIELD a, b WITH a, b WHERE …",
        ),
        (
            r"\b(?:shortestPath|allShortestPaths)\b|\bSHORTEST\b",
            "a shortest path",
            "use a path of bounded length, such as -[*1..3]-, with ORDER BY length(p) LIMIT 1",
        ),
        (r"\$\s*(?:(?:all|any)\s*)?\(", "a dynamic label or type", "use type(r) IN $types"),
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
    store: GraphStore,
    text: str,
    parameters: dict[str, object],
    limit: int,
    seconds: float | None = None,
) -> tuple[list[str], list[Row]]:
    """Run a reader's query; (column names, at most ``limit`` rows), within ``seconds`` if given.

    Raises:
        ChangeSomethingError: the query writes, or is one the embedded engine may answer wrongly
            without a word (the message says how to write it).
    """
    bare = _without_literals(text)
    # Neo4j reads \uXXXX as that character anywhere, also where it ends a text or spells a clause.
    for form in (bare, _without_literals(_ESCAPE.sub(lambda m: chr(int(m.group(1), 16)), text))):
        _refuse_writing(form)
    if store.engine == "embedded":
        for pattern, what, rewrite in EMBEDDED_REFUSES:
            if pattern.search(bare):
                raise ChangeSomethingError(
                    f"the embedded engine may answer {what} wrongly; {rewrite} "
                    "(or use --graph with a Neo4j server)"
                )
    return store.read_text(text, parameters, limit, seconds)


def _without_literals(text: str) -> str:
    """The text with its literals and comments blanked, and quoted names as ``_``."""
    return _LITERALS.sub(lambda m: " _ " if m.group("name") else " ", text)


def _refuse_writing(bare: str) -> None:
    if match := _WRITING.search(bare):
        raise ChangeSomethingError(
            f"kg query only reads, and this says {' '.join(match.group(1).upper().split())}; "
            "write through kg ingest, or with the database's own shell"
        )
    if match := _UNKNOWN_CALL.search(bare):
        raise ChangeSomethingError(
            f"kg query only reads, and the procedure {match.group('name')} is not known to; "
            "use the database's own shell"
        )
