"""A small DBpedia, made up: films and their people, categories, redirects, disambiguations."""

from __future__ import annotations

from pathlib import Path

from pyoxigraph import Literal, NamedNode

from kg.dbpedia.vocabulary import (
    BROADER,
    CATEGORY,
    COMMENT,
    DISAMBIGUATES,
    REDIRECTS,
    RESOURCE,
    SUBJECT,
    TYPE,
)
from kg.schema import ABSTRACT, DBO, RDFS_LABEL

FILMS = 230
ODD = (
    "%22Crocodile%22_Dundee",
    "Ocean's_Eleven,_again",
    "Amélie_(2001_film)",
    "AC/DC_Live*",
    "$9.99",
)
Triple = tuple[str, str, str | tuple[str, str]]
"""Subject, predicate, and an IRI or (text, language)."""


def resource(name: str) -> str:
    return RESOURCE + name


def film(number: int) -> str:
    return resource(f"Film_{number}_({1900 + number % 100}_film)")


def films() -> list[str]:
    """The resources that items are linked to."""
    return [film(n) for n in range(FILMS)] + [resource(name) for name in ODD]


def triples() -> list[Triple]:
    """All there is, in a fixed order."""
    found: list[Triple] = []
    for number, iri in enumerate(films()):
        label = iri.removeprefix(RESOURCE).replace("_", " ").replace("%22", '"')
        found += _work(iri, label, number)
    found += [
        (resource("Old_Name"), REDIRECTS, film(0)),
        (resource("Old_Name"), RDFS_LABEL, ("Old Name", "en")),
        (resource("Older_Name"), REDIRECTS, resource("Old_Name")),
        (resource("Older_Name"), RDFS_LABEL, ("Older Name", "en")),
        (resource("Circle_1"), REDIRECTS, resource("Circle_2")),
        (resource("Circle_2"), REDIRECTS, resource("Circle_1")),
        (resource("Circle_1"), RDFS_LABEL, ("Circle", "en")),
        (resource("Heat"), RDFS_LABEL, ("Heat", "en")),
        (resource("Heat"), DISAMBIGUATES, film(1)),
        (resource("Heat"), DISAMBIGUATES, resource("Older_Name")),
        (resource("Heat"), DISAMBIGUATES, resource("Heat_(book)")),
        (resource("Heat_(book)"), RDFS_LABEL, ("Heat (book)", "en")),
        (resource("Heat_(book)"), TYPE, DBO + "Book"),
        (resource("Heat_(book)"), DBO + "author", ("A. Nonymous", "en")),
        (resource("Heat_(book)"), COMMENT, ("A short word on a book.", "en")),
        (CATEGORY + "Heat", RDFS_LABEL, ("Heat", "en")),
        (resource("Chaleur"), RDFS_LABEL, ("Heat", "fr")),
        (resource("Quotes"), RDFS_LABEL, ('A "quoted" \\ title\nof two lines > one', "en")),
    ]
    for number in range(20):
        category = f"{CATEGORY}Kind_{number}"
        found += [
            (category, RDFS_LABEL, (f"Kind {number}", "en")),
            (category, BROADER, f"{CATEGORY}Kind_{number // 4}"),
            (category, BROADER, f"{CATEGORY}Everything"),
        ]
    found.append((f"{CATEGORY}Everything", RDFS_LABEL, ("Everything", "en")))
    for number in range(40):
        person = resource(f"Person_{number}_(actor)")
        found.append((person, RDFS_LABEL, (f"Person {number} (actor)", "en")))
    return found


def _work(iri: str, label: str, number: int) -> list[Triple]:
    people = [resource(f"Person_{(number * k) % 40}_(actor)") for k in (1, 3, 7)]
    found: list[Triple] = [
        (iri, TYPE, DBO + "Film"),
        (iri, TYPE, "http://schema.org/Movie"),
        (iri, RDFS_LABEL, (label, "en")),
        (iri, RDFS_LABEL, (f"Le film {number}", "fr")),
        (iri, ABSTRACT, (f'Film {number}: a "story"\nof two lines \\ é 😀.', "en")),
        (iri, ABSTRACT, (f"Film {number}: une histoire.", "fr")),
        (iri, DBO + "director", people[0]),
        (iri, DBO + "runtime", ("5400", "")),
        (iri, SUBJECT, f"{CATEGORY}Kind_{number % 20}"),
        (iri, SUBJECT, f"{CATEGORY}Kind_{number % 7}"),
        (iri, "http://dbpedia.org/ontology/wikiPageWikiLink", resource("Anything")),
    ]
    found += [(iri, DBO + "starring", person) for person in people]
    if number % 2:
        found.append((iri, DBO + "releaseDate", (f"{1950 + number % 50}-05-06", "")))
        found.append((iri, DBO + "releaseDate", (f"{1951 + number % 50}-05-06", "")))
    return list(dict.fromkeys(found))


def line(triple: Triple) -> str:
    """A triple as a line of N-Triples."""
    subject, predicate, value = triple
    if isinstance(value, str):
        end = str(NamedNode(value))
    else:
        end = str(Literal(value[0], language=value[1]) if value[1] else Literal(value[0]))
    return f"{NamedNode(subject)} {NamedNode(predicate)} {end} .\n"


def write(path: Path) -> Path:
    """All of it as an N-Triples file."""
    path.write_text("".join(map(line, triples())), "utf-8")
    return path
