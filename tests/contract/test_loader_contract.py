"""What every loader does with every file: records or rejected rows, streamed, never a crash."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kg.errors import ChangeSomethingError, PersonarecError
from kg.ingest.sources import DataSetSources, Source
from kg.loaders import LOADERS, loader
from kg.loaders.lines import SHOWN
from kg.loaders.records import (
    KEYS,
    Interaction,
    IriFact,
    Item,
    ItemFact,
    ItemPair,
    Link,
    Record,
    Rejected,
    UserFact,
)
from kg.loaders.source_file import SourceFile

IRI = "http://example.org/{}"

HEADERS = {
    "tsv-interactions": "user_id\titem_id\trating\ttimestamp\n",
    "tsv-items": "item_id\ttitle\tgenres\tdbpedia_uri\n",
    "tsv-facts": "head\trelation\ttail\n",
    "recbole-inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
    "recbole-item": "item_id:token\ttitle:token_seq\tclass:token_seq\n",
    "recbole-user": "user_id:token\tage:token\n",
    "recbole-link": "item_id:token\tentity_id:token\n",
    "recbole-kg": "head_id:token\trelation_id:token\ttail_id:token\n",
    "links": "item_id\tiri\tmethod\tscore\trunner_up\tmargin\n",
}
# A good row of each format, and what it becomes. Attributes are one document, not lines.
ROWS: dict[str, tuple[str, type]] = {
    "tsv-interactions": ("u{0}\ti{0}\t4.5\t{0}\n", Interaction),
    "tsv-items": ("i{0}\tTitle {0}\tDrama|War\thttp://example.org/{0}\n", Item),
    "tsv-facts": ("http://example.org/{0}\tdbo:author\thttp://example.org/a\n", IriFact),
    "ntriples": (
        "<http://example.org/{0}> <http://dbpedia.org/ontology/author> <http://example.org/a> .\n",
        IriFact,
    ),
    "amazon-reviews": (
        '{{"reviewerID": "u{0}", "asin": "i{0}", "overall": 5.0, "unixReviewTime": {0}}}\n',
        Interaction,
    ),
    "amazon-metadata": ('{{"asin": "i{0}", "title": "Title {0}"}}\n', Item),
    "amazon-also": ('{{"asin": "i{0}", "also_buy": ["B{0:09d}"]}}\n', ItemPair),
    "amazon-kg-items": ("i{0}\tTitle.*{0}\thttp://example.org/{0}\n", Item),
    "amazon-kg-triples": ("i{0}\tres:R{0}\tdbo:author\tres:Author_{0}\n", IriFact),
    "amazon-kg-metadata": ("i{0}\tcat:Novels_of_{0}\t\n", ItemFact),
    "amazon-kg-ratings": ("u{0}\ti{0}\t4\n", Interaction),
    "recbole-inter": ("u{0}\ti{0}\t4.5\t{0}\n", Interaction),
    "recbole-item": ("i{0}\tTitle {0}\tDrama War\n", Item),
    "recbole-user": ("u{0}\t{0}\n", UserFact),
    "recbole-link": ("i{0}\tres:R{0}\n", Link),
    "recbole-kg": ("res:R{0}\tdirected_by\tm.0{0}\n", IriFact),
    "links": ("i{0}\thttp://example.org/{0}\tlabel+year\t0.875\t\t0.2\n", Link),
    "s3rec-sequences": ("u{0} i{0}\n", Interaction),
}
WHOLE_DOCUMENT = {"s3rec-attributes"}
RECORDS = tuple(KEYS)

every_loader = pytest.mark.parametrize("name", sorted(LOADERS))
every_line_loader = pytest.mark.parametrize("name", sorted(ROWS))


def good_file(name: str, path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        if name in WHOLE_DOCUMENT:
            file.write("{" + ", ".join(f'"i{n}": [{n}]' for n in range(rows)) + "}")
            return
        file.write(HEADERS.get(name, ""))
        file.writelines(ROWS[name][0].format(n) for n in range(1, rows + 1))


def read(name: str, path: Path) -> Iterator[Record | Rejected]:
    return iter(loader(name).read(path))


def check(record: Record | Rejected) -> None:
    """What may be said of any record: keys are texts, a rejected row says where and why."""
    if isinstance(record, Rejected):
        assert record.line >= 1
        assert 0 < len(record.reason) <= SHOWN
        assert len(record.text) <= SHOWN
        return
    assert isinstance(record, RECORDS)
    if isinstance(record, Interaction):
        assert all(isinstance(key, str) for key in record[:2])
        assert record.rating is None or isinstance(record.rating, float)
        assert isinstance(record.timestamp, int)
        assert record.row >= 1
    elif isinstance(record, Item):
        assert isinstance(record.item, str)
        assert isinstance(record.genres, tuple)
    elif isinstance(record, Link):
        assert all(isinstance(part, str) for part in record[:3])
        assert record.score is None or 0 <= record.score <= 1
    else:
        assert all(isinstance(part, str) for part in record)


def test_every_loader_has_a_row_here() -> None:
    assert set(LOADERS) == set(ROWS) | WHOLE_DOCUMENT
    assert all(name == known.name and known.doc for name, known in LOADERS.items())


def test_an_unknown_loader_is_said_with_the_known_ones() -> None:
    with pytest.raises(ChangeSomethingError, match="no loader 'tsv-fact'; there are: amazon"):
        loader("tsv-fact")


@every_loader
def test_good_rows_become_records_one_each(name: str, tmp_path: Path) -> None:
    good_file(name, tmp_path / "f", 30)
    found = list(read(name, tmp_path / "f"))
    assert len(found) == 30
    kind = ROWS[name][1] if name in ROWS else ItemFact
    assert {type(r) for r in found} == {kind}
    assert len(set(found)) == 30
    for record in found:
        check(record)


@every_line_loader
def test_the_line_of_each_record_is_known(name: str, tmp_path: Path) -> None:
    """Lazily read: a record comes before the next line is looked at."""
    good_file(name, tmp_path / "f", 30)
    path = SourceFile(tmp_path / "f")
    first = 2 if name in HEADERS else 1
    assert [path.line for _ in read(name, path)] == list(range(first, first + 30))


@every_loader
def test_reading_twice_gives_the_same(name: str, tmp_path: Path) -> None:
    good_file(name, tmp_path / "f", 5)
    assert list(read(name, tmp_path / "f")) == list(read(name, tmp_path / "f"))


@every_line_loader
def test_rows_are_streamed(name: str, tmp_path: Path) -> None:
    """A pipe that gives some rows and then nothing more: those rows come all the same."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)  # kept open for writing: the file never ends
    try:
        rows = "".join(ROWS[name][0].format(n) for n in range(1, 2_000))
        text = (HEADERS.get(name, "") + rows).encode()[:60_000]
        assert os.write(descriptor, text) == len(text)
        reader = read(name, path)
        first = list(islice(reader, 20))
        assert {type(r) for r in first} == {ROWS[name][1]}
        reader.close()  # type: ignore[attr-defined]
    finally:
        os.close(descriptor)


