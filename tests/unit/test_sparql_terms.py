"""Titles and IRIs in queries: whatever they hold, the query parses and matches only them."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode, Quad, Store

from kg.schema import RDFS_LABEL
from kg.sparql.question import Question
from kg.sparql.terms import NotATermError, english_term, iri_term

HOSTILE = "\"'<>\\{}|^`\n\r\t\f\b ?$#@.;,:/%_-&=()[]*+!~éa0😀\u200b\u202e\ufeff\x7f"
INJECTION = '" } ?o ?p ?s } #'
HIT, DECOY = NamedNode("http://x/hit"), NamedNode("http://x/decoy")

PIECES = [*HOSTILE, "\\u0022", "\\n", '"""', "'''", "{{pattern}}", "UNION"]

titles = st.one_of(
    st.text(alphabet=HOSTILE, max_size=30),
    st.text(max_size=30),
    st.lists(st.sampled_from(PIECES)).map("".join),
)


def store_of(*statements: tuple[NamedNode, str, NamedNode | Literal]) -> Store:
    store = Store()
    for subject, predicate, value in statements:
        store.add(Quad(subject, NamedNode(predicate), value))
    return store


def answers(store: Store, query: str) -> list[dict[str, str]]:
    """Rows of a query; pyoxigraph raises SyntaxError where it does not parse."""
    solutions = store.query(query)
    names = [v.value for v in solutions.variables]
    return [{n: s[n].value for n in names if s[n] is not None} for s in solutions]


@settings(max_examples=500, deadline=None)
@given(titles)
@example(INJECTION)
@example("\\" + INJECTION)
@example("\\u0022 } ?o ?p ?s } #")
@example("line\nbreak'''")
@example("> . ?o ?p ?s")
@example("{{pattern}}{{keys}}")
def test_a_title_matches_only_itself(title: str) -> None:
    try:
        english_term(title)
    except NotATermError:
        assert "\0" in title or not title.isprintable()
        return
    store = store_of(
        (HIT, RDFS_LABEL, Literal(title, language="en")),
        (DECOY, RDFS_LABEL, Literal(title + "x", language="en")),
        (DECOY, RDFS_LABEL, Literal(title)),
        (DECOY, RDFS_LABEL, Literal(title, language="fr")),
    )
    question = Question("labelled", english_term)
    absent = title + " absent"
    assert answers(store, question.rows_query([title, absent])) == [{"s": title, "o": HIT.value}]
    counts = answers(store, question.counts_query([title, absent]))
    assert {row["s"]: row["n"] for row in counts} == {title: "1", absent: "0"}


@settings(max_examples=500, deadline=None)
@given(titles)
@example("a> ?p ?o } #")
@example("Heat_(1995_film)")
@example("Ocean's_Eleven,_again")
@example("%22Crocodile%22_Dundee")
def test_an_iri_matches_only_itself_or_is_refused(tail: str) -> None:
    iri = "http://dbpedia.org/resource/" + tail
    try:
        iri_term(iri)
    except NotATermError:
        return
    assert not set('<>"{}|^`\\\n\r\t ') & set(iri)
    store = store_of(
        (NamedNode(iri), RDFS_LABEL, HIT),
        (DECOY, RDFS_LABEL, DECOY),
        (NamedNode(iri), "http://x/other", DECOY),
    )
    for pattern in ("about", "about_named"):
        question = Question(pattern, predicates=(RDFS_LABEL,))
        rows = answers(store, question.rows_query([iri]))
        assert rows == [{"s": iri, "p": RDFS_LABEL, "o": HIT.value}]
        assert answers(store, question.counts_query([iri])) == [{"s": iri, "n": "1"}]


@pytest.mark.parametrize(
    "bad",
    [
        *(f"http://x/{sign}" for sign in '<>"{}|^`\\ \n\r\t\0\x07\x7f'),
        "", "relative", "//host/x", "http://x/%zz", "http://[", "http://x/\ud800",
    ],
)  # fmt: skip
def test_what_is_no_iri_is_refused(bad: str) -> None:
    with pytest.raises(NotATermError, match="not an IRI"):
        iri_term(bad)


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800"])
def test_what_is_no_text_is_refused(bad: str) -> None:
    with pytest.raises(NotATermError, match="not a text"):
        english_term(bad)


def test_iris_stay_as_they_are() -> None:
    """Parentheses, commas, apostrophes, percent signs and letters of any script."""
    for iri in ("http://x/A_(b),_c's/d*$!", "http://x/%22q%22", "http://x/é日本", "urn:a:b"):
        assert iri_term(iri) == f"<{iri}>"
