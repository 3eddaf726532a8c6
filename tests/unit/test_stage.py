"""Staging: the books balance for any input, and the tables say what the rules promise."""

from __future__ import annotations

import bz2
import gzip
import random
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.errors import ChangeSomethingError, PersonarecError
from kg.ingest import sources as sources_module
from kg.ingest import staging as staging_module
from kg.ingest.reading import MAX_KEY
from kg.ingest.reconcile import Reconciler
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.spill import Spill
from kg.ingest.stage import Books, Stage
from kg.ingest.staging import stage
from kg.schema import DBO, RDFS_LABEL, mint_iri

DBR = "http://dbpedia.org/resource/"
RATINGS = "user_id\titem_id\trating\ttimestamp"
ITEMS = "item_id\ttitle\tgenres\tdbpedia_uri"
FACTS = "head\trelation\ttail"
FILES = {
    "ratings": ("tsv-interactions", "interactions.tsv", RATINGS),
    "items": ("tsv-items", "items.tsv", ITEMS),
    "facts": ("tsv-facts", "triples.tsv", FACTS),
    "triples": ("ntriples", "facts.nt", ""),
    "reviews": ("amazon-reviews", "reviews.jsonl", ""),
}


def quiet(_what: str, _done: int, _total: int | None) -> None:
    pass


