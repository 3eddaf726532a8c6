"""Broader subjects: facts between shared nodes come with a data set and go with the last one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conftest import quiet
from small import DBR, write_small

from kg.ingest import DataSetSources, Source, dump_hash, ingest, remove, stats
from kg.store import GraphStore


def with_subjects(folder: Path, name: str, subjects: int) -> DataSetSources:
    """The small data set; film n is about subject n, of which 0 and 1 are each other's broader."""
    data = write_small(folder, name)
    with (folder / "triples.tsv").open("a") as file:
        for n in range(subjects):
            file.write(f"{DBR}Film_{n}\tdct:subject\t{DBR}Category:{n}\n")
            file.write(f"{DBR}Category:{n}\tskos:broader\t{DBR}Category:{n ^ 1}\n")
        file.write(f"{DBR}Category:0\tskos:broader\t{DBR}Category:top\n")
    return data


def test_broader_subjects_are_loaded_once(store: GraphStore, tmp_path: Path) -> None:
    data = with_subjects(tmp_path / "a", "a", 3)
    first = ingest(store, data, tmp_path, quiet)
    found = stats(store)
    assert found["relations"]["BROADER"] == 4
    assert found["nodes"]["Subject"] == 5
    content = dump_hash(store)
    again = ingest(store, data, tmp_path, quiet)
    assert (again.created, again.changed) == (0, 0)
    assert first.created == again.unchanged
    assert dump_hash(store) == content


def test_subjects_go_with_the_last_data_set_that_uses_them(
    store: GraphStore, tmp_path: Path
) -> None:
    ingest(store, with_subjects(tmp_path / "a", "a", 3), tmp_path, quiet)
    only_a = dump_hash(store)
    ingest(store, with_subjects(tmp_path / "b", "b", 5), tmp_path, quiet)
    remove(store, "b", tmp_path, quiet)
    assert dump_hash(store) == only_a
    remove(store, "a", tmp_path, quiet)
    found = stats(store)
    assert found["nodes"] == {}
    assert found["relations"] == {}


def test_another_source_of_the_same_fact_does_not_change_it(
    store: GraphStore, tmp_path: Path
) -> None:
    """Else two data sets of different sources would take turns at it."""
    ingest(store, with_subjects(tmp_path / "a", "a", 3), tmp_path, quiet)
    before = dump_hash(store)
    data = with_subjects(tmp_path / "b", "b", 3)
    lines = (tmp_path / "b" / "triples.tsv").read_text().splitlines()[1:]
    full = {"dct:subject": "http://purl.org/dc/terms/subject",
            "skos:broader": "http://www.w3.org/2004/02/skos/core#broader"}  # fmt: skip
    triples = (line.split("\t") for line in lines)
    (tmp_path / "b" / "facts.nt").write_text(
        "".join(f"<{s}> <{full[p]}> <{o}> .\n" for s, p, o in triples if p in full)
    )
    other = (*data.sources[:2], Source("ntriples", tmp_path / "b" / "facts.nt"))
    result = ingest(store, replace(data, sources=other), tmp_path, quiet)
    assert result.changed == 0
    remove(store, "b", tmp_path, quiet)
    assert dump_hash(store) == before
