"""Loaders: one source format a file, all of one small protocol (see records.py)."""

from kg.errors import ChangeSomethingError
from kg.loaders import amazon_kg, recbole
from kg.loaders.amazon import read_reviews
from kg.loaders.amazon_also import read_also
from kg.loaders.amazon_metadata import read_metadata
from kg.loaders.links import read_links
from kg.loaders.ntriples import read_ntriples
from kg.loaders.records import Loader
from kg.loaders.s3rec import read_attributes, read_sequences
from kg.loaders.tsv import read_facts, read_interactions, read_items

LOADERS = {
    loader.name: loader
    for loader in (
        Loader("tsv-interactions", "user_id item_id rating timestamp", read_interactions),
        Loader("tsv-items", "item_id title genres dbpedia_uri", read_items),
        Loader("tsv-facts", "head relation tail", read_facts),
        Loader("links", "the linker's links, corrected: item_id iri method score", read_links),
        Loader("ntriples", "facts and labels as N-Triples", read_ntriples),
        Loader("amazon-reviews", "Amazon reviews of 2014, 2018 or 2023, one a line", read_reviews),
        Loader("amazon-metadata", "Amazon titles, categories, brands, one a line", read_metadata),
        Loader("amazon-also", "Amazon's also-bought lists: a leak, off unless named", read_also),
        Loader("amazon-kg-items", "Amazon-KG v1: iid title uri", amazon_kg.read_items),
        Loader("amazon-kg-triples", "Amazon-KG v1: iid head relation tail", amazon_kg.read_triples),
        Loader(
            "amazon-kg-metadata", "Amazon-KG v1: iid, then resources", amazon_kg.read_item_metadata
        ),
        Loader("amazon-kg-ratings", "Amazon-KG v1: uid iid y", amazon_kg.read_ratings),
        Loader("recbole-inter", "RecBole .inter: user, item, rating, time", recbole.read_inter),
        Loader("recbole-item", "RecBole .item: title, genres, attributes", recbole.read_item),
        Loader("recbole-user", "RecBole .user: traits", recbole.read_user),
        Loader("recbole-link", "RecBole .link: item, entity", recbole.read_link),
        Loader("recbole-kg", "RecBole .kg: head, relation, tail", recbole.read_kg),
        Loader("s3rec-sequences", "a user a line, then its items in order", read_sequences),
        Loader("s3rec-attributes", "JSON: item -> attribute numbers", read_attributes, False),
    )
}


def loader(name: str) -> Loader:
    """The loader of a name. Raises ChangeSomethingError."""
    try:
        return LOADERS[name]
    except KeyError:
        raise ChangeSomethingError(
            f"no loader {name!r}; there are: {', '.join(sorted(LOADERS))}"
        ) from None


__all__ = ["LOADERS", "Loader", "loader"]
