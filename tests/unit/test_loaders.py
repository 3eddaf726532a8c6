"""Each source format: what it makes of good rows, and of every bad one that we know of."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from kg.errors import ChangeSomethingError
from kg.loaders import loader
from kg.loaders.lines import MAX_LINE, SHOWN, read_lines
from kg.loaders.records import Interaction, IriFact, Item, ItemFact, Label, Record, Rejected
from kg.schema import DBO, MINTED, RDFS_LABEL

ROOT = Path(__file__).resolve().parents[2]


def rows(name: str, content: bytes | str, tmp_path: Path) -> list[Record | Rejected]:
    path = tmp_path / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(loader(name).read(path))


def only(name: str, content: bytes | str, tmp_path: Path) -> Record | Rejected:
    (row,) = rows(name, content, tmp_path)
    return row


def reason(name: str, content: bytes | str, tmp_path: Path) -> str:
    row = only(name, content, tmp_path)
    assert isinstance(row, Rejected)
    return row.reason


# -- lines -----------------------------------------------------------------------------------------


def test_lines_keep_their_numbers_past_the_bad_ones(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbfa\r\n\n\xc3\x28\nb\0\nlast")
    found = list(read_lines(tmp_path / "f"))
    assert [f for f in found if not isinstance(f, Rejected)] == [(1, "a"), (2, ""), (5, "last")]
    assert [(f.line, f.reason) for f in found if isinstance(f, Rejected)] == [
        (3, "not UTF-8 at byte 0"), (4, "holds a NUL character"),
    ]  # fmt: skip


def test_a_byte_order_mark_is_only_one_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("\ufeffa\n\ufeffb\n".encode())
    assert list(read_lines(tmp_path / "f")) == [(1, "a"), (2, "\ufeffb")]


def test_an_endless_line_costs_one_row_and_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.write(b"a\n")
        for _ in range(40):
            file.write(b"x" * 1024 * 1024)
        file.write(b"\nb\n")
    tracemalloc.start()
    found = list(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(f) for f in found] == [tuple, Rejected, tuple]
    assert found[2] == (3, "b")
    assert isinstance(found[1], Rejected)
    assert f"longer than {MAX_LINE} bytes" in found[1].reason
    assert len(found[1].text) <= SHOWN
    assert peak < 4 * MAX_LINE  # of 40 MB in the file


def test_a_line_of_the_greatest_length_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * (MAX_LINE - 1) + b"\n" + b"y" * MAX_LINE + b"\nz")
    assert [type(f) for f in read_lines(tmp_path / "f")] == [tuple, Rejected, tuple]


# -- tab-separated ---------------------------------------------------------------------------------

RATINGS = "user_id\titem_id\trating\ttimestamp\n"
ITEMS = "item_id\ttitle\tgenres\tdbpedia_uri\n"
FACTS = "head\trelation\ttail\n"


def test_interactions(tmp_path: Path) -> None:
    text = RATINGS + "u1\ti1\t4.5\t100\n u2 \ti:2\t\t-7\nü\ti\t1e0\t12.9\n"
    assert rows("tsv-interactions", text, tmp_path) == [
        Interaction("u1", "i1", 4.5, 100, 2),
        Interaction("u2", "i:2", None, -7, 3),
        Interaction("ü", "i", 1.0, 12, 4),
    ]


def test_line_ends_and_byte_order_marks_of_other_systems(tmp_path: Path) -> None:
    text = "\ufeff" + (RATINGS + "u\ti\t4\t5\n").replace("\n", "\r\n")
    assert only("tsv-interactions", text, tmp_path) == Interaction("u", "i", 4.0, 5, 2)


def test_a_time_in_nanoseconds_keeps_its_last_digit(tmp_path: Path) -> None:
    text = RATINGS + "u\ti\t4\t1700000000000000001\n"
    row = only("tsv-interactions", text, tmp_path)
    assert isinstance(row, Interaction)
    assert row.timestamp == 1_700_000_000_000_000_001


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("u\ti\tNaN\t5", "rating is not finite: 'NaN'"),
        ("u\ti\t-inf\t5", "rating is not finite: '-inf'"),
        ("u\ti\t1e999\t5", "rating is not finite: '1e999'"),
        ("u\ti\tgood\t5", "rating is not a number: 'good'"),
        ("u\ti\t4,5\t5", "rating is not a number: '4,5'"),
        ("u\ti\t4\tyesterday", "timestamp is not a number: 'yesterday'"),
        ("u\ti\t4\tnan", "timestamp is not finite: 'nan'"),
        ("u\ti\t4\t", "timestamp is not a number: ''"),
        ("\ti\t4\t5", "user_id is empty"),
        ("u\t \t4\t5", "item_id is empty"),
        ("u\ti\t4", "3 columns instead of 4"),
        ("u\ti\t4\t5\tmore", "5 columns instead of 4"),
        ("u i 4 5", "1 columns instead of 4"),
        ("", "1 columns instead of 4"),
    ],
)
def test_a_bad_interaction_is_rejected(line: str, why: str, tmp_path: Path) -> None:
    found = rows("tsv-interactions", f"{RATINGS}{line}\nu\ti\t4\t5\n", tmp_path)
    assert found == [Rejected(2, why, line), Interaction("u", "i", 4.0, 5, 3)]


def test_a_number_too_long_for_anything_is_rejected_shortly(tmp_path: Path) -> None:
    why = reason("tsv-interactions", RATINGS + "u\ti\t4\t" + "9" * 10_000 + "\n", tmp_path)
    assert why.startswith("timestamp is not finite")
    assert len(why) < SHOWN


@pytest.mark.parametrize("name", ["tsv-interactions", "tsv-items", "tsv-facts"])
@pytest.mark.parametrize("first", ["a\tb\n", "USER_ID\titem_id\trating\ttimestamp\n", "\0\n", "\n"])
def test_a_wrong_header_is_said_in_one_line(name: str, first: str, tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError) as caught:
        rows(name, first + "u\ti\t4\t5\n", tmp_path)
    assert "the first line must be the header" in str(caught.value)
    assert "file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_items(tmp_path: Path) -> None:
    text = ITEMS + "i1\t A title \tDrama| |Sci-Fi\thttp://x/1\ni2\t\t(no genres listed)\t\n"
    assert rows("tsv-items", text, tmp_path) == [
        Item("i1", "A title", "http://x/1", ("Drama", "Sci-Fi")),
        Item("i2", None, None, ()),
    ]
    assert reason("tsv-items", ITEMS + " \tt\tg\thttp://x\n", tmp_path) == "item_id is empty"


def test_facts(tmp_path: Path) -> None:
    text = FACTS + "http://x/1\tdbo:director\thttp://x/2\n"
    assert only("tsv-facts", text, tmp_path) == IriFact("http://x/1", "dbo:director", "http://x/2")
    for line, name in ((" \tp\to", "head"), ("s\t\to", "relation"), ("s\tp\t ", "tail")):
        assert reason("tsv-facts", f"{FACTS}{line}\n", tmp_path) == f"{name} is empty"


# -- N-Triples -------------------------------------------------------------------------------------

S, P, O = "<http://x/s>", f"<{DBO}author>", "<http://x/o>"  # noqa: E741


def test_triples(tmp_path: Path) -> None:
    text = (
        f"# a comment\n\n  {S} {P} {O} . # another\n{S}{P}<http://x/%C3%A9\\u00e9>.\n"
        f'{S} <{RDFS_LABEL}> "A \\"name\\" \\u00e9\\n" .\n{S} <{RDFS_LABEL}> "N"@EN-gb .\r\n'
    )
    assert rows("ntriples", text, tmp_path) == [
        IriFact("http://x/s", DBO + "author", "http://x/o"),
        IriFact("http://x/s", DBO + "author", "http://x/%C3%A9é"),
        Label("http://x/s", 'A "name" é\n'),
        Label("http://x/s", "N"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f'{S} {P} "a literal" .', "the object is not an IRI"),
        (f'{S} {P} "5"^^<http://www.w3.org/2001/XMLSchema#integer> .', "the object is not an IRI"),
        (f"{S} {P} _:blank .", "the object is not an IRI"),
        (f"{S} <{RDFS_LABEL}> _:blank .", "the object is not an IRI"),
        (f"_:blank {P} {O} .", "the subject is not an IRI"),
        (f'{S} <{RDFS_LABEL}> "Nom"@fr .', "label in language 'fr', only English is kept"),
        (f'{S} <{RDFS_LABEL}> "" .', "the label is empty"),
        (f'{S} <{RDFS_LABEL}> " "@en .', "the label is empty"),
        (f'{S} <{RDFS_LABEL}> "a\\u0000b" .', "the label is empty or holds a NUL"),
        (f"{S} {P} <http://x/with space> .", "not N-Triples: "),
        (f"{S} {P} <relative> .", "not N-Triples: "),
        (f'{S} {P} <http://x/"> .', "not N-Triples: "),
        (f"<http://x/\\u0000> {P} {O} .", "not N-Triples: "),
        (f"{S} {P} {O}", "not N-Triples: "),
        (f"{S} {P}", "not N-Triples: "),
        (f"{S} {P} {O} . {S} {P} {O} .", "not N-Triples: "),
        (f'{S} <{RDFS_LABEL}> "cut sho', "not N-Triples: "),
        (f'{S} <{RDFS_LABEL}> "\\uD800" .', "not N-Triples: "),
        ("@prefix dbo: <http://dbpedia.org/ontology/> .", "not N-Triples: "),
        (f"dbo:x {P} {O} .", "not N-Triples: "),
        ("<?xml version='1.0'?>", "not N-Triples: "),
    ],
)
def test_a_bad_triple_costs_its_own_line(line: str, why: str, tmp_path: Path) -> None:
    found = rows("ntriples", f"{line}\n{S} {P} {O} .\n", tmp_path)
    assert len(found) == 2
    assert isinstance(found[0], Rejected)
    assert found[0].line == 1
    assert found[0].reason.startswith(why)
    assert found[1] == IriFact("http://x/s", DBO + "author", "http://x/o")


def test_the_reason_for_a_long_bad_triple_is_short(tmp_path: Path) -> None:
    why = reason("ntriples", f"{S} {P} {O} . {S} {P} <http://x/{'y' * 100_000}> .\n", tmp_path)
    assert len(why) <= SHOWN


# -- Amazon reviews --------------------------------------------------------------------------------

GOOD = '{"reviewerID": "u", "asin": "i", "overall": 5.0, "unixReviewTime": 100}'


def test_reviews(tmp_path: Path) -> None:
    text = (
        GOOD + "\r\n"
        '{"asin": " i2 ", "reviewerID": "ü\\u00e9", "unixReviewTime": 7.9, "reviewText": "é"}\n'
        '{"asin": "i", "reviewerID": "u", "overall": null, "unixReviewTime": -5, "vote": []}'
    )
    assert rows("amazon-reviews", "\ufeff" + text, tmp_path) == [
        Interaction("u", "i", 5.0, 100, 1),
        Interaction("üé", "i2", None, 7, 2),
        Interaction("u", "i", None, -5, 3),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (GOOD[:-20], "broken JSON: "),
        (GOOD + GOOD, "broken JSON: "),
        (GOOD.replace("5.0", "NaN"), "broken JSON: "),
        (GOOD.replace("5.0", "1e999"), "broken JSON: "),
        (GOOD.replace('"u"', '"\\ud800"'), "broken JSON: "),
        ("[" * 5_000, "broken JSON: "),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ("{}", "unixReviewTime is not a number: None"),
        (GOOD.replace('"u"', "null"), "reviewerID is missing or not a text: None"),
        (GOOD.replace('"u"', "17"), "reviewerID is missing or not a text: 17"),
        (GOOD.replace('"u"', '" "'), "reviewerID is missing or not a text: ' '"),
        (GOOD.replace("asin", "ASIN"), "asin is missing or not a text: None"),
        (GOOD.replace('"i"', '["i"]'), "asin is missing or not a text: ['i']"),
        (GOOD.replace("5.0", '"5.0"'), "overall is not a number: '5.0'"),
        (GOOD.replace("5.0", "true"), "overall is not a number: True"),
        (GOOD.replace("100", '"100"'), "unixReviewTime is not a number: '100'"),
        (GOOD.replace("100", "null"), "unixReviewTime is not a number: None"),
        (GOOD.replace("100", "false"), "unixReviewTime is not a number: False"),
        ("", "blank line (is the file cut short?)"),
        ("   ", "blank line (is the file cut short?)"),
    ],
)
def test_a_bad_review_is_rejected(line: str, why: str, tmp_path: Path) -> None:
    found = rows("amazon-reviews", f"{line}\n{GOOD}\n", tmp_path)
    assert len(found) == 2
    assert isinstance(found[0], Rejected)
    assert found[0].line == 1
    assert found[0].reason.startswith(why)
    assert found[0].text == line[:SHOWN]
    assert found[1] == Interaction("u", "i", 5.0, 100, 2)


def test_the_reason_for_a_long_value_is_short(tmp_path: Path) -> None:
    for key, value in (("5.0", '"' + "x" * 100_000 + '"'), ('"u"', "[" + "1," * 50_000 + "1]")):
        assert len(reason("amazon-reviews", GOOD.replace(key, value) + "\n", tmp_path)) <= SHOWN


def test_a_real_file_that_was_cut_short() -> None:
    named = os.environ.get("PERSONAREC_DATA")
    data = Path(named) if named else ROOT.parent / "shared" / "data"
    path = data / "amazon-raw" / "movies_v2_2018_sample.json"
    if not path.is_file():
        pytest.skip(f"REAL DATA NOT TESTED: no {path.name} under PERSONAREC_DATA or ../shared/data")
    found = list(loader("amazon-reviews").read(path))
    bad = [r for r in found if isinstance(r, Rejected)]
    assert len(found) - len(bad) == 633
    assert [(r.line, "cut short" in r.reason) for r in bad] == [(634, True)]


# -- S3-Rec ----------------------------------------------------------------------------------------


def test_sequences(tmp_path: Path) -> None:
    found = rows("s3rec-sequences", "1 10 20\n2 10\r\n", tmp_path)
    assert found == [
        Interaction("1", "10", None, 0, 1),
        Interaction("1", "20", None, 1, 2),
        Interaction("2", "10", None, 0, 3),
    ]
    for line in ("7", "", "  \t "):
        assert reason("s3rec-sequences", f"{line}\n", tmp_path) == "no user with items"


def test_attributes(tmp_path: Path) -> None:
    found = rows("s3rec-attributes", '{"4": [1, "a b"], "5": []}', tmp_path)
    relation, kind = MINTED + "attribute", MINTED + "attribute:"
    assert found == [ItemFact("4", relation, kind + "1"), ItemFact("4", relation, kind + "a%20b")]


@pytest.mark.parametrize("value", ["null", "true", "1.5", "[1]", '{"a": 1}'])
def test_an_attribute_that_is_no_number_or_name_is_rejected(value: str, tmp_path: Path) -> None:
    found = rows("s3rec-attributes", f'{{"4": [{value}, 7]}}', tmp_path)
    assert [type(r) for r in found] == [Rejected, ItemFact]
    assert isinstance(found[0], Rejected)
    assert "item 4: attribute is neither a number nor a text" in found[0].reason


def test_attributes_that_are_no_list_are_rejected(tmp_path: Path) -> None:
    for value in ("null", "7", '"x"', "{}"):
        why = reason("s3rec-attributes", f'{{"4": {value}}}', tmp_path)
        assert why == "item 4: attributes are not a list"


@pytest.mark.parametrize("text", ["", "[]", '{"4": [1]', "null", "\xff", '{"4": [NaN]}'])
def test_an_attribute_file_that_is_no_object_is_said_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError) as caught:
        rows("s3rec-attributes", text.encode("latin-1"), tmp_path)
    assert "file: " in str(caught.value)
    assert "\n" not in str(caught.value)
