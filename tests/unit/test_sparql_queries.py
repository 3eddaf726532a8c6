"""The query files: headers, columns, that they parse, and that each has a use."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from pyoxigraph import Store

from kg.dbpedia.vocabulary import ALL, ASKED_FOR_FACTS, FACTS
from kg.schema import DBO, DCT, FACT_RELATIONS
from kg.sparql.question import Question, query_file
from kg.sparql.terms import english_term, iri_term

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(f.stem for f in (ROOT / "kg" / "sparql" / "queries").glob("*.rq"))
FRAMES = {"rows", "counts"}
PATTERNS = sorted(set(NAMES) - FRAMES)


def strings_in_code() -> set[str]:
    return {
        node.value
        for file in (ROOT / "kg").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_file_says_what_it_is_for_and_is_used(name: str) -> None:
    header, text = query_file(name)
    assert header["purpose"]
    assert not text.startswith("#")
    assert ("columns" in header) == (name in PATTERNS)
    assert name in strings_in_code()


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_parses_and_has_its_columns(name: str) -> None:
    term, key = (english_term, "Heat") if name == "labelled" else (iri_term, "http://x/a")
    question = Question(name, term, predicates=("http://x/p", "http://x/q"))
    assert "o" in question.columns
    rows = Store().query(question.rows_query([key, key + "b"]))
    assert [v.value for v in rows.variables] == ["s", *question.columns]
    counts = Store().query(question.counts_query([key, key + "b"]))
    assert {(s["s"].value, s["n"].value) for s in counts} == {(key, "0"), (key + "b", "0")}


def test_the_query_files_are_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "sparql/queries/*.rq" in settings["tool"]["setuptools"]["package-data"]["kg"]
    assert len(PATTERNS) >= 3


def test_all_facts_of_the_schema_are_asked_for() -> None:
    wanted = {r.predicate for r in FACT_RELATIONS if r.predicate and "dbpedia" in r.predicate}
    assert wanted | {DCT + "subject"} == set(FACTS)
    assert len(FACTS) == 23
    assert DBO + "starring" in FACTS
    assert set(ASKED_FOR_FACTS) <= ALL
