"""The built-in data sets of Amazon files, linked to a DBpedia on loopback, by the command line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import GraphAddress
from services.sparql_server import sparql_server
from test_whole_road import ok, personarec

DBO = "http://dbpedia.org/ontology/"
DBR = "http://dbpedia.org/resource/"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
TITLES = (
    "The Glass Orchard", "Salt Roads", "An Atlas of Rain", "Winter Arithmetic", "The Lantern Ferry",
    "Nine Quiet Rooms", "Copper & Thyme", "The Last Cartographer",
)  # fmt: skip
AUTHORS = ("Ada Quill", "Berto Lund")
USERS = 6


def works(domain: str) -> Iterator[str]:
    """A DBpedia of these works, each with a namesake of another kind."""
    kind, other, maker = (
        ("Novel", "Film", "author") if domain == "books" else ("Film", "Album", "director")
    )
    for number, title in enumerate(TITLES):
        page = title.replace(" ", "_").replace("&", "%26")
        for suffix, cls in ((kind.lower(), kind), (other.lower(), other)):
            iri = f"{DBR}{page}_({suffix})"
            yield f'<{iri}> <{LABEL}> "{title} ({suffix})"@en .'
            yield f"<{iri}> <{TYPE}> <{DBO}{cls}> ."
        work = f"{DBR}{page}_({kind.lower()})"
        person = DBR + AUTHORS[number % 2].replace(" ", "_")
        yield f"<{work}> <{DBO}{maker}> <{person}> ."
        yield f"<{work}> <http://purl.org/dc/terms/subject> <{DBR}Category:Kind_{number % 3}> ."
        yield f'<{work}> <{DBO}abstract> "{title} is made up."@en .'
    for name in AUTHORS:
        yield f'<{DBR}{name.replace(" ", "_")}> <{LABEL}> "{name}"@en .'
    for number in range(3):
        category = f"{DBR}Category:Kind_{number}"
        yield f'<{category}> <{LABEL}> "Kind {number}"@en .'
        yield f"<{category}> <http://www.w3.org/2004/02/skos/core#broader> <{DBR}Category:Kinds> ."


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Addresses of the two DBpedias."""
    folder = tmp_path_factory.mktemp("dbpedia")
    urls = {}
    for domain in ("books", "movies"):
        (folder / domain).mkdir()
        (folder / f"{domain}.nt").write_text("\n".join(works(domain)) + "\n", "utf-8")
    with (
        sparql_server(folder / "books.nt", folder / "books") as urls["books"],
        sparql_server(folder / "movies.nt", folder / "movies") as urls["movies"],
    ):
        yield lambda domain: urls[domain]


def reviews() -> Iterator[tuple[str, str, int, int]]:
    """(user, item, stars, seconds): a core of six by eight, and what lies outside it."""
    for user in range(USERS):
        for item in range(len(TITLES)):
            yield (
                f"U{user}",
                f"B0000000A{item}",
                1 + (user + item) % 5,
                1_400_000_000 + 100 * item + user,
            )
    yield "U0", "B0000000A0", 5, 1_500_000_000  # again, later
    yield "STRAY", "B0000000A0", 4, 1_400_000_000
    yield "U1", "B000000RAR", 4, 1_400_000_000


def also(item: str) -> list[str]:
    """What was bought with an item: the second and third of all, but not itself."""
    return [other for other in ("B0000000A1", "B0000000A2") if other != item]


def write_2014(folder: Path, name: str) -> None:
    with gzip.open(folder / f"reviews_{name}_5.json.gz", "wt") as file:
        for user, item, stars, time in reviews():
            row = {"reviewerID": user, "asin": item, "overall": stars, "unixReviewTime": time}
            file.write(json.dumps(row | {"reviewText": "never kept"}) + "\n")
    with gzip.open(folder / f"meta_{name}.json.gz", "wt") as file:
        for number, title in enumerate([*TITLES, "Rare"]):
            item = f"B0000000A{number}" if number < len(TITLES) else "B000000RAR"
            row = {
                "asin": item, "title": title, "categories": [[name, "Fiction"]],
                "brand": AUTHORS[number % 2], "related": {"also_bought": also(item)},
            }  # fmt: skip
            file.write(repr(row) + "\n")