def write(folder: Path, domain: str = "movies", **lines: Iterable[str]) -> DataSetSources:
    """A data set of the given lines, tab-separated cells written with blanks as ``a|b``."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for kind, content in lines.items():
        name, file, header = FILES[kind]
        text = "\n".join([*([header] if header else []), *content])
        (folder / file).write_text(text + "\n", "utf-8")
        sources.append(Source(name, folder / file))
    return DataSetSources("d", domain, tuple(sources))


def staged(tmp_path: Path, domain: str = "movies", **lines: Iterable[str]) -> Stage:
    return stage(write(tmp_path / "in", domain, **lines), tmp_path / "work", quiet)


def row(*cells: object) -> str:
    return "\t".join(map(str, cells))


def table(found: Stage, label: str, target: str = "") -> list[dict[str, Any]]:
    """Rows of a staged table; the nodes of works outside the data set come after its own."""
    rows: list[dict[str, Any]] = []
    for entry in found.tables:
        if entry.label == label and target in ("", entry.target_label):
            frame = pl.read_parquet(found.folder / entry.file)
            assert len(frame) == entry.rows
            rows += frame.to_dicts()
    return rows


def pairs(found: Stage, label: str, target: str = "") -> set[tuple[str, str]]:
    return {(r["source"], r["target"]) for r in table(found, label, target)}


def book(found: Stage, source: str) -> Books:
    (result,) = (b for b in found.books if b.source == source)
    return result


def account(found: Stage, source: str) -> tuple[int, int, int, int, int, int]:
    b = book(found, source)
    return b.rows_in, b.merged, b.duplicates, b.conflicts, b.quarantined, b.unused


def reasons(found: Stage) -> list[tuple[str, int, str]]:
    return [(q["source"], q["line"], q["reason"]) for q in found.quarantine()]


ONE = [row("u", "1", 4, 10)]


# -- the books -------------------------------------------------------------------------------------

ids = st.sampled_from(["1", "2", "3", "é", "e\u0301", "x" * (MAX_KEY + 1), "", " "])
rating_lines = st.one_of(
    st.tuples(ids, ids, st.sampled_from(["4", "", "nan", "x"]), st.integers(0, 3)).map(
        lambda c: row(*c)
    ),
    st.tuples(ids, ids, st.just("1"), st.sampled_from(["1e300", str(2**63), "-1e30", "inf"])).map(
        lambda c: row(*c)
    ),
    st.text(max_size=12),
)
iris = st.sampled_from([DBR + "A", DBR + "B", DBR + "C", "not-an-iri", "x:" + "y" * MAX_KEY, ""])
item_lines = st.one_of(
    st.tuples(
        ids, st.sampled_from(["", "T", "S"]), st.sampled_from(["", "G", "G|H", "日" * 200]), iris
    ).map(lambda c: row(*c)),
    st.text(max_size=12),
)
predicates = st.sampled_from(
    [
        "dbo:director",
        DBO + "director",
        "dbo:previousWork",
        "dbo:author",
        "dbo:nothing",
        "",
        "dct:subject",
    ]
)
fact_lines = st.one_of(
    st.tuples(iris, predicates, iris).map(lambda c: row(*c)), st.text(max_size=12)
)
triple_lines = st.one_of(
    st.tuples(
        st.sampled_from("ABC"),
        st.sampled_from(["director", "previousWork", "nothing"]),
        st.sampled_from("ABC"),
    ).map(lambda c: f"<{DBR}{c[0]}> <{DBO}{c[1]}> <{DBR}{c[2]}> ."),
    st.tuples(
        st.sampled_from("ABCD"), st.sampled_from(['"x"@en', '"y"', '"z"@de', '""', "_:b"])
    ).map(lambda c: f"<{DBR}{c[0]}> <{RDFS_LABEL}> {c[1]} ."),
    st.text(max_size=12),
)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(rating_lines, max_size=12),
    st.lists(item_lines, max_size=8),
    st.lists(fact_lines, max_size=12),
    st.lists(triple_lines, max_size=12),
)
def test_the_books_of_every_source_balance_for_any_rows(
    tmp_path: Path, ratings: list[str], items: list[str], facts: list[str], triples: list[str]
) -> None:
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    found = staged(tmp_path, ratings=[*ratings, *ONE], items=items, facts=facts, triples=triples)
    lines = {k: "\n".join(v).encode().count(b"\n") + 1 if v else 0
             for k, v in (("items.tsv", items), ("triples.tsv", facts))}  # fmt: skip
    for b in found.books:
        assert b.rows_in == b.merged + b.duplicates + b.filtered + b.quarantined
        assert 0 <= b.conflicts <= b.duplicates
        assert 0 <= b.unused <= b.quarantined
        assert sum(q["source"] == b.source for q in found.quarantine()) == b.quarantined
        if b.source in lines:
            assert b.rows_in == lines[b.source]
    assert book(found, "interactions.tsv").merged == len(pairs(found, "RATED"))

    users = {r["id"] for r in table(found, "User")}
    movies = {r["id"] for r in table(found, "Movie")}
    nodes = {t.label for t in found.tables if t.kind == "node"}
    assert all(s in users and t in movies for s, t in pairs(found, "RATED"))
    for entry in found.tables:
        rows = pl.read_parquet(found.folder / entry.file)
        if entry.kind == "node":
            assert rows["id"].null_count() == 0
            everywhere = pl.concat(
                [
                    pl.read_parquet(found.folder / t.file).select("id")
                    for t in found.tables
                    if t.kind == "node" and t.label == entry.label
                ]
            )
            assert everywhere["id"].n_unique() == len(everywhere)
        else:
            assert {entry.source_label, entry.target_label} <= nodes
            ends = {r["id"] for r in table(found, entry.target_label)}
            assert set(rows["target"]) <= ends
            assert rows.select("source", "target").n_unique() == len(rows)


def test_books_that_do_not_balance_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row lost between reading and the tables stops the load."""
    honest = Spill.add

    def forgetful(self: Spill, record: Any, file: int, number: int, line: int) -> None:
        if number != 2:
            honest(self, record, file, number, line)

    monkeypatch.setattr(Spill, "add", forgetful)
    with pytest.raises(PersonarecError, match=r"books of interactions\.tsv do not balance: 2 rows"):
        staged(tmp_path, ratings=[*ONE, row("v", "1", 2, 3)])


