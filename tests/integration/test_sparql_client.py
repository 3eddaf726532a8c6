"""One query to a real endpoint behind a proxy that fails as public endpoints do."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from urllib.error import URLError

import pytest
from services import small_dbpedia as small
from services.misbehaving_proxy import (
    Fault,
    cut_body,
    cut_json,
    drip,
    hang,
    misbehaving_proxy,
    reset,
    status,
    text,
)
from services.neo4j_server import free_port
from services.sparql_server import sparql_server
from sparql_small import FakeClock, client

from kg.errors import ChangeSomethingError, TryAgainError
from kg.sparql.cache import Row
from kg.sparql.client import LONGEST_WAIT, Endpoint, default_user_agent

QUERY = f"SELECT ?s ?o WHERE {{ VALUES ?s {{ <{small.film(3)}> }} ?s <{small.SUBJECT}> ?o }}"
TRUTH = {o for s, p, o in small.triples() if (s, p) == (small.film(3), small.SUBJECT)}
ATTEMPTS = 4


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sparql")
    with sparql_server(small.write(folder / "small.nt"), folder) as url:
        yield url


def fine(_: list[Row]) -> None:
    return None


def ask(endpoint: Endpoint, query: str = QUERY) -> set[str]:
    return {row["o"].value for row in endpoint.select(query, fine)}


# -- what passes -----------------------------------------------------------------------------------

PASSING: dict[str, Fault] = {
    "429": status(429, "slow down", Retry_After="3"),
    "429 without a time": status(429, "slow down"),
    "429 with nonsense": status(429, "slow down", Retry_After="soon"),
    "429 in odd digits": status(429, "slow down", Retry_After="²"),
    "500": status(500, "Virtuoso 42000 Error"),
    "502": status(502, "<html>Bad Gateway</html>"),
    "503": status(503, "busy", Retry_After="3"),
    "504": status(504),
    "no answer": hang(1.0),
    "a dripping answer": drip(1.5),
    "reset": reset,
    "html": text("<!DOCTYPE html><html>maintenance</html>", "text/html"),
    "empty": text(""),
    "no JSON": text("{'single': 'quotes'}"),
    "other JSON": text('{"error": "busy"}'),
    "JSON of a wrong shape": text('{"results": {"bindings": [{"o": "text"}]}}'),
    "rows that are none": text('{"results": {"bindings": 7}}'),
    "JSON cut short": cut_json,
    "body cut short": cut_body,
}


@pytest.mark.parametrize("name", PASSING)
def test_it_recovers(name: str, engine: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with misbehaving_proxy(engine, lambda _, n: PASSING[name] if n < 2 else None) as proxy:
        endpoint = client(proxy.url, tmp_path, clock, attempts=ATTEMPTS, timeout=0.4)
        assert ask(endpoint) == TRUTH
        assert len(proxy.queries) == endpoint.requests == 3
        assert ask(endpoint) == TRUTH  # and not asked again
        assert len(proxy.queries) == 3
    assert sum(clock.sleeps) >= 2


@pytest.mark.parametrize("name", PASSING)
def test_it_gives_up_after_so_many_attempts(name: str, engine: str, tmp_path: Path) -> None:
    bad = True
    with misbehaving_proxy(engine, lambda *_: PASSING[name] if bad else None) as proxy:
        endpoint = client(proxy.url, tmp_path / "kept", attempts=2, timeout=0.3)
        with pytest.raises(TryAgainError) as caught:
            ask(endpoint)
        assert len(proxy.queries) == 2
        message = str(caught.value)
        assert "\n" not in message
        assert proxy.url in message
        assert str(tmp_path / "kept") in message
        assert "2 times" in message
        if name[:3].isdigit():
            assert f"HTTP {name[:3]}" in message
        assert list((tmp_path / "kept").iterdir()) == []
        bad = False
        assert ask(endpoint) == TRUTH


def test_no_server_at_all(tmp_path: Path) -> None:
    endpoint = client(f"http://127.0.0.1:{free_port()}/sparql", tmp_path, attempts=3)
    with pytest.raises(TryAgainError, match=r"refused.*3 times"):
        ask(endpoint)
    assert endpoint.requests == 3


# -- how long it waits -----------------------------------------------------------------------------


def test_a_retry_after_in_seconds_is_honoured(engine: str, tmp_path: Path) -> None:
    clock = FakeClock()
    fault = status(429, Retry_After="37")
    with misbehaving_proxy(engine, lambda _, n: fault if n == 0 else None) as proxy:
        assert ask(client(proxy.url, tmp_path, clock)) == TRUTH
    assert clock.sleeps == [37]


def test_a_retry_after_with_a_date_is_honoured(engine: str, tmp_path: Path) -> None:
    clock = FakeClock()
    faults = [
        status(503, Retry_After=formatdate(clock.now + 90, usegmt=True)),
        status(503, Retry_After=formatdate(clock.now - 90, usegmt=True)),  # past by then
    ]
    with misbehaving_proxy(engine, lambda _, n: faults[n] if n < 2 else None) as proxy:
        assert ask(client(proxy.url, tmp_path, clock)) == TRUTH
    assert clock.sleeps == [90, 0, 1]  # the last is the least time between two requests


def test_a_very_long_retry_after_is_left_to_the_user(engine: str, tmp_path: Path) -> None:
    clock = FakeClock()
    fault = status(429, Retry_After=str(int(LONGEST_WAIT) + 1))
    with misbehaving_proxy(engine, lambda *_: fault) as proxy:
        with pytest.raises(TryAgainError, match=f"left alone for {LONGEST_WAIT + 1:.0f} s"):
            ask(client(proxy.url, tmp_path, clock))
        assert len(proxy.queries) == 1
    assert clock.sleeps == []


def test_waits_grow_and_differ(engine: str, tmp_path: Path) -> None:
    waits: list[list[float]] = []
    with misbehaving_proxy(engine, lambda *_: status(503)) as proxy:
        for run in range(2):
            clock = FakeClock()
            with pytest.raises(TryAgainError):
                ask(client(proxy.url, tmp_path / str(run), clock, attempts=7))
            waits.append(clock.sleeps)
    for one in waits:
        assert len(one) == 6
        for number, seconds in enumerate(one):
            assert min(2 * 2**number, 60) <= seconds <= min(2 * 2**number, 60) + 2
    assert waits[0] != waits[1]


def test_requests_are_a_second_apart(engine: str, tmp_path: Path) -> None:
    clock = FakeClock()
    times: list[float] = []

    def note(_: str, __: int) -> None:
        times.append(clock.now)

    with misbehaving_proxy(engine, note) as proxy:
        endpoint = client(proxy.url, tmp_path, clock)
        for number in range(5):
            ask(endpoint, f"{QUERY} LIMIT {number + 1}")
            clock.now += 0.25 if number == 2 else 0
    assert [b - a for a, b in pairwise(times)] == pytest.approx([1] * 4)


def test_the_least_interval_holds_on_a_real_clock(engine: str, tmp_path: Path) -> None:
    with misbehaving_proxy(engine) as proxy:
        endpoint = Endpoint(proxy.url, tmp_path, user_agent="t", min_interval=0.3)
        for number in range(4):
            ask(endpoint, f"{QUERY} LIMIT {number + 1}")
    gaps = [b - a for a, b in pairwise(proxy.times)]
    assert min(gaps) > 0.25
    assert Endpoint("http://x/", tmp_path, user_agent="t")._min_interval == 1.0


def test_a_clock_set_back_does_not_stop_it(engine: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with misbehaving_proxy(engine) as proxy:
        endpoint = client(proxy.url, tmp_path, clock)
        ask(endpoint)
        clock.now -= 86_400
        ask(endpoint, f"{QUERY} LIMIT 1")
    assert clock.sleeps == [1]


def test_a_dripping_answer_ends_in_time(engine: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with misbehaving_proxy(engine, lambda *_: drip(10)) as proxy, pytest.raises(TryAgainError):
        ask(client(proxy.url, tmp_path, attempts=1, timeout=0.5))
    assert time.monotonic() - began < 5


# -- what does not pass ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 413, 414])
def test_a_refusal_is_not_repeated(code: int, engine: str, tmp_path: Path) -> None:
    fault = status(code, "SP030: syntax error at 'x'\nand a stack trace\n" * 9)
    with misbehaving_proxy(engine, lambda *_: fault) as proxy:
        with pytest.raises(ChangeSomethingError) as caught:
            ask(client(proxy.url, tmp_path))
        assert len(proxy.queries) == 1
    assert f"HTTP {code}: SP030: syntax error at 'x';" in str(caught.value)
    assert "stack" not in str(caught.value)
    assert proxy.url in str(caught.value)


def test_what_an_endpoint_says_is_fit_for_a_terminal(engine: str, tmp_path: Path) -> None:
    faults = [
        status(400, "\x1b[31mred\x07 text"),
        status(301, Location="http://x/\x1b[2J"),
        text("\x1b]0;title\x07", "text/html"),
    ]
    for number, fault in enumerate(faults):
        with (
            misbehaving_proxy(engine, lambda *_, fault=fault: fault) as proxy,
            pytest.raises((ChangeSomethingError, TryAgainError)) as caught,
        ):
            ask(client(proxy.url, tmp_path / str(number), attempts=1))
        assert str(caught.value).isprintable()


def test_a_certificate_that_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError(ssl.SSLCertVerificationError(1, "self-signed certificate"))

    monkeypatch.setattr("urllib.request.OpenerDirector.open", refuse)
    endpoint = client("https://example.org/sparql", tmp_path)
    with pytest.raises(ChangeSomethingError, match=r"not trusted: .*self-signed"):
        ask(endpoint)
    assert endpoint.requests == 1


def test_a_query_that_the_engine_refuses(engine: str, tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match=r"HTTP 400: .*error at 1"):
        ask(client(engine, tmp_path), "SELECT ?s WHERE { nonsense }")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(code: int, engine: str, tmp_path: Path) -> None:
    with misbehaving_proxy(engine) as other:
        fault = status(code, Location=other.url)
        with misbehaving_proxy(engine, lambda *_: fault) as proxy:
            with pytest.raises(ChangeSomethingError, match="redirects are not followed") as caught:
                ask(client(proxy.url, tmp_path))
            assert len(proxy.queries) == 1
            assert proxy.others == []
        assert other.queries == other.others == []
    assert other.url in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "dbpedia.org/sparql", "ftp://x/sparql", "file:///etc/passwd", "http://", "http:///x",
     "http://user:s3cret@host/sparql"],
)  # fmt: skip
def test_an_address_that_is_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match="not the address of an endpoint") as caught:
        client(url, tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("agent", ["a\r\nX-Evil: 1", "é", "a\n"])
def test_a_user_agent_that_is_no_header(agent: str, tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match="user agent"):
        Endpoint("http://x/", tmp_path, user_agent=agent)


# -- what is sent and kept -------------------------------------------------------------------------


def test_it_says_who_asks(engine: str, tmp_path: Path) -> None:
    agent = default_user_agent("me@example.org")
    with misbehaving_proxy(engine) as proxy:
        ask(Endpoint(proxy.url, tmp_path, user_agent=agent))
    assert proxy.agents == [agent]
    assert agent.startswith("personarec/")
    assert "me@example.org" in agent


def test_the_default_graph_is_sent_and_tells_answers_apart(engine: str, tmp_path: Path) -> None:
    with misbehaving_proxy(engine) as proxy:
        assert ask(client(proxy.url, tmp_path, default_graph="http://example.org/none")) == set()
        assert ask(client(proxy.url, tmp_path)) == TRUTH
    assert proxy.graphs == [["http://example.org/none"], []]


def test_an_answer_is_kept_with_its_date(engine: str, tmp_path: Path) -> None:
    clock = FakeClock()
    first = client(engine, tmp_path, clock)
    ask(first)
    assert first.oldest == "2027-01-15T08:00:00+00:00"
    clock.now += 1e6
    again = client(engine, tmp_path, clock)
    ask(again)
    assert (again.requests, again.from_cache, again.oldest) == (0, 1, first.oldest)


def test_a_damaged_answer_is_asked_again(engine: str, tmp_path: Path) -> None:
    endpoint = client(engine, tmp_path)
    ask(endpoint)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    assert ask(endpoint) == TRUTH
    assert endpoint.requests == 2
    assert ask(endpoint) == TRUTH
    assert endpoint.requests == 2
