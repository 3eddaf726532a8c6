"""Every Cypher statement: its header, its place in the code, and the rules for two engines.

On the embedded engine some constructs fail without a word, so a statement that uses one must never
come in. Each rule is a function from query text to the problems found; each is itself tried on
statements that break it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kg.schema import UnknownNameError
from kg.store.statements import HEADER_FIELDS, _source, statement, statement_names

ROOT = Path(__file__).resolve().parents[2]
CYPHER = ROOT / "kg" / "cypher"
PLACEHOLDERS = {
    "label", "source", "target", "type", "property", "index", "constraint", "values", "columns",
}  # fmt: skip


# What people see as a list, and so must come in the same order each time.
FOR_PEOPLE = {
    "data_sets", "nearest_preferences", "prototype_facts", "prototype_readers", "prototype_weights",
    "prototypes", "explain_facts", "explain_transitions", "loads", "nearest_personas",
    "persona_models", "sample_users", "shared_items", "shared_preferences", "show_persona",
}  # fmt: skip
TIE_BREAKS = {"id", "neighbour", "source", "fact"}

Rule = Callable[[str], list[str]]


def all_sources() -> dict[str, tuple[dict[str, str], str]]:
    return {name: _source(name) for name in statement_names()}


# -- reading a statement ---------------------------------------------------------------------------


def names_in_header(field: str) -> list[str]:
    """``user, model (strings), k (integer)`` -> user, model, k; ``-`` is none."""
    bare = re.sub(r"\([^)]*\)", "", field)
    return [n.strip() for n in bare.split(",") if n.strip() not in ("", "-")]


def parameters_of(text: str) -> set[str]:
    return set(re.findall(r"\$(\w+)", text))


def split_list(text: str) -> list[str]:
    """Split at commas that stand in no bracket."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [p.strip() for p in parts]


def columns_of(text: str) -> list[str]:
    """Names of the columns that the last RETURN gives; an expression without a name is itself."""
    clause = re.split(r"\bRETURN\b", text)[1:]
    if not clause:
        return []
    body = re.split(r"\b(?:ORDER BY|SKIP|LIMIT)\b", clause[-1])[0]
    return [re.split(r"\bAS\b", item)[-1].strip() for item in split_list(body)]


def sort_keys_of(text: str) -> list[str]:
    """Names in the ORDER BY, without their directions."""
    found = re.search(r"\bORDER BY\b(.*?)(?:\bSKIP\b|\bLIMIT\b|$)", text, re.DOTALL)
    return [k.split()[0] for k in split_list(found.group(1))] if found else []


def test_the_readers_of_statements_read_right() -> None:
    assert names_in_header("user, model (strings), rows (list of {a, b}), k (integer)") == [
        "user", "model", "rows", "k",
    ]  # fmt: skip
    assert names_in_header("-") == []
    assert parameters_of("MATCH (n {id: $id}) WHERE n.x IN $some RETURN $id") == {"id", "some"}
    text = "MATCH (n) RETURN n.id AS id, coalesce(n.a, n.b) AS name, total ORDER BY total DESC, id"
    assert columns_of(text) == ["id", "name", "total"]
    assert sort_keys_of(text + " LIMIT 3") == ["total", "id"]
    assert columns_of("MATCH (n) RETURN n.id") == ["n.id"]
    assert columns_of("MATCH (n) DELETE n") == sort_keys_of("MATCH (n) DELETE n") == []


# -- headers ---------------------------------------------------------------------------------------


def test_there_are_statements_and_nothing_else_in_their_folder() -> None:
    assert len(statement_names()) > 30
    odd = [
        p.name
        for p in CYPHER.iterdir()
        if p.suffix != ".cypher" and p.name not in ("__init__.py", "__pycache__")
    ]
    assert odd == []


