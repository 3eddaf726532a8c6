"""Short names of resources as published data sets write them: ``res:Gattaca``, ``dbo:author``."""

from __future__ import annotations

from kg.schema import PREFIXES

DBR = "http://dbpedia.org/resource/"
RESOURCE_PREFIXES = {
    **PREFIXES,
    "res": DBR,
    "dbr": DBR,
    "cat": DBR + "Category:",
    "yago": "http://dbpedia.org/class/yago/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
"""As the description of Amazon-KG lists them (github.com/WangYuhan-0520/Amazon-KG-dataset)."""


def resource_iri(text: str) -> str | None:
    """The full IRI that an IRI, ``<IRI>`` or prefixed name stands for; None for anything else."""
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if "://" in text or text.startswith("urn:"):
        return text
    prefix, colon, rest = text.partition(":")
    return (
        RESOURCE_PREFIXES[prefix] + rest if colon and rest and prefix in RESOURCE_PREFIXES else None
    )
