"""Parts for many workers: of a file, read one by one they say what it says; of a table."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from kg.errors import ChangeSomethingError, PersonarecError
from kg.ingest.sources import Source
from kg.loaders import loader
from kg.loaders.records import Interaction, Rejected
from kg.spark import engine as engine_module
from kg.spark.splits import part_of, shifts, splits_of
from kg.spark.writing import PART_ROWS, parts_of

REVIEW = '{"reviewerID": "u%d", "asin": "i%d", "overall": 4.0, "unixReviewTime": %d}'
LINES: dict[str, list[bytes]] = {
    "tsv-interactions": [
        b"\xef\xbb\xbfuser_id\titem_id\trating\ttimestamp", b"u\ti\t1\t1", b"", b"u\ti\t\t2",
        b"bad row", b"\xff\xfe\t\t\t", "é\t\U0001f409\t4.5\t3".encode(), b"u\tj\t1\t\r",
        b"u\r\ti\t1\t1", b"\xef\xbb\xbfmark\ti\t1\t1", b"u\ti\t1\t9",
    ],
    "tsv-items": [b"item_id\ttitle\tgenres\tdbpedia_uri", b"i\tT\tA|B\t", b"j\t\t\t", b"\t\t\t"],
    "tsv-facts": [b"head\trelation\ttail", b"a:b\tdbo:director\tc:d", b"x"],
    "amazon-reviews": [
        *((REVIEW % (n, n, n)).encode() for n in range(4)), b"", b"{broken", b"[]",
        b"\xef\xbb\xbf" + (REVIEW % (7, 7, 7)).encode(), b"\xff",
    ],
    "amazon-metadata": [
        b'{"asin": "a", "title": "two\\nlines", "brand": "b", "categories": [["x", "y"]]}',
        b'{"asin": "c"}', b"", b"no",
    ],
    "ntriples": [
        b"# a comment", b'<a:b> <http://www.w3.org/2000/01/rdf-schema#label> "n"@en .',
        b"<a:b> <c:d> <e:f> .", b"", b"<a:b> <c:d> .",
    ],
}  # fmt: skip


def by_parts(source: Source, size: int) -> Iterator[Any]:
    """All records, with the numbers of their lines mended."""
    splits = splits_of((source,), size)
    parts: list[list[Any]] = []
    lines: list[int] = []
    for split in splits:
        with part_of(split) as (path, count):
            parts.append(list(islice(loader(split.loader).read(path), split.surplus, None)))
        lines.append(count)
    for part, shift in zip(parts, shifts(splits, [len(p) for p in parts], lines), strict=True):
        for record in part:
            if isinstance(record, Interaction):
                record = record._replace(row=record.row + shift.lines)
            elif isinstance(record, Rejected):
                record = record._replace(line=record.line + shift.lines)
            yield record


@pytest.mark.parametrize("end", [b"\n", b""], ids=["ended", "cut short"])
@pytest.mark.parametrize("name", sorted(LINES))
def test_parts_of_any_size_say_what_the_file_says(tmp_path: Path, name: str, end: bytes) -> None:
    path = tmp_path / "source.txt"
    path.write_bytes(b"\n".join(LINES[name]) + end)
    whole = list(loader(name).read(path))
    assert any(isinstance(r, Rejected) for r in whole)
    assert any(not isinstance(r, Rejected) for r in whole)
    size = path.stat().st_size
    for part in (*range(1, 80), size // 2, size - 1, size, size + 1):
        assert list(by_parts(Source(name, path), part)) == whole, part


def test_files_that_cannot_be_cut_stay_whole(tmp_path: Path) -> None:
    for name, file in (("amazon-reviews", "r.json.gz"), ("s3rec-attributes", "a.json")):
        path = tmp_path / file
        path.write_bytes(b"x" * 1000)
        (split,) = splits_of((Source(name, path),), 10)
        with part_of(split) as (part, _):
            assert part == path


def test_an_empty_file_still_reaches_its_loader(tmp_path: Path) -> None:
    path = tmp_path / "empty.tsv"
    path.write_bytes(b"")
    with pytest.raises(ChangeSomethingError, match="the first line must be the header"):
        list(by_parts(Source("tsv-items", path), 10))


def test_what_a_worker_says_names_the_source_and_not_its_part(tmp_path: Path) -> None:
    path = tmp_path / "interactions.tsv"
    path.write_bytes(b"wrong\theader\n" + b"u\ti\t1\t1\n" * 20)
    splits = splits_of((Source("tsv-interactions", path),), 50)
    assert len(splits) > 2
    for split in splits:
        found = engine_module.read_split(split, str(tmp_path))
        assert found.error.startswith(f"{path}: the first line must be the header")


def test_a_statement_without_a_form_is_a_defect_and_said() -> None:
    sql = pytest.importorskip("kg.spark.sql")
    with pytest.raises(PersonarecError, match="no form for this statement: VACUUM"):
        sql.SparkSql(None, Path(), lambda _: None).execute("VACUUM")


@pytest.mark.parametrize("missing", ["pyspark", "sqlglot"])
def test_a_missing_package_is_said_in_one_line(missing: str) -> None:
    program = f"""
import sys
sys.modules[{missing!r}] = None
from pathlib import Path
from kg.errors import ChangeSomethingError
from kg.ingest import DataSetSources
from kg.spark import stage_with_spark
try:
    stage_with_spark(DataSetSources("d", "movies", ()), Path("nowhere"), lambda *_: None)
except ChangeSomethingError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    # Where neither is installed, the one that is looked for first is named.
    assert re.fullmatch(
        r"--engine spark needs (pyspark|sqlglot); pip install 'personarec\[spark\]'.*\n",
        done.stdout,
    )


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("batch", [1, 10, 5_000, PART_ROWS + 1])
@pytest.mark.parametrize("tasks", [1, 5])
@pytest.mark.parametrize("rows", [1, 10, 11, 99, 1_234_567])
def test_parts_of_a_table_are_all_its_rows_once(
    rows: int, tasks: int, batch: int, start: int
) -> None:
    stop, row, shared = start + rows, start, 0
    while row < stop:
        parts = parts_of(row, stop, tasks, batch)
        assert 1 <= len(parts) <= tasks
        for first, end in parts:
            assert first == row < end  # one after the other
            assert end == stop or (end - first) % batch == 0
            assert end - first <= max(PART_ROWS, batch)
            row = end
        shared += len(parts)
    assert row == stop
    assert shared > 1 or min(tasks, rows // batch) < 2
