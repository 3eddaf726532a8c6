"""A data set with everything that an export must carry, awkward names and keys among it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import orjson

from kg.ingest import DataSetSources, Source
from kg.schema import MINTED, mint_iri

DBR = "http://dbpedia.org/resource/"
ITEMS = (
    # Users have numbers for keys too: a key alone does not say what it is the key of.
    ("1", 'He said "no"', "Drama|Science Fiction", DBR + "No_(film)"),
    ("2", '"Crocodile" Dundee', "Comedy", DBR + '"Crocodile"_Dundee'),
    ("3", "Two editions: DVD", "Drama", DBR + "Shared"),
    ("4", "Two editions: Blu-ray", "", DBR + "Shared"),
    ("B00000000A", "Café • 東京", "War", ""),
    ("B00000000B", "", "", ""),
    ("x/y z:%", "Odd key", "", DBR + "Odd 100% <key>"),
)
FACTS = (
    (DBR + "No_(film)", "dbo:director", DBR + "A,_B_and_C"),
    (DBR + "No_(film)", "dct:subject", DBR + "Category:Films"),
    (DBR + '"Crocodile"_Dundee', "dct:subject", DBR + "Category:Films"),
    (DBR + "Shared", "dbo:starring", DBR + "Actor_é"),
    (DBR + "Shared", "dbo:previousWork", DBR + "No_(film)"),
    (DBR + "Shared", "dbo:subsequentWork", DBR + "Outside"),
    (DBR + "No_(film)", "dbo:subsequentWork", DBR + "Shared"),
    (DBR + "Odd 100% <key>", "dbo:writer", "isbn:someone"),
    (DBR + "Category:Films", "skos:broader", DBR + "Category:Art"),
)
USERS = ("1", "2", "3", "na", "Ω mega", 'q"uote')


def write_rich(folder: Path, name: str = "rich") -> DataSetSources:
    """Write the files; 6 users, 7 items, interactions with ties and without ratings."""
    folder.mkdir(parents=True)
    interactions: list[tuple[Any, ...]] = []
    for number, user in enumerate(USERS):
        for step, item in enumerate(ITEMS):
            if (number + step) % 3:
                rating = "" if step == 1 else 1 + (number * step) % 9 / 2
                interactions.append((user, item[0], rating, 1_700_000_000 + step // 2))
    _tsv(folder / "i.tsv", ("user_id", "item_id", "rating", "timestamp"), interactions)
    _tsv(folder / "t.tsv", ("item_id", "title", "genres", "dbpedia_uri"), ITEMS)
    _tsv(folder / "f.tsv", ("head", "relation", "tail"), FACTS)
    (folder / "n.nt").write_text(
        f'<{DBR}Actor_%C3%A9> <http://www.w3.org/2000/01/rdf-schema#label> "x" .\n'
        f'<{DBR}Category:Films> <http://www.w3.org/2000/01/rdf-schema#label> "All \\"films\\"" .\n',
        "utf-8",
    )
    with (folder / "u.user").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        names = ("user_id", "age", "tags:token_seq", "job", "mood", "trait")
        writer.writerow(n if ":" in n else f"{n}:token" for n in names)
        writer.writerow(("1", "24", "a b", "works with wood", "quite happy", DBR + "Left_handed"))
        writer.writerow(("1", "", "", "", "sad", ""))
        writer.writerow(("2", "30", "c", "", "", ""))
        writer.writerow(('q"uote', '"', "", "", "", ""))
    with (folder / "m.json").open("wb") as out:
        for item in ("B00000000A", "1"):
            line = {"asin": item, "title": "other", "brand": "Acme & Sons", "category": ["TV"]}
            others = [i for i in ("B00000000A", "B00000000B") if i != item]
            lists = {"also_buy": ["B00000000B"], "bought_together": others}
            out.write(orjson.dumps(line | lists) + b"\n")
    kinds = (
        ("tsv-interactions", "i.tsv"), ("tsv-items", "t.tsv"), ("tsv-facts", "f.tsv"),
        ("ntriples", "n.nt"), ("recbole-user", "u.user"), ("amazon-metadata", "m.json"),
        ("amazon-also", "m.json"),
    )  # fmt: skip
    return DataSetSources(name, "movies", tuple(Source(k, folder / f) for k, f in kinds))


def _tsv(path: Path, header: tuple[str, ...], rows: Any) -> None:
    lines = ["\t".join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")


BRAND = mint_iri("brand", "Acme & Sons")
ALSO_BOUGHT = MINTED + "also-bought"
