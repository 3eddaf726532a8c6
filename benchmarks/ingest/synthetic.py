"""A made-up data set of films in the shape of a real one: skewed degrees, linked items, facts.

At scale 1 its graph has 37,365 nodes (6,000 users, 8,000 films, 23,365 entities) and 164,715
relations (115,572 ratings, 49,143 facts). Users' activity, films' popularity and entities' fame
follow power laws. The same scale and seed give the same files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kg.ingest import DataSetSources, Source

USERS, ITEMS, RATINGS, FACTS = 6_000, 8_000, 115_572, 49_143
RESOURCE = "http://dbpedia.org/resource/"
# Predicate, kind of its objects, number of such entities, share of the facts.
KINDS = (
    ("dbo:starring", "Actor", 11_000, 0.40),
    ("dct:subject", "Subject", 6_000, 0.35),
    ("dbo:director", "Director", 4_365, 0.13),
    ("dbo:distributor", "Studio", 2_000, 0.12),
)
ENTITIES = sum(count for _, _, count, _ in KINDS)
NODES = USERS + ITEMS + ENTITIES
RELATIONS = RATINGS + FACTS


def write(folder: Path, *, scale: float = 1.0, seed: int = 0, name: str = "made") -> DataSetSources:
    """Write the data set's files into ``folder``, every count multiplied by ``scale``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    items = round(ITEMS * scale)
    _ratings(rng, round(USERS * scale), items, round(RATINGS * scale)).write_csv(
        folder / "interactions.tsv", separator="\t"
    )
    _titles(items).write_csv(folder / "items.tsv", separator="\t")
    _facts(rng, items, scale).write_csv(folder / "triples.tsv", separator="\t")
    files = (
        ("tsv-interactions", "interactions.tsv"),
        ("tsv-items", "items.tsv"),
        ("tsv-facts", "triples.tsv"),
    )
    sources = tuple(Source(kind, folder / file) for kind, file in files)
    return DataSetSources(name, "movies", sources)


def _ratings(rng: np.random.Generator, users: int, items: int, count: int) -> pl.DataFrame:
    user, item = _pairs(rng, users, items, count)
    order = rng.permutation(count)
    return pl.DataFrame(
        {
            "user_id": _numbered("u", user[order]),
            "item_id": _numbered("i", item[order]),
            "rating": rng.integers(1, 11, count) / 2,
            "timestamp": 1_000_000_000 + rng.integers(0, 500_000_000, count),
        }
    )


def _titles(items: int) -> pl.DataFrame:
    number = np.arange(items)
    return pl.DataFrame(
        {
            "item_id": _numbered("i", number),
            "title": _numbered("A film of no particular length, part ", number),
            "genres": pl.Series([None] * items, dtype=pl.String),  # an empty cell
            "dbpedia_uri": _numbered(RESOURCE + "A_film_", number),
        }
    )


def _facts(rng: np.random.Generator, items: int, scale: float) -> pl.DataFrame:
    parts = []
    left = round(FACTS * scale)
    for place, (predicate, kind, entities, share) in enumerate(KINDS):
        last = place == len(KINDS) - 1
        count = left if last else round(FACTS * scale * share)
        left -= count
        entity, item = _pairs(rng, round(entities * scale), items, count)
        parts.append(
            pl.DataFrame(
                {
                    "head": _numbered(RESOURCE + "A_film_", item),
                    "relation": [predicate] * count,
                    "tail": _numbered(f"{RESOURCE}{kind}_", entity),
                }
            )
        )
    return pl.concat(parts)


def _numbered(prefix: str, numbers: NDArray[np.int64]) -> pl.Series:
    return prefix + pl.Series(numbers).cast(pl.String)


def _pairs(
    rng: np.random.Generator, left: int, right: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``count`` different pairs; each left number occurs, both degrees follow power laws."""
    found = np.arange(left) * right + _skewed(rng, right, left)
    while len(found) < count:
        more = 2 * (count - len(found)) + 1_000
        drawn = _skewed(rng, left, more) * right + _skewed(rng, right, more)
        fresh = np.setdiff1d(drawn, found)
        found = np.concatenate([found, rng.permutation(fresh)[: count - len(found)]])
    return found // right, found % right


def _skewed(rng: np.random.Generator, size: int, count: int) -> NDArray[np.int64]:
    """Numbers below ``size``, their frequency falling like rank ** -0.7."""
    return np.minimum((size * rng.random(count) ** (1 / 0.3)).astype(np.int64), size - 1)
