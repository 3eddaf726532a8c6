"""The graph schema, declared once: constraints, validation, dump and documentation follow it.

Labels are PascalCase, relation types UPPER_SNAKE, properties camelCase. No label is spelled like a
relation type, whatever the case, because the embedded engine keeps both in one namespace.
Users and items carry their data set's name in the key (``demo:DEMO000001``), so several data sets
live in one database; entities are keyed by full IRI and shared between data sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, unquote

DBO = "http://dbpedia.org/ontology/"
DCT = "http://purl.org/dc/terms/"
RDFS_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
MINTED = "urn:personarec:"
ABSTRACT = DBO + "abstract"
SKOS = "http://www.w3.org/2004/02/skos/core#"
PREFIXES = {"dbo": DBO, "dct": DCT, "rdfs": "http://www.w3.org/2000/01/rdf-schema#", "skos": SKOS}


class Role(Enum):
    """What a node type is in the recommender."""

    USER = "user"
    ITEM = "item"
    ENTITY = "entity"
    LEDGER = "ledger"
    DERIVED = "derived"


@dataclass(frozen=True)
class Property:
    """One property of a node or relation type.

    ``volatile`` properties say how a row came to be (load id), not what it says: the canonical dump
    leaves them out.
    """

    name: str
    type: str
    doc: str
    volatile: bool = False


@dataclass(frozen=True)
class NodeType:
    """A label, keyed by the string property ``id``."""

    label: str
    role: Role
    doc: str
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True)
class RelationType:
    """A relation type between source labels and one or more target labels.

    ``derived`` relations are computed from the graph (transitions, preferences): a data set's dump
    leaves them out unless asked, because they change with every training.
    """

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    doc: str
    predicate: str | None = None
    properties: tuple[Property, ...] = ()
    derived: bool = False


_ID = Property("id", "string", "unique key")
_DATASET = Property("dataset", "string", "name of the data set it belongs to")
_SOURCE = Property("source", "string", "the loader it came through, or train")
_LOAD = Property("loadId", "string", "the load that last wrote it", volatile=True)
_PROVENANCE = (_SOURCE, _LOAD)

_ITEM_PROPERTIES = (
    _ID,
    _DATASET,
    Property("title", "string", "title, cleaned"),
    Property("iri", "string", "the linked resource, where there is one"),
    Property("linkMethod", "string", "how the link was found; source where the data set gave it"),
    Property("linkScore", "float", "how sure the link is, 0 to 1"),
    Property("abstract", "string", "what the linked resource is, in a paragraph"),
    *_PROVENANCE,
)
_ENTITY_PROPERTIES = (
    _ID,
    Property("name", "string", "label, or the IRI's last part"),
    *_PROVENANCE,
)

DOMAINS = {"books": "Book", "movies": "Movie", "products": "Product"}
"""Domain of a data set -> label of its items."""

ITEM_LABELS = tuple(DOMAINS.values())

NODE_TYPES: tuple[NodeType, ...] = (
    NodeType("User", Role.USER, "A reader, viewer or buyer.", (_ID, _DATASET, *_PROVENANCE)),
    NodeType(
        "Book", Role.ITEM, "A book; keyed by IRI when outside the data set.", _ITEM_PROPERTIES
    ),
    NodeType("Movie", Role.ITEM, "A film or television programme.", _ITEM_PROPERTIES),
    NodeType("Product", Role.ITEM, "An item of any other kind.", _ITEM_PROPERTIES),
    *(
        NodeType(label, Role.ENTITY, doc, _ENTITY_PROPERTIES)
        for label, doc in (
            ("Person", "Author, director, actor, composer, brand owner."),
            ("Company", "Distributor or publisher."),
            ("Subject", "What it is about (dct:subject)."),
            ("Genre", "Genre of any medium."),
            ("LiteraryGenre", "Literary genre."),
            ("Series", "A series of works."),
            ("Award", "A prize."),
            ("OpeningTheme", "A programme's opening theme."),
            ("NotableWork", "A work that a page names as notable (often a sign of a wrong link)."),
            ("Category", "A shop's category."),
            ("Attribute", "An attribute that a source gives only by number or name."),
        )
    ),
    NodeType(
        "DataSet",
        Role.LEDGER,
        "A data set in this database, and which of its derived versions is current.",
        (
            _ID,
            Property("domain", "string", "books, movies or products"),
            Property("contentHash", "string", "hash of the staged content last loaded"),
            Property("personaModel", "string", "id of the current PersonaModel", volatile=True),
            Property("lock", "string", "the batch that wrote last", volatile=True),
            Property("taken", "string", "written first, to hold the lock", volatile=True),
        ),
    ),
    NodeType(
        "Load",
        Role.LEDGER,
        "One run of the ingest, and its books.",
        (
            _ID,
            _DATASET,
            Property("status", "string", "running, complete or failed"),
            Property("contentHash", "string", "hash of the staged content"),
            Property("startedAt", "datetime", "start, UTC"),
            Property("finishedAt", "datetime", "end, UTC"),
            Property("rowsIn", "integer", "rows read"),
            Property("merged", "integer", "rows that are in the graph"),
            Property("duplicates", "integer", "rows that lost to another of the same key"),
            Property("filtered", "integer", "rows outside the k-core that was asked for"),
            Property("quarantined", "integer", "rows set aside"),
            Property("created", "integer", "nodes and relations created"),
            Property("changed", "integer", "nodes and relations changed"),
        ),
    ),
    NodeType(
        "PersonaModel",
        Role.LEDGER,
        "One version of the personas of a data set.",
        (
            _ID,
            _DATASET,
            Property("encoder", "string", "encoder of the dense vector"),
            Property("dimension", "integer", "length of the dense vector"),
            Property("property", "string", "property of User that holds the vector"),
            Property("index", "string", "vector index over that property"),
            Property("users", "integer", "users that have a persona"),
            Property("fitted", "string", "interactions it was made from"),
            Property("sequence", "integer", "rises by one with each version of a data set"),
            Property("status", "string", "writing, complete or removing"),
            Property("agreement", "float", "agreement of its prototypes over redrawn readers"),
        ),
    ),
    NodeType(
        "PersonaPrototype",
        Role.DERIVED,
        "A kind of reader: a cluster of the personas of one version.",
        (
            _ID,
            _DATASET,
            Property("model", "string", "id of the PersonaModel it belongs to"),
            Property("name", "string", "its most characteristic facts, in words"),
            Property("rank", "integer", "1 for the one with most readers"),
            Property("size", "integer", "readers it is the strongest prototype of"),
            Property("x", "float", "place on the map of personas"),
            Property("y", "float", "place on the map of personas"),
            *_PROVENANCE,
        ),
    ),
)


def _fact(
    name: str, predicate: str, target: str, sources: tuple[str, ...], doc: str
) -> RelationType:
    return RelationType(name, sources, (target,), doc, predicate, _PROVENANCE)


_BOOK, _MOVIE = ("Book",), ("Movie",)
_WORKS = ("Book", "Movie")

FACT_RELATIONS: tuple[RelationType, ...] = (
    _fact("SUBJECT_IS", DCT + "subject", "Subject", _WORKS, "is about"),
    _fact("AUTHOR", DBO + "author", "Person", _BOOK, "written by"),
    _fact("DIRECTED_BY", DBO + "director", "Person", _WORKS, "directed by"),
    _fact("PRODUCER", DBO + "producer", "Person", _WORKS, "produced by"),
    _fact("STARRING", DBO + "starring", "Person", _WORKS, "starring"),
    _fact("WRITER_IS", DBO + "writer", "Person", _WORKS, "written by"),
    _fact("MUSIC_COMPOSER_IS", DBO + "musicComposer", "Person", _WORKS, "music by"),
    _fact("COMPOSER_IS", DBO + "composer", "Person", _WORKS, "composed by"),
    _fact(
        "EXECUTIVE_PRODUCER_IS", DBO + "executiveProducer", "Person", _WORKS, "executive producer"
    ),
    _fact("CREATOR", DBO + "creator", "Person", _WORKS, "created by"),
    _fact("PRESENTER", DBO + "presenter", "Person", _MOVIE, "presented by"),
    _fact("HAVE_ARTIST", DBO + "artist", "Person", _MOVIE, "artist"),
    _fact("CINEMATOGRAPHY", DBO + "cinematography", "Person", _MOVIE, "photographed by"),
    _fact("EDITED_BY", DBO + "editing", "Person", _MOVIE, "edited by"),
    _fact("DISTRIBUTOR", DBO + "distributor", "Company", _MOVIE, "distributed by"),
    _fact("GENRE_IS", DBO + "genre", "Genre", (*_WORKS, "Product"), "of genre"),
    _fact("LITERARY_GENRE_IS", DBO + "literaryGenre", "LiteraryGenre", _WORKS, "of literary genre"),
    _fact("GOT_AWARD", DBO + "award", "Award", _WORKS, "awarded"),
    _fact("HAS_OPENING_THEME", DBO + "openingTheme", "OpeningTheme", _MOVIE, "opening theme"),
    _fact("IN_SERIES", DBO + "series", "Series", _WORKS, "in the series"),
    _fact("HAS_NOTABLE_WORK", DBO + "notableWork", "NotableWork", _BOOK, "notable work"),
    # The target of these two is an item of the same label.
    _fact("PREVIOUS_WORK", DBO + "previousWork", "", _WORKS, "preceded by"),
    _fact("SUBSEQUENT_WORK", DBO + "subsequentWork", "", _WORKS, "followed by"),
    _fact("BRAND", MINTED + "brand", "Person", (*_WORKS, "Product"), "of the brand"),
    _fact("IN_CATEGORY", MINTED + "category", "Category", (*_WORKS, "Product"), "in the category"),
    _fact("HAS_ATTRIBUTE", MINTED + "attribute", "Attribute", ITEM_LABELS, "has attribute"),
    # Of these three the target is an item too. They are later purchases: a leak, unless asked for.
    _fact("ALSO_BOUGHT", MINTED + "also-bought", "", ITEM_LABELS, "also bought"),
    _fact("ALSO_VIEWED", MINTED + "also-viewed", "", ITEM_LABELS, "also viewed"),
    _fact("BOUGHT_TOGETHER", MINTED + "bought-together", "", ITEM_LABELS, "bought together with"),
)
"""Facts of items."""

USER_RELATIONS: tuple[RelationType, ...] = (
    _fact("HAS_TRAIT", MINTED + "trait", "Attribute", ("User",), "a user's own description"),
)
"""Facts of users."""

ENTITY_RELATIONS: tuple[RelationType, ...] = (
    _fact("BROADER", SKOS + "broader", "Subject", ("Subject",), "a part of the broader subject"),
)
"""Facts of entities, two hops from an item."""

RELATION_TYPES: tuple[RelationType, ...] = (
    RelationType(
        "RATED",
        ("User",),
        ITEM_LABELS,
        "A user touched an item.",
        properties=(
            Property("rating", "float", "stars, where the source has them"),
            Property("timestamp", "integer", "seconds since 1970, or a bare order"),
            Property("row", "integer", "row number in the source, which breaks ties"),
            *_PROVENANCE,
        ),
    ),
    *FACT_RELATIONS,
    *USER_RELATIONS,
    *ENTITY_RELATIONS,
    RelationType(
        "NEXT",
        ITEM_LABELS,
        ITEM_LABELS,
        "Users went from one item to the other, counted in training interactions only.",
        properties=(
            Property("gap1", "integer", "how often directly"),
            Property("gap2", "integer", "how often with one item between"),
            Property("gap3", "integer", "how often with two items between"),
            *_PROVENANCE,
        ),
        derived=True,
    ),
    RelationType(
        "PREFERS",
        ("User",),
        tuple(n.label for n in NODE_TYPES if n.role in (Role.ENTITY, Role.ITEM)),
        "One of the strongest facts of a user's persona.",
        properties=(
            Property("model", "string", "id of the PersonaModel"),
            Property("relation", "string", "through which relation items carry the fact"),
            Property("weight", "float", "share of the persona's length, 0 to 1"),
            *_PROVENANCE,
        ),
        derived=True,
    ),
    RelationType(
        "RESEMBLES",
        ("User",),
        ("PersonaPrototype",),
        "How much of a prototype is in a user's persona.",
        properties=(
            Property("weight", "float", "share of the prototype, 0 to 1; a user's add up to 1"),
            *_PROVENANCE,
        ),
        derived=True,
    ),
    RelationType(
        "CHARACTERISED_BY",
        ("PersonaPrototype",),
        tuple(n.label for n in NODE_TYPES if n.role in (Role.ENTITY, Role.ITEM)),
        "A fact that a prototype's readers lean to more often than readers at large.",
        properties=(
            Property("relation", "string", "through which relation items carry the fact"),
            Property("share", "float", "share of the prototype's readers that lean to it"),
            Property("lift", "float", "that share over the share among all readers"),
            Property("p", "float", "chance of such a share by luck (Benjamini-Hochberg)"),
            Property("rank", "integer", "1 for the most characteristic"),
            *_PROVENANCE,
        ),
        derived=True,
    ),
)

_NODES = {n.label: n for n in NODE_TYPES}
_RELATIONS = {r.name: r for r in RELATION_TYPES}
_BY_PREDICATE = {r.predicate: r for r in FACT_RELATIONS}


class UnknownNameError(ValueError):
    """A label or relation type that the schema does not declare."""


def node_type(label: str) -> NodeType:
    """The node type of a label. Raises UnknownNameError."""
    try:
        return _NODES[label]
    except KeyError:
        raise UnknownNameError(
            f"label {label!r} is not in the schema (see: personarec kg schema)"
        ) from None


def relation_type(name: str) -> RelationType:
    """The relation type of a name. Raises UnknownNameError."""
    try:
        return _RELATIONS[name]
    except KeyError:
        raise UnknownNameError(
            f"relation type {name!r} is not in the schema (see: personarec kg schema)"
        ) from None


def fact_relation(predicate: str, item_label: str) -> RelationType | None:
    """The relation a fact of an item becomes, or None where the schema has no place for it.

    ``predicate`` is a full IRI or a prefixed name (``dbo:director``).
    """
    relation = _BY_PREDICATE.get(expand(predicate))
    return relation if relation and item_label in relation.sources else None


def target_label(relation: RelationType, item_label: str) -> str:
    """Label at the far end of a fact: works point to works of their own kind."""
    return relation.targets[0] or item_label


def expand(name: str) -> str:
    """A prefixed name as a full IRI; anything else as it is."""
    prefix, colon, rest = name.partition(":")
    return PREFIXES[prefix] + rest if colon and prefix in PREFIXES else name


def mint_iri(kind: str, text: str) -> str:
    """An IRI of our own for an entity that a source names only by a word."""
    return f"{MINTED}{kind}:{quote(text, safe='')}"


def name_from_iri(iri: str) -> str:
    """A name to show for an entity without a label: the IRI's last part, made readable."""
    if iri.startswith(MINTED):
        return unquote(iri.rpartition(":")[2])
    _, marker, page = iri.partition("/resource/")  # page names may hold slashes: AC/DC
    last = unquote(page if marker else iri.rstrip("/").rpartition("/")[2].rpartition("#")[2])
    return last.removeprefix("Category:").replace("_", " ").strip() or iri


def quote_name(name: str) -> str:
    """Quote a label, relation type, property or index name for Cypher.

    The one place where a name becomes query text. Raises UnknownNameError for a name that could
    not be a name of the schema or of a persona version.
    """
    if not name.isascii() or not name.replace("_", "").isalnum():
        raise UnknownNameError(f"{name!r} is not a usable name: letters, digits and _ only")
    return f"`{name}`"
