"""A data set's items linked to DBpedia's dumps, corrected, reported, and brought to the graph."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import GraphAddress, quiet
from linking_data import LINKS, TITLES, UNLINKED, write_dumps, write_shop
from small import write_small
from test_whole_road import ok, personarec

from kg.dbpedia.dumps import DBpediaDumps
from kg.dbpedia.vocabulary import RESOURCE
from kg.errors import ChangeSomethingError
from kg.ingest import DataSetSources, Source, ingest
from kg.ingest.stage import Stage
from kg.ingest.staging import stage
from kg.linking import LinkResult, link_data_set, link_report
from kg.linking.files import read_links, read_unlinked
from kg.linking.staged import queries, read_items
from kg.store import GraphStore
from kg.store.query import read_only_query


@pytest.fixture
def shop(tmp_path: Path) -> DataSetSources:
    return write_shop(tmp_path / "shop")


@pytest.fixture
def home(tmp_path: Path) -> GraphAddress:
    """A home for commands that look at files only."""
    return GraphAddress("embedded", None, tmp_path / "home", {})


def folder_of(home: Path, name: str = "shop") -> Path:
    return home / "ingest" / name


def linked(data: DataSetSources, home: Path, tmp_path: Path) -> tuple[Stage, LinkResult]:
    """The data set staged and linked under ``home``."""
    folder = folder_of(home, data.name)
    staged = stage(data, folder, quiet)
    source = DBpediaDumps(write_dumps(tmp_path / "dumps"), tmp_path / "cache")
    return staged, link_data_set(staged, source, folder, quiet)


def with_links(data: DataSetSources, result: LinkResult) -> DataSetSources:
    return replace(data, sources=(*data.sources, Source("links", result.path)))


# -- linking ---------------------------------------------------------------------------------------


def test_links_of_a_data_set(shop: DataSetSources, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    folder = folder_of(tmp_path)
    staged = stage(shop, folder, quiet)
    source = DBpediaDumps(write_dumps(tmp_path / "dumps"), tmp_path / "cache")
    result = link_data_set(staged, source, folder, lambda _w, done, n: calls.append((done, n)))
    found = {e.item: (e.iri.removeprefix(RESOURCE), e.method) for e in read_links(result.path)}
    assert found == LINKS
    assert {u.item: u.reason for u in read_unlinked(folder / "unlinked.tsv")} == UNLINKED
    assert (result.asked, result.linked, result.effective) == (10, 7, 7)
    assert result.methods == {"label": 2, "label+creator": 1, "label+year": 4}
    assert result.unlinked == {"ambiguous": 1, "no candidate": 1, "no title": 1}
    assert calls == [(n, 10) for n in range(1, 11)]
    before = {p.name: p.read_bytes() for p in folder.glob("*.tsv")}
    link_data_set(staged, source, folder, quiet)
    assert {p.name: p.read_bytes() for p in folder.glob("*.tsv")} == before


def test_what_the_data_set_links_itself_is_not_asked_for(tmp_path: Path) -> None:
    data = write_small(tmp_path / "small")
    staged, result = linked(data, tmp_path, tmp_path)
    assert (result.asked, result.linked) == (0, 0)
    assert {i.method for i in read_items(staged)} == {"source"}


def test_a_link_is_no_evidence_for_itself(shop: DataSetSources, tmp_path: Path) -> None:
    """Staged again with links and facts, the queries are the same as before."""
    staged, result = linked(shop, tmp_path, tmp_path)
    before = list(queries(staged))
    facts = tmp_path / "facts.tsv"
    iri, star = f"{RESOURCE}Heat_(1995_film)", f"{RESOURCE}Al_Pacino"
    lines = f"{iri}\tdbo:starring\t{star}\n{iri}\tdbo:genre\t{RESOURCE}Crime_film\n"
    facts.write_text("head\trelation\ttail\n" + lines, "utf-8")
    more = with_links(shop, result)
    more = replace(more, sources=(*more.sources, Source("tsv-facts", facts)))
    again = stage(more, folder_of(tmp_path), quiet)
    assert {i.item for i in read_items(again) if i.iri} == set(LINKS)
    assert list(queries(again)) == before
    assert {q.item: q.creators for q in before if q.creators} == {"matrix": ("Keanu Reeves",)}


def test_products_are_not_linked(tmp_path: Path, shop: DataSetSources) -> None:
    with pytest.raises(ChangeSomethingError, match="is of products; links are found for books"):
        linked(replace(shop, domain="products"), tmp_path, tmp_path)


def test_an_id_with_a_tab_gets_no_link(tmp_path: Path) -> None:
    data = write_shop(tmp_path / "shop")
    meta = data.sources[1].path
    with meta.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"asin": "he\tat", "title": "Heat (1995)"}) + "\n")
    staged, result = linked(data, tmp_path, tmp_path)
    assert "he\tat" in {i.item for i in read_items(staged)}
    assert result.unlinked["unusable id"] == 1
    assert result.linked == len(LINKS)


def test_a_domain_is_reported_by_its_alarms(tmp_path: Path) -> None:
    """A film with a literary genre, a book that stars somebody: planted, and found."""
    for domain, fact in (("movies", "dbo:literaryGenre"), ("books", "dbo:starring")):
        data = write_small(tmp_path / domain, domain)
        triples = data.sources[2].path
        with triples.open("a", encoding="utf-8") as file:
            file.write(f"{RESOURCE}Film_3\t{fact}\t{RESOURCE}Odd\n")
        if domain == "books":
            lines = triples.read_text("utf-8").splitlines(keepends=True)
            kept = [n for n in lines if "starring" not in n or "Odd" in n]
            triples.write_text("".join(k for k in kept if "director" not in k), "utf-8")
        staged = stage(replace(data, domain=domain), folder_of(tmp_path, domain), quiet)
        report = link_report(staged, folder_of(tmp_path, domain), sample=0, seed=0)
        fired = {a["relation"]: a["most"] for a in report["alarms"] if a["items"]}
        relation = "LITERARY_GENRE_IS" if domain == "movies" else "STARRING"
        assert fired == {relation: [{"item": "i3", "iri": f"{RESOURCE}Film_3"}]}


# -- the command -----------------------------------------------------------------------------------


def test_the_report(shop: DataSetSources, tmp_path: Path, home: GraphAddress) -> None:
    linked(shop, home.home, tmp_path)
    report = ok(home, "kg", "links", "--dataset", "shop", "--report", "--sample", "3")
    assert (report["items"], report["linked"], report["coverage"]) == (10, 7, 0.7)
    assert report["methods"] == {"label": 2, "label+creator": 1, "label+year": 4}
    assert report["unlinked"] == UNLINKED_COUNTS
    assert sum(b["links"] for b in report["scores"]) == 7
    shared = report["fan_out"]
    assert (shared["resources"], shared["items"]) == (1, 2)
    assert shared["most"] == [{"iri": f"{RESOURCE}The_Matrix", "items": ["matrix", "matrix2"]}]
    assert [a["items"] for a in report["alarms"]] == [0, 0]
    assert len(report["sample"]) == 3
    again = ok(home, "kg", "links", "--dataset", "shop", "--sample", "3")
    assert again == report
    other = ok(home, "kg", "links", "--dataset", "shop", "--sample", "3", "--seed", "4")
    assert other["sample"] != report["sample"]
    code, out, _ = personarec(home, "kg", "links", "--dataset", "shop", "--sample", "20")
    assert code == 0
    assert "7 of 10 items linked (70.0%)" in out
    assert "Sabrina_(1954_film)" in out


UNLINKED_COUNTS = {"ambiguous": 1, "no candidate": 1, "no title": 1}


def test_a_report_before_any_linking(
    shop: DataSetSources, tmp_path: Path, home: GraphAddress
) -> None:
    stage(shop, folder_of(home.home), quiet)
    report = ok(home, "kg", "links", "--dataset", "shop")
    assert (report["linked"], report["unlinked"]) == (0, {"not looked at": 10})
    small = write_small(tmp_path / "small")
    stage(small, folder_of(home.home, "small"), quiet)
    report = ok(home, "kg", "links", "--dataset", "small")
    assert (report["linked"], report["methods"]) == (9, {"source": 9})
    assert report["scores"] == []


def test_corrections_by_the_command(
    shop: DataSetSources, tmp_path: Path, home: GraphAddress
) -> None:
    staged, _ = linked(shop, home.home, tmp_path)
    right, wrong = tmp_path / "right.tsv", tmp_path / "wrong.tsv"
    right.write_text(f"item_id\tiri\nnobody\t{RESOURCE}Nobody_(film)\n", "utf-8")
    wrong.write_text(f"jaws\nheat\t{RESOURCE}Heat_(1995_film)\n", "utf-8")
    options = ("--accept", str(right), "--reject", str(wrong))
    done = ok(home, "kg", "links", "--dataset", "shop", *options)
    assert (done["corrections"], done["links"]) == (3, 6)
    report = ok(home, "kg", "links", "--dataset", "shop")
    assert report["linked"] == 6
    assert report["methods"]["accepted"] == 1
    assert report["unlinked"] == {"ambiguous": 1, "no title": 1, "rejected": 2}
    assert report["corrections"] == {"accept": 1, "reject": 2}
    source = DBpediaDumps(tmp_path / "dumps", tmp_path / "cache")
    assert link_data_set(staged, source, folder_of(home.home), quiet).effective == 6
    code, out, _ = personarec(home, "kg", "links", "--dataset", "shop", *options)
    assert code == 0
    assert "3 corrections, 6 links" in out


def test_a_bad_correction_stores_nothing(
    shop: DataSetSources, tmp_path: Path, home: GraphAddress
) -> None:
    linked(shop, home.home, tmp_path)
    before = {p.name: p.read_bytes() for p in folder_of(home.home).glob("*.tsv")}
    good, bad = tmp_path / "good.tsv", tmp_path / "bad.tsv"
    good.write_text(f"jaws\t{RESOURCE}Jaws_(film)\n", "utf-8")
    bad.write_text("heat\n\nno such item\n", "utf-8")
    code, _, err = personarec(
        home, "kg", "links", "--dataset", "shop", "--accept", str(good), "--reject", str(bad)
    )
    assert code == 1
    assert err.count("\n") == 1
    assert "bad.tsv:3: no item 'no such item'" in err
    assert {p.name: p.read_bytes() for p in folder_of(home.home).glob("*.tsv")} == before


def test_a_data_set_that_was_never_staged(home: GraphAddress) -> None:
    code, _, err = personarec(home, "kg", "links", "--dataset", "nothing")
    assert code == 1
    assert "never staged" in err
    assert err.count("\n") == 1


# -- the graph -------------------------------------------------------------------------------------


def test_links_reach_the_graph(
    store: GraphStore, graph: GraphAddress, shop: DataSetSources, tmp_path: Path
) -> None:
    _, result = linked(shop, graph.home, tmp_path)
    ingest(store, with_links(shop, result), graph.home, quiet)
    assert in_graph(store) == {
        item: (RESOURCE + page, method) for item, (page, method) in LINKS.items()
    }
    right = tmp_path / "right.tsv"
    right.write_text(f"jaws\t{RESOURCE}Jaws_2\n", "utf-8")
    store.close()
    ok(graph, "kg", "links", "--dataset", "shop", "--accept", str(right))
    with graph.connect() as again:
        ingest(again, with_links(shop, result), graph.home, quiet)
        found = in_graph(again)
    assert found["jaws"] == (f"{RESOURCE}Jaws_2", "accepted")
    assert len(found) == len(LINKS)


def in_graph(store: GraphStore) -> dict[str, tuple[Any, ...]]:
    text = (
        "MATCH (m:Movie) WHERE m.dataset = 'shop' AND m.iri IS NOT NULL "
        "RETURN m.id, m.iri, m.linkMethod, m.linkScore"
    )
    _, rows = read_only_query(store, text, {}, len(TITLES))
    assert all(0.7 <= row[3] <= 1 for row in rows)
    return {row[0].removeprefix("shop:"): tuple(row[1:3]) for row in rows}
