"""Rows of the quarantine, mended by a person, come into the graph by the next ingest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import GraphAddress
from test_whole_road import ok, personarec

RATINGS = ["u1\ta\t4\t10", "u2\ta\tfour\t11", "u1\tb\t3\t12", "u2\tb\t5", "\tb\t5\t13"]
TITLES = ["a\tAlpha\tDrama\tnot-an-iri", "b\tBeta\tDrama\t", "c\tGamma"]


def write(folder: Path, *, packed: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    ratings = "\n".join(["user_id\titem_id\trating\ttimestamp", *RATINGS]) + "\n"
    titles = "\n".join(["item_id\ttitle\tgenres\tdbpedia_uri", *TITLES]) + "\n"
    (folder / "items.tsv").write_text(titles)
    name = "interactions.tsv.gz" if packed else "interactions.tsv"
    (folder / name).write_bytes(gzip.compress(ratings.encode()) if packed else ratings.encode())
    (folder / "manifest.yaml").write_text(
        "name: films\ndomain: movies\nsources:\n"
        f"  - {{loader: tsv-interactions, path: {name}}}\n"
        "  - {loader: tsv-items, path: items.tsv}\n"
    )
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def save(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_mended_rows_are_merged_and_the_quarantine_empties(
    packed: bool, graph: GraphAddress, tmp_path: Path
) -> None:
    data = str(write(tmp_path / "films", packed=packed))
    ratings = f"interactions.tsv{'.gz' if packed else ''}"
    ingest = ("kg", "ingest", "--dataset", data, "--max-bad", "1")
    quarantine = ("kg", "quarantine", "--dataset", data)
    first = ok(graph, *ingest)
    assert [b["quarantined"] for b in first["books"]] == [3, 1]
    listed = [(r["source"], r["line"]) for r in ok(graph, *quarantine)["rows"]]
    assert listed == [(ratings, 3), (ratings, 5), (ratings, 6), ("items.tsv", 4)]

    out = tmp_path / "rows.jsonl"
    assert ok(graph, *quarantine, "--out", str(out)) == {"written": 4}
    rows = lines(out)
    assert [r["text"] for r in rows] == [RATINGS[1], RATINGS[3], RATINGS[4], TITLES[2]]
    assert rows[0]["reason"] == "rating is not a number: 'four'"
    rows[0]["text"] = "u2\ta\t4\t11"
    rows[1]["text"] = "u2\tb\t5\t14"
    rows[3]["text"] = "c\tGamma\tWar\t"
    mended = save(tmp_path / "mended.jsonl", [rows[0], rows[1], rows[3]])
    assert ok(graph, *quarantine, "--take-back", str(mended)) == {"mended": 3}

    again = ok(graph, *ingest)
    assert [(b["rows_in"], b["merged"], b["quarantined"]) for b in again["books"]] == [
        (5, 4, 1),
        (3, 3, 0),
    ]
    assert again["created"] == 2 + 2 + 2, "two ratings, a user and a film, its genre and that fact"
    found = ok(graph, "kg", "query", "MATCH (u:User)-[r:RATED]->(m:Movie) "
               "RETURN u.id AS user, m.id AS item, r.row AS row ORDER BY row")  # fmt: skip
    assert [(r["user"], r["item"], r["row"]) for r in found] == [
        ("films:u1", "films:a", 2), ("films:u2", "films:a", 3), ("films:u1", "films:b", 4),
        ("films:u2", "films:b", 5),
    ]  # fmt: skip
    left = ok(graph, *quarantine)["rows"]
    assert [(r["source"], r["line"]) for r in left] == [(ratings, 6)]
    third = ok(graph, *ingest)
    assert (third["created"], third["changed"]) == (0, 0)

    # What was mended is about that file; another one is read as it is.
    ok(graph, "kg", "remove", "--dataset", "films", "--yes")
    assert (graph.home / "ingest" / "films" / "mended.jsonl").is_file()
    titles = Path(data) / "items.tsv"
    titles.write_text(titles.read_text() + "d\tDelta\t\t\n")
    last = ok(graph, *ingest)
    assert [b["quarantined"] for b in last["books"]] == [1, 1]


@pytest.fixture
def aside(tmp_path: Path) -> tuple[GraphAddress, tuple[str, ...]]:
    graph = GraphAddress("embedded", None, tmp_path / "home", {})
    data = str(write(tmp_path / "films"))
    ok(graph, "kg", "ingest", "--dataset", data, "--max-bad", "1")
    return graph, ("kg", "quarantine", "--dataset", data)


ROW = {"source": "interactions.tsv", "line": 3, "text": "u2\ta\t4\t11"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROW | {"text": "u2\ta\tfive\t11"}], ":1: still not usable: rating is not a number"),
        ([ROW, ROW | {"line": 5, "text": "x"}], ":2: still not usable: 1 columns instead of 4"),
        ([ROW | {"line": 2}], ":1: line 2 of 'interactions.tsv' is not in the quarantine"),
        ([ROW | {"source": "other.tsv"}], ":1: line 3 of 'other.tsv' is not in the quarantine"),
        ([ROW | {"text": "a\nb"}], ":1: the text must be one line"),
        ([ROW | {"line": "3"}], ":1: not a JSON object with source, line and text"),
        ([ROW | {"line": True}], ":1: not a JSON object with source, line and text"),
        ([{}], ":1: not a JSON object with source, line and text"),
    ],
)
def test_what_cannot_be_taken_back_is_said_and_nothing_is_kept(
    rows: list[dict[str, Any]], said: str, aside: tuple[GraphAddress, tuple[str, ...]],
    tmp_path: Path,
) -> None:  # fmt: skip
    graph, command = aside
    code, out, err = personarec(graph, *command, "--take-back", str(save(tmp_path / "m", rows)))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err
    assert not (graph.home / "ingest" / "films" / "mended.jsonl").exists()


def test_a_row_without_a_key_is_still_not_usable(
    aside: tuple[GraphAddress, tuple[str, ...]], tmp_path: Path
) -> None:
    graph, command = aside
    path = save(tmp_path / "m", [ROW | {"line": 6, "text": " \tb\t5\t13"}])
    code, _, err = personarec(graph, *command, "--take-back", str(path))
    assert code == 1
    assert ":1: still not usable: user_id is empty" in err


def test_taking_back_twice_keeps_the_latest(
    aside: tuple[GraphAddress, tuple[str, ...]], tmp_path: Path
) -> None:
    graph, command = aside
    for text in ("u2\ta\t1\t11", "u2\ta\t2\t11"):
        path = save(tmp_path / "m", [ROW | {"text": text}])
        assert ok(graph, *command, "--take-back", str(path)) == {"mended": 1}
    ok(graph, "kg", "ingest", *command[2:], "--max-bad", "1")
    found = ok(graph, "kg", "query", "MATCH (:User)-[r:RATED]->() WHERE r.row = 3 "
               "RETURN r.rating AS rating")  # fmt: skip
    assert found == [{"rating": 2.0}]
