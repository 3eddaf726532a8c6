"""Abstracts in N-Triples: English or untagged, as names are."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.loaders.ntriples import read_ntriples
from kg.loaders.records import Abstract, Rejected
from kg.schema import ABSTRACT

START = f"<http://x/s> <{ABSTRACT}>"


def test_abstracts(tmp_path: Path) -> None:
    path = tmp_path / "f.nt"
    path.write_text(f'{START} "Of \\"two\\"\\nlines é."@en .\n{START} "No tag." .\n', "utf-8")
    assert list(read_ntriples(path)) == [
        Abstract("http://x/s", 'Of "two"\nlines é.'),
        Abstract("http://x/s", "No tag."),
    ]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('"Une histoire."@fr', "abstract in language 'fr', only English is kept"),
        ('" "@en', "the abstract is empty or holds a NUL character"),
        ('"a\\u0000b"@en', "the abstract is empty or holds a NUL character"),
        ("_:blank", "the object is not an IRI, nor the line a label or abstract"),
    ],
)
def test_what_is_no_abstract(value: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "f.nt"
    path.write_text(f"{START} {value} .\n", "utf-8")
    assert list(read_ntriples(path)) == [Rejected(1, why, f"{START} {value} .")]
