"""The graph schema: names that fit both engines, relations that fit the nodes, keys both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kg.schema import (
    DBO,
    DCT,
    DOMAINS,
    FACT_RELATIONS,
    ITEM_LABELS,
    MINTED,
    NODE_TYPES,
    RELATION_TYPES,
    NodeType,
    RelationType,
    Role,
    UnknownNameError,
    expand,
    fact_relation,
    mint_iri,
    name_from_iri,
    node_type,
    quote_name,
    relation_type,
    target_label,
)

# Relation (as it stands in a published description) -> predicate and target label.
PERSON, WORK = "Person", ""
BOOKS = {
    "subject_is": (DCT + "subject", "Subject"),
    "author": (DBO + "author", PERSON),
    "musiccomposer_is": (DBO + "musicComposer", PERSON),
    "director": (DBO + "director", PERSON),
    "writer_is": (DBO + "writer", PERSON),
    "composer_is": (DBO + "composer", PERSON),
    "executiveProducer_is": (DBO + "executiveProducer", PERSON),
    "producer": (DBO + "producer", PERSON),
    "creator": (DBO + "creator", PERSON),
    "starring": (DBO + "starring", PERSON),
    "genre_is": (DBO + "genre", "Genre"),
    "literaryGenre_is": (DBO + "literaryGenre", "LiteraryGenre"),
    "series": (DBO + "series", "Series"),
    "notableWork": (DBO + "notableWork", "NotableWork"),
    "previousWork": (DBO + "previousWork", "Book"),
    "subsequentWork": (DBO + "subsequentWork", "Book"),
}
MOVIES = {
    "subject_is": (DCT + "subject", "Subject"),
    "directed_by": (DBO + "director", PERSON),
    "musiccomposer_is": (DBO + "musicComposer", PERSON),
    "starring": (DBO + "starring", PERSON),
    "writer_is": (DBO + "writer", PERSON),
    "composer_is": (DBO + "composer", PERSON),
    "executiveProducer_is": (DBO + "executiveProducer", PERSON),
    "creator": (DBO + "creator", PERSON),
    "presenter": (DBO + "presenter", PERSON),
    "have_artist": (DBO + "artist", PERSON),
    "brand": (MINTED + "brand", PERSON),
    "genre_is": (DBO + "genre", "Genre"),
    "got_award": (DBO + "award", "Award"),
    "openingTheme": (DBO + "openingTheme", "OpeningTheme"),
    "literaryGenre_is": (DBO + "literaryGenre", "LiteraryGenre"),
    "previousWork": (DBO + "previousWork", "Movie"),
    "subsequentWork": (DBO + "subsequentWork", "Movie"),
    "category": (MINTED + "category", "Category"),
}


def clashes(nodes: Iterable[NodeType], relations: Iterable[RelationType]) -> set[str]:
    """Names that a label and a relation type share, whatever the case and underscores.

    The embedded engine keeps both in one namespace.
    """
    labels = {n.label.replace("_", "").casefold() for n in nodes}
    return {r.name for r in relations if r.name.replace("_", "").casefold() in labels}


def dangling(nodes: Iterable[NodeType], relations: Iterable[RelationType]) -> set[str]:
    """Relations of which an end's label is not declared; '' stands for the source's own label."""
    labels = {n.label for n in nodes} | {""}
    return {
        r.name for r in relations if not set(r.sources + r.targets) <= labels or "" in r.sources
    }


def repeated(names: Iterable[str | None]) -> set[str]:
    return {n for n, times in Counter(n for n in names if n).items() if times > 1}


def test_no_label_is_spelled_like_a_relation_type() -> None:
    assert clashes(NODE_TYPES, RELATION_TYPES) == set()


@pytest.mark.parametrize("label", ["Rated", "rAtEd", "DirectedBy", "Gotaward", "In_Category"])
def test_a_label_spelled_like_a_relation_type_is_seen(label: str) -> None:
    planted = (*NODE_TYPES, NodeType(label, Role.ENTITY, "planted"))
    assert len(clashes(planted, RELATION_TYPES)) == 1


def test_the_ends_of_every_relation_exist() -> None:
    assert dangling(NODE_TYPES, RELATION_TYPES) == set()


def test_an_end_that_does_not_exist_is_seen() -> None:
    for change in ({"sources": ("Buk",)}, {"targets": ("Buk",)}, {"sources": ("",)}):
        planted = (*RELATION_TYPES, replace(relation_type("AUTHOR"), name="PLANTED", **change))
        assert dangling(NODE_TYPES, planted) == {"PLANTED"}


def test_labels_types_and_predicates_are_unique() -> None:
    assert repeated(n.label for n in NODE_TYPES) == set()
    assert repeated(r.name for r in RELATION_TYPES) == set()
    assert repeated(r.predicate for r in RELATION_TYPES) == set()
    planted = [*(r.predicate for r in RELATION_TYPES), DBO + "author"]
    assert repeated(planted) == {DBO + "author"}


def test_every_fact_relation_is_found_by_its_predicate_from_every_source() -> None:
    for relation in FACT_RELATIONS:
        assert relation.predicate is not None
        for source in relation.sources:
            assert fact_relation(relation.predicate, source) is relation
        for other in set(ITEM_LABELS) - set(relation.sources):
            assert fact_relation(relation.predicate, other) is None


@pytest.mark.parametrize(("label", "described"), [("Book", BOOKS), ("Movie", MOVIES)])
def test_the_relations_of_books_and_movies_are_there(
    label: str, described: dict[str, tuple[str, str]]
) -> None:
    found = {}
    for name, (predicate, _) in described.items():
        relation = fact_relation(predicate, label)
        assert relation is not None, f"{label} has no relation for {name}"
        found[name] = (relation.predicate, target_label(relation, label))
    assert found == described


def test_users_rate_every_kind_of_item_and_nothing_else() -> None:
    rated = relation_type("RATED")
    assert rated.sources == ("User",)
    assert set(rated.targets) == set(DOMAINS.values())
    assert {n.label for n in NODE_TYPES if n.role is Role.ITEM} == set(DOMAINS.values())


def test_every_node_is_keyed_and_every_name_can_be_quoted() -> None:
    for node in NODE_TYPES:
        assert "id" in {p.name for p in node.properties}, node.label
        assert quote_name(node.label) == f"`{node.label}`"
        assert repeated(p.name for p in node.properties) == set()
    for relation in RELATION_TYPES:
        assert quote_name(relation.name) == f"`{relation.name}`"


def test_names_outside_the_schema_are_refused() -> None:
    for name in ("user", "Users", "", "User` DETACH DELETE n //", "RATED"):
        with pytest.raises(UnknownNameError, match="not in the schema"):
            node_type(name)
    for name in ("rated", "LIKES", "", "RATED]->() DELETE r //", "User"):
        with pytest.raises(UnknownNameError, match="not in the schema"):
            relation_type(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "_", "___", "a b", " a", "a\n", "`", "a`b", "``", "a``b", "a.b", "a-b", "a;b", "a\0b",
        "a'b", 'a"b', "a\\u0060b", "naïve", "ａ", "²", "a\u200bb", "n`) DETACH DELETE n //", "$(x)",
    ],
)  # fmt: skip
def test_a_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="not a usable name"):
        quote_name(name)


@settings(deadline=None)
@given(st.text(max_size=30))
@example("persona3f2a_vector")
@example("a\u0660")
def test_what_is_quoted_holds_nothing_that_ends_the_quotes(name: str) -> None:
    try:
        quoted = quote_name(name)
    except UnknownNameError:
        return
    assert quoted == f"`{name}`"
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
    assert name.strip("_")


def test_prefixed_names_are_expanded_and_others_left_alone() -> None:
    assert expand("dbo:director") == DBO + "director"
    assert expand("dct:subject") == DCT + "subject"
    for name in (DBO + "director", "foo:bar", "director", "", ":director", "dbo", "DBO:director"):
        assert expand(name) == name


@pytest.mark.parametrize(
    ("iri", "name"),
    [
        ("http://dbpedia.org/resource/Ann_Leckie", "Ann Leckie"),
        ("http://dbpedia.org/resource/Category:Space_opera", "Space opera"),
        ("http://dbpedia.org/resource/AC/DC", "AC/DC"),
        ("http://dbpedia.org/resource/Caf%C3%A9", "Café"),
        ("http://dbpedia.org/resource/%22Crocodile%22_Dundee", '"Crocodile" Dundee'),
        ("http://example.org/things/One_thing/", "One thing"),
        ("http://example.org/onto#Thing", "Thing"),
        ("http://dbpedia.org/resource/", "http://dbpedia.org/resource/"),
        ("urn:x", "urn:x"),
        ("", ""),
    ],
)
def test_the_name_of_an_iri_without_a_label(iri: str, name: str) -> None:
    assert name_from_iri(iri) == name


@settings(deadline=None)
@given(st.sampled_from(["genre", "attribute", "brand"]), st.text(max_size=60))
@example("genre", "Children's")
@example("genre", "a:b/c#d?e%20f")
@example("genre", "日本 \u200f\U0001f600")
def test_a_minted_iri_keeps_its_word(kind: str, text: str) -> None:
    iri = mint_iri(kind, text)
    assert name_from_iri(iri) == text
    assert iri.startswith(f"{MINTED}{kind}:")
    assert iri.isascii()
    assert not set(iri) & set(' <>"{}|\\^`\n')


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_different_words_get_different_iris(one: str, other: str) -> None:
    assert (mint_iri("genre", one) == mint_iri("genre", other)) == (one == other)
    assert mint_iri("genre", one) != mint_iri("brand", one)
