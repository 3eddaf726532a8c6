"""What each endpoint answers, over a small model."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from web_small import HERBERT, ITEMS, PERSONAS, TITLES, SmallGraph, client_of, small_app

from personarec.web import limits


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
    assert [p["kind"] for p in first["paths"]] == ["transition", "fact"]
    assert first["paths"][0]["evidence"] == {"gap1": 3, "gap2": 1, "gap3": 0}
    assert first["paths"][0]["words"] == "4 people came to this soon after Dune"
    assert {p["target"] for p in first["paths"]} == {first["item"]}


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


def test_a_filter_that_few_items_pass_looks_at_the_whole_catalogue(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from personarec.retriever.recommender import Retriever

    asked_for: list[int] = []
    real = Retriever.recommend

    def first_call_is_shallow(self: Retriever, history: Any, n: int, **rest: Any) -> Any:
        asked_for.append(n)
        return real(self, history, 1 if len(asked_for) == 1 else n, **rest)

    monkeypatch.setattr(Retriever, "recommend", first_call_is_shallow)
    assert asked(client, title_contains="hyperion")
    assert asked_for == [len(ITEMS), len(ITEMS)]


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
