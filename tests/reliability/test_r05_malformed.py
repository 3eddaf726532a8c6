"""R5: malformed rows of every loader: set aside with file, line and reason, and the books balance.

``--max-bad`` decides: above it the command fails and nothing is loaded, below it the rest is.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet
from reliability.trial import call, content, ingest_words, one_line

from kg.errors import ChangeSomethingError
from kg.ingest import DataSetSources, Source, ingest
from kg.loaders.lines import MAX_LINE
from kg.store import GraphStore

GOOD = 60
LONG = b"x" * (10 * 1024 * 1024) + b"\n"
assert len(LONG) > MAX_LINE

TRUNCATED, BAD_UTF8, NUL = "truncated line", "bad UTF-8", "NUL"
WRONG_TYPE, MISSING_KEY, NULL_KEY = "wrong type", "missing key", "null key"

IRI = "http://example.org/"
DBO = "http://dbpedia.org/ontology/"


@dataclass(frozen=True)
class Format:
    """A good row with a place for its number, and bad rows by what is wrong with each."""

    good: str
    bad: dict[str, tuple[bytes, str]]
    header: str = ""


def review(**changes: object) -> bytes:
    row = {"reviewerID": "u1", "asin": "i1", "overall": 5.0, "unixReviewTime": 7} | changes
    return json.dumps({k: v for k, v in row.items() if v != "absent"}).encode()


FORMATS = {
    "tsv-interactions": Format(
        "u{0}\ti{0}\t4.5\t{0}\n",
        {
            TRUNCATED: (b"u1\ti1", "2 columns instead of 4"),
            BAD_UTF8: (b"u\xff\ti1\t4\t7", "not UTF-8"),
            NUL: (b"u\x001\ti1\t4\t7", "NUL"),
            WRONG_TYPE: (b"u1\ti1\tmany\t7", "rating is not a number"),
            MISSING_KEY: (b"u1\t\t4\t7", "item_id is empty"),
            NULL_KEY: (b" \ti1\t4\t7", "user_id is empty"),
        },
        "user_id\titem_id\trating\ttimestamp\n",
    ),
    "tsv-items": Format(
        "i{0}\tTitle {0}\tDrama\t" + IRI + "{0}\n",
        {
            TRUNCATED: (b"i1\tTitle", "2 columns instead of 4"),
            BAD_UTF8: (b"i1\t\xc3\x28\t\t", "not UTF-8"),
            MISSING_KEY: (b"\tTitle\t\t", "item_id is empty"),
        },
        "item_id\ttitle\tgenres\tdbpedia_uri\n",
    ),
    "tsv-facts": Format(
        IRI + "{0}\tdbo:director\t" + IRI + "a{0}\n",
        {
            TRUNCATED: (IRI.encode() + b"1\tdbo:dir", "2 columns instead of 3"),
            BAD_UTF8: (IRI.encode() + b"1\tdbo:director\t\xff", "not UTF-8"),
            MISSING_KEY: (b"\tdbo:director\t" + IRI.encode() + b"2", "head is empty"),
        },
        "head\trelation\ttail\n",
    ),
    "ntriples": Format(
        f"<{IRI}{{0}}> <{DBO}producer> <{IRI}b{{0}}> .\n",
        {
            TRUNCATED: (f"<{IRI}1> <{DBO}prod".encode(), "not N-Triples"),
            BAD_UTF8: (f"<{IRI}1> <{DBO}producer> <{IRI}".encode() + b"\xff> .", "not UTF-8"),
            WRONG_TYPE: (f'<{IRI}1> <{DBO}producer> "text" .'.encode(), "not an IRI"),
            MISSING_KEY: (f"_:b <{DBO}producer> <{IRI}2> .".encode(), "subject is not an IRI"),
        },
    ),
    "amazon-reviews": Format(
        '{{"reviewerID": "v{0}", "asin": "j{0}", "overall": 5.0, "unixReviewTime": {0}}}\n',
        {
            TRUNCATED: (review()[:-20], "broken JSON"),
            BAD_UTF8: (review().replace(b"u1", b"\xff"), "not UTF-8"),
            WRONG_TYPE: (review(overall="five"), "overall is not a number"),
            MISSING_KEY: (review(asin="absent"), "asin is missing"),
            NULL_KEY: (review(reviewerID=None), "reviewerID is missing"),
        },
    ),
    "amazon-metadata": Format(
        '{{"asin": "j{0}", "title": "Title {0}"}}\n',
        {
            TRUNCATED: (b'{"asin": "j1", "ti', "broken JSON"),
            BAD_UTF8: (b'{"asin": "j1", "title": "\xff"}', "not UTF-8"),
            WRONG_TYPE: (b'{"asin": "j1", "title": 7}', "title is not a text"),
            MISSING_KEY: (b'{"title": "T"}', "asin is missing"),
            NULL_KEY: (b'{"asin": null, "title": "T"}', "asin is missing"),
        },
    ),
    "s3rec-sequences": Format(
        "w{0} k{0}\n",
        {
            TRUNCATED: (b"w1", "no user with items"),
            BAD_UTF8: (b"w1 \xff", "not UTF-8"),
            NUL: (b"w1 k\x001", "NUL"),
        },
    ),
}


def write(name: str, path: Path, bad: bool) -> dict[int, str]:
    """Good rows with the bad ones among them; line number -> reason of each bad one."""
    made = FORMATS[name]
    lines = [made.good.format(n).encode() for n in range(1, GOOD + 1)]
    reasons: dict[int, str] = {}
    rows = [(row + b"\n", why) for row, why in made.bad.values()] + [(LONG, "longer than")]
    first = 2 if made.header else 1
    if bad:
        for place, (row, why) in enumerate(rows):
            at = 5 + 6 * place
            lines.insert(at, row)
            reasons[at + first] = why
    path.write_bytes(made.header.encode() + b"".join(lines))
    return reasons


def manifest(folder: Path, files: dict[str, str]) -> Path:
    sources = [{"loader": name, "path": file} for name, file in files.items()]
    path = folder / "manifest.yaml"
    path.write_text(json.dumps({"name": "bad", "domain": "movies", "sources": sources}))
    return path


def test_every_format_with_every_fault(graph: GraphAddress, tmp_path: Path) -> None:
    reasons = {name: write(name, tmp_path / name, bad=True) for name in FORMATS}
    words = ingest_words(manifest(tmp_path, {name: name for name in FORMATS}))
    code, out, err = call(graph, *words)
    assert (code, out) == (1, "")
    line = one_line(err)
    assert all(part in line for part in ("tsv-interactions: ", "line 7", "nothing was loaded"))
    assert content(graph) == ([], [])

    code, out, err = call(graph, *words, "--max-bad", "0.3", "--json")
    assert code == 0, err
    books = {book["source"]: book for book in json.loads(out)["books"]}
    for name, expected in reasons.items():
        book = books[name]
        assert book["quarantined"] == len(expected)
        assert book["rows_in"] == GOOD + len(expected)
        assert book["rows_in"] == book["merged"] + book["duplicates"] + book["quarantined"]
    code, out, _ = call(graph, "kg", "quarantine", "--dataset", "bad", "--json")
    assert code == 0
    found = {(row["source"], row["line"]): row["reason"] for row in json.loads(out)["rows"]}
    wanted = {(name, at): why for name, rows in reasons.items() for at, why in rows.items()}
    assert found.keys() == wanted.keys()
    assert [k for k, why in wanted.items() if why not in found[k]] == []
    # What is sound is in the graph, all of it.
    lines, states = content(graph)
    assert states == ["complete"]
    assert sum(b'"RATED"' in line for line in lines) == 3 * GOOD


def sources(folder: Path, name: str, file: str) -> DataSetSources:
    """The file under test, beside good interactions."""
    write("tsv-interactions", folder / "good.tsv", bad=False)
    good = Source("tsv-interactions", folder / "good.tsv")
    return DataSetSources("bad", "movies", (good, Source(name, folder / file)))


def test_too_many_bad_rows_of_any_format_load_nothing(store: GraphStore, tmp_path: Path) -> None:
    for name in FORMATS:
        reasons = write(name, tmp_path / f"{name}.txt", bad=True)
        data = sources(tmp_path, name, f"{name}.txt")
        share = len(reasons) / (GOOD + len(reasons))
        with pytest.raises(ChangeSomethingError, match=rf"{name}\.txt: {len(reasons)} of"):
            ingest(store, data, tmp_path / name, quiet, max_bad=share - 0.001)
        assert ingest(store, data, tmp_path / name, quiet, max_bad=share, dry_run=True).created


def test_a_packed_file_cut_short(graph: GraphAddress, tmp_path: Path) -> None:
    """Its lines up to the cut are rows, and the cut is one row set aside."""
    for name, made in FORMATS.items():
        # Of many rows that do not pack well, so that the cut comes after whole lines.
        rows = "".join(made.good.format(n * n) for n in range(1, 3001))
        packed = gzip.compress((made.header + rows).encode())
        (tmp_path / f"{name}.gz").write_bytes(packed[: len(packed) * 2 // 3])
    cut = {name: f"{name}.gz" for name in FORMATS}
    words = ingest_words(manifest(tmp_path, cut), "--json")
    code, out, err = call(graph, *words, "--max-bad", "0")
    assert (code, out) == (1, "")
    assert "cut short" in one_line(err)
    code, out, err = call(graph, *words, "--max-bad", "0.01")
    assert code == 0, err
    for book in json.loads(out)["books"]:
        # Facts of items that fell to the cut of another file are unused, not bad.
        assert book["quarantined"] - book["unused"] == 1, book
        assert 100 < book["merged"] < 3000
        assert book["rows_in"] == book["merged"] + book["duplicates"] + book["quarantined"]


def test_a_broken_document_is_refused_whole(graph: GraphAddress, tmp_path: Path) -> None:
    """Attributes are one JSON document: nothing of a broken one can be trusted."""
    write("tsv-interactions", tmp_path / "good.tsv", bad=False)
    files = {"tsv-interactions": "good.tsv", "s3rec-attributes": "attributes.json"}
    words = ingest_words(manifest(tmp_path, files), "--max-bad", "1")
    for content_of in (b'{"i1": [1, 2], "i', b'{"i1": [\xff]}', b"[]", b'{"i1": [1]} x'):
        (tmp_path / "attributes.json").write_bytes(content_of)
        code, _, err = call(graph, *words)
        assert code == 1
        assert "attributes.json" in one_line(err)
        assert content(graph) == ([], [])


def test_rows_that_staging_sets_aside_carry_their_line(store: GraphStore, tmp_path: Path) -> None:
    """What is wrong with these shows only beside other rows, or by the rules of keys."""
    good, iri = IRI.encode() + b"1", IRI.encode()
    write("tsv-interactions", tmp_path / "good.tsv", bad=False)
    (tmp_path / "facts.tsv").write_bytes(
        b"head\trelation\ttail\n" + good + b"\tdbo:director\tno-iri\n"
    )
    (tmp_path / "facts.nt").write_bytes(
        b"# a comment\n\n<" + iri + f"absent> <{DBO}producer> <{IRI}b> .\n".encode()
    )
    files = ("tsv-interactions", "good.tsv"), ("tsv-facts", "facts.tsv"), ("ntriples", "facts.nt")
    data = DataSetSources("bad", "movies", tuple(Source(n, tmp_path / f) for n, f in files))
    staged = ingest(store, data, tmp_path / "home", quiet, max_bad=1).stage
    assert [(r["source"], r["line"]) for r in staged.quarantine()] == [
        ("facts.tsv", 2),
        ("facts.nt", 3),
    ]