def write_2018(folder: Path, name: str) -> None:
    with gzip.open(folder / f"{name}_5.json.gz", "wt") as file:
        for user, item, stars, time in reviews():
            row = {"reviewerID": user, "asin": item, "overall": float(stars)}
            file.write(json.dumps(row | {"unixReviewTime": time, "verified": True}) + "\n")
    with gzip.open(folder / f"meta_{name}.json.gz", "wt") as file:
        for number, title in enumerate([*TITLES, "Rare"]):
            item = f"B0000000A{number}" if number < len(TITLES) else "B000000RAR"
            row = {
                "asin": item, "title": title.replace("&", "&amp;"), "category": [name, "Fiction"],
                "brand": f"Visit Amazon's {AUTHORS[number % 2]} Page", "also_buy": also(item),
                "price": "$9.99",
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")


def write_2023(folder: Path, name: str) -> None:
    with (folder / f"{name}.jsonl").open("w") as file:
        for user, item, stars, time in reviews():
            row = {"user_id": user, "parent_asin": item, "asin": "x" + item, "rating": stars}
            file.write(json.dumps(row | {"timestamp": time * 1000}) + "\n")
    with (folder / f"meta_{name}.jsonl").open("w") as file:
        for number, title in enumerate([*TITLES, "Rare"]):
            item = f"B0000000A{number}" if number < len(TITLES) else "B000000RAR"
            row = {
                "parent_asin": item, "title": title, "categories": [name, "Fiction"],
                "store": AUTHORS[number % 2], "bought_together": also(item),
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")


WRITERS = {"2014": write_2014, "2018": write_2018, "2023": write_2023}
NAMES = {"books": "Books", "movies": "Movies_and_TV"}


def run(graph: GraphAddress, *arguments: str) -> Any:
    return ok(graph, *arguments)


@pytest.mark.parametrize(
    ("dataset", "year"), [("books", "2018"), ("movies", "2023"), ("books", "2014")]
)
def test_raw_files_and_an_endpoint_become_a_linked_graph(
    dataset: str, year: str, graph: GraphAddress, endpoint: Callable[[str], str], tmp_path: Path
) -> None:
    data = tmp_path / "raw"
    data.mkdir()
    WRITERS[year](data, NAMES[dataset])
    command = ("kg", "ingest", "--dataset", dataset, "--data", str(data))
    found = run(graph, *command, "--dbpedia", endpoint(dataset), "--rate", "100")
    assert sum(found["dbpedia"]["methods"].values()) == len(TITLES)
    assert found["dbpedia"]["abstracts"] == len(TITLES)
    books = {b["loader"]: b for b in found["books"]}
    assert books["amazon-reviews"]["merged"] == USERS * len(TITLES)
    assert (books["amazon-reviews"]["duplicates"], books["amazon-reviews"]["filtered"]) == (1, 2)
    assert sum(b["quarantined"] - b["unused"] for b in found["books"]) == 0

    stats = run(graph, "kg", "stats")
    relations = stats["relations"]
    maker = "AUTHOR" if dataset == "books" else "DIRECTED_BY"
    assert relations["RATED"] == USERS * len(TITLES)
    assert (relations[maker], relations["SUBJECT_IS"], relations["BROADER"]) == (8, 8, 3)
    assert not {"ALSO_BOUGHT", "BOUGHT_TOGETHER"} & relations.keys()
    assert stats["loads"][0]["filtered"] == sum(b["filtered"] for b in found["books"]) > 2

    label = "Book" if dataset == "books" else "Movie"
    query = f"MATCH (i:{label}) RETURN i.title AS title, i.iri AS iri, i.linkMethod AS method, " \
            "i.abstract AS abstract ORDER BY title"  # fmt: skip
    rows = run(graph, "kg", "query", query)
    assert [r["title"] for r in rows] == sorted(TITLES)
    kind = "novel" if dataset == "books" else "film"
    assert all(r["iri"].endswith(f"_({kind})") for r in rows)
    assert all(r["abstract"] == f"{r['title']} is made up." for r in rows)

    # Without the endpoint what was found stays; nothing changes.
    again = run(graph, *command)
    assert (again["created"], again["changed"]) == (0, 0)

    report = run(graph, "kg", "links", "--dataset", dataset, "--report")
    assert report["linked"] == len(TITLES)
    wrong = tmp_path / "wrong.tsv"
    wrong.write_text(f"B0000000A0\t{rows[[r['title'] for r in rows].index(TITLES[0])]['iri']}\n")
    run(graph, "kg", "links", "--dataset", dataset, "--reject", str(wrong))
    corrected = run(graph, *command)
    assert corrected["changed"] >= 1
    (row,) = run(graph, "kg", "query", f"MATCH (i:{label} {{id: '{dataset}:B0000000A0'}}) "
                 "RETURN i.iri AS iri, i.linkMethod AS method")  # fmt: skip
    assert row == {"iri": None, "method": None}


def test_also_bought_lists_come_only_when_asked_for(graph: GraphAddress, tmp_path: Path) -> None:
    write_2018(tmp_path, "Books")
    command = ("kg", "ingest", "--dataset", "books", "--data", str(tmp_path), "--also")
    found = run(graph, *command)
    relations = run(graph, "kg", "stats")["relations"]
    # What lies outside the core points nowhere.
    assert relations["ALSO_BOUGHT"] == sum(len(also(f"B0000000A{n}")) for n in range(len(TITLES)))
    assert "dbpedia" not in found


def test_rows_of_a_file_that_is_read_twice_can_be_mended(tmp_path: Path) -> None:
    """With --also, descriptions and also-bought lists are two sources in one file."""
    graph = GraphAddress("embedded", None, tmp_path / "home", {})
    raw = tmp_path / "raw"
    raw.mkdir()
    write_2023(raw, "Books")
    meta = raw / "meta_Books.jsonl"
    meta.write_text(meta.read_text() + '{"parent_asin": 7, "title": "No key"}\n')
    where = ("--dataset", "books", "--data", str(raw))
    ingest = ("kg", "ingest", *where, "--also", "--max-bad", "0.5")
    assert [b["quarantined"] for b in run(graph, *ingest)["books"]] == [0, 1, 1]
    rows = tmp_path / "rows.jsonl"
    assert run(graph, "kg", "quarantine", *where, "--out", str(rows)) == {"written": 1}
    row = json.loads(rows.read_text())
    rows.write_text(json.dumps(row | {"text": '{"parent_asin": "B0000000A0", "title": 5}'}))
    code, _, err = personarec(graph, "kg", "quarantine", *where, "--take-back", str(rows))
    assert code == 1
    assert "still not usable: title is not a text" in err, "by one of its two loaders"
    rows.write_text(json.dumps(row | {"text": '{"parent_asin": "B0000000A0", "title": "A key"}'}))
    assert run(graph, "kg", "quarantine", *where, "--take-back", str(rows)) == {"mended": 1}
    assert [b["quarantined"] for b in run(graph, *ingest)["books"]] == [0, 0, 0]


@pytest.mark.parametrize("dataset", ["books", "movies"])
def test_a_missing_raw_file_is_named_with_its_place_and_its_publisher(
    dataset: str, tmp_path: Path
) -> None:
    graph = GraphAddress("embedded", None, tmp_path / "home", {})
    for command in (("kg", "ingest"), ("train",)):
        code, out, err = personarec(graph, *command, "--dataset", dataset, "--data", str(tmp_path))
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert str(tmp_path / f"{NAMES[dataset]}_5.json") in err
        assert "published at https://" in err
        assert "put it there, or name its folder with --data" in err
