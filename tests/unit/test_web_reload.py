"""Another model takes the place of the one that answers, and nobody waits or fails."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest
from web_small import PERSONAS, SmallGraph, SmallLive, client_of, small_app, small_served

from kg.errors import ChangeSomethingError
from kg.store import GraphStore
from personarec.web.metrics import Metrics
from personarec.web.served import LiveModel
from personarec.web.watch import Watcher


def test_a_swap_under_load_fails_no_request_and_comes_once() -> None:
    app, live = small_app(threads=2)
    answers: list[list[tuple[int, str, str]]] = [[] for _ in range(3)]
    end = threading.Event()

    def ask(into: list[tuple[int, str, str]]) -> None:
        while not end.is_set():
            response = client.post("/sessions", json={"items": ["i0", "i2"], "n": 3})
            content = response.json()
            into.append((response.status_code, content["run"], str(content["recommendations"])))

    def wait_for(run: str) -> None:
        until = time.monotonic() + 20
        while not all(any(a[1] == run for a in one) for one in answers):
            assert time.monotonic() < until
            time.sleep(0.01)

    with client_of(app) as client:
        threads = [threading.Thread(target=ask, args=(one,)) for one in answers]
        for thread in threads:
            thread.start()
        wait_for("small-0")
        live.next = small_served(SmallGraph(), "small-1", seed=1)
        assert client.post("/-/reload").json() == {
            "dataset": "small", "run": "small-1", "personas": PERSONAS.id, "changed": True,
        }  # fmt: skip
        wait_for("small-1")
        end.set()
        for thread in threads:
            thread.join(10)
        assert client.post("/-/reload").json()["changed"] is False
        metrics = client.get("/metrics").text
    assert {a[0] for one in answers for a in one} == {200}
    by_run: dict[str, set[str]] = {}
    for one in answers:
        runs = [a[1] for a in one]
        assert runs == sorted(runs), "an older model answered after a newer one"
        for _, run, found in one:
            by_run.setdefault(run, set()).add(found)
    # Each answer is wholly of the run that it names.
    assert [len(found) for found in by_run.values()] == [1, 1]
    assert by_run["small-0"] != by_run["small-1"]
    assert 'run="small-0"' not in metrics
    assert 'personarec_model_loads_total{outcome="loaded"} 2.0' in metrics


def test_a_request_in_progress_ends_on_its_own_model() -> None:
    class Held(SmallGraph):
        inside, sign = threading.Event(), threading.Event()

        def history_of_user(self, user: str) -> Any:
            self.inside.set()
            assert self.sign.wait(20)
            return super().history_of_user(user)

    graph = Held()
    app, live = small_app(graph)
    got: list[str] = []
    with client_of(app) as client:
        asking = threading.Thread(
            target=lambda: got.append(client.get("/personas/u1").json()["run"])
        )
        asking.start()
        assert graph.inside.wait(10)
        live.next = small_served(SmallGraph(), "small-1", seed=1)
        assert client.post("/-/reload").json()["run"] == "small-1"
        assert client.get("/search?q=d").json()["run"] == "small-1"
        graph.sign.set()
        asking.join(10)
    assert got == ["small-0"]


def test_a_model_that_cannot_be_loaded_leaves_the_old_one() -> None:
    app, live = small_app()
    client = client_of(app)
    live.next = ChangeSomethingError("checkpoint is damaged")
    response = client.post("/-/reload")
    assert response.status_code == 503
    assert response.json()["detail"] == "still on run small-0: checkpoint is damaged"
    assert client.get("/search?q=d").json()["run"] == "small-0"
    assert 'personarec_model_loads_total{outcome="failed"} 1.0' in client.get("/metrics").text


def until(what: Any) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_watcher_swaps_and_outlives_faults(caplog: pytest.LogCaptureFixture) -> None:
    live = SmallLive(small_served(SmallGraph()))
    books = Metrics()
    with Watcher(live, books, seconds=0.01):
        for fault in (ChangeSomethingError("damaged"), ZeroDivisionError("planted")):
            live.next = fault
            until(lambda fault=fault: str(fault) in caplog.text)
        time.sleep(0.1)
        live.next = small_served(SmallGraph(), "small-1", seed=1)
        until(lambda: live.current.version.run == "small-1")
    assert caplog.text.count("damaged") == 1, "the same failure is told once"
    assert "defect of personarec: ZeroDivisionError" in caplog.text
    assert b'outcome="failed"' in books.text()
    assert not any(t.name == "personarec-watch" for t in threading.enumerate())


# -- from disk -------------------------------------------------------------------------------------


def write_run(home: Path, run: str, seed: int) -> None:
    """A run folder and the pointer to it, in the order in which a training writes them."""
    folder = home / "runs" / run
    small_served(SmallGraph(), seed=seed).recommender.retriever.save(folder / "checkpoint")
    (folder / "metrics.json").write_text("{}")
    (home / "runs" / "small.latest.json").write_text(f'{{"dataset": "small", "run": "{run}"}}')


def test_a_live_model_follows_the_pointer_and_the_personas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = SmallGraph()
    store = cast(GraphStore, graph)
    with pytest.raises(ChangeSomethingError, match="run personarec train --dataset small first"):
        LiveModel(store, tmp_path, "small")
    write_run(tmp_path, "small-a", seed=0)
    live = LiveModel(store, tmp_path, None)
    first = live.current
    assert (live.dataset, first.version.run) == ("small", "small-a")
    assert live.refresh() is False
    assert live.current is first

    write_run(tmp_path, "small-b", seed=1)
    assert live.refresh() is True
    second = live.current
    assert second.version.run == "small-b"
    assert first.recommender.retriever.recommend([0], 3) != second.recommender.retriever.recommend(
        [0], 3
    )

    # The same run, trained again by force.
    write_run(tmp_path, "small-b", seed=2)
    assert live.refresh() is True
    assert live.current.version.run == "small-b"

    other = PERSONAS.__class__("small-facts-ffffffff", "small", "facts", 2, "train", 2)
    row = [[other.id, "facts", 2, 2, "train"]]
    monkeypatch.setattr(graph, "current_persona", lambda dataset: row)
    assert live.refresh() is True
    assert live.current.version.personas == other

    # The data set was loaded again: titles and histories in memory may be old.
    live.current.recommender.user("u1")
    content = [["small", "books", "1" * 64, PERSONAS.id]]
    monkeypatch.setattr(graph, "data_sets", lambda: content)
    before = graph.read_names.count("history_of_user")
    assert live.refresh() is True
    live.current.recommender.user("u1")
    assert graph.read_names.count("history_of_user") == before + 1

    current = live.current
    (tmp_path / "runs" / "small-b" / "checkpoint" / "model.json").write_text("{")
    (tmp_path / "runs" / "small-b" / "metrics.json").write_text("{} ")
    with pytest.raises(ChangeSomethingError, match="damaged"):
        live.refresh()
    assert live.current is current
