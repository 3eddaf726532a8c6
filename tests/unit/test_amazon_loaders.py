"""Amazon's three forms of reviews and descriptions, and files that come compressed."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from itertools import islice
from pathlib import Path

import orjson
import pytest

from kg.errors import ChangeSomethingError
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.stage import Stage
from kg.ingest.staging import stage
from kg.loaders import loader
from kg.loaders.amazon import MAX_LITERAL
from kg.loaders.lines import MAX_LINE, SHOWN, read_lines
from kg.loaders.records import Interaction, Item, ItemFact, Record, Rejected
from kg.schema import MINTED, mint_iri

ROOT = Path(__file__).resolve().parents[2]


def rows(name: str, content: str, tmp_path: Path) -> list[Record | Rejected]:
    (tmp_path / "file").write_text(content, "utf-8", newline="")
    return list(loader(name).read(tmp_path / "file"))


def category(item: str, name: str) -> ItemFact:
    return ItemFact(item, MINTED + "category", mint_iri("category", name))


def brand(item: str, name: str) -> ItemFact:
    return ItemFact(item, MINTED + "brand", mint_iri("brand", name))


def line(**content: object) -> str:
    return orjson.dumps(content).decode() + "\n"


# -- compressed files ------------------------------------------------------------------------------

LINES = b"".join(b"line %d\n" % n for n in range(1, 5_001))


def noise(length: int) -> bytes:
    """Text that does not pack, so that a cut file ends somewhere within it."""
    return b"".join(b"%x\n" % (n * 2654435761 % 2**32) for n in range(length))


@pytest.mark.parametrize("name", ["f.gz", "f.json.gz", "F.GZ"])
def test_a_packed_file_reads_like_the_file_itself(name: str, tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / name
    content = b"\xef\xbb\xbfa\r\n\n\xc3\x28\nb\0\n" + LINES + b"no end"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content, mtime=0))
    assert list(read_lines(packed)) == list(read_lines(plain))


def test_packed_parts_in_one_file_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(
        gzip.compress(b"a\nb", mtime=0) + gzip.compress(b"c\nd\n", mtime=0)
    )
    assert list(read_lines(tmp_path / "f.gz")) == [(1, "a"), (2, "bc"), (3, "d")]


def test_a_packed_file_cut_anywhere_keeps_its_lines_and_says_so_once(tmp_path: Path) -> None:
    content = noise(3_000)
    whole = gzip.compress(content, mtime=0)
    expected = list(enumerate(content.decode().splitlines(), 1))
    kept = []
    for cut in [*range(2, 30), *range(30, len(whole) - 9, 997), *range(len(whole) - 9, len(whole))]:
        (tmp_path / "f.gz").write_bytes(whole[:cut])
        *good, last = read_lines(tmp_path / "f.gz")
        assert good == expected[: len(good)]
        why = f"compressed file cut short after line {len(good)}"
        assert last == Rejected(len(good) + 1, why, "")
        kept.append(len(good))
    assert kept == sorted(kept)
    assert kept[-1] == 3_000  # only the check sum is cut off


def test_half_a_line_of_a_cut_file_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(gzip.compress(b"a\nb\nhalf", mtime=0)[:-8])
    assert list(read_lines(tmp_path / "f.gz")) == [
        (1, "a"), (2, "b"), Rejected(3, "compressed file cut short after line 2", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"plain text\n", "Not a gzipped file"),
        (gzip.compress(b"a\n", mtime=0)[:-8] + b"\0" * 8, "CRC check failed"),
        (gzip.compress(b"a\n", mtime=0) + b"more", "Not a gzipped file"),
        (gzip.compress(b"a\n", mtime=0)[:10] + b"\xff" * 50, "invalid block type"),
    ],
)
def test_a_broken_packed_file_costs_one_row(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(content)
    *good, last = read_lines(tmp_path / "f.gz")
    assert good == [(1, "a")][: len(good)]
    assert isinstance(last, Rejected)
    assert last.line == len(good) + 1
    assert last.reason.startswith(f"compressed file broken after line {len(good)}: ")
    assert why in last.reason


def test_any_byte_of_a_packed_file_may_be_wrong(tmp_path: Path) -> None:
    whole = gzip.compress(noise(300), mtime=0)
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        (tmp_path / "f.gz").write_bytes(changed)
        found = list(read_lines(tmp_path / "f.gz"))
        said = [f for f in found if isinstance(f, Rejected) and "compressed" in f.reason]
        assert len(said) <= 1
        assert said == found[-1:] or not said


def test_a_packed_file_that_unpacks_to_much_takes_little_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "f.gz", "wb", compresslevel=1) as file:
        file.write(b"a\n")
        for _ in range(64):
            file.write(b"x" * 1024 * 1024)
        file.write(b"\nb\n")
    tracemalloc.start()
    found = list(read_lines(tmp_path / "f.gz"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(f) for f in found] == [tuple, Rejected, tuple]
    assert peak < 4 * MAX_LINE  # of 64 MB


def test_a_packed_file_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "pipe.gz"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)  # kept open for writing: the file never ends
    try:
        os.write(descriptor, gzip.compress(noise(20_000), mtime=0)[:60_000])
        reader = read_lines(path)
        assert [number for number, _ in islice(reader, 5)] == [1, 2, 3, 4, 5]  # type: ignore[misc]
        reader.close()  # type: ignore[attr-defined]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tsv-interactions", "user_id\titem_id\trating\ttimestamp\nu\ti\t4\t5\n"),
        ("tsv-items", "item_id\ttitle\tgenres\tdbpedia_uri\ni\tT\t\t\n"),
        ("tsv-facts", "head\trelation\ttail\nhttp://x/1\tdbo:author\thttp://x/2\n"),
        ("ntriples", "<http://x/1> <http://x/p> <http://x/2> .\n"),
        ("amazon-reviews", line(reviewerID="u", asin="i", unixReviewTime=5)),
        ("amazon-metadata", line(asin="i", title="T", brand="B")),
        ("s3rec-sequences", "u i j\n"),
    ],
)
def test_every_loader_of_lines_reads_packed_files(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    assert list(loader(name).read(tmp_path / "f.gz")) == rows(name, text, tmp_path)
    (tmp_path / "f.gz").write_bytes(gzip.compress(text.encode(), mtime=0)[:-4])
    *good, last = loader(name).read(tmp_path / "f.gz")
    assert good == rows(name, text, tmp_path)
    assert isinstance(last, Rejected)
    assert last.reason.startswith("compressed file cut short after line ")


def test_a_packed_table_cut_in_its_header_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(gzip.compress(b"user_id\titem_id\n", mtime=0)[:14])
    with pytest.raises(ChangeSomethingError, match="the first line must be the header"):
        list(loader("tsv-interactions").read(tmp_path / "f.gz"))


# -- reviews ---------------------------------------------------------------------------------------

REVIEW = {
    2014: "{'reviewerID': 'A1', 'asin': '0001', 'reviewerName': \"O'Neil\", 'helpful': [0, 0], "
    "'unixReviewTime': 1400000000, 'reviewText': 'It\\'s \\x93good\\x94', 'overall': 5.0}",
    2018: '{"overall": 4.0, "vote": "7", "verified": true, "reviewerID": "A2", "asin": "0002", '
    '"style": {"Format:": " DVD"}, "unixReviewTime": 1227398400}',
    2023: '{"rating": 3.0, "title": "x", "text": "y", "images": [], "asin": "B0VARIANT", '
    '"parent_asin": "B0PARENT", "user_id": "A3", "timestamp": 1588687728923, '
    '"helpful_vote": 0, "verified_purchase": true}',
}


def test_each_form_is_known_by_its_keys(tmp_path: Path) -> None:
    assert rows("amazon-reviews", "\n".join(REVIEW.values()), tmp_path) == [
        Interaction("A1", "0001", 5.0, 1400000000, 1),
        Interaction("A2", "0002", 4.0, 1227398400, 2),
        Interaction("A3", "B0PARENT", 3.0, 1588687728, 3),
    ]


@pytest.mark.parametrize("parent", ['"parent_asin": null, ', '"parent_asin": "", ', ""])
def test_without_a_parent_the_item_is_itself(parent: str, tmp_path: Path) -> None:
    text = '{"user_id": "u", ' + parent + '"asin": "i", "rating": null, "timestamp": 1999}'
    assert rows("amazon-reviews", text, tmp_path) == [Interaction("u", "i", None, 1, 1)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"user_id": "u", "asin": "i", "rating": 1}', "timestamp is not a number: None"),
        ('{"user_id": "u", "rating": 1, "timestamp": 1}', "asin is missing or not a text: None"),
        (
            '{"user_id": "u", "parent_asin": 7, "asin": "i", "timestamp": 1}',
            "parent_asin is missing or not a text: 7",
        ),
        ('{"user_id": null, "asin": "i", "timestamp": 1}', "user_id is missing or not a text"),
        ('{"user_id": "u", "asin": "i", "rating": "5", "timestamp": 1}', "rating is not a number"),
        ('{"user_id": "u", "asin": "i", "timestamp": "2018-01-01"}', "timestamp is not a number"),
        # Two forms in one line: the older keys count.
        ('{"reviewerID": "u", "user_id": "u", "asin": "i", "timestamp": 1}', "unixReviewTime is"),
        ("{'reviewerID': 'u', 'asin': 'i', 'unixReviewTime': 1e999}", "unixReviewTime is not fin"),
        ("{'reviewerID': 'u', 'asin': 'i', 'unixReviewTime': 2j}", "neither JSON nor a Python"),
        ("{'reviewerID': 'u', 'asin': 'i', 'unixReviewTime': -1, 'overall': -1e999}", "overall"),
        ("{'reviewerID': 'u', 'asin': b'i', 'unixReviewTime': 1}", "neither JSON nor a Python"),
        ("{'reviewerID': '\\ud800', 'asin': 'i', 'unixReviewTime': 1}", "neither JSON nor a Py"),
        ("{'reviewerID': 'u', 'asin': 'i', 'unixReviewTime': 5 ** 5}", "neither JSON nor a Pyth"),
        ("{'reviewerID': 'u', 'asin': __import__('os'), 'overall': 1}", "neither JSON nor a Pyth"),
        ("{'reviewerID': 'u', 'asin': 'cut sho", "neither JSON nor a Python literal"),
        ("{'reviewerID', 'asin'}", "neither JSON nor a Python literal"),
        ("{'a': 1, ['b']: 2}", "neither JSON nor a Python literal"),
        ("{'a': " + "9" * 10_000 + "}", "neither JSON nor a Python literal"),
        ("{'a': " + "[" * 50_000, "neither JSON nor a Python literal"),
        ("{'a': " + "-" * 100_000 + "1}", "neither JSON nor a Python literal"),
        ("{'a': " + "1+" * 100_000 + "1}", "neither JSON nor a Python literal"),
        ("{'a': '" + "x" * MAX_LITERAL + "'}", f"Python literal longer than {MAX_LITERAL} char"),
        ("{ 'reviewerID': 'u'}", "broken JSON: "),
        ("['reviewerID']", "broken JSON: "),
        ("__import__('os')", "broken JSON: "),
    ],
    ids=range(25),
)
def test_a_bad_review_costs_its_own_line(text: str, why: str, tmp_path: Path) -> None:
    bad, good = rows("amazon-reviews", f"{text}\n{REVIEW[2014]}\n", tmp_path)
    assert isinstance(bad, Rejected)
    assert (bad.line, bad.text) == (1, text[:SHOWN])
    assert bad.reason.startswith(why)
    assert len(bad.reason) <= SHOWN
    assert good == Interaction("A1", "0001", 5.0, 1400000000, 2)


def test_a_real_sample_reads_the_same_packed(tmp_path: Path) -> None:
    named = os.environ.get("PERSONAREC_DATA")
    data = Path(named) if named else ROOT.parent / "shared" / "data"
    path = data / "amazon-raw" / "movies_v2_2018_sample.json"
    if not path.is_file():
        pytest.skip(f"REAL DATA NOT TESTED: no {path.name} under PERSONAREC_DATA or ../shared/data")
    found = list(loader("amazon-reviews").read(path))
    assert sum(isinstance(r, Interaction) for r in found) == 633
    (tmp_path / "f.json.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    assert list(loader("amazon-reviews").read(tmp_path / "f.json.gz")) == found
    # The same reviews as the Python literals of 2014.
    reviews = [orjson.loads(t) for t in path.read_text("utf-8").splitlines()[:633]]
    literals = "".join(f"{review!r}\n" for review in reviews)
    assert rows("amazon-reviews", literals, tmp_path) == found[:633]


# -- descriptions ----------------------------------------------------------------------------------

LEAKS = ("LEAK1", "LEAK2")
ITEM = {
    2014: repr({
        "asin": "0001", "title": "Rock &amp; <b>Roll</b>", "price": 9.99, "brand": "Acme",
        "related": {k: list(LEAKS) for k in ("also_bought", "also_viewed", "bought_together")},
        "salesRank": {"LEAK1": 7},
        "categories": [["Movies & TV", "Movies"], ["Movies & TV", "It's &quot;new&quot;"]],
    }),
    2018: line(
        asin="0002", title="Gattaca", brand="Visit Amazon's Andrew Niccol Page",
        category=["Movies &amp; TV", "</span></span>", "Drama"], also_buy=list(LEAKS),
        also_view=list(LEAKS), rank="LEAK1", similar_item="LEAK2", main_cat="Movies & TV",
    ),
    2023: line(
        parent_asin="0003", asin="variant", title=" The \t Prophet ", store="Kahlil Gibran",
        categories=["Books", "Poetry"], bought_together=list(LEAKS), average_rating=4.7,
        rating_number=1234, main_category="Books",
    ),
}  # fmt: skip
DESCRIBED = [
    Item("0001", "Rock & Roll", None),
    category("0001", "Movies & TV"),
    category("0001", "Movies"),
    category("0001", 'It\'s "new"'),
    brand("0001", "Acme"),
    Item("0002", "Gattaca", None),
    category("0002", "Movies & TV"),
    category("0002", "Drama"),
    brand("0002", "Andrew Niccol"),
    Item("0003", "The Prophet", None),
    category("0003", "Books"),
    category("0003", "Poetry"),
    brand("0003", "Kahlil Gibran"),
]


def test_each_form_of_description_and_nothing_bought_later(tmp_path: Path) -> None:
    text = "".join(item.strip() + "\n" for item in ITEM.values())
    assert all(leak in text for leak in LEAKS)
    found = rows("amazon-metadata", text, tmp_path)
    assert found == DESCRIBED
    assert "LEAK" not in str(found)


@pytest.mark.parametrize(
    ("title", "cleaned"),
    [
        ("AT&amp;T &#39;n&#x27; &eacute;", "AT&T 'n' é"),
        ("<span class='a'>One</span><br/>Two <!-- three -->", "One Two"),
        ("I <3 NY, 5 > 4, a<b", "I <3 NY, 5 > 4, a<b"),
        ("a\0b\x1f\u0085c\r\nd", "a b c d"),
        ("&#0;", "\ufffd"),
        ("<i></i> &nbsp;", None),
        ("", None),
        (None, None),
        ("var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();", None),
        ("var ue = (new Date()).getTime();", None),
        ("var aPageStart = 1;", None),
        ("x <SCRIPT src=y>", None),
        ("<" * 100_000 + "<!--" * 100_000, "<" * 100_000 + "<!--" * 100_000),
    ],
    ids=range(13),
)
def test_titles_are_cleaned(title: str | None, cleaned: str | None, tmp_path: Path) -> None:
    found = rows("amazon-metadata", line(asin="i", title=title), tmp_path)
    assert found == [Item("i", cleaned, None)]


@pytest.mark.parametrize("empty", [None, "", []])
def test_what_is_empty_is_no_fact(empty: object, tmp_path: Path) -> None:
    text = line(asin="i", categories=empty, category=empty, brand=empty or "", store=empty or None)
    assert rows("amazon-metadata", text, tmp_path) == [Item("i", None, None)]


def test_a_store_stands_in_for_an_empty_brand(tmp_path: Path) -> None:
    text = line(asin="i", brand=" ", store="S &amp; Co")
    assert rows("amazon-metadata", text, tmp_path)[1:] == [brand("i", "S & Co")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "asin is missing or not a text: None"),
        ('{"asin": " ", "title": "t"}', "asin is missing or not a text: ' '"),
        ('{"asin": ["i"]}', "asin is missing or not a text: ['i']"),
        ('{"asin": "i", "title": ["t"]}', "title is not a text: ['t']"),
        ('{"asin": "i", "title": "&#' + "9" * 5_000 + ';"}', "Exceeds the limit"),
        ('{"asin": "i", "title": "cut sho', "broken JSON: "),
        ("{'asin': 'i', 'title': '\\ud800'}", "neither JSON nor a Python literal"),
        ("[]", "not a JSON object"),
        ("", "blank line (is the file cut short?)"),
    ],
    ids=range(9),
)
def test_a_bad_description_costs_its_own_line(text: str, why: str, tmp_path: Path) -> None:
    bad, good = rows("amazon-metadata", f'{text}\n{{"asin": "j", "title": "T"}}\n', tmp_path)
    assert isinstance(bad, Rejected)
    assert (bad.line, bad.text) == (1, text[:SHOWN])
    assert bad.reason.startswith(why)
    assert good == Item("j", "T", None)


@pytest.mark.parametrize("wrong", ["Books", {"a": 1}, 7, [["a", 7]], [[["a"]]], [None, 1.5]])
def test_categories_of_a_wrong_kind_cost_no_title_and_no_brand(
    wrong: object, tmp_path: Path
) -> None:
    text = line(asin="i", title="T", categories=wrong, brand="B")
    item, bad, fact = rows("amazon-metadata", text, tmp_path)
    assert (item, fact) == (Item("i", "T", None), brand("i", "B"))
    assert isinstance(bad, Rejected)
    assert "item i: categor" in bad.reason


def test_a_brand_of_a_wrong_kind_costs_no_category(tmp_path: Path) -> None:
    text = line(asin="i", title="T", categories=["C"], brand=["B"])
    *good, bad = rows("amazon-metadata", text, tmp_path)
    assert good == [Item("i", "T", None), category("i", "C")]
    assert bad == Rejected(1, "item i: brand is not a text: ['B']", text.strip()[:SHOWN])


# -- on to tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["books", "movies", "products"])
def test_reviews_and_descriptions_of_every_form_meet(domain: str, tmp_path: Path) -> None:
    (tmp_path / "r.json.gz").write_bytes(gzip.compress("\n".join(REVIEW.values()).encode()))
    (tmp_path / "m.json").write_text("".join(t.strip() + "\n" for t in ITEM.values()), "utf-8")
    sources = (
        Source("amazon-reviews", tmp_path / "r.json.gz"),
        Source("amazon-metadata", tmp_path / "m.json"),
    )
    found: Stage = stage(DataSetSources("d", domain, sources), tmp_path / "work", lambda *_: None)
    assert [(b.rows_in, b.merged, b.quarantined) for b in found.books] == [(3, 3, 0), (13, 13, 0)]
    sizes = {t.label: t.rows for t in found.tables}
    assert sizes["BRAND"] == 3
    assert sizes["IN_CATEGORY"] == 7
