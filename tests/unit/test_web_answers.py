"""What each endpoint answers, over a small model."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from web_small import (
    HERBERT,
    ITEMS,
    PERSONAS,
    PROTOTYPE,
    TITLES,
    SmallGraph,
    client_of,
    small_app,
)

from personarec.web import bodies, limits


@pytest.fixture
def client() -> TestClient:
    return client_of(small_app()[0])


def ok(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def items_of(answer: dict[str, Any]) -> list[str]:
    return [r["item"] for r in answer["recommendations"]]


def test_every_answer_says_where_it_comes_from(client: TestClient) -> None:
    answers = [
        client.post("/recommend", json={"user": "u1"}),
        client.post("/recommend/batch", json={"requests": [{"user": "u1"}]}),
        client.post("/sessions", json={"items": ["Dune"]}),
        client.get("/personas/u1"),
        client.get("/personas/u1/neighbours"),
        client.get("/personas/u1/prototypes"),
        client.get("/prototypes"),
        client.get("/items/i0"),
        client.get("/search", params={"q": "dune"}),
        client.get("/ready"),
        client.post("/-/reload"),
    ]
    for answer in answers:
        content = ok(answer)
        origin = (content["dataset"], content["run"], content["personas"])
        assert origin == ("small", "small-0", PERSONAS.id)
    assert ok(client.get("/health")) == {"status": "alive"}


def test_a_user_by_key_and_by_id(client: TestClient) -> None:
    by_key = ok(client.post("/recommend", json={"user": "small:u1", "n": 3}))
    by_id = ok(client.post("/recommend", json={"user": "u1", "n": 3}))
    assert by_key == by_id == ok(client.post("/recommend", json={"user": "u1", "n": 3.0}))
    assert by_key["user"] == "small:u1"
    assert by_key["history"] == [ITEMS[0], ITEMS[2]]
    assert len(by_key["recommendations"]) == 3
    assert not set(by_key["history"]) & set(items_of(by_key))
    scores = [r["score"] for r in by_key["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert all(r["paths"] is None for r in by_key["recommendations"])


def test_a_session_by_id_key_and_title(client: TestClient) -> None:
    for named in (["i0", "i2"], [ITEMS[0], ITEMS[2]], ["DUNE", "Foundation"]):
        assert ok(client.post("/sessions", json={"items": named}))["history"] == [
            ITEMS[0], ITEMS[2],
        ]  # fmt: skip
    # The same model, the same history, the same answer: whoever asks.
    of_user = ok(client.post("/recommend", json={"user": "u1"}))
    of_session = ok(client.post("/recommend", json={"items": ["i0", "i2"]}))
    assert of_user["recommendations"] == of_session["recommendations"]


def test_a_user_without_history_gets_what_is_popular(client: TestClient) -> None:
    answer = ok(client.post("/recommend", json={"user": "new", "n": 2}))
    assert items_of(answer) == [ITEMS[-1], ITEMS[-2]]
    assert set(answer["recommendations"][0]["parts"]) == {"popularity"}


def test_explained_up_to_a_bound(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXPLAINED", 2)
    answer = ok(client.post("/recommend", json={"items": ["i0"], "n": 3, "explain": True}))
    first, _, third = answer["recommendations"]
    assert third["paths"] is None
    assert first["item"] == ITEMS[1]
    kinds = [p["kind"] for p in first["paths"]]
    assert sorted(kinds) == ["fact", "fact", "transition"]
    assert [p["contribution"] for p in first["paths"]] == sorted(
        (p["contribution"] for p in first["paths"]), reverse=True
    )
    moved = first["paths"][kinds.index("transition")]
    assert moved["evidence"] == {"gap1": 3, "gap2": 1, "gap3": 0, "direction": "forward"}
    assert moved["words"] == "4 people came to this soon after Dune"
    assert moved["share"] == pytest.approx(moved["contribution"] / first["score"])
    assert {p["target"] for p in first["paths"]} == {first["item"]}


def test_every_body_is_as_described(client: TestClient) -> None:
    """Bodies are not validated on their way out, so they are here: every field, and no other."""
    asked: list[tuple[str, str, Any, Any]] = [
        ("POST", "/recommend", {"user": "u1", "explain": True}, bodies.Recommendations),
        ("POST", "/recommend", {"user": "new"}, bodies.Recommendations),
        (
            "POST", "/recommend/batch", {"requests": [{"user": "u1"}, {"items": ["x"]}]},
            bodies.BatchAnswer,
        ),
        ("POST", "/sessions", {"items": ["i0"], "explain": True}, bodies.SessionAnswer),
        ("GET", "/personas/u1", None, bodies.Persona),
        ("GET", "/personas/u1/neighbours", None, bodies.Neighbours),
        ("GET", "/personas/u1/prototypes", None, bodies.Resemblances),
        ("GET", "/prototypes", None, bodies.Prototypes),
        ("GET", "/items/i0", None, bodies.Item),
        ("GET", "/search?q=d", None, bodies.SearchAnswer),
    ]  # fmt: skip
    described = client.get("/openapi.json").json()["components"]["schemas"]
    for method, path, body, model in asked:
        content = ok(client.request(method, path, json=body))
        model.model_validate(content, strict=True)
        check_fields(content, {"$ref": f"#/components/schemas/{model.__name__}"}, described)


def check_fields(content: Any, schema: dict[str, Any], described: dict[str, Any]) -> None:
    """The fields of each object are those of its description."""
    if "$ref" in schema:
        schema = described[schema["$ref"].rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        if content is not None and choice.get("type") != "null":
            schema = choice
            return check_fields(content, schema, described)
    if "properties" in schema:
        assert set(content) == set(schema["properties"])
        for name, part in schema["properties"].items():
            check_fields(content[name], part, described)
    elif schema.get("type") == "array":
        for part in content:
            check_fields(part, schema["items"], described)
    return None


def test_the_bodies_would_be_caught() -> None:
    described = {"A": {"properties": {"b": {"type": "array", "items": {"$ref": "#/x/B"}}}}} | {
        "B": {"properties": {"c": {"type": "integer"}}}
    }
    check_fields({"b": [{"c": 1}]}, {"$ref": "#/x/A"}, described)
    for wrong in ({"b": [{"c": 1, "d": 2}]}, {"b": [{}]}, {}):
        with pytest.raises(AssertionError):
            check_fields(wrong, {"$ref": "#/x/A"}, described)


def asked(client: TestClient, **filters: Any) -> list[str]:
    body = {"items": ["i2"], "n": 1000, "filters": filters}
    return items_of(ok(client.post("/recommend", json=body)))


def test_filters(client: TestClient) -> None:
    assert sorted(asked(client)) == sorted(set(ITEMS) - {ITEMS[2]})
    assert sorted(asked(client, exclude_seen=False)) == sorted(ITEMS)
    herbert = {"relation": "AUTHOR", "entity": HERBERT}
    assert set(asked(client, attributes=[herbert])) == {ITEMS[0], ITEMS[1]}
    assert asked(client, attributes=[{"relation": "AUTHOR", "entity": "urn:nobody"}]) == []
    assert asked(client, attributes=[herbert], title_contains="méssiah") == [ITEMS[1]]
    assert asked(client, title_contains="chateau") == [ITEMS[4]]
    assert asked(client, title_contains="foundation") == [ITEMS[3]]
    assert ITEMS[11] not in asked(client, titled_only=True)
    assert len(asked(client, titled_only=True)) == 10
    # What passes keeps the order that it has without the filter.
    order = asked(client)
    kept = asked(client, titled_only=True)
    assert kept == [i for i in order if i in kept]


def test_filters_by_name_and_year(client: TestClient) -> None:
    assert set(asked(client, attributes=[{"entity": "Frank Herbert"}])) == {ITEMS[0], ITEMS[1]}
    by_both = [{"entity": "space OPERA"}, {"relation": "AUTHOR", "entity": "Isaac Asimov"}]
    assert asked(client, attributes=by_both, exclude_seen=False) == [ITEMS[2]]
    assert asked(client, year_from=1960) == asked(client, year_from=1960, year_to=1970)
    assert asked(client, year_from=1960) == [ITEMS[0]]
    assert asked(client, year_to=1955) == [ITEMS[3]]
    assert asked(client, year_from=1970, year_to=1960) == []


def test_a_filter_of_a_relation_that_these_items_cannot_have(client: TestClient) -> None:
    attributes = [{"relation": "PRESENTER", "entity": "x"}]
    body = {"items": ["i2"], "filters": {"attributes": attributes}}
    response = client.post("/recommend", json=body)
    assert response.status_code == 404
    assert "have no relation 'PRESENTER'" in response.json()["detail"]


def test_diversity(client: TestClient) -> None:
    body = {"items": ["i5"], "n": 5}
    plain = items_of(ok(client.post("/recommend", json=body)))
    same = items_of(ok(client.post("/recommend", json=body | {"diversity": 0})))
    varied = items_of(ok(client.post("/recommend", json=body | {"diversity": 0.9})))
    assert plain == same != varied
    assert plain[0] == varied[0]
    one = {"requests": [{"items": ["i5"]}], "n": 5, "diversity": 0.9}
    (entry,) = ok(client.post("/recommend/batch", json=one))["results"]
    assert items_of(entry) == varied


def test_a_session_in_words(client: TestClient) -> None:
    answer = ok(client.post("/sessions", json={"items": ["i0", "i2"]}))
    liked = answer["persona"]
    assert liked[0]["words"] == "of literary genre Space opera"
    assert {p["name"] for p in liked} == {"Frank Herbert", "Isaac Asimov", "Space opera"}
    assert sum(p["weight"] ** 2 for p in liked) == pytest.approx(1)
    assert ok(client.post("/sessions", json={"items": ["i5"]}))["persona"] == []


def test_prototypes(client: TestClient) -> None:
    (found,) = ok(client.get("/prototypes"))["prototypes"]
    assert (found["id"], found["size"], found["x"], found["y"]) == (PROTOTYPE, 2, 0.5, -0.5)
    assert found["facts"][0]["words"] == "written by Frank Herbert"
    of_user = ok(client.get("/personas/u1/prototypes"))
    assert of_user["user"] == "small:u1"
    assert of_user["prototypes"] == [
        {"id": PROTOTYPE, "name": "written by Frank Herbert", "weight": 1.0}
    ]


def test_a_history_is_read_once() -> None:
    graph = SmallGraph()
    client = client_of(small_app(graph)[0])
    for _ in range(3):
        ok(client.post("/recommend", json={"user": "u1"}))
    assert graph.read_names.count("history_of_user") == 1


def test_a_batch_answers_each(client: TestClient) -> None:
    requests = [{"user": "u1"}, {"user": "nobody"}, {"items": ["i0", "i2"]}, {"items": ["Dun"]}]
    answer = ok(client.post("/recommend/batch", json={"requests": requests, "n": 2}))
    assert [r["status"] for r in answer["results"]] == [200, 404, 200, 404]
    first, unknown, third, misspelt = answer["results"]
    assert first["recommendations"] == third["recommendations"]
    assert (first["user"], third["user"]) == ("small:u1", None)
    assert unknown["detail"].startswith("no user 'nobody' in data set small")
    assert "did you mean 'Dune'?" in misspelt["detail"]


def test_a_persona_in_words(client: TestClient) -> None:
    answer = ok(client.get("/personas/u1"))
    assert answer["user"] == "small:u1"
    assert answer["facts"] == [
        {
            "relation": "AUTHOR", "id": HERBERT, "name": "Frank Herbert",
            "words": "written by Frank Herbert", "weight": 0.5,
        }
    ]  # fmt: skip


def test_neighbours(client: TestClient) -> None:
    (found,) = ok(client.get("/personas/small:u1/neighbours?n=5"))["neighbours"]
    assert found["user"] == "small:u2"
    assert found["cosine"] == pytest.approx(0.9)
    assert found["shared_items"] == 1
    assert found["shared"][0]["words"] == "written by Frank Herbert"


def test_a_user_without_a_persona_has_no_neighbours(client: TestClient) -> None:
    response = client.get("/personas/new/neighbours")
    assert response.status_code == 404
    assert "have no persona of version" in response.json()["detail"]


def test_an_item(client: TestClient) -> None:
    for named in ("i1", ITEMS[1], "Dune Messiah"):
        answer = ok(client.get(f"/items/{named}"))
        assert (answer["item"], answer["title"]) == (ITEMS[1], TITLES[1])
        assert answer["facts"][0]["words"] == "written by Frank Herbert"


def test_search(client: TestClient) -> None:
    def found(q: str, n: int = 10) -> list[str]:
        answer = ok(client.get("/search", params={"q": q, "n": n}))
        return [r["title"] for r in answer["results"]]

    assert found("FOUND") == ["Foundation", "Second Foundation"]
    assert found("found", 1) == ["Foundation"]
    assert found("hyperion") == ["Hyperion", "The Fall of Hyperion"]
    assert found("CHATEAU") == found("château") == ["Château d'If"]
    assert found("no such") == []
    assert found("\u0301") == []  # an accent alone is no text


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/personas/nobody", "there are, for example: small:u1"),
        ("/personas/nobody/prototypes", "there are, for example: small:u1"),
        ("/personas/nobody/neighbours", "there are, for example: small:u1"),
        ("/items/Foundatoin", "did you mean 'Foundation'?"),
    ],
)
def test_unknown_is_404_with_a_hint(client: TestClient, path: str, hint: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert hint in response.json()["detail"]


def test_an_item_that_left_the_graph_is_404() -> None:
    class Emptied(SmallGraph):
        def read_nodes(self, ids: list[str]) -> Any:
            return []

    response = client_of(small_app(Emptied())[0]).get("/items/i0")
    assert response.status_code == 404
    assert "left the graph" in response.json()["detail"]
