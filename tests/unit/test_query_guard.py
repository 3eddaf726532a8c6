"""Queries typed by hand: nothing that writes comes through, nor what one engine answers wrongly.

The embedded engine runs a writing query in a reading transaction without a word, so this guard is
all there is; every way around it that was found stands here.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.errors import ChangeSomethingError
from kg.store import GraphStore
from kg.store.query import EMBEDDED_REFUSES, read_only_query


class FakeStore:
    """Notes the queries that come through."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.ran: list[tuple[str, dict[str, object], int]] = []

    def read_text(
        self, text: str, parameters: dict[str, object], limit: int, seconds: float | None
    ) -> Any:
        self.ran.append((text, parameters, limit))
        return ["a"], [[1]]


def ask(text: str, engine: str = "embedded") -> FakeStore:
    store = FakeStore(engine)
    assert read_only_query(cast("GraphStore", store), text, {"k": 1}, 7) == (["a"], [[1]])
    return store


def refusal(text: str, engine: str = "embedded") -> str:
    """The message of the refusal; the store must not have been asked."""
    store = FakeStore(engine)
    with pytest.raises(ChangeSomethingError) as caught:
        read_only_query(cast("GraphStore", store), text, {}, 7)
    assert store.ran == []
    message = str(caught.value)
    assert "\n" not in message
    return message


WRITING = [
    "CREATE (n:User {id: 'x'})",
    "create (n) return n",
    "MATCH (n) SET n.x = 1",
    "MATCH (n)\nSET n:Other",
    "MATCH (n) DETACH DELETE n",
    "MATCH (n) NODETACH DELETE n",
    "MATCH (n) DELETE n",
    "MATCH (n) REMOVE n.x",
    "MERGE (n:User {id: 'x'}) RETURN n",
    "MERGE(n:User)",
    "FOREACH (i IN range(1, 3) | CREATE (:A))",
    "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "LOAD/**/CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "LOAD\n\tCSV FROM $f AS line RETURN line",
    "DROP INDEX x",
    "CREATE INDEX x FOR (n:User) ON (n.a)",
    "INSERT (:User)",
    "ALTER USER x SET PASSWORD 'y'",
    "GRANT ROLE a TO b",
    "DENY READ {*} ON GRAPH * TO a",
    "REVOKE ROLE a FROM b",
    "RENAME USER a TO b",
    "TERMINATE TRANSACTIONS 'x'",
    "START DATABASE x",
    "STOP  DATABASE x",
    # in subqueries, after other statements, prefixed
    "CALL { CREATE (n:A) } RETURN 1 AS a",
    "CALL{MERGE(n:A)}RETURN 1 AS a",
    "MATCH (n) CALL (n) { SET n.x = 1 } RETURN n",
    "MATCH (n) CALL (n) { WITH n DELETE n } IN TRANSACTIONS RETURN 1 AS a",
    "RETURN 1 AS a; CREATE (n)",
    "EXPLAIN CREATE (n)",
    "PROFILE MERGE (n:A)",
    "USE other CREATE (n)",
    "RETURN 1 AS a UNION CREATE (n) RETURN 2 AS a",
    "MATCH (n) WHERE EXISTS { CREATE (m) } RETURN n",
    # hidden by comments, texts, quoted names, numbers, line ends
    "RETURN 1 AS a // note\nCREATE (n)",
    "RETURN 1 AS a // note\rCREATE (n)",
    "RETURN 1 AS a // note\r\nCREATE (n)",
    "RETURN 1 AS a /* note */CREATE (n)",
    "/* a */ CREATE /* b */ (n)",
    "/*/ a */ CREATE (n)",
    "/**/CREATE (n) /**/",
    "// it's\nCREATE (n) // it's",
    "RETURN 'a'CREATE (n)",
    'RETURN "a"CREATE (n)',
    "RETURN 'a\\\\'CREATE (n) RETURN 'b'",
    "RETURN '//'CREATE (n)",
    "RETURN '/*'CREATE (n) RETURN '*/'",
    "RETURN `//` CREATE (n)",
    "RETURN `a``b`CREATE (n)",
    "MATCH (n) WHERE n.a > 1CREATE (m)",
    "MATCH (n) WHERE n.a > 1.5SET n.a = 1",
    "MATCH (n) WHERE n.a > 1.SET n.a = 1",
    "MATCH (n) WHERE n.list[0]SET n.a = 1",
    "MATCH (n) WITH {a: 1}.a AS a CREATE (m)",
    "MATCH (n) SET`n`.x = 1",
    "MATCH (n) SET\u00a0n.x = 1",
    "MATCH (n)\u2003SET n.x = 1",
    # the server reads \uXXXX as the character before anything else
    "\\u0043REATE (n)",
    "MATCH (n) \\u0053\\u0045\\u0054 n.x = 1",
    "RETURN '\\u0027 AS a CREATE (n) RETURN \\u0027' AS b",
    "RETURN 1 AS a // \\u000aCREATE (n)",
    "RETURN 1 AS a /* \\u002a\\u002f CREATE (n) /* */",
    "\\uu0043REATE (n)",
]