def test_every_kind_of_bad_row_is_set_aside_with_its_line(tmp_path: Path) -> None:
    long = "x" * (MAX_KEY + 1)
    found = staged(
        tmp_path,
        ratings=[
            *ONE,
            row("u", long, 4, 1),
            "broken",
            row("u", "2", "x", 1),
            row("u", "3", 1, 2**63),
        ],
        items=[row("1", "T", "日" * 200, ""), row("", "T", "", "")],
        facts=[
            row(DBR + "A", "dbo:director", "nobody"),
            row(DBR + long, "dbo:director", DBR + "B"),
        ],
    )
    long_key = f"a key longer than {MAX_KEY} characters"
    assert [(s, r) for s, _, r in reasons(found)] == [
        ("interactions.tsv", long_key),
        ("interactions.tsv", "1 columns instead of 4"),
        ("interactions.tsv", "rating is not a number: 'x'"),
        ("interactions.tsv", f"timestamp out of range: {2**63}"),
        ("items.tsv", f"a genre whose key is longer than {MAX_KEY} characters"),
        ("items.tsv", "item_id is empty"),
        ("triples.tsv", "the object is not an IRI: 'nobody'"),
        ("triples.tsv", long_key),
    ]
    assert account(found, "interactions.tsv") == (5, 1, 0, 0, 4, 0)
    assert account(found, "items.tsv") == (2, 0, 0, 0, 2, 0)
    assert account(found, "triples.tsv") == (2, 0, 0, 0, 2, 0)


def test_keys_with_nul_or_nothing_in_them_are_set_aside(tmp_path: Path) -> None:
    review = '{"reviewerID": "%s", "asin": "1", "overall": 5.0, "unixReviewTime": %s}'
    found = staged(
        tmp_path,
        reviews=[review % ("u", 1), review % ("a\\u0000b", 1), review % ("u", "1e300")],
    )
    assert [r for _, _, r in reasons(found)] == [
        "a key with a NUL character",
        f"timestamp out of range: {str(int(1e300))[:50]}",
    ]


# -- duplicates ------------------------------------------------------------------------------------


