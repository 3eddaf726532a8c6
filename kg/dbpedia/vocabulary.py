"""The predicates of DBpedia that we ask for."""

from __future__ import annotations

from kg.schema import ABSTRACT, DBO, DCT, FACT_RELATIONS, RDFS_LABEL, SKOS

RESOURCE = "http://dbpedia.org/resource/"
CATEGORY = RESOURCE + "Category:"

TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
COMMENT = "http://www.w3.org/2000/01/rdf-schema#comment"
"""The short abstract."""
REDIRECTS = DBO + "wikiPageRedirects"
DISAMBIGUATES = DBO + "wikiPageDisambiguates"
SUBJECT = DCT + "subject"
BROADER = SKOS + "broader"

FACTS = tuple(
    sorted(
        {r.predicate for r in FACT_RELATIONS if r.predicate and r.predicate.startswith((DBO, DCT))}
    )
)
"""What the schema has a relation for."""
CREATORS = tuple(
    DBO + name for name in ("author", "creator", "director", "musicComposer", "starring", "writer")
)
DATES = tuple(DBO + name for name in ("firstPublicationDate", "publicationDate", "releaseDate"))

ASKED_OF_PAGES = (DISAMBIGUATES, REDIRECTS)
ASKED_TO_DESCRIBE = (TYPE, RDFS_LABEL, ABSTRACT, COMMENT, REDIRECTS, *CREATORS, *DATES)
ASKED_FOR_FACTS = (*FACTS, RDFS_LABEL, ABSTRACT, COMMENT, REDIRECTS)

ALL = frozenset((*ASKED_OF_PAGES, *ASKED_TO_DESCRIBE, *ASKED_FOR_FACTS, BROADER))
"""All that is ever asked: what an index of dumps must hold."""
