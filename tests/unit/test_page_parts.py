"""The page's files, recipes and drawings, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from web_small import SmallGraph, client_of, small_app

from personarec.web.page import routes
from personarec.web.page.drawing import DRAWN, LIST, Drawing
from personarec.web.page.files import POLICY, read_files
from personarec.web.page.recipes import read_recipes, recipes_of

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "personarec" / "web" / "page" / "static"
TOKEN = "s3ntinel-token-of-some-length"


# -- files -----------------------------------------------------------------------------------------


def test_the_files_are_open_and_the_data_is_not() -> None:
    client = client_of(small_app(token=TOKEN)[0])
    for path in ("/", "/static/app.js", "/static/page.css"):
        response = client.get(path)
        assert response.status_code == 200, path
        assert response.headers["content-security-policy"] == POLICY
        assert response.headers["x-content-type-options"] == "nosniff"
    for path in ("/page/about", "/page/recipes", "/page/users", "/page/map", "/page/node?id=x"):
        assert client.get(path).status_code == 401, path
    assert client.post("/page/query", json={"text": "RETURN 1"}).status_code == 401
    # What only looks like the page's files is not open.
    for path in ("/statics", "/static", "/page/static/app.js"):
        assert client.get(path).status_code in (401, 404), path
    assert client.get("/page/static/../about").status_code == 401


def test_a_foreign_name_does_not_get_the_page() -> None:
    client = client_of(small_app()[0], host="evil.example")
    assert client.get("/").status_code == 421
    assert client.get("/page/about").status_code == 421


def test_files_are_asked_for_by_tag() -> None:
    client = client_of(small_app()[0])
    first = client.get("/static/app.js")
    again = client.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/static/nothing.js").status_code == 404
    assert client.get("/static/..%2froutes.py").status_code == 404


def foreign_places(text: str) -> list[str]:
    """Addresses in a file that a browser would ask; it asks no namespace and no comment."""
    text = re.sub(r"^\s*//[^\n]*|http://www\.w3\.org/\S+", "", text, flags=re.MULTILINE)
    return re.findall(r"""(?:https?:)?//[\w-]+(?:\.[\w-]+)+[^\s"'`)]*""", text)


def test_no_file_names_another_host_or_inlines_a_script() -> None:
    for name, file in read_files().items():
        assert foreign_places(file.body.decode("utf-8")) == [], name
    page = (STATIC / "index.html").read_text("utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", page) == []
    asked = set(re.findall(r'(?:src|href)="/static/([^"]+)"', page))
    imported = {
        m for f in STATIC.glob("*.js") for m in re.findall(r'from "\./([^"]+)"', f.read_text())
    }
    scripts_and_sheets = {n for n in read_files() if not n.endswith((".html", ".txt"))}
    assert asked | imported == scripts_and_sheets, "a file is missing, or nobody asks for it"


def test_what_comes_from_the_graph_is_never_read_as_markup() -> None:
    markup = re.compile(r"\b(?:inner|outer|insertAdjacent)HTML|document\.write|eval\(|new Function")
    for file in STATIC.glob("*.js"):
        assert markup.findall(file.read_text("utf-8")) == [], file.name


def test_an_address_of_another_host_is_seen() -> None:
    assert foreign_places('import x from "https://cdn.example.com/x.js"')
    assert foreign_places("@import url(//fonts.example.com/a)")
    assert not foreign_places("// see https://d3js.org\nlet a = 1 // 2")


# -- recipes ---------------------------------------------------------------------------------------


def test_every_documented_recipe_is_listed() -> None:
    documented = (STATIC.parent / "recipes.md").read_text("utf-8")
    recipes = read_recipes()
    assert len(recipes) == documented.count("```cypher") > 20
    assert len({r.section for r in recipes}) > 3
    for recipe in recipes:
        assert recipe.question.endswith("?"), recipe.title
        assert set(re.findall(r"\$(\w+)", recipe.text)) == set(recipe.parameters), recipe.title
        assert not recipe.text.startswith("//"), recipe.title


def test_a_recipe_is_read_whole() -> None:
    page = (
        "# Page\n\n## Part\n\n### One\n\nWhat is\n`it`?\n\n```cypher\n"
        '// parameters: {"a": 1}\n// may be empty\nRETURN $a AS a\n```\n\nSee *this*.\n\n'
        "### Python\n\n```python\nx = 1\n```\n"
    )
    (recipe,) = recipes_of(page)
    assert recipe.as_dict() == {
        "section": "Part", "title": "One", "question": "What is it?", "text": "RETURN $a AS a",
        "parameters": {"a": 1}, "notes": "See this.",
    }  # fmt: skip


# -- answers ---------------------------------------------------------------------------------------


def test_values_become_json_within_bounds() -> None:
    drawing = Drawing()
    assert drawing.value(float("nan")) == "nan"
    assert drawing.value({"a": [1, None, True]}) == {"map": {"a": [1, None, True]}}
    long = drawing.value(list(range(LIST + 5)))
    assert (len(long), long[-1]) == (LIST + 1, "… 5 more")
    assert len(drawing.value("x" * 5_000)) < 1_100
    assert drawing.value(b"\xff") == "b'\\xff'"
    drawing.nodes = {str(n): {"ref": str(n)} for n in range(DRAWN + 7)}
    assert drawing.as_dict()["more"] == 7


def test_one_query_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = small_app()
    client = client_of(app)
    second: list[int] = []

    def slow(*_: object) -> dict[str, object]:
        if not second:
            second.append(0)
            second[0] = client.post("/page/query", json={"text": "RETURN 2"}).status_code
        return {"columns": []}

    monkeypatch.setattr(routes, "_query", slow)
    assert client.post("/page/query", json={"text": "RETURN 1"}).status_code == 200
    assert second == [503]
    assert client.post("/page/query", json={"text": "RETURN 3"}).status_code == 200
    assert client.post("/page/query", json={"text": "", "parameters": {}}).status_code == 422
    assert client.post("/page/query", json={"text": "RETURN 1", "rows": 9}).status_code == 422


def test_the_page_is_not_part_of_the_described_interface() -> None:
    client = client_of(small_app(SmallGraph())[0])
    described = client.get("/openapi.json").json()["paths"]
    assert [p for p in described if p == "/" or p.startswith(("/page", "/static"))] == []