UNKNOWN_CALLS = {
    "CALL db.createLabel('x')": "db.createLabel",
    "CALL apoc.create.node(['A'], {})": "apoc.create.node",
    "CALL dbms.security.createUser('a', 'b')": "dbms.security.createUser",
    "call db.create.setNodeVectorProperty(n, 'a', $v)": "db.create.setNodeVectorProperty",
    "MATCH (n) CALL apoc.refactor.rename.label('A', 'B') YIELD total RETURN total": "apoc.refactor",
    "CALL `apoc.create.node`(['A'], {})": "_",
    "CALL `apoc`.`create`.`node`(['A'], {})": "_",
    "CALL`apoc.create.node`(['A'], {})": "_",
    "CALL /* ( */ apoc.create.node(['A'], {})": "apoc.create.node",
    "CALL // {\n apoc.create.node(['A'], {})": "apoc.create.node",
    "CALL db.labels.evil()": "db.labels.evil",
    "CALL db.labelsX()": "db.labelsX",
    "CALL db.index.vector.queryNodesX('i', 1, $v)": "db.index.vector.queryNodesX",
    "CALL { CALL apoc.create.node(['A'], {}) YIELD node RETURN node } RETURN node": "apoc.create",
    "OPTIONAL CALL tx.setMetaData({})": "tx.setMetaData",
    "CALL jmx.query": "jmx.query",
    "CALL": "",
    "CALL 'x'": "",
}

READING = [
    "MATCH (n:User) RETURN n.id AS id LIMIT 3",
    "MATCH (n) WHERE n.title = 'SET DELETE CREATE' RETURN n.id AS id",
    'MATCH (n) WHERE n.title CONTAINS "DROP INDEX" RETURN n.id AS id',
    "MATCH (n) RETURN n.`set`, n.`create` AS `merge`",
    "// CREATE (n)\nMATCH (n) /* DELETE n */ RETURN n.id AS id",
    "MATCH (n) RETURN n.created AS c, n.reset AS r, n.dataset AS d, n.offset AS o",
    "MATCH (l:Load) WHERE l.start > $start RETURN l.start AS began, l.set AS s, l.call AS c",
    "MATCH (n:Set)-[r:MERGE]->(m) RETURN r.id AS id",
    "MATCH (n) WHERE n.id IN $create RETURN n.id AS id",
    "CALL db.labels() YIELD label RETURN label",
    "CALL   db.labels() YIELD label RETURN label",
    "CALL\n  db.index.vector.queryNodes('i', 5, $v) YIELD node, score RETURN node.id AS id",
    "call DB.LABELS() yield label return label",
    "CALL dbms.components() YIELD name, versions RETURN name, versions",
    "CALL /* now */ db.relationshipTypes()",
    "CALL { MATCH (n:User) RETURN n.id AS id } RETURN id",
    "CALL{MATCH (n:User) RETURN n.id AS id}RETURN id",
    "MATCH (n) CALL (n) { MATCH (n)--(m) RETURN m } RETURN m.id AS id",
    "SHOW INDEXES YIELD name, state RETURN name, state",
    "MATCH (n) RETURN 'it\\'s // fine' AS a, 'a\\\\' AS b, '\\u00e9' AS c",
    "MATCH (n) RETURN 5 / 2 AS a, n.a / n.b AS b, 1 * 2 AS c",
]

