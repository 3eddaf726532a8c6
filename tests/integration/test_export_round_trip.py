"""What an export says is what the graph says; RecBole's files come back as the same content."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from conftest import GraphAddress, quiet
from pyoxigraph import Literal, RdfFormat, parse
from rich_data import BRAND, DBR, ITEMS, USERS, write_rich
from small import write_small
from test_whole_road import ok, personarec

from kg.errors import ChangeSomethingError, TryAgainError
from kg.export import export_data_set
from kg.export.folder import MARKER
from kg.export.reading import DataSetReader
from kg.ingest import DataSetSources, Source, dump, ingest
from kg.schema import MINTED, RDFS_LABEL, SKOS, mint_iri, relation_type
from kg.store import GraphStore


def lines_of(store: GraphStore, dataset: str) -> list[list[Any]]:
    return [orjson.loads(line) for line in dump(store, dataset)]


def content(store: GraphStore, dataset: str) -> tuple[set[Any], set[Any], set[Any]]:
    """Interactions, facts and titles by keys of their own, without the data set's name."""
    interactions, facts, titles = set(), set(), set()

    def bare(key: str) -> str:
        return key.removeprefix(f"{dataset}:")

    for kind, *rest in lines_of(store, dataset):
        if kind == "relation":
            name, source, start, target, end, found = rest
            row = (name, source, bare(start), target, bare(end))
            if name == "RATED":
                interactions.add((*row, found.get("rating"), found["timestamp"]))
            else:
                facts.add(row)
        elif rest[2].get("dataset") == dataset and rest[0] != "User":
            titles.add((bare(rest[1]), rest[2].get("title")))
    return interactions, facts, titles


def atomic_sources(folder: Path, exported: str, name: str, domain: str) -> DataSetSources:
    kinds = ("inter", "item", "user", "link", "kg")
    return DataSetSources(
        name, domain,
        tuple(Source(f"recbole-{kind}", folder / f"{exported}.{kind}") for kind in kinds),
    )  # fmt: skip


