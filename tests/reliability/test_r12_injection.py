"""R12: query text in names, keys, values, manifests and arguments: refused, or stored as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet
from reliability.trial import call, content, ingest_words, one_line

from kg.ingest import DataSetSources, Source, dump, ingest
from kg.schema import UnknownNameError
from kg.store import GraphStore, statement
from kg.views.personas import PersonaModel, require_user, use_personas

HOSTILE = (
    "x'}) DETACH DELETE n //",
    'x"}) MATCH (m) DETACH DELETE m //',
    "User` {id: 'x'}) DETACH DELETE n //",
    "User`) MATCH (n) DETACH DELETE n //",
    "\\u0060) MATCH (n) DETACH DELETE n //",
    "\u0060} ) CREATE (:Planted {id: 'x'}) //",
    "}}`) CREATE (:Planted) //",
    "$id",
    "{{label}}",
    "x\\",
    "x\\'",
    "/* x",
    "; MATCH (n) DETACH DELETE n;",
)


def write(folder: Path, name: str = "inject") -> tuple[DataSetSources, list[str]]:
    """Hostile text as user, item, title, genre, IRI, predicate and object."""
    folder.mkdir()
    rows = ["user_id\titem_id\trating\ttimestamp"]
    items = ["item_id\ttitle\tgenres\tdbpedia_uri"]
    facts = ["head\trelation\ttail"]
    for n, text in enumerate(HOSTILE):
        rows += [f"{text}\t{text}\t1\t{n}", f"u{n}\t{text}\t1\t{n}"]
        items.append(f"{text}\t{text}\t{text}\thttp://example.org/{text}")
        facts.append(f"http://example.org/{text}\tdbo:director\thttp://example.org/{text}")
        facts.append(f"http://example.org/{text}\t{text}\thttp://example.org/x")
    for file, lines in (("i.tsv", rows), ("t.tsv", items), ("f.tsv", facts)):
        (folder / file).write_text("\n".join(lines) + "\n", "utf-8")
    files = (("tsv-interactions", "i.tsv"), ("tsv-items", "t.tsv"), ("tsv-facts", "f.tsv"))
    sources = tuple(Source(loader, folder / file) for loader, file in files)
    return DataSetSources(name, "movies", sources), facts


def test_keys_and_values_are_stored_as_text(store: GraphStore, tmp_path: Path) -> None:
    data, _ = write(tmp_path / "data")
    result = ingest(store, data, tmp_path / "home", quiet)
    staged = sum(t.rows for t in result.stage.tables if t.kind == "node")
    lines = [json.loads(line) for line in dump(store)]
    nodes = {(line[1], line[2]): line[3] for line in lines if line[0] == "node"}
    assert len(nodes) == staged
    for text in HOSTILE:
        assert ("User", f"inject:{text}") in nodes
        assert nodes["Movie", f"inject:{text}"]["title"] == text
        assert nodes["Movie", f"inject:{text}"]["iri"] == f"http://example.org/{text}"
        assert ("Person", f"http://example.org/{text}") in nodes
    assert {label for label, _ in nodes} == {"User", "Movie", "Person", "Genre"}
    # Predicates outside the schema are no relation types: set aside, all of them.
    aside = [r["text"] for r in result.stage.quarantine()]
    assert len(aside) == result.stage.total("quarantined") == len(HOSTILE)
    assert ingest(store, data, tmp_path / "other", quiet).created == 0


def test_readers_take_them_as_text_too(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write(tmp_path / "data")[0], tmp_path / "home", quiet)
    before = list(dump(store))
    for text in HOSTILE:
        assert require_user(store, "inject", text) == f"inject:{text}"
        with pytest.raises(Exception, match="no persona version"):
            use_personas(store, "inject", text)
        store.read(statement("loads"), dataset=text)
        assert store.read(statement("find_user"), user=f"absent:{text}") == []
    assert list(dump(store)) == before


def test_names_of_the_schema_never_become_text(store: GraphStore) -> None:
    for text in HOSTILE:
        for name, names in (
            ("count_nodes", {"label": text}),
            ("create_relations", {"type": text, "source": "User", "target": "Movie"}),
            ("create_relations", {"type": "RATED", "source": text, "target": "Movie"}),
            ("create_relations", {"type": "RATED", "source": "User", "target": text}),
            ("read_vectors", {"property": text}),
            ("read_vectors", {"property": PersonaModel(text, "d", "e", 4, "f", 1).property_name}),
            ("create_constraint", {"constraint": text, "label": "User"}),
        ):
            with pytest.raises(UnknownNameError):
                statement(name, **names)
        with pytest.raises(UnknownNameError):
            store.create_vector_index(text, "User", "personax", 4)
        with pytest.raises(UnknownNameError):
            store.create_vector_index("personax_vector", "User", text, 4)
        with pytest.raises(UnknownNameError):
            store.drop_vector_index(text, "User", "personax")


def test_fields_of_a_manifest_are_checked(graph: GraphAddress, tmp_path: Path) -> None:
    write(tmp_path / "data")
    assert call(graph, "kg", "stats")[0] == 0
    manifest = tmp_path / "data" / "manifest.yaml"
    good = {
        "name": "fine", "domain": "movies",
        "sources": [{"loader": "tsv-interactions", "path": "i.tsv"}],
    }  # fmt: skip
    for text in HOSTILE:
        for changed in (
            {"name": text}, {"domain": text}, {text: "x"},
            {"sources": [{"loader": text, "path": "i.tsv"}]},
            {"sources": [{"loader": "tsv-interactions", "path": text}]},
            {"data_folder": text},
        ):  # fmt: skip
            manifest.write_text(json.dumps(good | changed))
            code, out, err = call(graph, *ingest_words(tmp_path / "data"))
            assert (code, out) == (1, ""), changed
            one_line(err)
    assert content(graph) == ([], [])
    manifest.write_text(json.dumps(good))
    assert call(graph, *ingest_words(tmp_path / "data"))[0] == 0


def test_arguments_of_commands_are_values(graph: GraphAddress, tmp_path: Path) -> None:
    with graph.connect() as store:
        ingest(store, write(tmp_path / "data")[0], graph.home, quiet)
    before = content(graph)
    # One connection stays open, so that the commands need not start an engine each.
    with graph.connect():
        check_arguments(graph)
    assert content(graph) == before


def check_arguments(graph: GraphAddress) -> None:
    query = "MATCH (u:User {id: $id}) RETURN u.id AS id"
    for text in HOSTILE:
        code, out, err = call(graph, "kg", "query", query, "-p", f"id={json.dumps(text)}", "--json")
        assert (code, json.loads(out)) == (0, []), err
        key = json.dumps(f"inject:{text}")
        code, out, err = call(graph, "kg", "query", query, "-p", f"id={key}", "--json")
        assert (code, json.loads(out)) == (0, [{"id": f"inject:{text}"}]), err
        for words in (
            ingest_words(text),
            ("kg", "stats", "--dataset", text),
            ("kg", "dump", "--dataset", text),
            ("kg", "remove", "--dataset", text, "--yes"),
            ("kg", "neighbours", "--dataset", "inject", "--", text),
            ("personas", "use", "--dataset", "inject", "--", text),
            ("personas", "show", "--dataset", "inject", "--", text),
            ("kg", "query", query, "-p", f"{text}=1"),
        ):
            code, out, err = call(graph, *words)
            assert code in (1, 2), (words, err)
            assert out == ""
            one_line(err)
