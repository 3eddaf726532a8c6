"""R6 and R7: repeats go by a rule and are counted; there is no relation without its ends."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet
from reliability.trial import call, ingest_words, one_line

from kg.errors import ChangeSomethingError
from kg.ingest import DataSetSources, Source, dump, dump_hash, ingest, stats
from kg.ingest.tables import RelationKind, RelationRow, Writer
from kg.store import GraphStore

USERS, ITEMS = 20, 15
HEADER = "user_id\titem_id\trating\ttimestamp\n"


def interactions(rows: list[tuple[str, str, str, int]]) -> str:
    return HEADER + "".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in rows)


def planted(seed: int) -> tuple[list[tuple[str, str, str, int]], int, int]:
    """Interactions with 40 identical and 30 conflicting repeats, shuffled; and these numbers."""
    rng = random.Random(seed)
    rows = [
        (f"u{u}", f"i{(u + 2 * k) % ITEMS}", "3", 100 + k) for u in range(USERS) for k in range(5)
    ]
    same = rng.sample(rows, 40)
    other = [(u, i, "5", t - 50) for u, i, _, t in rng.sample(rows, 30)]  # older: it must lose
    mixed = rows + same + other
    rng.shuffle(mixed)
    return mixed, len(same), len(other)


def ingest_file(store: GraphStore, folder: Path, text: str) -> Counter[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "interactions.tsv").write_text(text)
    source = Source("tsv-interactions", folder / "interactions.tsv")
    result = ingest(store, DataSetSources("twice", "movies", (source,)), folder, quiet)
    return Counter({k: v for k, v in vars(result.stage.books[0]).items() if isinstance(v, int)})


def test_repeats_become_one_relation_and_are_counted(store: GraphStore, tmp_path: Path) -> None:
    rows, same, other = planted(0)
    books = ingest_file(store, tmp_path / "a", interactions(rows))
    distinct = len({row[:2] for row in rows})
    assert books["rows_in"] == len(rows)
    assert (books["merged"], books["duplicates"]) == (distinct, same + other)
    assert books["conflicts"] == other
    found = [json.loads(line) for line in dump(store)]
    nodes = Counter((line[1], line[2]) for line in found if line[0] == "node")
    rated = Counter((line[3], line[5]) for line in found if line[0] == "relation")
    assert set(nodes.values()) == set(rated.values()) == {1}
    assert len(rated) == distinct
    assert sum(key[0] == "User" for key in nodes) == USERS
    # The latest wins: no rating of an older, conflicting row is left.
    assert {line[6]["rating"] for line in found if line[0] == "relation"} == {3.0}


def test_the_conflict_rule_does_not_depend_on_the_order_of_the_rows(
    store: GraphStore, tmp_path: Path
) -> None:
    """Where times differ. The row number, which breaks ties, is all that may differ."""
    contents = set()
    for seed in range(3):
        rows, *_ = planted(0)
        random.Random(seed).shuffle(rows)
        ingest_file(store, tmp_path / str(seed), interactions(rows))
        found = [json.loads(line) for line in dump(store)]
        for line in found:
            line[-1].pop("row", None)
        contents.add(json.dumps(found))
    assert len(contents) == 1


def test_of_equal_times_the_first_row_wins(store: GraphStore, tmp_path: Path) -> None:
    hashes = set()
    for again in range(2):
        rows = [("u1", "i1", "2", 7), ("u1", "i1", "4", 7), ("u1", "i1", "1", 7)]
        books = ingest_file(store, tmp_path / str(again), interactions(rows))
        assert (books["merged"], books["duplicates"], books["conflicts"]) == (1, 2, 2)
        (line,) = [x for x in map(json.loads, dump(store)) if x[0] == "relation"]
        assert line[6]["rating"] == 2.0
        hashes.add(dump_hash(store))
    assert len(hashes) == 1


# -- R7 ------------------------------------------------------------------------------------------


def test_a_fact_of_a_resource_that_no_item_is_linked_to_is_set_aside(
    graph: GraphAddress, tmp_path: Path
) -> None:
    folder = tmp_path / "ends"
    folder.mkdir()
    iri = "http://example.org/"
    (folder / "interactions.tsv").write_text(interactions([("u1", "i1", "3", 1)]))
    (folder / "items.tsv").write_text(f"item_id\ttitle\tgenres\tdbpedia_uri\ni1\tOne\t\t{iri}one\n")
    (folder / "triples.tsv").write_text(
        "head\trelation\ttail\n"
        f"{iri}one\tdbo:director\t{iri}d\n"
        f"{iri}absent\tdbo:director\t{iri}d\n"
        f"{iri}absent\tdbo:starring\t{iri}nobody\n"
    )
    code, out, err = call(graph, *ingest_words(folder), "--json")
    assert code == 0, err
    (book,) = [b for b in json.loads(out)["books"] if b["source"] == "triples.tsv"]
    assert (book["rows_in"], book["merged"], book["quarantined"]) == (3, 1, 2)
    code, out, _ = call(graph, "kg", "quarantine", "--dataset", "ends", "--json")
    rows = json.loads(out)["rows"]
    assert {row["reason"] for row in rows} == {"no item is linked to this IRI"}
    with graph.connect() as store:
        assert not any(b"absent" in line or b"nobody" in line for line in dump(store))


@pytest.mark.parametrize("absent", ["source", "target"])
def test_a_relation_whose_end_vanished_fails_and_writes_nothing(
    store: GraphStore, tmp_path: Path, absent: str
) -> None:
    ingest_file(store, tmp_path / "a", interactions([("u1", "i1", "3", 1)]))
    before = list(dump(store))
    ends = {"source": "twice:u1", "target": "twice:i1"} | {absent: "twice:nowhere"}
    good = RelationRow("twice:u1", "twice:i1", {"rating": 1.0})
    row = RelationRow(ends["source"], ends["target"], {"rating": 1.0})
    writer = Writer(store, "twice", "test", lambda: None)
    with pytest.raises(ChangeSomethingError, match="an end that is not in the graph"):
        writer.relations(RelationKind("RATED", "User", "Movie"), [good, row])
    assert list(dump(store)) == before, "the sound row of the batch must not be written alone"
    assert stats(store)["relations"] == {"RATED": 1}


def test_a_user_removed_during_a_load_stops_it_with_the_load_open(
    graph: GraphAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deletes a node between the nodes and the relations of a load."""
    from kg.ingest import load as load_module

    folder = tmp_path / "twice"
    folder.mkdir()
    rows, *_ = planted(1)
    (folder / "interactions.tsv").write_text(interactions(rows))
    write, done = load_module._write, []

    def deleting(writer: Writer, table: object, batch: object) -> object:
        if table.kind == "relation" and not done:  # type: ignore[attr-defined]
            done.append(True)
            writer.store.transaction(
                lambda tx: tx._tx.run("MATCH (u:User {id: 'twice:u3'}) DELETE u").consume()
            )
        return write(writer, table, batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(load_module, "_write", deleting)
        code, _, err = call(graph, *ingest_words(folder))
    assert code == 1
    assert "an end that is not in the graph" in one_line(err)
    with graph.connect() as store:
        assert [x["status"] for x in stats(store)["loads"]] == ["running"]
