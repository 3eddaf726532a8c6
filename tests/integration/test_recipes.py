"""Every query of personarec/web/page/recipes.md, run on both engines, with equal rows.

The graph is the demo data set with two persona versions and its transitions, and beside it a small
one with planted faults for the recipes that look for faults.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import quiet, wipe
from services.neo4j_server import Neo4jServer

from kg.errors import ChangeSomethingError
from kg.ingest import DataSetSources, Source, ingest
from kg.store import GraphStore, connect
from kg.store.query import EMBEDDED_REFUSES, _without_literals, read_only_query
from kg.views.transitions import write_transitions
from personarec.datasets.manifest import resolve
from personarec.personas.facts import FactModel
from personarec.retriever.transitions import transition_counts
from personarec.training.config import TrainConfig
from personarec.training.data import read_data
from personarec.training.persona_versions import FittedPersonas, store_personas

PAGE = Path(__file__).resolve().parents[2] / "personarec" / "web" / "page" / "recipes.md"
MOST_ROWS = 1000


@dataclass(frozen=True)
class Recipe:
    """A query of the page.

    Attributes:
        title: its heading.
        text: the block as it stands.
        parameters: what it is run with.
        may_be_empty: whether no rows is an answer on a graph in order.
        prose: what stands around the block.
    """

    title: str
    text: str
    parameters: dict[str, Any]
    may_be_empty: bool
    prose: str


def recipes_of(page: str) -> list[Recipe]:
    """The recipes of a page. Raises ValueError for a block that is not one under a heading."""
    found = []
    for part in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        body = re.split(r"^## ", body, flags=re.MULTILINE)[0]
        blocks = re.findall(r"^```cypher\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
        if len(blocks) != 1:
            raise ValueError(f"{title}: {len(blocks)} blocks of Cypher instead of one")
        first = re.match(r"// parameters: (\{.*\})\n(// may be empty\n)?(?!//)", blocks[0])
        if first is None:
            raise ValueError(f"{title}: the block does not start with // parameters: {{...}}")
        prose = re.sub(r"^```.*?^```$", "", body, flags=re.DOTALL | re.MULTILINE)
        parameters = json.loads(first.group(1))
        found.append(Recipe(title, blocks[0], parameters, bool(first.group(2)), prose.strip()))
    if len(found) != len(re.findall(r"^```cypher$", page, re.MULTILINE)):
        raise ValueError("a block of Cypher stands under no heading")
    return found


RECIPES = recipes_of(PAGE.read_text("utf-8"))
BY_TITLE = {r.title: r for r in RECIPES}

# What each recipe that may be empty finds in the planted data set: the values of column id.
PLANTED: dict[str, list[str]] = {
    "Links that are likely wrong": ["faulty:person", "faulty:filmed"],
    "One page for several items": ["http://dbpedia.org/resource/Gift"],
    "One title on several items": ["the gift"],
    "Items without facts": ["faulty:bare"],
    "Entities nobody named": ["http://www.wikidata.org/entity/Q42"],
    "One name on several entities": ["http://dbpedia.org/resource/John_Smith"],
}


def write_faulty(folder: Path) -> DataSetSources:
    """Books with one fault of each kind."""
    folder.mkdir()
    dbr = "http://dbpedia.org/resource/"
    books = {
        "gift1": ("The Gift", "Gift"), "gift2": ("the gift", "Gift"), "bare": ("Bare", ""),
        "filmed": ("Filmed", "Filmed_(film)"), "person": ("Person", "Annie_Person"),
    }  # fmt: skip
    facts = [
        (f"{dbr}Gift", "dbo:author", f"{dbr}John_Smith"),
        (f"{dbr}Filmed_(film)", "dbo:author", "http://example.org/resource/John_Smith"),
        (f"{dbr}Filmed_(film)", "dbo:starring", f"{dbr}Some_Actor"),
        (f"{dbr}Annie_Person", "dbo:notableWork", f"{dbr}Some_Work"),
        (f"{dbr}Annie_Person", "dbo:author", "http://www.wikidata.org/entity/Q42"),
    ]
    files = {
        "interactions.tsv": ["user_id\titem_id\trating\ttimestamp"]
        + [f"u{u}\t{b}\t4\t{100 + n}" for u in range(3) for n, b in enumerate(books)],
        "items.tsv": ["item_id\ttitle\tgenres\tdbpedia_uri"]
        + [f"{b}\t{t}\t\t{dbr + page if page else ''}" for b, (t, page) in books.items()],
        "triples.tsv": ["head\trelation\ttail", *("\t".join(f) for f in facts)],
    }
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    loaders = ("tsv-interactions", "tsv-items", "tsv-facts")
    sources = tuple(Source(n, folder / f) for n, f in zip(loaders, files, strict=True))
    return DataSetSources("faulty", "books", sources)


def fill(store: GraphStore, home: Path) -> None:
    """What ``personarec train`` writes to the graph, without the training; two versions of it."""
    ingest(store, resolve("demo"), home, quiet)
    ingest(store, write_faulty(home / "faulty"), home, quiet)
    data = read_data(store, "demo")
    facts = FactModel.from_matrix(data.facts, TrainConfig().facts)
    for refit in (False, True):
        fitted = FittedPersonas(data, TrainConfig(refit=refit))
        store_personas(store, facts, fitted, quiet)
    counts = transition_counts(data.split.train)
    write_transitions(store, "demo", data.catalogue, counts, "run-test", quiet)


@pytest.fixture(scope="module")
def no_settings() -> Iterator[pytest.MonkeyPatch]:
    """No graph settings of the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("", "_USER", "_PASSWORD", "_DATABASE"):
            patch.delenv(f"PERSONAREC_GRAPH{name}", raising=False)
        yield patch