@pytest.mark.parametrize("name", statement_names())
def test_header(name: str) -> None:
    lines = (CYPHER / f"{name}.cypher").read_text("utf-8").splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [f"// {f}" for f in HEADER_FIELDS]
    assert not lines[4].startswith("//"), "the statement follows its header"
    header, text = _source(name)
    assert all(header[f] for f in HEADER_FIELDS)
    assert header["purpose"].endswith(".")
    assert set(names_in_header(header["parameters"])) == parameters_of(text)
    assert names_in_header(header["columns"]) == columns_of(text)
    assert set(re.findall(r"\{\{(.*?)\}\}", text)) <= PLACEHOLDERS


def test_a_bad_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.store.statements.files", lambda _package: tmp_path)
    good = "// purpose: p.\n// parameters: -\n// columns: -\n// mode: read\nRETURN 1 AS one\n"
    (tmp_path / "planted_good.cypher").write_text(good)
    assert statement("planted_good").text == "RETURN 1 AS one"
    for name, bad in (
        ("planted_mode", good.replace("mode: read", "mode: maybe")),
        ("planted_none", "RETURN 1 AS one\n"),
        ("planted_field", good.replace("// columns: -\n", "")),
    ):
        (tmp_path / f"{name}.cypher").write_text(bad)
        with pytest.raises(ValueError, match="bad header"):
            statement(name)


# -- names put into a statement --------------------------------------------------------------------


def test_names_are_quoted_and_checked() -> None:
    ready = statement("count_relations", type="RATED", source="User")
    assert ready.text == "MATCH (a:`User`)-[r:`RATED`]->(b) RETURN count(r) AS total"
    assert ready.mode == "read"
    assert "u.`personaab12`" in statement("read_vectors", property="personaab12").text
    some = statement("create_nodes", label="Movie", values=("title", "iri"))
    assert some.text.endswith("{id: row[0], loadId: $load, `title`: row[1], `iri`: row[2]})")
    assert "[x.id, x.`title`]" in statement("found_nodes", label="Movie", columns=("title",)).text


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("count_nodes", {"label": "Nobody"}),
        ("count_nodes", {"label": "User`) DETACH DELETE n //"}),
        ("count_relations", {"type": "RATED`]->() DELETE r //", "source": "User"}),
        ("count_relations", {"type": "User", "source": "User"}),
        ("export_relations", {"type": "AUTHOR", "source": "Book", "target": "x"}),
        ("read_vectors", {"property": "p` = 1 //"}),
        ("create_nodes", {"label": "User", "values": ("title", "x`: 1}) DETACH DELETE n //")}),
        ("found_nodes", {"label": "User", "columns": ("a b",)}),
        ("drop_index", {"index": ""}),
        ("create_constraint", {"constraint": "a b", "label": "User"}),
    ],
)
def test_a_name_outside_the_schema_never_becomes_text(name: str, names: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError):
        statement(name, **names)


def test_a_placeholder_without_a_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="label"):
        statement("count_nodes")


# -- rules -----------------------------------------------------------------------------------------

_CALL = r"\b(?:count|sum|avg|min|max|collect|stdevp?|percentileCont|percentileDisc)\s*\("


