"""What every request passes: id, size, time, faults, log and counters."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from typing import Any

import neo4j.exceptions
import pytest
from web_small import SmallGraph, client_of, small_app

from kg.errors import ChangeSomethingError, TryAgainError
from kg.store.graph_store import translated_errors
from personarec.web import limits

PROBLEM = "application/problem+json"


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem detail of a response; each must be one line with the request's id."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    content: dict[str, Any] = response.json()
    assert set(content) == {"type", "title", "status", "detail", "request_id"}
    assert content["status"] == status
    assert content["request_id"] == response.headers["x-request-id"]
    assert "\n" not in content["detail"]
    return content


# -- the request id --------------------------------------------------------------------------------


def test_a_request_id_is_echoed_or_made(caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(small_app()[0])
    with caplog.at_level(logging.INFO, "personarec.web"):
        given = client.get("/health", headers={"X-Request-ID": "abc-1.2"})
    assert given.headers["x-request-id"] == "abc-1.2"
    assert "abc-1.2 GET '/health' 200" in caplog.text
    made = {client.get("/health").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    for unusable in ("a b", "x" * 65, "a\tb", "é"):
        echoed = client.get("/health", headers={"X-Request-ID": unusable.encode("latin-1")})
        assert echoed.headers["x-request-id"] not in (unusable, "")


def test_a_path_cannot_end_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(small_app()[0])
    with caplog.at_level(logging.INFO, "personarec.web"):
        problem(client.get("/items/x%0Aforged%20line%E2%80%A8"), 404)
    assert [r for r in caplog.messages if "forged" in r]
    assert all(len(message.splitlines()) == 1 for message in caplog.messages)


# -- what is no request ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "body: give either user or items"),
        ({"user": "u1", "items": ["i0"]}, "body: give either user or items"),
        ({"user": ""}, "user: String should have at least 1"),
        ({"user": 7}, "user: Input should be a valid string"),
        ({"user": "u" * (limits.TEXT + 1)}, "user: String should have at most"),
        ({"items": []}, "items: List should have at least 1"),
        ({"items": ["i0"] * (limits.SESSION + 1)}, "items: List should have at most"),
        ({"items": [1]}, "items.0: Input should be a valid string"),
        ({"user": "u1", "n": 0}, "n: Input should be greater"),
        ({"user": "u1", "n": limits.MOST + 1}, "n: Input should be less"),
        ({"user": "u1", "n": True}, "n: Input should be a valid integer"),
        ({"user": "u1", "n": "5"}, "n: Input should be a valid integer"),
        ({"user": "u1", "n": 5.5}, "n: Input should be a valid integer"),
        ({"user": "u1", "filters": {"seen": 1}}, "filters.seen: Extra inputs"),
        (
            {"user": "u1", "filters": {"attributes": [{"relation": "RATED", "entity": "x"}]}},
            "filters.attributes.0.relation: Input should be",
        ),
        ({"user": "u1", "diversity": 1.5}, "diversity: Input should be less"),
        ({"user": "u1", "diversity": "1"}, "diversity: Input should be a valid number"),
        ({"user": "u1", "filters": {"year_from": 999}}, "filters.year_from: Input should be"),
        ([], "body: give either user or items"),
        ({"user": "u1", "a": 1, "b": 2, "c": 3, "d": 4}, "; and 1 more"),
    ],
)
def test_what_is_not_as_described_is_422(body: Any, what: str) -> None:
    detail = problem(client_of(small_app()[0]).post("/recommend", json=body), 422)["detail"]
    assert what in detail


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/search", 422),
        ("/search?q=", 422),
        (f"/search?q={'x' * (limits.TEXT + 1)}", 422),
        ("/search?q=x&n=1000", 422),
        ("/personas/u1/neighbours?n=0", 422),
        (f"/items/{'x' * (limits.TEXT + 1)}", 422),
        ("/nowhere", 404),
        ("/recommend", 405),
        ("/docs", 404),
    ],
)
def test_problems_of_addresses(path: str, status: int) -> None:
    problem(client_of(small_app()[0]).get(path), status)


@pytest.mark.parametrize("body", ["", "{", "[" * 20_000, '{"user": "\\ud800"}', "\x00", "nan"])
def test_a_broken_body_is_a_problem_and_no_defect(body: str) -> None:
    client = client_of(small_app()[0])
    response = client.post("/recommend", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    problem(response, response.status_code)


def test_half_a_character_in_an_unknown_name_comes_back_escaped() -> None:
    response = client_of(small_app()[0]).post(
        "/recommend",
        content='{"user": "u1", "\\ud800": 1}',
        headers={"content-type": "application/json"},
    )
    problem(response, 422)


def test_a_large_body_is_refused_said_or_not() -> None:
    client = client_of(small_app(body_bytes=100)[0])
    large = json.dumps({"items": ["x" * 200]})
    problem(client.post("/recommend", content=large), 413)
    # In pieces, with no length said beforehand.
    problem(client.post("/recommend", content=iter([large.encode()])), 413)
    assert client.post("/sessions", json={"items": ["i0"]}).status_code == 200


# -- time and room ---------------------------------------------------------------------------------


def test_a_body_that_does_not_come_is_408() -> None:
    app, _ = small_app(body_seconds=0.05)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(30)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/sessions", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["title"] == "Request Timeout"


class Held(SmallGraph):
    """A graph whose answers wait for a sign."""

    def __init__(self) -> None:
        super().__init__()
        self.sign = threading.Event()
        self.inside = threading.Semaphore(0)

    def history_of_user(self, user: str) -> Any:
        self.inside.release()
        assert self.sign.wait(20)
        return super().history_of_user(user)


def test_an_answer_that_takes_too_long_is_504() -> None:
    graph = Held()
    app, _ = small_app(graph, answer_seconds=0.05)
    problem(client_of(app).post("/recommend", json={"user": "u1"}), 504)
    graph.sign.set()


def test_too_many_waiting_is_503_and_room_comes_back() -> None:
    graph = Held()
    app, _ = small_app(graph, threads=1, waiting=1)
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(client.get("/personas/u1").status_code)

    with client_of(app) as client:
        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        assert graph.inside.acquire(timeout=10)
        end = time.monotonic() + 10
        while app.state.work._room._value and time.monotonic() < end:
            time.sleep(0.01)
        refused = client.get("/personas/u1")
        assert problem(refused, 503)["detail"].startswith("too many requests wait")
        assert refused.headers["retry-after"] == "1"
        assert client.get("/health").status_code == 200  # needs no thread
        graph.sign.set()
        for thread in asking:
            thread.join(10)
        assert statuses == [200, 200]
        assert client.get("/personas/u1").status_code == 200


# -- faults ----------------------------------------------------------------------------------------


def faulty(error: Exception) -> Any:
    graph = SmallGraph()
    app, _ = small_app(graph)

    def fault(_name: str) -> None:
        raise error

    graph.fault = fault
    return client_of(app)


def test_a_graph_that_is_away_is_503(caplog: pytest.LogCaptureFixture) -> None:
    client = faulty(TryAgainError("no graph server answers at bolt://10.0.0.7:7687; start it"))
    for response in (client.post("/recommend", json={"user": "u1"}), client.get("/ready")):
        content = problem(response, 503)
        assert "10.0.0.7" not in content["detail"]
        assert response.headers["retry-after"] == "1"
    assert "10.0.0.7" in caplog.text
    assert client.get("/health").status_code == 200


class Refusal(neo4j.exceptions.ClientError):
    """As from a server."""

    code = "Neo.ClientError.Security.Forbidden"
    message = "no permission for secrets"


def test_what_the_graph_refuses_is_not_the_clients_mistake(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the store raises it, so that the two kinds of ChangeSomethingError stay apart."""
    with (
        pytest.raises(ChangeSomethingError) as refusal,
        translated_errors("bolt://10.0.0.7", "neo4j"),
    ):
        raise Refusal
    client = faulty(refusal.value)
    for path, body in (
        ("/recommend", {"user": "u1"}),
        ("/recommend/batch", {"requests": [{"user": "u1"}]}),
    ):
        content = problem(client.post(path, json=body), 500)
        assert "10.0.0.7" not in content["detail"]
    assert "no permission" in caplog.text