@pytest.fixture(scope="module")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home folder of the embedded engine."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(scope="module")
def on_embedded(no_settings: pytest.MonkeyPatch, embedded_home: Path) -> Iterator[GraphStore]:
    """The graph in the embedded engine."""
    with connect(None, embedded_home) as store:
        fill(store, embedded_home)
        yield store


@pytest.fixture(scope="module")
def on_neo4j(
    neo4j: Neo4jServer, no_settings: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GraphStore]:
    """The graph in Neo4j."""
    no_settings.setenv("PERSONAREC_GRAPH_USER", neo4j.user)
    no_settings.setenv("PERSONAREC_GRAPH_PASSWORD", neo4j.password)
    wipe(neo4j)
    home = tmp_path_factory.mktemp("neo4j")
    with connect(neo4j.uri, home) as store:
        fill(store, home)
        yield store
    wipe(neo4j)


def run(store: GraphStore, recipe: Recipe, **changed: Any) -> list[dict[str, Any]]:
    """Rows of a recipe, by column."""
    parameters = recipe.parameters | changed
    columns, rows = read_only_query(store, recipe.text, parameters, MOST_ROWS)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def comparable(store: GraphStore, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what must differ: ids of loads hold the time, and scores have a last digit."""
    loads = {r[0] for r in store.read_text("MATCH (l:Load) RETURN l.id AS id", {}, MOST_ROWS)[1]}

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 4)
        return re.sub(r"-\w+-\w+$", "", value) if value in loads else value

    return [{k: plain(v) if not isinstance(v, list) else v for k, v in row.items()} for row in rows]


def ids(recipe: Recipe) -> str:
    return recipe.title


@pytest.mark.parametrize("recipe", RECIPES, ids=ids)
def test_rows_on_embedded(recipe: Recipe, on_embedded: GraphStore) -> None:
    rows = run(on_embedded, recipe)
    assert rows or recipe.may_be_empty
    assert len(rows) < MOST_ROWS


@pytest.mark.neo4j
@pytest.mark.parametrize("recipe", RECIPES, ids=ids)
def test_equal_rows_on_neo4j(recipe: Recipe, on_embedded: GraphStore, on_neo4j: GraphStore) -> None:
    found = comparable(on_neo4j, run(on_neo4j, recipe))
    assert found == comparable(on_embedded, run(on_embedded, recipe))


def planted(store: GraphStore, title: str) -> list[str]:
    recipe = BY_TITLE[title]
    changed = {"dataset": "faulty"} if "dataset" in recipe.parameters else {}
    return [row["id"] for row in run(store, recipe, **changed)]


@pytest.mark.parametrize("title", PLANTED)
def test_planted_fault_is_found_on_embedded(title: str, on_embedded: GraphStore) -> None:
    assert planted(on_embedded, title) == PLANTED[title]


@pytest.mark.neo4j
@pytest.mark.parametrize("title", PLANTED)
def test_planted_fault_is_found_on_neo4j(title: str, on_neo4j: GraphStore) -> None:
    assert planted(on_neo4j, title) == PLANTED[title]


# -- that the rows mean what the page says ---------------------------------------------------------


def test_the_series_comes_in_order(on_embedded: GraphStore) -> None:
    rows = run(on_embedded, BY_TITLE["A series in order"])
    assert [(r["place"], r["title"]) for r in rows] == [
        (1, "Dune"), (2, "Dune Messiah"), (3, "Children of Dune"),
    ]  # fmt: skip


def test_recommended_items_are_new_and_scored_by_their_facts(on_embedded: GraphStore) -> None:
    recipe = BY_TITLE["Recommended by the graph"]
    rows = run(on_embedded, recipe)
    user = recipe.parameters["user"]
    read = "MATCH (u:User {id: $user})-[:RATED]->(i) RETURN i.id AS id"
    touched = {row[0] for row in on_embedded.read_text(read, {"user": user}, MOST_ROWS)[1]}
    assert touched
    assert not touched & {r["id"] for r in rows}
    preferred = run(on_embedded, BY_TITLE["The persona in words"], user=user)
    strongest = max(r["weight"] for r in preferred)
    assert 0 < rows[0]["score"] <= rows[0]["shared"] * strongest


def test_lift_is_what_it_says(on_embedded: GraphStore) -> None:
    for row in run(on_embedded, BY_TITLE["What is characteristic of a group"]):
        inside, outside = row["likedInGroup"] / row["groupSize"], row["liked"] / row["everyone"]
        assert row["lift"] == pytest.approx(inside / outside)
        assert row["likedInGroup"] >= 3
    for row in run(on_embedded, BY_TITLE["Genres that go together"]):
        assert 5 <= row["together"] <= min(row["countA"], row["countB"])


def test_weights_of_a_change_are_those_of_the_versions(on_embedded: GraphStore) -> None:
    weights = run(on_embedded, BY_TITLE["The persona in words"])
    now = {(r["relation"], r["id"]): r["weight"] for r in weights}
    rows = run(on_embedded, BY_TITLE["How a persona changed"])
    change = {(r["relation"], r["id"]): r for r in rows}
    assert now
    assert {k: change[k]["weightNow"] for k in now} == now
    assert any(r["weightBefore"] > 0 for r in change.values())


def test_nearest_readers_are_those_of_the_command(on_embedded: GraphStore) -> None:
    from kg.views.personas import neighbours, require_model

    recipe = BY_TITLE["Nearest readers, and what they share"]
    rows = run(on_embedded, recipe)
    found = neighbours(on_embedded, recipe.parameters["user"], require_model(on_embedded, "demo"))
    assert [(r["neighbour"], r["sharedFacts"]) for r in rows] == [
        (n.user, len(n.shared)) for n in found
    ]


def test_kinds_of_readers_are_those_of_the_commands(on_embedded: GraphStore) -> None:
    from kg.views.personas import require_model
    from kg.views.prototypes import prototypes_of_user, read_prototypes

    model = require_model(on_embedded, "demo")
    kinds = run(on_embedded, BY_TITLE["Kinds of readers"])
    expected = [
        (p.name, p.size, [f.name for f in p.facts[:3]]) for p in read_prototypes(on_embedded, model)
    ]
    assert [(k["name"], k["readers"], k["facts"]) for k in kinds] == expected
    recipe = BY_TITLE["What kind of reader"]
    own = prototypes_of_user(on_embedded, recipe.parameters["user"], model)
    rows = run(on_embedded, recipe)
    assert [(r["id"], r["weight"]) for r in rows] == [(o.id, o.weight) for o in own]
    assert rows[0]["preferred"] > 0
    for row in run(on_embedded, BY_TITLE["Items of a kind of reader"]):
        assert row["prototype"] == rows[0]["name"]
        assert 0 < row["share"] <= row["readers"] / row["everyone"] <= 1


def walked(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines that the page's Python prints."""
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    exec(compile(code, str(PAGE), "exec"), {})
    return capsys.readouterr().out.splitlines()


@pytest.mark.neo4j
def test_the_python_of_the_page_prints_the_same_on_both_engines(
    on_embedded: GraphStore,
    embedded_home: Path,
    on_neo4j: GraphStore,
    no_settings: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with no_settings.context() as patch:
        patch.setenv("PERSONAREC_GRAPH", on_neo4j.address)
        there = walked(capsys)
        patch.delenv("PERSONAREC_GRAPH")
        patch.setenv("PERSONAREC_HOME", str(embedded_home))
        here = walked(capsys)
    assert here == there
    assert len(here) == 9
    weights = run(on_embedded, BY_TITLE["The persona in words"])[:3]
    assert here[:3] == [f"{r['weight']:.2f} {r['relation']} {r['name']}" for r in weights]
    assert re.fullmatch(r"\[\{'books': 39\d\}\]", here[-1])


# -- the page --------------------------------------------------------------------------------------


def test_each_recipe_says_what_it_answers() -> None:
    assert 18 <= len(RECIPES) <= 32
    assert len(BY_TITLE) == len(RECIPES)
    for recipe in RECIPES:
        question = recipe.prose.split("\n\n")[0].replace("\n", " ")
        assert question.endswith("?"), recipe.title
        assert set(re.findall(r"\$(\w+)", recipe.text)) == set(recipe.parameters), recipe.title
        assert "ORDER BY" in recipe.text, recipe.title


def test_recipes_that_may_be_empty_are_the_planted_ones() -> None:
    assert {r.title for r in RECIPES if r.may_be_empty} == set(PLANTED)


@pytest.mark.parametrize(
    "page",
    [
        "### A\nWhat?\n",
        "### A\nWhat?\n```cypher\nMATCH (n) RETURN n.id AS id\n```\n",
        "### A\nWhat?\n```cypher\n// parameters: {}\n// may be full\nRETURN 1 AS x\n```\n",
        "## A\n```cypher\n// parameters: {}\nRETURN 1 AS x\n```\n",
        "### A\n```cypher\n// parameters: {}\nRETURN 1 AS x\n```\n## B\n```cypher\nRETURN 1\n```\n",
    ],
)
def test_a_page_that_is_not_recipes_is_seen(page: str) -> None:
    with pytest.raises(ValueError, match="block"):
        recipes_of(page)


@pytest.mark.parametrize("recipe", RECIPES, ids=ids)
def test_nothing_is_used_that_the_embedded_engine_answers_wrongly(recipe: Recipe) -> None:
    bare = _without_literals(recipe.text)
    assert [what for pattern, what, _ in EMBEDDED_REFUSES if pattern.search(bare)] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MATCH (n:User) SET n.x = 1", "only reads"),
        ("MATCH (n:User) RETURN count(n) > 1 AS many", "aggregate"),
    ],
)
def test_a_bad_recipe_would_be_refused(text: str, message: str, on_embedded: GraphStore) -> None:
    bad = Recipe("bad", f"// parameters: {{}}\n{text}\n", {}, False, "Bad?")
    with pytest.raises(ChangeSomethingError, match=message):
        run(on_embedded, bad)