@every_loader
def test_an_empty_file_is_no_record_or_one_line_of_advice(name: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    if name not in {*HEADERS, *WHOLE_DOCUMENT}:
        assert list(read(name, tmp_path / "f")) == []
        return
    with pytest.raises(ChangeSomethingError) as caught:
        list(read(name, tmp_path / "f"))
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


@every_loader
def test_a_missing_file_is_said_in_one_line_before_anything_is_read(
    name: str, tmp_path: Path
) -> None:
    missing = tmp_path / "gone"
    with pytest.raises(OSError, match="gone"):
        list(read(name, missing))
    with pytest.raises(ChangeSomethingError) as caught:
        DataSetSources("d", "books", (Source(name, missing),)).content_hash()
    assert str(missing) in str(caught.value)
    assert "No such file" in str(caught.value)
    assert "\n" not in str(caught.value)


@every_loader
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(garbage=st.binary(max_size=400), after_header=st.booleans())
@example(garbage=b"\xff\xfe\x00\x00", after_header=True)
@example(garbage=b"\x00" * 50, after_header=True)
@example(garbage=b"[" * 5_000, after_header=False)
@example(garbage=b'{"a": ' * 5_000, after_header=False)
@example(garbage=b"\r\r\n\n\r", after_header=True)
@example(garbage=b"null", after_header=False)
@example(garbage=b"{}", after_header=False)
@example(garbage=b'{"a": {}, "": [null, true, {}, 1.5, "", "x", 3]}', after_header=False)
@example(garbage=b"<a> <b> <c> .", after_header=False)
def test_garbage_is_rejected_and_never_a_crash(
    name: str, garbage: bytes, after_header: bool, tmp_path: Path
) -> None:
    header = HEADERS.get(name, "").encode() if after_header else b""
    (tmp_path / "f").write_bytes(header + garbage)
    message = ""
    try:
        for record in read(name, tmp_path / "f"):
            check(record)
    except PersonarecError as error:
        message = str(error)
    assert "\n" not in message


BROKEN = (b"\xc3\x28", b"a\0b", b"x" * 30, b"\t" * 9, b'{"reviewerID": ', b"<http://x>", b"")


@every_line_loader
@pytest.mark.parametrize("seed", range(3))
def test_the_counts_add_up_whatever_lines_are_mixed_in(
    name: str, seed: int, tmp_path: Path
) -> None:
    """As many rows come out as went in; blank lines of N-Triples alone are no rows."""
    chance = random.Random(seed)
    lines: list[bytes] = []
    good = 0
    for n in range(1, 200):
        if chance.random() < 0.5:
            lines.append(ROWS[name][0].format(n).encode())
            good += 1
        else:
            lines.append(chance.choice(BROKEN) + chance.choice([b"\n", b"\r\n"]))
    (tmp_path / "f").write_bytes(HEADERS.get(name, "").encode() + b"".join(lines))
    found = list(read(name, tmp_path / "f"))
    blank = sum(not line.strip() for line in lines) if name == "ntriples" else 0
    assert len(found) == len(lines) - blank
    assert sum(isinstance(r, ROWS[name][1]) for r in found) == good
    first = 2 if name in HEADERS else 1
    broken = {n for n, line in enumerate(lines, first) if not line.startswith(line_starts(name))}
    if name == "ntriples":
        broken -= {n for n, line in enumerate(lines, first) if not line.strip()}
    assert {r.line for r in found if isinstance(r, Rejected)} == broken


def line_starts(name: str) -> bytes:
    """How a good row begins, and no broken one does."""
    return {
        "tsv-interactions": b"u", "tsv-items": b"i", "tsv-facts": b"http",
        "ntriples": b"<http://example.org/", "amazon-reviews": b'{"reviewerID": "',
        "amazon-metadata": b'{"asin": "', "s3rec-sequences": b"u",
        "amazon-also": b'{"asin": "', "amazon-kg-items": b"i", "amazon-kg-triples": b"i",
        "amazon-kg-metadata": b"i", "amazon-kg-ratings": b"u", "recbole-inter": b"u",
        "recbole-item": b"i", "recbole-user": b"u", "recbole-link": b"i", "recbole-kg": b"res:",
        "links": b"i",
    }[name]  # fmt: skip
