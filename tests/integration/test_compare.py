"""``personarec compare`` from the graph to its report, on both engines; and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import GraphAddress, quiet
from small import write_small
from test_whole_road import personarec

from kg.ingest import ingest
from kg.store import GraphStore
from kg.views import read_catalogue
from kg.views.links import read_links


@pytest.fixture
def loaded(store: GraphStore, graph: GraphAddress, tmp_path: Path) -> GraphAddress:
    ingest(store, write_small(tmp_path / "data", users=30, items=15), graph.home, quiet)
    store.close()  # the command opens it again; the embedded engine is for one at a time
    return graph


COMMAND = (
    "compare", "--dataset", "small", "--seeds", "1", "--epochs", "2",
    "--rows", "popularity,facts,sasrec,sasrec+transitions+facts",
)  # fmt: skip


def test_twice_and_with_one_more_row(loaded: GraphAddress, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, err = personarec(loaded, *COMMAND, "--out", str(out))
    assert code == 0, err
    assert "4 cells made" in printed
    document = json.loads((out / "results.json").read_text())
    # These data's users all start at the same moment, which no times would.
    assert document["split"] == "leave-one-out"
    assert document["linked"] == 15
    assert [r["name"] for r in document["rows"]] == [
        "popularity", "facts", "sasrec", "sasrec+transitions+facts",
    ]  # fmt: skip
    assert "Leak checks" in (out / "report.html").read_text()
    before = {p: p.stat().st_mtime_ns for p in out.glob("cells/*/*")}
    more = (*COMMAND[:-1], COMMAND[-1] + ",linear")
    code, printed, err = personarec(loaded, *more, "--out", str(out))
    assert code == 0, err
    assert "1 cells made" in printed
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rows", "sasrek"), "no row 'sasrek'; did you mean sasrec"),
        (("--split", "leave-one-in"), "no split 'leave-one-in'.*did you mean leave-one-out"),
        (("--encoder", "hdg"), "no persona encoder 'hdg'.*did you mean hdgi"),
        (("--split", "global-temporal"), "needs the times of interactions"),
    ],
)
def test_bad_input_in_one_line(
    request: pytest.FixtureRequest, graph: GraphAddress, tmp_path: Path, options: Any, said: str
) -> None:
    if options[1] == "global-temporal":
        request.getfixturevalue("loaded")
    code, _, err = personarec(graph, "compare", "--dataset", "small", *options)
    assert code == 1
    assert err.count("\n") == 1
    assert re.search(said, err)


def test_links_are_read(store: GraphStore, graph: GraphAddress, tmp_path: Path) -> None:
    sources = write_small(tmp_path / "data")
    items = tmp_path / "data" / "items.tsv"
    lines = items.read_text("utf-8").splitlines()
    lines[1] = lines[1].rpartition("\t")[0] + "\t"
    items.write_text("\n".join(lines) + "\n", "utf-8")
    ingest(store, sources, graph.home, quiet)
    catalogue = read_catalogue(store, "small", "Movie")
    found = read_links(store, "small", catalogue)
    assert found.linked.tolist() == [not key.endswith(":i0") for key in catalogue.ids]
    assert len(found.score) == len(catalogue.ids)