def _end_of_call(text: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place + 1
    return len(text)


def aggregates_have_names(text: str) -> list[str]:
    """Rule 4: an aggregate is a whole column with a name, never part of an expression."""
    problems = []
    for call in re.finditer(_CALL, text, re.IGNORECASE):
        before = text[: call.start()].rstrip()
        after = text[_end_of_call(text, call.end() - 1) :]
        whole = re.search(r"(?:\bRETURN|\bWITH|\bDISTINCT|,)$", before)
        clause = re.findall(r"\b(?:RETURN|WITH|WHERE|ORDER BY|MATCH|SET|UNWIND)\b", before)
        named = re.match(r"\s+AS\s+\w+\s*(?:,|$|\n|RETURN|WITH|WHERE|ORDER|LIMIT|MATCH)", after)
        if not whole or not named or clause[-1] not in ("RETURN", "WITH"):
            problems.append(call.group(0))
    return problems


def pattern(*expressions: str) -> Rule:
    """The rule that no expression is found."""
    compiled = [re.compile(e, re.IGNORECASE | re.DOTALL) for e in expressions]
    return lambda text: [m.group(0) for c in compiled for m in c.finditer(text)]


def merge_keys_are_guarded(text: str) -> list[str]:
    """Rule 8: a key that comes from a row is checked for null before the MERGE."""
    problems = []
    for merge in re.finditer(r"\bMERGE\s*\([^)]*?\bid\s*:\s*(\w+(?:\.\w+)?)", text, re.IGNORECASE):
        key, before = re.escape(merge.group(1)), text[: merge.start()]
        if not re.search(rf"\bWHERE\b[^)]*\b{key}\s+IS\s+NOT\s+NULL\b", before, re.IGNORECASE):
            problems.append(merge.group(1))
    return problems


def limits_are_ordered(text: str) -> list[str]:
    """Rule 11: some rows of many are the same rows each time."""
    ordered = re.search(r"\bORDER BY\b", text)
    return [] if ordered else re.findall(r"\b(?:LIMIT|SKIP)\b", text)


def orders_have_a_tie_break(text: str) -> list[str]:
    """Rule 11: the last sort key is unique, and every sort key is a column, or named before."""
    keys = sort_keys_of(text)
    problems = [k for k in keys if k not in columns_of(text) and f" AS {k} " not in text]
    return problems + ([keys[-1]] if keys and keys[-1] not in TIE_BREAKS else [])


def columns_have_names(text: str) -> list[str]:
    """Rule 11: explicit columns, no ``*`` and no nameless expression."""
    return [c for c in columns_of(text) if not re.fullmatch(r"\w+", c)]


RULES: dict[str, tuple[Rule, tuple[str, ...], tuple[str, ...]]] = {
    # name: (rule, statements that break it, statements that keep it)
    "4 aggregates": (
        aggregates_have_names,
        (
            "MATCH (n) RETURN count(n) > 1 AS many",
            "MATCH (n) RETURN 1 + count(n) AS total",
            "MATCH (n) RETURN collect(n.id)[0] AS first",
            "MATCH (n) RETURN n.g AS g, 'a' IN collect(n.id) AS has",
            "MATCH (n) RETURN max(size(n.id)) = 3 AS three",
            "MATCH (n) RETURN count(n)",
            "MATCH (n) RETURN round(avg(n.v)) AS mean",
            "MATCH (n) WITH n.g AS g, count(n) AS c ORDER BY count(n) RETURN g",
            "MATCH (n) WITH n WHERE count(n) AS x RETURN x",
        ),
        (
            "MATCH (n) RETURN count(n) AS total",
            "MATCH (n) WITH n.g AS g, count(n) AS c WHERE c > 1 RETURN g, c",
            "MATCH (n) RETURN collect(coalesce(n.a, 0)) AS a,\n  collect(n.b) AS b",
            "MATCH (n) WITH DISTINCT n RETURN n.count AS c",
        ),
    ),
    "5 YIELD … WHERE": (
        pattern(r"\bYIELD\b(?:(?!\b(?:WITH|RETURN)\b).)*?\bWHERE\b"),
        (
            "CALL db.index.vector.queryNodes($i, 5, $v) YIELD node, score\nWHERE score > $s",
            "SHOW INDEXES YIELD name WHERE name = $name RETURN name",
        ),
        (
            "CALL p() YIELD node, score WITH node, score WHERE score > 1 RETURN node",
            "SHOW INDEXES YIELD name RETURN name",
        ),
    ),
    "5 shortest path": (
        pattern(r"\b(?:shortestPath|allShortestPaths)\b", r"\bSHORTEST\b"),
        ("MATCH p = shortestPath((a)-[*]-(b)) RETURN p", "MATCH p = SHORTEST 1 (a)--(b) RETURN p"),
        ("MATCH p = (a)-[*1..3]-(b) RETURN length(p) AS l",),
    ),
    "6 dynamic names": (
        pattern(r"\$\s*(?:all|any)?\s*\(", r"[\[(]\s*\w*\s*:\s*\$|[|&]\s*\$"),
        (
            "MATCH (a)-[r:$($type)]->(b) RETURN a",
            "MATCH (n:$all($labels)) RETURN n",
            "MATCH (n:A|$($b)) RETURN n",
            "MATCH (a)-[r:$type]->(b) RETURN a",
        ),
        ("MATCH (a)-[r]->(b) WHERE type(r) IN $types RETURN a",),
    ),
    "7 what one engine lacks": (
        pattern(
            r"\b(?:apoc|gds)\.", r"\bFULLTEXT\b", r"^\s*CYPHER\b", r"!=", r"\bexists\s*\(",
            r"\bsetNodeVectorProperty\b", r"\bvector\.similarity\.(?!function)",
        ),
        (
            "RETURN apoc.text.join($a, '') AS t", "CALL gds.graph.list() YIELD name RETURN name",
            "CREATE FULLTEXT INDEX x FOR (n:A) ON EACH [n.t]", "CYPHER 25 MATCH (n) RETURN n",
            "MATCH (n) WHERE n.a != 1 RETURN n", "MATCH (n) WHERE exists(n.a) RETURN n",
            "CALL db.create.setNodeVectorProperty(n, 'v', $v)", "CALL db.index.fulltext.x()",
            "RETURN vector.similarity.cosine($a, $b) AS s",
        ),
        ("MATCH (n) WHERE n.a <> 1 AND EXISTS { (n)--() } RETURN n.id AS id",),
    ),
    "8 MERGE on a row": (
        merge_keys_are_guarded,
        (
            "UNWIND $rows AS row MERGE (n:User {id: row.id}) SET n.a = row.a",
            "UNWIND $rows AS row WITH row WHERE row.key IS NOT NULL MERGE (n:User {id: row.id})",
            "UNWIND $ids AS id MERGE (n:User {id: id})",
        ),
        (
            "UNWIND $rows AS row WITH row WHERE row.id IS NOT NULL MERGE (n:User {id: row.id})",
            "MERGE (d:DataSet {id: $dataset})",
        ),
    ),
    "9 times": (
        pattern(
            r"\b(?:localdatetime|timestamp|localtime)\s*\(",
            r"\b(?:datetime|date|time)(?:\.\w+)?\s*\((?!\s*\$\w+\s*\))",
        ),
        ("SET l.at = datetime()", "SET l.at = timestamp()", "SET l.at = datetime('2020-01-01')"),
        ("SET l.at = datetime($now)", "RETURN toString(l.finishedAt) AS finishedAt"),
    ),
    "10 writes return nothing": (
        lambda text: columns_of(text) if written(text) else [],
        ("MERGE (n:User {id: $id}) SET n.a = 1 RETURN n.a AS a",),
        ("MERGE (n:User {id: $id}) SET n.a = 1", "MATCH (n) RETURN n.id AS id"),
    ),
    "11 limits": (
        limits_are_ordered,
        ("MATCH (n) RETURN n.id AS id LIMIT 3", "MATCH (n) RETURN n.id AS id SKIP 3"),
        ("MATCH (n) RETURN n.id AS id ORDER BY id LIMIT 3", "MATCH (n) RETURN n.id AS id"),
    ),
    "11 tie-breaks": (
        orders_have_a_tie_break,
        (
            "MATCH (n) RETURN n.id AS id, n.w AS weight ORDER BY weight DESC",
            "MATCH (n) RETURN n.w AS weight ORDER BY weight, id",
        ),
        (
            "MATCH (n) RETURN n.id AS id, n.w AS weight ORDER BY weight DESC, id LIMIT 2",
            "MATCH (n) WITH n.id AS id ORDER BY id LIMIT 2 RETURN collect(id) AS ids",
        ),
    ),
    "11 columns": (
        columns_have_names,
        ("MATCH (n) RETURN *", "MATCH (n) RETURN n.id", "MATCH (n) RETURN n.id AS id, n {.*}"),
        ("MATCH (n) RETURN n.id AS id", "SHOW INDEXES YIELD name RETURN name"),
    ),
    "12 own ids": (
        pattern(r"(?<![.\w])(?:elementId|id)\s*\("),
        ("MATCH (n) RETURN elementId(n) AS id", "MATCH (n) WHERE id(n) = 1 RETURN n"),
        ("MATCH (n) RETURN n.id AS id",),
    ),
    "12 one label": (
        pattern(
            r"\b(?:SET|REMOVE)\s+\w+\s*:", r",\s*\w+:(?:\w|\{\{)[^{}()]*$",
            r"\b(?:CREATE|MERGE)\s*\(\s*\w*\s*:\s*[`\w{}]+\s*[:&]",
        ),
        (
            "MATCH (n:A) SET n:B", "MATCH (n:A) SET n.x = 1, n:B", "MATCH (n:A) REMOVE n:A",
            "MATCH (n:A) SET n :`B`", "CREATE (n:A:B {id: 1})", "MERGE (n:{{label}}:B {id: $id})",
        ),
        ("MATCH (n:A) SET n.x = 1, n.y = 2", "CREATE (n:{{label}} {id: $id})"),
    ),
    "1 batches": (
        pattern(r"\bIN\s+(?:\w+\s+)?TRANSACTIONS\b", r"\bPERIODIC\s+COMMIT\b"),
        ("CALL { MATCH (n) DELETE n } IN TRANSACTIONS OF 10 ROWS", "CALL {} IN 4 TRANSACTIONS"),
        ("MATCH (n) WHERE n.transactions IN $x RETURN n.id AS id",),
    ),
}  # fmt: skip


def written(text: str) -> list[str]:
    """The clauses that write."""
    clause = r"(?<![.:$\w])(?:CREATE|MERGE|SET|DELETE|DETACH|REMOVE|DROP|FOREACH|LOAD\s+CSV)\b"
    return re.findall(clause, text, re.IGNORECASE)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_sees_what_breaks_it(rule: str) -> None:
    check, breaking, keeping = RULES[rule]
    assert [text for text in breaking if not check(text)] == []
    assert [(text, check(text)) for text in keeping if check(text)] == []


@pytest.mark.parametrize("rule", RULES)
def test_every_statement_keeps_the_rule(rule: str) -> None:
    check = RULES[rule][0]
    problems = {n: found for n, (_, text) in all_sources().items() if (found := check(text))}
    assert problems == {}


def test_the_mode_says_whether_a_statement_writes() -> None:
    assert written("MATCH (n) SET n.x = 1") == ["SET"]
    assert written("MATCH (n) WHERE n.set = $set RETURN n.created AS c") == []
    wrong = [
        name
        for name, (header, text) in all_sources().items()
        if bool(written(text)) != (header["mode"] == "write")
    ]
    assert wrong == []


def test_lists_for_people_are_ordered() -> None:
    sources = all_sources()
    assert set(sources) >= FOR_PEOPLE
    assert [name for name in sorted(FOR_PEOPLE) if not sort_keys_of(sources[name][1])] == []


# -- statements and code ---------------------------------------------------------------------------


def code_files() -> list[Path]:
    return [*sorted((ROOT / "kg").rglob("*.py")), *sorted((ROOT / "personarec").rglob("*.py")),
            ROOT / "cli.py"]  # fmt: skip


def calls_of_statement(tree: ast.AST) -> Iterator[tuple[str | None, set[str] | None]]:
    """(name, names given for placeholders) of each call; None where it cannot be read off."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called != "statement":
            continue
        first = node.args[0] if len(node.args) == 1 else None
        name = first.value if isinstance(first, ast.Constant) else None
        given = [k.arg for k in node.keywords]
        known = None if None in given else {k for k in given if k}
        yield (name if isinstance(name, str) else None), known


def problems_with_calls(
    calls: list[tuple[str | None, set[str] | None]], sources: dict[str, tuple[dict[str, str], str]]
) -> list[str]:
    problems = []
    for name, given in calls:
        if name is None:
            problems.append("a statement whose name cannot be read off the code")
        elif name not in sources:
            problems.append(f"{name}: no such statement")
        elif given is not None:
            needed = set(re.findall(r"\{\{(\w+)\}\}", sources[name][1]))
            if given != needed:
                problems.append(f"{name}: needs {sorted(needed)}, given {sorted(given)}")
    unused = set(sources) - {name for name, _ in calls}
    return problems + [f"{name}: never used" for name in sorted(unused)]


def test_every_statement_is_used_and_every_used_one_exists() -> None:
    calls = [c for f in code_files() for c in calls_of_statement(ast.parse(f.read_text("utf-8")))]
    assert problems_with_calls(calls, all_sources()) == []


def test_a_wrong_use_of_a_statement_is_seen() -> None:
    code = (
        "store.read(statement('find_users'), user=1)\n"
        "store.read(statements.statement(name))\n"
        "statement('count_nodes', labels='User')\n"
        "statement('find_user')\n"
        "statement('count_relations', **names)\n"
    )
    some: dict[str, tuple[dict[str, str], str]] = {
        "count_nodes": ({}, "MATCH (n:{{label}}) RETURN count(n) AS total"),
        "count_relations": ({}, "MATCH ()-[r:{{type}}]->() RETURN count(r) AS total"),
        "find_user": ({}, "MATCH (u:User {id: $user}) RETURN u.id AS id"),
        "find_load": ({}, "MATCH (l:Load {id: $load}) RETURN l.id AS id"),
    }
    assert set(problems_with_calls(list(calls_of_statement(ast.parse(code))), some)) == {
        "find_users: no such statement",
        "a statement whose name cannot be read off the code",
        "count_nodes: needs ['label'], given ['labels']",
        "find_load: never used",
    }


_CYPHER_TEXT = re.compile(
    r"\b(?:MATCH|MERGE|CREATE)\s*\(\s*\w*\s*[:{)]|\bUNWIND\s+[$\w.]+\s+AS\b|\bDETACH\s+DELETE\b|"
    r"(?-i:\bMATCH\b.*\bRETURN\b)|\)\s*-\s*\[[^\]]*\]\s*->?\s*\(",
    re.IGNORECASE | re.DOTALL,
)


def cypher_in(code: str) -> list[str]:
    """Texts in Python code that are Cypher; docstrings are not looked at."""
    tree = ast.parse(code)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (v.value if isinstance(v, ast.Constant) else "x" for v in node.values)
            texts.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and id(node) not in docs:
            texts.append(str(node.value))
    return [t for t in texts if _CYPHER_TEXT.search(t)]


def test_no_query_text_stands_in_the_code() -> None:
    found = {str(f.relative_to(ROOT)): cypher_in(f.read_text("utf-8")) for f in code_files()}
    assert {f: texts for f, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "code",
    [
        "tx.run('MATCH (n:User) RETURN n')",
        "tx.run(f'MATCH (n:{label}) DELETE n')",
        "q = 'merge (n {id: $id})'",
        "q = 'UNWIND $rows AS row ' + more",
        "q = '''\nMATCH (n)\nRETURN n.id\n'''",
        "def f(q='MATCH (n) DETACH DELETE n'): ...",
    ],
)
def test_query_text_in_code_is_seen(code: str) -> None:
    assert cypher_in(code)


def test_words_about_queries_are_no_query_text() -> None:
    assert cypher_in('"""MATCH (n:User) RETURN n."""\nx = "no match (of titles) to return"\n') == []
