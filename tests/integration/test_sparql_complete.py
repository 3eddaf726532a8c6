"""Answers with status 200 that are not whole: seen, asked in parts, and in the end all there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services import small_dbpedia as small
from services.misbehaving_proxy import Fault, Proxy, Rows, misbehaving_proxy, rows, status
from services.sparql_server import sparql_server
from sparql_small import FakeClock, client

from kg.errors import ChangeSomethingError, TryAgainError
from kg.schema import DBO
from kg.sparql.client import Endpoint
from kg.sparql.complete import BATCH, MAX_BATCH, SINGLE_ATTEMPTS, complete
from kg.sparql.question import Question
from kg.sparql.terms import NotATermError

KEYS = [*small.films(), small.resource("Not_There")]
PREDICATES = (small.SUBJECT, DBO + "director", DBO + "starring")
QUESTION = Question("about", predicates=PREDICATES)
TRUTH = {t for t in small.triples() if t[0] in set(KEYS) and t[1] in PREDICATES}
BLOCKS = -(-len(KEYS) // BATCH)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sparql")
    with sparql_server(small.write(folder / "small.nt"), folder) as url:
        yield url


def fetch(endpoint: Endpoint, keys: list[str] = KEYS, batch: int = BATCH) -> set[tuple[str, ...]]:
    """All triples; a row that came twice is a failure."""
    found = [
        (row["s"].value, row["p"].value, row["o"].value)
        for block in complete(endpoint, QUESTION, keys, batch)
        for row in block
    ]
    assert max(Counter(found).values()) == 1
    return set(found)


def keys_of(query: str) -> list[str]:
    block = re.search(r"VALUES \?s \{ (.*?) \}", query)
    assert block
    return re.findall("<(.*?)>", block[1])


def is_counts(query: str) -> bool:
    return "COUNT" in query


def test_without_faults_each_block_is_two_requests(engine: str, tmp_path: Path) -> None:
    with misbehaving_proxy(engine) as proxy:
        assert fetch(client(proxy.url, tmp_path)) == TRUTH
        assert len(proxy.queries) == 2 * BLOCKS == 6
        assert fetch(client(proxy.url, tmp_path), KEYS + KEYS) == TRUTH
        assert len(proxy.queries) == 6
    assert len(TRUTH) > 1000


# -- faults of large blocks ------------------------------------------------------------------------


def without_one_key(found: Rows) -> Rows:
    return [r for r in found if r["s"] != found[-1]["s"]]


def one_counted_higher(found: Rows) -> Rows:
    number = int(found[0]["n"]["value"])
    return [{**found[0], "n": {**found[0]["n"], "value": str(number + 1)}}, *found[1:]]


def renamed(found: Rows) -> Rows:
    return [{**r, "s": {"type": "uri", "value": r["s"]["value"] + "x"}} for r in found]


ROWS_FAULTS: dict[str, Fault] = {
    "cut at the limit, said so": rows(lambda r: r[:20], X_SPARQL_MaxRows="20"),
    "cut, the header without a number": rows(lambda r: r[:20], X_SPARQL_MaxRows="yes"),
    "cut, the header in odd digits": rows(lambda r: r[:20], X_SPARQL_MaxRows="²"),
    "cut, the header with another number": rows(lambda r: r[:20], X_SPARQL_MaxRows="10000"),
    "out of time": rows(lambda r: r[:20], X_SQL_State="S1TAT", X_SQL_Message="RC..."),
    "out of time, though nothing is missing": rows(lambda r: r, X_SQL_State="S1TAT"),
    "out of time, status 206": rows(lambda r: r, code=206),
    "one row missing": rows(lambda r: r[:-1]),
    "all rows missing": rows(lambda _: []),
    "a key missing": rows(without_one_key),
    "a row twice, for one that is missing": rows(lambda r: [r[0], *r[:-1]]),
    "a row too many": rows(lambda r: [*r, r[0]]),
    "rows of other keys": rows(renamed),
    "rows without a value": rows(lambda r: [{"s": x["s"]} for x in r]),
}
COUNTS_FAULTS: dict[str, Fault] = {
    "a count too high": rows(one_counted_higher),
    "a key without a count": rows(lambda r: r[:-1]),
    "no counts": rows(lambda _: []),
    "counts of other keys": rows(renamed),
    "a key counted twice": rows(lambda r: [*r, r[0]]),
    "counts that are no numbers": rows(
        lambda r: [{**x, "n": {"type": "literal", "value": "many"}} for x in r]
    ),
    "counts in odd digits": rows(
        lambda r: [{**x, "n": {"type": "literal", "value": "²"}} for x in r]
    ),
    "counts out of time": rows(lambda r: r, X_SQL_State="S1TAT"),
}
FAULTS: list[tuple[str, Callable[[str], bool], Fault]] = [
    *((name, lambda q: not is_counts(q), fault) for name, fault in ROWS_FAULTS.items()),
    *((name, is_counts, fault) for name, fault in COUNTS_FAULTS.items()),
]


@pytest.mark.parametrize(("name", "of", "fault"), FAULTS, ids=[f[0] for f in FAULTS])
@pytest.mark.parametrize("above", [30, 1])
def test_a_block_that_is_not_whole_is_split(
    name: str, of: Callable[[str], bool], fault: Fault, above: int, engine: str, tmp_path: Path
) -> None:
    keys = KEYS[100:] if above > 1 else KEYS[-9:]
    truth = {t for t in TRUTH if t[0] in keys}
    with misbehaving_proxy(
        engine, lambda q, _: fault if of(q) and len(keys_of(q)) > above else None
    ) as proxy:
        assert fetch(client(proxy.url, tmp_path), keys) == truth
        asked = len(proxy.queries)
        assert asked > 2 * -(-len(keys) // BATCH)
        assert max(Counter(proxy.queries).values()) == 1
        # Nothing is asked again, whole or in parts, even if the fault is gone by then.
        proxy.script = lambda _q, _n: None
        assert fetch(client(proxy.url, tmp_path), keys) == truth
        assert len(proxy.queries) == asked
    believed = [q for q in proxy.queries if q in proxy.answered]
    assert all(len(keys_of(q)) <= above for q in believed if of(q))


def test_rows_and_counts_short_of_the_same_key_are_seen(engine: str, tmp_path: Path) -> None:
    """An engine that loses a key loses it from both answers: counts must name every key."""
    lost = small.film(7)
    fault = rows(lambda r: [x for x in r if x["s"]["value"] != lost])

    def script(query: str, _: int) -> Fault | None:
        return fault if len(keys_of(query)) > 10 else None

    with misbehaving_proxy(engine, script) as proxy:
        assert fetch(client(proxy.url, tmp_path)) == TRUTH


# -- the endpoint's limit --------------------------------------------------------------------------


@pytest.mark.parametrize("said", [True, False])
def test_a_limit_on_rows(said: bool, engine: str, tmp_path: Path) -> None:
    limit = 40
    headers = {"X_SPARQL_MaxRows": str(limit)} if said else {}
    fault = rows(lambda r: r[:limit], **headers)
    with misbehaving_proxy(engine, lambda q, _: None if is_counts(q) else fault) as proxy:
        endpoint = client(proxy.url, tmp_path, max_rows=limit)
        assert fetch(endpoint) == TRUTH
    # Counts say beforehand which rows would not fit: those are never asked for.
    asked = [keys_of(q) for q in proxy.queries if not is_counts(q)]
    sizes = Counter(t[0] for t in TRUTH)
    assert max(sum(sizes[k] for k in keys) for keys in asked) < limit


def test_an_answer_too_long_to_hold_is_asked_in_parts(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.sparql.client.MAX_BYTES", 30_000)
    with misbehaving_proxy(engine) as proxy:
        assert fetch(client(proxy.url, tmp_path)) == TRUTH
        assert len(proxy.queries) > 2 * BLOCKS


def test_one_key_above_the_limit_is_named(engine: str, tmp_path: Path) -> None:
    big = max(Counter(t[0] for t in TRUTH).items(), key=lambda kv: kv[1])
    with misbehaving_proxy(engine) as proxy:
        endpoint = client(proxy.url, tmp_path, max_rows=big[1])
        with pytest.raises(ChangeSomethingError, match=r"alone has \d rows") as caught:
            fetch(endpoint)
    named = re.search(r"<?(http://dbpedia.org/\S+) alone", str(caught.value))
    assert named
    assert Counter(t[0] for t in TRUTH)[named[1]] == big[1]


# -- a single key that is never whole --------------------------------------------------------------


def poisoned(key: str, fault: Fault) -> Callable[[str, int], Fault | None]:
    return lambda q, _: fault if key in keys_of(q) and not is_counts(q) else None


def test_a_key_that_is_never_whole_is_named(engine: str, tmp_path: Path) -> None:
    key, clock = small.film(150), FakeClock()
    with misbehaving_proxy(engine, poisoned(key, rows(lambda r: r[:-1]))) as proxy:
        with pytest.raises(TryAgainError) as caught:
            fetch(client(proxy.url, tmp_path, clock))
        message = str(caught.value)
        assert key in message
        assert "\n" not in message
        assert str(tmp_path) in message
        # 2 for the first block, 2 for each halving of the second, 2 for each attempt at the key,
        # and what lies before it.
        assert len(proxy.queries) <= 2 + 2 * 2 * 8 + 2 * SINGLE_ATTEMPTS
        assert {len(keys_of(q)) for q in proxy.queries} >= {100, 50, 25, 1}
        kept = len(proxy.queries)
        # Later it is well: only what is missing is asked, and all is there.
        proxy.script = lambda _q, _n: None
        assert fetch(client(proxy.url, tmp_path)) == TRUTH
        later = proxy.queries[kept:]
        assert 0 < len(later) < 2 * 2 * 8 + 2
        whole = [q for q in proxy.queries[:kept] if q in proxy.answered and key not in keys_of(q)]
        assert not set(whole) & set(later)


def test_a_key_that_is_whole_at_the_second_attempt(engine: str, tmp_path: Path) -> None:
    key, clock = small.film(3), FakeClock()
    with misbehaving_proxy(engine, lambda _, n: rows(lambda r: r[:-1]) if n == 1 else None) as p:
        assert fetch(client(p.url, tmp_path, clock), [key]) == {t for t in TRUTH if t[0] == key}
        assert [is_counts(q) for q in p.queries] == [True, False, True, False]
    assert max(clock.sleeps) >= 5


def test_wrong_counts_of_a_single_key_are_not_kept(engine: str, tmp_path: Path) -> None:
    key = small.film(3)
    fault = rows(one_counted_higher)
    with misbehaving_proxy(engine, lambda q, n: fault if n == 0 else None) as proxy:
        assert fetch(client(proxy.url, tmp_path), [key]) == {t for t in TRUTH if t[0] == key}
        assert len(proxy.queries) == 4


# -- bounds ----------------------------------------------------------------------------------------


def test_the_batch_is_bounded(engine: str, tmp_path: Path) -> None:
    with misbehaving_proxy(engine) as proxy:
        assert fetch(client(proxy.url, tmp_path), batch=MAX_BATCH) == TRUTH
        assert max(len(keys_of(q)) for q in proxy.queries) == MAX_BATCH
    for bad in (0, -1, MAX_BATCH + 1):
        with pytest.raises(ValueError, match="1 to 150"):
            fetch(client(engine, tmp_path), batch=bad)


def test_a_key_that_is_no_iri_never_reaches_the_endpoint(engine: str, tmp_path: Path) -> None:
    with misbehaving_proxy(engine) as proxy:
        with pytest.raises(NotATermError):
            fetch(client(proxy.url, tmp_path), [small.film(1), "http://x/> ?p ?o } #"])
        assert proxy.queries == []


def test_no_keys_no_request(tmp_path: Path) -> None:
    assert list(complete(client("http://127.0.0.1:9/x", tmp_path), QUESTION, [])) == []


def test_faults_and_failures_together(engine: str, tmp_path: Path) -> None:
    """Every third request fails, every fourth answer lacks rows: still the full set."""

    def script(query: str, number: int) -> Fault | None:
        if number % 3 == 1:
            return status(503, Retry_After="2")
        return rows(lambda r: r[: len(r) // 2]) if number % 4 == 2 else None

    with misbehaving_proxy(engine, script) as proxy:
        assert fetch(client(proxy.url, tmp_path)) == TRUTH
        assert_each_was_answered_once(proxy)


def assert_each_was_answered_once(proxy: Proxy) -> None:
    assert max(Counter(proxy.answered).values()) == 1