# Constructs that the embedded engine may answer wrongly -> what the message must name.
WRONG_EMBEDDED = {
    "MATCH (n) RETURN count(n) > 1 AS a": "an aggregate inside an expression",
    "MATCH (n) RETURN 1 + count(n) AS a": "an aggregate",
    "MATCH (n) RETURN 2 ^ count(n) AS a": "an aggregate",
    "MATCH (n) RETURN count(n)^2 AS a": "an aggregate",
    "MATCH (n) RETURN count( DISTINCT n ) = 1 AS a": "an aggregate",
    "MATCH (n) RETURN count(*) % 2 AS a": "an aggregate",
    "MATCH (n) RETURN collect(n.id)[0] AS a": "an aggregate",
    "MATCH (n) RETURN collect(n.id) [..3] AS a": "an aggregate",
    "MATCH (n) RETURN n.g AS g, '3' IN collect(n.id) AS a": "an aggregate",
    "MATCH (n) RETURN collect(n.id) IN $lists AS a": "an aggregate",
    "MATCH (n) RETURN n.g AS g, count(n) IS NULL AS a": "an aggregate",
    "MATCH (n) RETURN NOT max(n.flag) AS a": "an aggregate",
    "MATCH (n) RETURN min(n.name) STARTS WITH 'a' AS a": "an aggregate",
    "MATCH (n) RETURN max(size(n.id)) > 1 AS a": "an aggregate",
    "MATCH (n) RETURN sum(toInteger(coalesce(n.v, 0))) / 2 AS a": "an aggregate",
    "MATCH (n) RETURN stDevP(n.v) * 2 AS a": "an aggregate",
    "MATCH (n) RETURN percentileCont(n.v, 0.5) - 1 AS a": "an aggregate",
    "MATCH (n) RETURN count /* all */ (n) > 1 AS a": "an aggregate",
    "MATCH (n) RETURN CASE WHEN count(n) = 2 THEN 'two' ELSE 'other' END AS a": "an aggregate",
    "CALL db.labels() YIELD label WHERE label <> $x RETURN label": "YIELD … WHERE",
    "SHOW INDEXES YIELD name, state WHERE state = 'ONLINE' RETURN name": "YIELD … WHERE",
    "MATCH (a:User), (b:User), p = shortestPath((a)-[*]-(b)) RETURN p": "a shortest path",
    "MATCH p = allShortestPaths((a)-[*]-(b)) RETURN p": "a shortest path",
    "MATCH p = ANY SHORTEST (a)-[*]-(b) RETURN p": "a shortest path",
    "MATCH (a)-[r:$($t)]->(b) RETURN a": "a dynamic label or type",
    "MATCH (n:$($l)) RETURN n": "a dynamic label or type",
    "MATCH (n:A|$any($l)) RETURN n": "a dynamic label or type",
    "RETURN apoc.text.join(['a'], '') AS a": "APOC or GDS",
    "RETURN gds.version() AS a": "APOC or GDS",
    "RETURN 'a' AS FULLTEXT": "full-text search",
    "CYPHER 25 MATCH (n) RETURN n": "a CYPHER prefix",
    "/* x */ cypher runtime=slotted MATCH (n) RETURN n": "a CYPHER prefix",
    "MATCH (n) WHERE n.a != 1 RETURN n": "!=",
    "MATCH (n) WHERE exists(n.a) RETURN n": "exists(property)",
    "RETURN vector.similarity.cosine($a, $b) AS s": "a vector similarity value",
}

FINE_EMBEDDED = [
    "MATCH (n) RETURN count(n) AS a",
    "MATCH (n) WITH count(n) AS a WHERE a > 1 RETURN a + 1 AS b",
    "MATCH (n) RETURN n.g AS g, count(*) AS a, collect(DISTINCT n.id) AS b ORDER BY a DESC, g",
    "MATCH (n) RETURN n.count > 1 AS a, n.max - n.min AS b",
    "CALL db.index.vector.queryNodes('i', 5, $v) YIELD node, score WITH node, score "
    "WHERE score > 0.9 RETURN node.id AS id",
    "CALL db.labels() YIELD label MATCH (n) WHERE label IN labels(n) RETURN count(n) AS a",
    "MATCH (n) WHERE n.a <> 1 AND n.b IS NOT NULL RETURN n",
    "MATCH (n) WHERE EXISTS { (n)--() } RETURN n",
    "MATCH (a)-[r]->(b) WHERE type(r) IN $types RETURN a",
    "MATCH p = (a)-[*1..3]-(b) RETURN length(p) AS l ORDER BY l LIMIT 1",
    "MATCH (n) WHERE n.note = 'a != b, shortestPath, apoc.x, CYPHER' RETURN n",
]  # fmt: skip