def test_a_defect_is_500_with_its_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    response = faulty(ZeroDivisionError("planted")).get("/personas/u1")
    content = problem(response, 500)
    assert "planted" not in response.text
    assert content["request_id"] in caplog.text
    assert "ZeroDivisionError: planted" in caplog.text


# -- counters --------------------------------------------------------------------------------------


def test_metrics() -> None:
    graph = SmallGraph()
    client = client_of(small_app(graph)[0])
    client.get("/items/i0")
    client.get("/items/i1")
    client.get("/items/nothing")
    client.get("/nowhere/at/all")
    client.request("BREW", "/health")
    graph.fault = lambda name: (_ for _ in ()).throw(ValueError(name))
    client.get("/items/i0")
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    lines = response.text.splitlines()
    for line in (
        'personarec_requests_total{method="GET",route="/items/{item:path}",status="200"} 2.0',
        'personarec_requests_total{method="GET",route="/items/{item:path}",status="404"} 1.0',
        'personarec_requests_total{method="GET",route="none",status="404"} 1.0',
        'personarec_errors_total{route="/items/{item:path}"} 1.0',
        'personarec_request_seconds_count{route="/items/{item:path}"} 4.0',
        'personarec_model{dataset="small",personas="small-facts-0a1b2c3d",run="small-0"} 1.0',
        "personarec_requests_in_progress 1.0",
    ):
        assert line in lines, line
    assert any('method="other"' in line and 'status="405"' in line for line in lines)
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)
