"""The demo data: well-formed, reproducible, and with a signal that a model can find.

The last part measures the planted signals with the plainest means (TF-IDF and k-means, counts of
neighbours). If these cannot find them, no failure of a real model on this data means anything.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyoxigraph import Literal, NamedNode, RdfFormat, parse

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "personarec" / "datasets" / "demo"

DBO = "http://dbpedia.org/ontology/"
RESOURCE = "http://dbpedia.org/resource/"
SUBJECT = "http://purl.org/dc/terms/subject"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
FACT_PREDICATES = {
    SUBJECT,
    *(
        DBO + name
        for name in (
            "author",
            "series",
            "genre",
            "literaryGenre",
            "award",
            "previousWork",
            "subsequentWork",
        )
    ),
}
DAY = 86_400

Triple = tuple[str, str, str]


def _table(name: str) -> list[dict[str, str]]:
    with (DEMO / name).open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def _iri(page: str) -> str:
    return RESOURCE + page.replace("?", "%3F")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The generator, loaded by path: ``scripts`` is no package and should not become one."""
    spec = importlib.util.spec_from_file_location("make_demo", ROOT / "scripts" / "make_demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def quads() -> list[Any]:
    return list(parse(path=DEMO / "facts.nt", format=RdfFormat.N_TRIPLES))


@pytest.fixture(scope="module")
def facts(quads: list[Any]) -> list[Triple]:
    """The triples between resources, without types and labels."""
    return [
        (quad.subject.value, quad.predicate.value, quad.object.value)
        for quad in quads
        if quad.predicate.value != LABEL
    ]


@pytest.fixture(scope="module")
def items() -> list[dict[str, str]]:
    return _table("items.tsv")


@pytest.fixture(scope="module")
def catalogue() -> list[dict[str, str]]:
    return _table("catalogue.tsv")


@pytest.fixture(scope="module")
def tastes() -> dict[str, dict[str, str]]:
    return {row["reviewer_id"]: row for row in _table("tastes.tsv")}


@pytest.fixture(scope="module")
def reviews() -> list[dict[str, Any]]:
    lines = (DEMO / "reviews.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def sequences(reviews: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Each reader's books by first date; ties fall as the lines lie, which carries no order."""
    first: dict[tuple[str, str], int] = {}
    for review in reviews:
        key = (review["reviewerID"], review["asin"])
        first[key] = min(first.get(key, review["unixReviewTime"]), review["unixReviewTime"])
    by_reader: dict[str, list[str]] = defaultdict(list)
    for (reader, book), _ in sorted(first.items(), key=lambda entry: entry[1]):
        by_reader[reader].append(book)
    return dict(by_reader)


# --- facts ---------------------------------------------------------------------------------------


def test_predicates_are_those_promised(quads: list[Any]) -> None:
    assert {quad.predicate.value for quad in quads} == FACT_PREDICATES | {LABEL}
    assert len(quads) == len(set(map(str, quads)))


def test_every_resource_has_one_english_label(quads: list[Any], facts: list[Triple]) -> None:
    labels: dict[str, list[str]] = defaultdict(list)
    for quad in quads:
        if quad.predicate.value == LABEL:
            assert isinstance(quad.object, Literal)
            assert quad.object.language == "en"
            assert "_" not in quad.object.value
            labels[quad.subject.value].append(quad.object.value)
    named = {iri for subject, _, target in facts for iri in (subject, target)}
    assert set(labels) == named
    assert all(len(found) == 1 for found in labels.values())


def test_resource_iris_are_well_formed(quads: list[Any]) -> None:
    for quad in quads:
        for node in (quad.subject, quad.object):
            if isinstance(node, NamedNode) and not node.value.startswith(DBO):
                assert re.fullmatch(re.escape(RESOURCE) + r'([^\s<>"{}|^`\\%?#]|%3F)+', node.value)
        if quad.predicate.value == SUBJECT:
            assert quad.object.value.startswith(f"{RESOURCE}Category:")


def test_previous_and_subsequent_work_mirror_each_other(facts: list[Triple]) -> None:
    previous = {(s, o) for s, p, o in facts if p == f"{DBO}previousWork"}
    subsequent = {(o, s) for s, p, o in facts if p == f"{DBO}subsequentWork"}
    assert previous == subsequent
    assert len(previous) >= 60
    later = dict(previous)
    assert len(later) == len(previous), "a book has two previous works"
    for start in later:  # a chain of sequels ends
        seen, here = {start}, start
        while here in later:
            here = later[here]
            assert here not in seen
            seen.add(here)


def test_series_volumes_are_distinct_and_linked_as_numbered(
    catalogue: list[dict[str, str]], facts: list[Triple]
) -> None:
    pages = {(row["series"], row["volume"]): row["page"] for row in catalogue if row["volume"]}
    assert len(pages) == sum(bool(row["volume"]) for row in catalogue)
    triples = set(facts)
    for (series, volume), page in pages.items():
        earlier = pages.get((series, str(int(volume) - 1)))
        if earlier:
            assert (_iri(page), f"{DBO}previousWork", _iri(earlier)) in triples


def test_kinds_of_entity_do_not_share_a_resource(facts: list[Triple]) -> None:
    """Only works point at works: an author spelled like a subject would merge two nodes."""
    kinds: dict[str, set[str]] = defaultdict(set)
    group = {
        "genre": "genre",
        "literaryGenre": "genre",
        "previousWork": "book",
        "subsequentWork": "book",
    }
    for subject, predicate, target in facts:
        name = predicate.rsplit("/", 1)[-1]
        kinds[subject].add("book")
        kinds[target].add(group.get(name, name))
    shared = {iri: kind for iri, kind in kinds.items() if len(kind) > 1}
    assert not shared


# --- items ---------------------------------------------------------------------------------------


def test_items_have_invented_ids_and_unique_links(
    items: list[dict[str, str]], quads: list[Any]
) -> None:
    assert 300 <= len(items) <= 400
    assert all(re.fullmatch(r"DEMO\d{6}", row["item_id"]) for row in items)
    assert len({row["item_id"] for row in items}) == len(items)
    assert len({row["title"] for row in items}) == len(items)
    links = [row["dbpedia_uri"] for row in items if row["dbpedia_uri"]]
    assert len(set(links)) == len(links)
    books = {quad.subject.value for quad in quads if quad.predicate.value != LABEL}
    assert set(links) == books


def test_some_books_are_left_without_facts(catalogue: list[dict[str, str]]) -> None:
    blank = [row for row in catalogue if not row["page"]]
    assert 0.06 <= len(blank) / len(catalogue) <= 0.10
    columns = ("authors", "series", "volume", "follows", "genres", "subjects", "awards")
    assert not any(row[column] for row in blank for column in columns)
    assert {row["taste"] for row in blank} == {row["taste"] for row in catalogue}


def test_areas_overlap(catalogue: list[dict[str, str]]) -> None:
    for column, least in (("authors", 8), ("awards", 6), ("subjects", 60)):
        areas: dict[str, set[str]] = defaultdict(set)
        for row in catalogue:
            for value in filter(None, row[column].split("|")):
                areas[value].add(row["taste"])
        assert sum(len(found) > 1 for found in areas.values()) >= least, column


# --- reviews -------------------------------------------------------------------------------------


def test_reviews_follow_the_2018_schema(
    reviews: list[dict[str, Any]], items: list[dict[str, str]], tastes: dict[str, dict[str, str]]
) -> None:
    required = {
        "overall",
        "verified",
        "reviewTime",
        "reviewerID",
        "asin",
        "reviewerName",
        "reviewText",
        "summary",
        "unixReviewTime",
    }
    known = {row["item_id"] for row in items}
    for review in reviews:
        assert required <= set(review) <= required | {"vote"}
        assert review["overall"] in (1.0, 2.0, 3.0, 4.0, 5.0)
        assert isinstance(review["overall"], float)
        assert review["asin"] in known
        assert review["reviewerID"] in tastes
        assert review["unixReviewTime"] % DAY == 0
        assert "{" not in review["reviewText"]
        moment = np.datetime64(review["unixReviewTime"], "s").astype("datetime64[D]").item()
        assert review["reviewTime"] == f"{moment:%m} {moment.day}, {moment.year}"
        assert 2011 <= moment.year <= 2018


def test_nobody_reviews_a_book_before_it_exists(
    reviews: list[dict[str, Any]], catalogue: list[dict[str, str]]
) -> None:
    available = {row["item_id"]: int(row["available"] or 0) for row in catalogue}
    for row in catalogue:
        years = [int(year) for year in re.findall(r"(?:^|\|)(\d{4})_", row["subjects"])]
        if years and max(years) >= 2011:
            assert row["available"], row["title"]
    for review in reviews:
        assert int(review["reviewTime"][-4:]) > available[review["asin"]]


def test_counts_lie_within_bounds(
    reviews: list[dict[str, Any]], sequences: dict[str, list[str]]
) -> None:
    assert 4_000 <= len(reviews) <= 6_000
    assert len(sequences) == 300
    assert all(8 <= len(books) <= 40 for books in sequences.values())
    counts = Counter(book for books in sequences.values() for book in books)
    assert sum(count >= 5 for count in counts.values()) >= 300


def test_only_the_planted_duplicates(reviews: list[dict[str, Any]], script: ModuleType) -> None:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for review in reviews:
        key = (review["reviewerID"], review["asin"])
        groups[key].append(json.dumps(review, sort_keys=True))
    repeated = [lines for lines in groups.values() if len(lines) > 1]
    assert all(len(lines) == 2 for lines in repeated)
    exact = sum(len(set(lines)) == 1 for lines in repeated)
    assert exact == script.EXACT_DUPLICATES
    assert len(repeated) - exact == script.CONFLICTING_DUPLICATES
    for lines in repeated:
        if len(set(lines)) == 2:
            assert len({json.loads(line)["overall"] for line in lines}) == 2


def test_dates_tie_sometimes(reviews: list[dict[str, Any]]) -> None:
    days: dict[str, list[int]] = defaultdict(list)
    for review in reviews:
        days[review["reviewerID"]].append(review["unixReviewTime"])
    tied = sum(len(times) - len(set(times)) for times in days.values())
    assert 0.05 <= tied / len(reviews) <= 0.2


def test_every_taste_has_enough_readers(
    tastes: dict[str, dict[str, str]], catalogue: list[dict[str, str]]
) -> None:
    areas = {row["taste"] for row in catalogue}
    readers = Counter(row["main"] for row in tastes.values())
    assert set(readers) == areas
    assert min(readers.values()) >= 20
    assert all(row["side"] in areas | {""} for row in tastes.values())
    assert all(row["side"] != row["main"] for row in tastes.values())


def test_readers_mostly_read_their_tastes(
    sequences: dict[str, list[str]],
    tastes: dict[str, dict[str, str]],
    catalogue: list[dict[str, str]],
) -> None:
    area = {row["item_id"]: row["taste"] for row in catalogue}
    own = total = 0
    for reader, books in sequences.items():
        wanted = {tastes[reader]["main"], tastes[reader]["side"]}
        own += sum(area[book] in wanted for book in books)
        total += len(books)
    assert 0.7 <= own / total <= 0.9


def test_series_are_read_in_order(
    reviews: list[dict[str, Any]], facts: list[Triple], items: list[dict[str, str]]
) -> None:
    item_of = {row["dbpedia_uri"]: row["item_id"] for row in items if row["dbpedia_uri"]}
    day: dict[tuple[str, str], int] = {}
    for review in reviews:
        key = (review["reviewerID"], review["asin"])
        day[key] = min(day.get(key, review["unixReviewTime"]), review["unixReviewTime"])
    readers = {reader for reader, _ in day}
    forward = backward = 0
    for later, predicate, earlier in facts:
        if predicate != f"{DBO}previousWork":
            continue
        for reader in readers:
            before = day.get((reader, item_of[earlier]))
            after = day.get((reader, item_of[later]))
            if before is not None and after is not None:
                forward += before < after
                backward += before > after
    assert forward + backward >= 300
    assert forward / (forward + backward) >= 0.8


# --- generation ----------------------------------------------------------------------------------


def test_files_are_what_the_script_writes(script: ModuleType) -> None:
    for name, content in script.make().items():
        assert (DEMO / name).read_bytes() == content, f"{name}: run python scripts/make_demo.py"


def test_check_names_the_stale_file_in_one_line(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(DEMO, copy)
    monkeypatch.setattr(script, "DEMO", copy)
    assert script.main(["--check"]) == 0
    (copy / "items.tsv").write_text("changed\n", encoding="utf-8")
    assert script.main(["--check"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "items.tsv" in message
    assert (copy / "items.tsv").read_text(encoding="utf-8") == "changed\n", "--check wrote a file"
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    assert (copy / "items.tsv").read_bytes() == (DEMO / "items.tsv").read_bytes()
    assert sorted(path.name for path in copy.iterdir()) == sorted(
        path.name for path in DEMO.iterdir()
    )


def test_the_tables_are_the_ones_in_use(script: ModuleType, tmp_path: Path) -> None:
    """A changed fact must reach the files: ``make`` has no second copy of the facts."""
    for name in ("catalogue.tsv", "phrases.tsv"):
        shutil.copy(DEMO / name, tmp_path / name)
    table = tmp_path / "catalogue.tsv"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("Frank_Herbert", "Somebody_Else"), encoding="utf-8")
    made = script.make(tmp_path)["facts.nt"].decode("utf-8")
    assert "Somebody_Else" in made
    assert f"<{RESOURCE}Frank_Herbert>" not in made


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("DEMO000001", "DEMO000002", "DEMO000002"),
        ("\tDune_Messiah\t", "\tDune_(novel)\t", "Dune_(novel)"),
        ("\tDune_(novel)\t", "\t\t", "Dune"),
        ("\tThe_Twelve_Chairs\tSatire", "\tNowhere\tSatire", "Nowhere"),
    ],
)
def test_a_slip_in_the_catalogue_is_refused(
    script: ModuleType, tmp_path: Path, old: str, new: str, named: str
) -> None:
    text = (DEMO / "catalogue.tsv").read_text(encoding="utf-8")
    assert old in text
    table = tmp_path / "catalogue.tsv"
    table.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(named)):
        script.read_catalogue(table)


def test_files_stay_small() -> None:
    sizes = [path.stat().st_size for path in DEMO.iterdir() if path.is_file()]
    assert max(sizes) <= 1_500_000
    assert sum(sizes) <= 2_500_000


def test_readme_states_the_counts(
    catalogue: list[dict[str, str]],
    tastes: dict[str, dict[str, str]],
    reviews: list[dict[str, Any]],
    quads: list[Any],
    facts: list[Triple],
) -> None:
    stated = dict(
        re.findall(r"^\| (.+?) \| (\d+) \|$", (DEMO / "README.md").read_text("utf-8"), re.M)
    )
    targets: dict[str, set[str]] = defaultdict(set)
    for _, predicate, target in facts:
        targets[predicate].add(target)
    assert stated == {
        key: str(value)
        for key, value in {
            "books": len(catalogue),
            "books without any fact or link": sum(not row["page"] for row in catalogue),
            "readers": len(tastes),
            "readers with a side taste": sum(bool(row["side"]) for row in tastes.values()),
            "review lines": len(reviews),
            "distinct reader and book pairs": len({(r["reviewerID"], r["asin"]) for r in reviews}),
            "triples": len(quads),
            "people": len(targets[f"{DBO}author"]),
            "series": len(targets[f"{DBO}series"]),
            "subjects": len(targets[SUBJECT]),
            "awards": len(targets[f"{DBO}award"]),
        }.items()
    }


# --- the planted signals -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fact_words(facts: list[Triple], items: list[dict[str, str]]) -> dict[str, list[str]]:
    """Each item's facts as words for TF-IDF; an unlinked item has none."""
    by_iri: dict[str, list[str]] = defaultdict(list)
    for subject, _, target in facts:
        by_iri[subject].append(target)
    return {row["item_id"]: by_iri.get(row["dbpedia_uri"], []) for row in items}


def test_tastes_can_be_recovered_from_facts(
    sequences: dict[str, list[str]],
    tastes: dict[str, dict[str, str]],
    fact_words: dict[str, list[str]],
) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    metrics = pytest.importorskip("sklearn.metrics")
    readers = sorted(sequences)
    main = [tastes[reader]["main"] for reader in readers]
    documents = [[word for book in sequences[r] for word in fact_words[book]] for r in readers]
    vectors = text.TfidfVectorizer(analyzer=list).fit_transform(documents)
    found = cluster.KMeans(len(set(main)), n_init=10, random_state=0).fit_predict(vectors)
    assert metrics.adjusted_rand_score(main, found) > 0.6
    shuffled = np.random.default_rng(0).permutation(found)
    assert abs(metrics.adjusted_rand_score(main, shuffled)) < 0.05


def _hit_rate(scores: NDArray[np.float64], seen: list[list[int]], targets: list[int]) -> float:
    """Share of readers whose target ranks within 10 unread books; ties count against it."""
    hits = 0
    for row, past, target in zip(scores, seen, targets, strict=True):
        row = row.copy()
        row[past] = -np.inf
        hits += int((row >= row[target]).sum() <= 10)
    return hits / len(targets)


def test_transitions_and_facts_both_beat_popularity(
    sequences: dict[str, list[str]], fact_words: dict[str, list[str]]
) -> None:
    """Leave one out: the last book of each reader, ranked over the whole catalogue."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    books = sorted(fact_words)
    place = {book: index for index, book in enumerate(books)}
    histories = [[place[book] for book in sequences[reader]] for reader in sorted(sequences)]
    seen = [history[:-1] for history in histories]
    targets = [history[-1] for history in histories]

    popularity = np.zeros(len(books))
    following = np.zeros((len(books), len(books)))
    for history in seen:
        popularity[history] += 1
        np.add.at(following, (history[:-1], history[1:]), 1)
    # Popularity only breaks ties below: it must not be what the other two win by.
    tie_break = 1e-3 * popularity / popularity.max()
    words = text.TfidfVectorizer(analyzer=list).fit_transform([fact_words[b] for b in books])
    alike = (words @ words.T).toarray()

    by_popularity = _hit_rate(np.tile(popularity, (len(seen), 1)), seen, targets)
    last = [history[-1] for history in seen]
    by_transitions = _hit_rate(following[last] + tie_break, seen, targets)
    profile = np.stack([alike[history].sum(axis=0) for history in seen])
    by_facts = _hit_rate(profile + tie_break, seen, targets)
    # 300 readers give a standard error of about 0.025: the margins are several of them.
    assert by_popularity < 0.1
    assert by_transitions > by_popularity + 0.1
    assert by_facts > by_popularity + 0.1
