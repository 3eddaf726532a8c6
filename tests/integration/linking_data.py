"""A shop's films without links, and the dumps of a DBpedia that knows some of them."""

from __future__ import annotations

import json
from pathlib import Path

from kg.dbpedia.vocabulary import DISAMBIGUATES, REDIRECTS, RESOURCE, TYPE
from kg.ingest import DataSetSources, Source
from kg.schema import DBO, RDFS_LABEL

TITLES = {
    "heat": ("Heat (1995)", None),
    "sabrina54": ("Sabrina [VHS] (1954)", None),
    "sabrina95": ("Sabrina (1995)", None),
    "sabrina": ("Sabrina", None),
    "seven": ("Seven (a.k.a. Se7en) (1995)", None),
    "matrix": ("Matrix, The [DVD]", "Keanu Reeves"),
    "matrix2": ("The Matrix - Special Edition Blu-ray", None),
    "jaws": ("Jaws", None),
    "nobody": ("Nobody Made This", None),
    "untitled": ("", None),
}
"""Item -> title, brand."""

LINKS = {
    "heat": ("Heat_(1995_film)", "label+year"),
    "sabrina54": ("Sabrina_(1954_film)", "label+year"),
    "sabrina95": ("Sabrina_(1995_film)", "label+year"),
    "seven": ("Seven_(1995_film)", "label+year"),
    "matrix": ("The_Matrix", "label+creator"),
    "matrix2": ("The_Matrix", "label"),
    "jaws": ("Jaws_(film)", "label"),
}
"""Item -> page, method: what linking must find."""

UNLINKED = {"sabrina": "ambiguous", "nobody": "no candidate", "untitled": "no title"}


def write_shop(folder: Path, name: str = "shop") -> DataSetSources:
    """Interactions, and metadata with titles and brands."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"u{n % 3}\t{item}\t5.0\t{1_000 + n}" for n, item in enumerate(TITLES)]
    header = "user_id\titem_id\trating\ttimestamp"
    (folder / "interactions.tsv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    with (folder / "meta.json").open("w", encoding="utf-8") as file:
        for item, (title, brand) in TITLES.items():
            about = {"asin": item, "title": title, "brand": brand, "category": ["Movies & TV"]}
            file.write(json.dumps({k: v for k, v in about.items() if v}) + "\n")
    return DataSetSources(
        name,
        "movies",
        (
            Source("tsv-interactions", folder / "interactions.tsv"),
            Source("amazon-metadata", folder / "meta.json"),
        ),
    )


def write_dumps(folder: Path) -> Path:
    """Pages, a redirect and disambiguation pages as N-Triples."""
    folder.mkdir(parents=True, exist_ok=True)
    films = {
        "Heat_(1995_film)": "Al_Pacino",
        "Sabrina_(1954_film)": "Audrey_Hepburn",
        "Sabrina_(1995_film)": "Julia_Ormond",
        "Seven_(1995_film)": "Brad_Pitt",
        "The_Matrix": "Keanu_Reeves",
        "Jaws_(film)": "Roy_Scheider",
    }
    lines = []
    for page, star in films.items():
        lines += [
            _iri(page, TYPE, DBO + "Film"),
            _iri(page, DBO + "starring", RESOURCE + star),
            _label(page),
            _label(star),
        ]
    lines += [_iri("Jaws_(novel)", TYPE, DBO + "Book"), _label("Jaws_(novel)")]
    lines += [_label("Heat"), _label("Jaws"), _label("Sabrina"), _label("Se7en")]
    lines += [_iri("Se7en", REDIRECTS, RESOURCE + "Seven_(1995_film)")]
    for page, named in (
        ("Heat", ("Heat_(1995_film)",)),
        ("Jaws", ("Jaws_(film)", "Jaws_(novel)")),
        ("Sabrina", ("Sabrina_(1954_film)", "Sabrina_(1995_film)")),
    ):
        lines += [_iri(page, DISAMBIGUATES, RESOURCE + other) for other in named]
    (folder / "all.nt").write_text("\n".join(sorted(set(lines))) + "\n", "utf-8")
    return folder


def _iri(page: str, predicate: str, value: str) -> str:
    return f"<{RESOURCE}{page}> <{predicate}> <{value}> ."


def _label(page: str) -> str:
    return f'<{RESOURCE}{page}> <{RDFS_LABEL}> "{page.replace("_", " ")}"@en .'
