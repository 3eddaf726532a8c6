"""Amazon-KG v1's files: patterns as titles, short names of resources, optional headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.loaders import loader
from kg.loaders.amazon_kg import title_of
from kg.loaders.prefixes import DBR, resource_iri
from kg.loaders.records import Interaction, IriFact, Item, ItemFact, Label, Record, Rejected
from kg.schema import DBO, DCT, MINTED


def rows(name: str, text: str, tmp_path: Path) -> list[Record | Rejected]:
    (tmp_path / "f").write_text(text, "utf-8", newline="")
    return list(loader(f"amazon-kg-{name}").read(tmp_path / "f"))


def why(found: list[Record | Rejected]) -> list[str]:
    return [r.reason for r in found if isinstance(r, Rejected)]


@pytest.mark.parametrize(
    ("pattern", "title"),
    [
        ("The.*Lamp", "The Lamp"),
        (r"Half\-Past.*Ten", "Half-Past Ten"),
        (r"Tea.*Time.*\(Part.*2\)", "Tea Time (Part 2)"),
        (r"Well,.*Who.*Knows\?", "Well, Who Knows?"),
        ("Doctor.*Q..*Sleeps", "Doctor Q. Sleeps"),
        (r"A\\B.*C", r"A\B C"),
        ("2525", "2525"),
        (".*", ""),
        ("", ""),
        ("\\", "\\"),
    ],
)
def test_a_pattern_becomes_its_title(pattern: str, title: str) -> None:
    assert title_of(pattern) == title


@pytest.mark.parametrize(
    ("text", "iri"),
    [
        ("res:A_(b)", DBR + "A_(b)"), ("dbr:A", DBR + "A"), ("cat:A", DBR + "Category:A"),
        ("dbo:author", DBO + "author"), ("dct:subject", DCT + "subject"),
        ("http://x/y", "http://x/y"), ("<http://x/y>", "http://x/y"), ("urn:a:b", "urn:a:b"),
        ("res:", None), ("foaf:name", None), ("m.0abc", None), ("Dune: Part Two", None), ("", None),
    ],
)  # fmt: skip
def test_short_names_are_written_in_full(text: str, iri: str | None) -> None:
    assert resource_iri(text) == iri


@pytest.mark.parametrize("header", ["", "iid\ttitle\turi\n"])
def test_items(header: str, tmp_path: Path) -> None:
    text = (
        f"{header}01\tThe.*Lamp\t{DBR}The_Lamp_(novel)\n01\tThe.*Lamp\t{DBR}The_Lamp\r\n"
        f'02\t"A ""q"""\tres:B\n03\tNo.*link\t\n04,"One,.*Two",res:One\n'
    )
    assert rows("items", text, tmp_path) == [
        Item("01", "The Lamp", DBR + "The_Lamp_(novel)"),
        Item("01", "The Lamp", DBR + "The_Lamp"),
        Item("02", 'A "q"', DBR + "B"),
        Item("03", "No link", None),
        Item("04", "One, Two", DBR + "One"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("01\tT", "2 columns instead of 3"),
        ("01\tT\tres:A\tmore", "4 columns instead of 3"),
        (" \tT\tres:A", "iid is empty"),
        ("01\tT\tA", "uri is not an IRI: 'A'"),
        (f"01\tT\t{DBR}Lamp_(disambiguation)", "the link is to a disambiguation page"),
        ("", "0 columns instead of 3"),
    ],
)
def test_a_bad_item_costs_its_row(line: str, reason: str, tmp_path: Path) -> None:
    found = rows("items", f"{line}\n02\tT\tres:A\n", tmp_path)
    assert found == [Rejected(1, reason, line), Item("02", "T", DBR + "A")]


@pytest.mark.parametrize("header", ["", "iid\thead-entity\trelation\ttail-entity\n"])
def test_triples_with_and_without_the_item(header: str, tmp_path: Path) -> None:
    text = (
        header + "B1\tres:A\tdbo:director\tres:B\nB1\tres:A\tdct:subject\tcat:Films\n"
        'res:A\trdf:type\tyago:Film\nB1\tres:A\trdfs:label\t"A ""name"""@en\n'
        "B1\tres:A\tdirector\tres:B\nB1\tres:A\trdfs:label\tPlain\n"
    )
    subject = DBR + "A"
    assert rows("triples", text, tmp_path) == [
        IriFact(subject, DBO + "director", DBR + "B"),
        IriFact(subject, DCT + "subject", DBR + "Category:Films"),
        IriFact(subject, "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
                "http://dbpedia.org/class/yago/Film"),
        Label(subject, 'A "name"@en'),
        IriFact(subject, "director", DBR + "B"),
        Label(subject, "Plain"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("B1\tA\tdbo:director\tres:B", "head-entity is not an IRI: 'A'"),
        ("B1\tres:A\tdbo:abstract\tA film", "tail-entity is neither an IRI nor the row a label"),
        ("B1\tres:A\t \tres:B", "relation is empty"),
        ("B1\tres:A\tdbo:director\t", "tail-entity is empty"),
        ("B1\tres:A", "2 columns instead of 3"),
    ],
)
def test_a_bad_triple_costs_its_row(line: str, reason: str, tmp_path: Path) -> None:
    found = rows("triples", f"{line}\nB1\tres:A\tdbo:author\tres:B\n", tmp_path)
    assert found[1:] == [IriFact(DBR + "A", DBO + "author", DBR + "B")]
    assert why(found)[0].startswith(reason)


def test_a_label_in_another_language_is_rejected(tmp_path: Path) -> None:
    (found,) = rows("triples", 'B1\tres:A\trdfs:label\t"""Nom""@fr"\n', tmp_path)
    assert why([found]) == ["label in language 'fr', only English is kept"]
    assert rows("triples", 'B1\tres:A\trdfs:label\t"""Name""@en"\n', tmp_path) == [
        Label(DBR + "A", "Name")
    ]


def test_item_metadata(tmp_path: Path) -> None:
    text = "iid\tmetadata\n01\tcat:Novels\tres:Some_Author\t\n02\tcat:A,_b\n03\t\t\n04\tres:A\tx\n"
    assert rows("metadata", text, tmp_path) == [
        ItemFact("01", DCT + "subject", DBR + "Category:Novels"),
        ItemFact("01", MINTED + "attribute", DBR + "Some_Author"),
        ItemFact("02", DCT + "subject", DBR + "Category:A,_b"),
        Rejected(4, "no metadata", "03\t\t"),
        Rejected(5, "metadata is not an IRI: 'x'", "04\tres:A\tx"),
    ]


@pytest.mark.parametrize("header", ["", "uid\tiid\ty\n"])
def test_ratings_are_in_the_order_of_the_file(header: str, tmp_path: Path) -> None:
    text = header + "u\t01\t5\nu\t02\t\nu\t03\t4\t1500000000\nu\t04\tgood\n"
    first = 1 + bool(header)
    assert rows("ratings", text, tmp_path) == [
        Interaction("u", "01", 5.0, 0, first),
        Interaction("u", "02", None, 0, first + 1),
        Interaction("u", "03", 4.0, 1_500_000_000, first + 2),
        Rejected(first + 3, "y is not a number: 'good'", "u\t04\tgood"),
    ]