def test_the_latest_timestamp_wins_then_the_first_row(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        ratings=[
            row("u", "1", 1, 10),
            row("u", "1", 2, 30),
            row("u", "1", 3, 30),
            row("u", "1", 2, 30),
            row("u", "2", 5, 7),
            row("u", "2", 5, 7),
            row("v", "1", 4, 20),
        ],
    )
    kept = {(r["source"], r["target"]): (r["rating"], r["timestamp"], r["row"])
            for r in table(found, "RATED")}  # fmt: skip
    assert kept == {
        ("d:u", "d:1"): (2.0, 30, 3),
        ("d:u", "d:2"): (5.0, 7, 6),
        ("d:v", "d:1"): (4.0, 20, 8),
    }
    # Four lost; the identical ones do not conflict with what they lost to.
    assert account(found, "interactions.tsv") == (7, 3, 4, 2, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_where_times_differ_the_order_of_the_rows_does_not_matter(
    seed: int, tmp_path: Path
) -> None:
    lines = [row(f"u{n % 3}", n % 2, n % 5, n) for n in range(30)]
    shuffled = random.Random(seed).sample(lines, len(lines))
    assert shuffled != lines
    one, other = (
        staged(tmp_path / name, ratings=order) for name, order in (("a", lines), ("b", shuffled))
    )

    def content(found: Stage) -> list[tuple[Any, ...]]:
        columns = ("source", "target", "rating", "timestamp")
        return [tuple(r[c] for c in columns) for r in table(found, "RATED")]

    assert content(one) == content(other)
    assert {r[3] for r in content(one)} == set(range(24, 30))
    assert book(one, "interactions.tsv") == book(other, "interactions.tsv")


def test_of_two_descriptions_of_an_item_the_first_wins(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        ratings=ONE,
        items=[
            row("1", "First", "G", DBR + "A"),
            row("1", "First", "G", DBR + "A"),
            row("1", "Second", "G", DBR + "A"),
            row("1", "First", "G|H", DBR + "A"),
        ],
    )
    assert [r["title"] for r in table(found, "Movie")] == ["First"]
    assert account(found, "items.tsv") == (4, 1, 3, 2, 0, 0)
    assert pairs(found, "GENRE_IS") == {("d:1", mint_iri("genre", "G"))}


# -- facts -----------------------------------------------------------------------------------------


def test_a_fact_concerns_every_item_linked_to_its_subject(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        ratings=ONE,
        items=[
            row("1", "A", "", DBR + "A"),
            row("2", "A again", "", DBR + "A"),
            row("3", "B", "", ""),
        ],
        facts=[
            row(DBR + "A", "dbo:director", DBR + "D"),
            row(DBR + "A", "dbo:director", DBR + "D"),
        ],
    )
    assert pairs(found, "DIRECTED_BY") == {("d:1", DBR + "D"), ("d:2", DBR + "D")}
    assert account(found, "triples.tsv") == (2, 1, 1, 0, 0, 0)


def test_facts_without_a_place_are_unused_and_not_bad(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        ratings=ONE,
        items=[row("1", "A", "", DBR + "A"), row("2", "A", "", DBR + "A")],
        facts=[
            row(DBR + "A", "dbo:director", DBR + "D"),
            row(DBR + "A", "dbo:runtime", DBR + "Long"),
            row(DBR + "A", "dbo:notableWork", DBR + "N"),  # of books, not of films
            row(DBR + "Elsewhere", "dbo:director", DBR + "D"),
        ],
    )
    assert account(found, "triples.tsv") == (4, 1, 0, 0, 3, 3)
    assert sorted(r for _, _, r in reasons(found)) == [
        "no item is linked to this IRI",
        "the schema has no relation for this fact of a Movie",
        "the schema has no relation for this fact of a Movie",
    ]
    assert {t.label for t in found.tables if t.kind == "relation"} == {"RATED", "DIRECTED_BY"}


def test_one_predicate_by_its_two_names_is_one_relation(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        ratings=ONE,
        items=[row("1", "A", "", DBR + "A")],
        facts=[
            row(DBR + "A", "dbo:director", DBR + "D"),
            row(DBR + "A", DBO + "director", DBR + "D"),
        ],
    )
    assert len(table(found, "DIRECTED_BY")) == 1


def test_works_of_the_data_set_are_its_items_and_others_nodes_by_iri(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        ratings=ONE,
        items=[
            row("1", "A", "", DBR + "A"),
            row("2", "B", "", DBR + "B"),
            row("3", "B 2", "", DBR + "B"),
        ],
        facts=[
            row(DBR + "A", "dbo:previousWork", DBR + "B"),
            row(DBR + "A", "dbo:subsequentWork", DBR + "Out_side"),
            row(DBR + "A", "dbo:director", DBR + "B"),
        ],
    )
    assert pairs(found, "PREVIOUS_WORK") == {("d:1", "d:2")}  # the first of two with that IRI
    assert pairs(found, "SUBSEQUENT_WORK") == {("d:1", DBR + "Out_side")}
    movies = {r["id"]: r for r in table(found, "Movie")}
    assert set(movies) == {"d:1", "d:2", "d:3", DBR + "Out_side"}
    assert movies[DBR + "Out_side"]["title"] == "Out side"
    assert movies[DBR + "Out_side"]["iri"] == DBR + "Out_side"
    assert "dataset" not in movies[DBR + "Out_side"]
    assert movies["d:1"]["dataset"] == "d"
    # A person is a person, also under the IRI of an item.
    assert pairs(found, "DIRECTED_BY") == {("d:1", DBR + "B")}
    assert [r["id"] for r in table(found, "Person")] == [DBR + "B"]


def test_labels_name_entities_and_untitled_items(tmp_path: Path) -> None:
    label = f"<{DBR}{{}}> <{RDFS_LABEL}> {{}} ."
    found = staged(
        tmp_path,
        ratings=[*ONE, row("u", "2", 1, 1)],
        items=[row("1", "", "", DBR + "A"), row("2", "Own title", "", DBR + "B")],
        triples=[
            f"<{DBR}A> <{DBO}director> <{DBR}Named> .",
            f"<{DBR}A> <{DBO}director> <{DBR}Un_named> .",
            label.format("Named", '"Jane  Doe "@en'),
            label.format("Named", '"Second name"@en'),
            label.format("A", '"Film A"'),
            label.format("B", '"Label of B"'),
            label.format("Nobody", '"Nobody"'),
        ],
    )
    names = {r["id"]: r["name"] for r in table(found, "Person")}
    assert names == {DBR + "Named": "Jane  Doe", DBR + "Un_named": "Un named"}
    assert {r["id"]: r["title"] for r in table(found, "Movie")} == {
        "d:1": "Film A",
        "d:2": "Own title",
    }
    assert account(found, "facts.nt") == (7, 5, 1, 1, 1, 1)
    assert [r for _, _, r in reasons(found)] == ["no node has this IRI"]


def test_genres_are_minted_and_text_is_in_one_normal_form(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        ratings=ONE,
        items=[row("1", "Ame\u0301lie", "Sci-Fi & Co|Com\u00e9die", "")],
    )
    assert [r["title"] for r in table(found, "Movie")] == ["Am\u00e9lie"]
    assert {(r["id"], r["name"]) for r in table(found, "Genre")} == {
        ("urn:personarec:genre:Sci-Fi%20%26%20Co", "Sci-Fi & Co"),
        ("urn:personarec:genre:Com%C3%A9die", "Com\u00e9die"),
    }
    assert len(pairs(found, "GENRE_IS", "Genre")) == 2


# -- the stage on disk -----------------------------------------------------------------------------


def test_equal_content_is_staged_once_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = write(tmp_path / "a", ratings=ONE), write(tmp_path / "b", ratings=ONE)
    assert one.content_hash() == other.content_hash()
    first = stage(one, tmp_path / "work", quiet)

    def never(*_: object) -> None:
        pytest.fail("staged again")

    monkeypatch.setattr(staging_module, "_make", never)
    assert stage(other, tmp_path / "work", quiet) == first


def test_other_content_is_staged_anew_and_the_old_stage_goes(tmp_path: Path) -> None:
    first = stage(write(tmp_path / "in", ratings=ONE), tmp_path / "work", quiet)
    data_set = write(tmp_path / "in", ratings=[*ONE, row("v", "1", 2, 3)])
    second = stage(data_set, tmp_path / "work", quiet)
    assert second.content_hash != first.content_hash
    assert len(table(second, "RATED")) == 2
    assert [p.name for p in (tmp_path / "work").glob("stage*/")] == [second.folder.name]


def test_the_hash_covers_everything_a_stage_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write(tmp_path / "in", ratings=ONE, items=[row("1", "A", "", "")])
    a, b = base.sources
    (tmp_path / "in" / "other.tsv").write_bytes(a.path.read_bytes())
    seen = [base.content_hash()]
    for change in (
        DataSetSources("e", "movies", (a, b)),
        DataSetSources("d", "books", (a, b)),
        DataSetSources("d", "movies", (b, a)),
        DataSetSources("d", "movies", (a,)),
        DataSetSources("d", "movies", (Source("tsv-facts", a.path), b)),
        DataSetSources("d", "movies", (Source(a.loader, tmp_path / "in" / "other.tsv"), b)),
    ):
        seen.append(change.content_hash())
    a.path.write_bytes(a.path.read_bytes() + b"\n")
    seen.append(base.content_hash())
    monkeypatch.setattr(sources_module, "STAGE_FORMAT", sources_module.STAGE_FORMAT + 1)
    seen.append(base.content_hash())
    assert len(set(seen)) == len(seen)


def test_what_an_interrupted_stage_left_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_set = write(tmp_path / "in", ratings=ONE)
    partial = tmp_path / "work" / "stage.partial"
    (partial / "records").mkdir(parents=True)
    (partial / "records" / "Interaction-00000.parquet").write_bytes(b"half a file")
    (partial / "quarantine.jsonl").write_bytes(b'{"half')
    (partial / "stage.json").write_text("{")
    (tmp_path / "work" / f"stage-{data_set.content_hash()[:16]}").mkdir()  # without its stage.json
    found = stage(data_set, tmp_path / "work", quiet)
    assert len(table(found, "RATED")) == 1
    assert list(found.quarantine()) == []
    assert not partial.exists()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    changed = write(tmp_path / "in", ratings=[*ONE, row("v", "1", 2, 3)])
    with monkeypatch.context() as patch:
        patch.setattr(Reconciler, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            stage(changed, tmp_path / "work", quiet)
    assert found.folder.exists()  # the finished stage is there until the next one is
    assert len(table(stage(changed, tmp_path / "work", quiet), "RATED")) == 2


def test_two_at_once_make_one_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_set = write(tmp_path / "in", ratings=ONE)
    honest = staging_module._make
    began: list[str] = []

    def slow(data_set: DataSetSources, content_hash: str, *rest: Any) -> Stage:
        began.append(content_hash)
        time.sleep(0.3)  # time enough for the other to come in between
        return honest(data_set, content_hash, *rest)

    monkeypatch.setattr(staging_module, "_make", slow)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(stage, data_set, tmp_path / "work", quiet) for _ in range(2)]
        one, other = (c.result(timeout=20) for c in calls)
    assert one == other
    assert began == [data_set.content_hash()]


def test_a_stage_read_back_is_the_stage_that_was_made(tmp_path: Path) -> None:
    data_set = write(tmp_path / "in", ratings=[*ONE, "broken"])
    made = stage(data_set, tmp_path / "work", quiet)
    again = stage(data_set, tmp_path / "work", quiet)
    assert again == made
    assert reasons(again) == reasons(made) == [("interactions.tsv", 3, "1 columns instead of 4")]
    assert again.total("rows_in") == 2


@pytest.mark.parametrize("lines", [[], ["broken"], [row("u", "1", "x", 1)]])
def test_without_an_interaction_there_is_one_line_of_advice(
    lines: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ChangeSomethingError) as caught:
        staged(tmp_path, ratings=lines)
    assert "no usable interaction in" in str(caught.value)
    assert "interactions.tsv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "work").glob("stage-*"))


@pytest.mark.parametrize("packing", ["", ".gz", ".bz2", ".zst"])
def test_progress_is_told_with_about_how_much_there_is(packing: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    lines = [RATINGS, *(row(f"u{n * 7919 % 30_011}", n, 1, n * 31 % 977) for n in range(30_000))]
    content = ("\n".join(lines) + "\n").encode()
    pack: dict[str, Any] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
    path = tmp_path / f"interactions.tsv{packing}"
    path.write_bytes(pack.get(packing, zstandard.ZstdCompressor().compress)(content))
    data_set = DataSetSources("d", "movies", (Source("tsv-interactions", path),))
    stage(data_set, tmp_path / "work", lambda *a: told.append(a))
    reading = [(done, total) for what, done, total in told if what.startswith("reading")]
    assert [done for done, _ in reading] == [10_000, 20_000, 30_000, 30_000]
    assert reading[-1] == (30_000, 30_000)
    for _, total in reading:
        assert total is not None
        assert 10_000 <= total <= 60_000
    assert reading[1][1] == pytest.approx(30_000, rel=0.5)