def rows_of(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.reader(file, delimiter="\t")


def test_atomic_files_come_back_as_the_same_content(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_rich(tmp_path / "rich"), tmp_path / "work", quiet)
    before = content(store, "rich")
    names = {name for name, *_ in before[1]}
    assert names >= {
        "DIRECTED_BY", "SUBJECT_IS", "GENRE_IS", "PREVIOUS_WORK", "SUBSEQUENT_WORK", "ALSO_BOUGHT",
        "BOUGHT_TOGETHER", "BRAND", "IN_CATEGORY", "HAS_TRAIT",
    }  # fmt: skip
    result = export_data_set(store, "rich", "atomic", tmp_path / "out", quiet)
    counts = {name.partition(".")[2]: rows for name, rows in result.files.items()}
    assert (counts["inter"], counts["item"], counts["user"]) == (len(before[0]), 7, len(USERS))
    again = atomic_sources(tmp_path / "out", "rich", "again", "movies")
    loaded = ingest(store, again, tmp_path / "work", quiet, max_bad=0)
    assert loaded.stage.total("quarantined") == 0
    assert [t.rows for t in loaded.stage.tables if t.label == "BROADER"] == [1]
    after = content(store, "again")
    assert after[0] == before[0]
    assert after[1] == before[1]
    assert after[2] == before[2]


def test_atomic_files_have_one_entity_an_item_and_keep_the_order(
    store: GraphStore, tmp_path: Path
) -> None:
    ingest(store, write_rich(tmp_path / "rich"), tmp_path / "work", quiet)
    export_data_set(store, "rich", "atomic", tmp_path / "out", quiet)
    header, *links = rows_of(tmp_path / "out" / "rich.link")
    assert header == ["item_id:token", "entity_id:token"]
    assert len({entity for _, entity in links}) == len({item for item, _ in links}) == len(links)
    found = dict(links)
    assert found["3"] == DBR + "Shared"
    assert found["4"] == mint_iri("item", "4")
    header, *inter = rows_of(tmp_path / "out" / "rich.inter")
    assert header == ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    order: dict[str, list[str]] = {}
    for user, item, _, _ in inter:
        order.setdefault(user, []).append(item)
    ranks = {item[0]: place for place, item in enumerate(ITEMS)}
    assert all(items == sorted(items, key=ranks.__getitem__) for items in order.values())
    header, *users = rows_of(tmp_path / "out" / "rich.user")
    # Of tags a user has several, and one job has blanks: each has the column that can hold it.
    # Moods are both, so they are in the last column, which holds IRIs.
    assert header == [
        "user_id:token", "age:token", "job:token", "tags:token_seq", "trait:token_seq",
    ]  # fmt: skip
    moods = [mint_iri("attribute", f"mood={mood}") for mood in ("quite happy", "sad")]
    assert [row for row in users if row[0] == "1"] == [
        ["1", "24", "works with wood", "a b", " ".join([DBR + "Left_handed", *moods])]
    ]


def test_ntriples_are_valid_and_say_what_the_graph_says(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_rich(tmp_path / "rich"), tmp_path / "work", quiet)
    interactions, facts, titles = content(store, "rich")
    for with_interactions in (False, True):
        out = tmp_path / f"out{with_interactions}"
        result = export_data_set(
            store, "rich", "ntriples", out, quiet, interactions=with_interactions
        )
        triples = list(parse(path=str(out / "rich.nt"), format=RdfFormat.N_TRIPLES))
        assert result.files == {"rich.nt": len(triples)}
        plain = {(t.subject.value, t.predicate.value, t.object.value) for t in triples}
        rated = {t for t in plain if t[1] == MINTED + "rated"}
        assert len(rated) == (len(interactions) if with_interactions else 0)
        predicates = {relation_type(name).predicate for name, *_ in facts}
        assert len({t for t in plain if t[1] in predicates}) == len(facts)
    one = mint_iri("item", "rich:1")
    assert (one, "http://dbpedia.org/ontology/director", DBR + "A,_B_and_C") in plain
    assert (one, MINTED + "brand", BRAND) in plain
    assert (one, SKOS + "closeMatch", DBR + "No_(film)") in plain
    assert (mint_iri("user", "rich:1"), MINTED + "rated", mint_iri("item", "rich:2")) in plain
    assert (DBR + "Category:Films", SKOS + "broader", DBR + "Category:Art") in plain
    odd = mint_iri("item", "rich:x/y z:%")
    assert (odd, SKOS + "closeMatch", DBR + "Odd%20100%25%20%3Ckey%3E") in plain
    labels = {
        t.subject.value: t.object.value
        for t in triples
        if t.predicate.value == RDFS_LABEL and isinstance(t.object, Literal)
    }
    assert labels[DBR + "Category:Films"] == 'All "films"'
    for key, title in titles:
        assert labels.get(mint_iri("item", f"rich:{key}")) == title


def test_parquet_holds_every_declared_property(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_rich(tmp_path / "rich"), tmp_path / "work", quiet)
    result = export_data_set(store, "rich", "parquet", tmp_path / "out", quiet)
    found: dict[str, dict[Any, Any]] = {}
    for name, rows in result.files.items():
        frame = pl.read_parquet(tmp_path / "out" / name)
        assert len(frame) == rows > 0
        kept = frame.drop("loadId", "id" if "id" in frame.columns else "loadId", strict=False)
        keys = ("id",) if "id" in frame.columns else ("start", "end")
        for row, full in zip(kept.to_dicts(), frame.to_dicts(), strict=True):
            clean = {k: v for k, v in row.items() if v is not None and k not in keys}
            found.setdefault(name, {})[tuple(full[k] for k in keys)] = clean
    expected: dict[str, dict[Any, Any]] = {}
    for kind, *rest in lines_of(store, "rich"):
        if kind == "node":
            label, key, properties = rest
            expected.setdefault(f"nodes-{label}.parquet", {})[(key,)] = properties
        else:
            name, _, start, _, end, properties = rest
            expected.setdefault(f"relations-{name}.parquet", {})[start, end] = properties
    # The dump of a data set stops at what its own nodes lead to; an export goes one hop on.
    assert found.pop("relations-BROADER.parquet") == {
        (DBR + "Category:Films", DBR + "Category:Art"): {"source": "tsv-facts"}
    }
    expected.pop("relations-BROADER.parquet", None)
    further = (DBR + "Category:Art",)
    assert further in found["nodes-Subject.parquet"]
    expected["nodes-Subject.parquet"].setdefault(further, found["nodes-Subject.parquet"][further])
    assert found == expected


def test_other_data_sets_stay_out(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_small(tmp_path / "small"), tmp_path / "work", quiet)
    export_data_set(store, "small", "ntriples", tmp_path / "before", quiet, interactions=True)
    ingest(store, write_rich(tmp_path / "rich"), tmp_path / "work", quiet)
    ingest(store, write_small(tmp_path / "more", "small-2", users=30), tmp_path / "work", quiet)
    export_data_set(store, "small", "ntriples", tmp_path / "after", quiet, interactions=True)
    names = [(tmp_path / n / "small.nt").read_text("utf-8") for n in ("before", "after")]
    assert sorted(names[0].splitlines()) == sorted(names[1].splitlines())
    assert "small-2" not in names[1]


def test_reading_in_many_batches_is_reading_in_one(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(store, write_rich(tmp_path / "rich"), tmp_path / "work", quiet)
    for form in ("atomic", "ntriples", "parquet"):
        export_data_set(store, "rich", form, tmp_path / form / "one", quiet)
    import kg.export.reading as module
    from kg.views.export import batches

    monkeypatch.setattr(module, "batches", lambda ids: batches(ids, 2))
    monkeypatch.setattr("kg.export.ntriples.BATCH_ROWS", 3)
    monkeypatch.setattr("kg.export.parquet.BATCH_ROWS", 3)
    for form in ("atomic", "ntriples", "parquet"):
        export_data_set(store, "rich", form, tmp_path / form / "many", quiet)
        one, many = (
            {p.name: read_any(p) for p in (tmp_path / form / n).iterdir()} for n in ("one", "many")
        )
        assert one == many


def read_any(path: Path) -> Any:
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_dicts()
    return sorted(path.read_text("utf-8").splitlines())


def test_a_data_set_that_changes_meanwhile_is_not_exported(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(store, write_small(tmp_path / "small"), tmp_path / "work", quiet)
    users = DataSetReader.ratings

    def with_a_load(self: DataSetReader) -> Any:
        more = write_small(tmp_path / "other", "small", users=13)
        ingest(store, more, tmp_path / "work", quiet)
        return users(self)

    monkeypatch.setattr(DataSetReader, "ratings", with_a_load)
    with pytest.raises(TryAgainError, match="small changed during the export"):
        export_data_set(store, "small", "atomic", tmp_path / "out", quiet)
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []


def test_a_key_with_a_line_break_is_said(store: GraphStore, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(
        orjson.dumps({"user_id": "a\nb", "asin": "i", "rating": 1, "timestamp": 1})
    )
    sources = (Source("amazon-reviews", tmp_path / "r.json"),)
    ingest(store, DataSetSources("d", "books", sources), tmp_path / "work", quiet)
    with pytest.raises(
        ChangeSomethingError, match=r"cannot hold a line break, as in '\"a"
    ) as found:
        export_data_set(store, "d", "atomic", tmp_path / "out", quiet)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "out").exists()
    export_data_set(store, "d", "parquet", tmp_path / "out", quiet)
    assert pl.read_parquet(tmp_path / "out/nodes-User.parquet")["id"].to_list() == ["d:a\nb"]


@pytest.mark.parametrize("name", ["nobody", "../small", "small/../x", "'; MATCH (n) DELETE n", ""])
def test_a_name_that_is_no_data_set_writes_nothing(
    store: GraphStore, tmp_path: Path, name: str
) -> None:
    ingest(store, write_small(tmp_path / "small"), tmp_path / "work", quiet)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(ChangeSomethingError):
        export_data_set(store, name, "atomic", tmp_path / "out", quiet)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_data_set_whose_name_is_a_path_is_refused(store: GraphStore, tmp_path: Path) -> None:
    """Such a name cannot come in through a manifest; another program may have written it."""
    data = write_small(tmp_path / "small", "../../evil")
    ingest(store, data, tmp_path / "work" / "a" / "b", quiet)
    with pytest.raises(ChangeSomethingError, match="cannot be a file's"):
        export_data_set(store, "../../evil", "atomic", tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_the_command(graph: GraphAddress, tmp_path: Path) -> None:
    write_small(tmp_path / "small")
    ok(graph, "kg", "ingest", "--dataset", str(tmp_path / "small"))
    say = ("kg", "export", "--dataset", "small", "--out", str(tmp_path / "out"), "--format")
    first = ok(graph, *say, "atomic")
    assert first["files"]["small.inter"] > 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([MARKER, *first["files"]])
    code, _, error = personarec(graph, *say, "parquet")
    assert code == 1
    assert "is not empty" in error
    assert error.count("\n") == 1
    ok(graph, *say, "parquet", "--force")
    assert not (tmp_path / "out" / "small.inter").exists()
    assert (tmp_path / "out" / "relations-RATED.parquet").is_file()
    code, _, error = personarec(graph, *say, "parquet", "--interactions")
    assert code == 2
    assert "is for --format ntriples" in error