@pytest.mark.parametrize("engine", ["embedded", "neo4j"])
@pytest.mark.parametrize("text", WRITING)
def test_writing_is_refused_on_both_engines(text: str, engine: str) -> None:
    assert refusal(text, engine).startswith("kg query only reads, and this says ")


@pytest.mark.parametrize("engine", ["embedded", "neo4j"])
@pytest.mark.parametrize("text", UNKNOWN_CALLS)
def test_procedures_not_known_to_read_are_refused_on_both_engines(text: str, engine: str) -> None:
    message = refusal(text, engine)
    assert message.startswith(f"kg query only reads, and the procedure {UNKNOWN_CALLS[text]}")


@pytest.mark.parametrize("engine", ["embedded", "neo4j"])
@pytest.mark.parametrize("text", READING)
def test_reading_comes_through_as_it_is(text: str, engine: str) -> None:
    assert ask(text, engine).ran == [(text, {"k": 1}, 7)]


@pytest.mark.parametrize("text", WRONG_EMBEDDED)
def test_what_the_embedded_engine_answers_wrongly_is_refused_there_alone(text: str) -> None:
    message = refusal(text, "embedded")
    assert message.startswith(f"the embedded engine may answer {WRONG_EMBEDDED[text]}")
    assert "--graph" in message
    assert ask(text, "neo4j").ran


def test_every_embedded_refusal_is_planted_and_says_the_rewrite() -> None:
    named = [what for _, what, _ in EMBEDDED_REFUSES]
    assert [w for w in named if not any(w.startswith(p) for p in WRONG_EMBEDDED.values())] == []
    for pattern, what, rewrite in EMBEDDED_REFUSES:
        assert rewrite
        texts = [t for t, planted in WRONG_EMBEDDED.items() if what.startswith(planted)]
        assert any(rewrite in refusal(t) for t in texts), pattern.pattern


@pytest.mark.parametrize("text", FINE_EMBEDDED)
def test_the_rewrites_come_through(text: str) -> None:
    assert ask(text, "embedded").ran


DANGEROUS = [
    "CREATE (n)",
    "DETACH DELETE n",
    "CALL apoc.x()",
    "a != b",
    "count(n) > 1",
    "exists(x)",
]
_INNER = st.lists(
    st.sampled_from([*DANGEROUS, " ", "//", "/*", "\\'", "\\\\", "\n", "x", "é", "("]), max_size=6
).map("".join)


@settings(deadline=None)
@given(_INNER, st.sampled_from(["'", '"', "`", "//", "/*"]))
def test_what_stands_in_texts_comments_and_quoted_names_is_not_code(inner: str, kind: str) -> None:
    """Literals of every kind, made safe the way a user would, hide whatever they hold."""
    if kind == "//":
        literal = "//" + inner.replace("\n", " ") + "\n"
    elif kind == "/*":
        literal = "/*" + inner.replace("*/", "") + "*/"
    elif kind == "`":
        literal = "`" + inner.replace("`", "``") + "`"
    else:
        literal = kind + inner.replace("\\", "\\\\").replace(kind, "\\" + kind) + kind
    before, after = ("1 AS a ", "") if kind in ("//", "/*") else ("", " AS a")
    ask(f"RETURN {before}{literal}{after}")


@settings(deadline=None)
@given(_INNER, st.sampled_from(["'{}'", '"{}"', "`{}`", "//{}\n", "//{}\r", "/*{}*/"]))
def test_code_after_a_literal_is_code(inner: str, form: str) -> None:
    """No text, name or comment can swallow the clause that follows it."""
    for sign in "'\"`\\\n*/":
        inner = inner.replace(sign, "")
    refusal(f"RETURN 1 AS a {form.format(inner)}CREATE (n)")


@settings(deadline=None)
@given(
    st.sampled_from(["CREATE", "MERGE", "SET", "DELETE", "DETACH", "REMOVE", "DROP", "FOREACH"]),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.sampled_from([" ", "\n", "\t", "\u00a0", ")", "]", "}", "'x'", "1", "1.5", "/**/", "//\r"]),
    st.sampled_from([" ", "\n", "(", "`", "/**/", "{"]),
)
def test_case_and_surroundings_hide_no_clause(
    word: str, upper: list[bool], before: str, after: str
) -> None:
    mixed = "".join(c.upper() if up else c.lower() for c, up in zip(word, upper, strict=False))
    rest = "" if after == "`" else "`"
    assert word in refusal(f"MATCH (n) WHERE n.a = {before}{mixed}{after}{rest}n`")
