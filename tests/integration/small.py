"""A small data set with everything in it, written into a folder."""

from __future__ import annotations

from pathlib import Path

from kg.ingest import DataSetSources, Source

DBR = "http://dbpedia.org/resource/"


def write_small(
    folder: Path, name: str = "small", *, users: int = 12, items: int = 9, shift: int = 0
) -> DataSetSources:
    """Films by three directors; each user watches a run of items, with ties in time."""
    folder.mkdir(parents=True, exist_ok=True)
    interactions = ["user_id\titem_id\trating\ttimestamp"]
    for u in range(users):
        for k in range(3 + u % 4):
            item = (u + k * (1 + u % 2) + shift) % items
            interactions.append(f"u{u}\ti{item}\t{3 + k % 3}.0\t{1_000_000 + 60 * (k // 2)}")
    titles = ["item_id\ttitle\tgenres\tdbpedia_uri"]
    facts = ["head\trelation\ttail"]
    for i in range(items):
        titles.append(f"i{i}\tFilm {i} é\tDrama|{'Comedy' if i % 2 else 'War'}\t{DBR}Film_{i}")
        facts.append(f"{DBR}Film_{i}\tdbo:director\t{DBR}Director_{i % 3}")
        facts.append(f"{DBR}Film_{i}\tdbo:starring\t{DBR}Actor_{i % 4}")
        if i:
            facts.append(f"{DBR}Film_{i}\tdbo:previousWork\t{DBR}Film_{i - 1}")
    facts.append(f"{DBR}Film_0\tdbo:previousWork\t{DBR}Film_before")
    for file, lines in (
        ("interactions.tsv", interactions), ("items.tsv", titles), ("triples.tsv", facts),
    ):  # fmt: skip
        (folder / file).write_text("\n".join(lines) + "\n", "utf-8")
    return DataSetSources(
        name,
        "movies",
        (
            Source("tsv-interactions", folder / "interactions.tsv"),
            Source("tsv-items", folder / "items.tsv"),
            Source("tsv-facts", folder / "triples.tsv"),
        ),
    )
