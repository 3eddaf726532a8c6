"""The HTTP API over a trained demo: a real server process, a swap under load, reads alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import neo4j
import pytest
from conftest import GraphAddress
from fastapi.testclient import TestClient
from reliability.trial import call, one_line, where

from kg.store import statement
from personarec.training.run import latest_run
from personarec.web.access import Access
from personarec.web.app import create_app
from personarec.web.served import LiveModel

ROOT = Path(__file__).resolve().parents[2]
USER = "DEMOR00007"
DATED = {"year_from": 1980, "year_to": 1989}
TOKEN = "s3ntinel-token-of-some-length"


@contextmanager
def serving(
    graph: GraphAddress, log: Path, *words: str, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and the line that it printed; its log goes to a file."""
    command = [sys.executable, "-c", "from cli import main; main()", "serve", *words]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--port", "0", *where(graph)],
            cwd=ROOT, env=os.environ | graph.environment | (environment or {}), text=True,
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        yield process, line
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def stop(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(30)


def point_to(home: Path, run: str) -> None:
    partial = home / "runs" / "demo.latest.tmp"
    partial.write_text(json.dumps({"dataset": "demo", "run": run}))
    partial.replace(home / "runs" / "demo.latest.json")


def test_a_trained_demo_is_served(graph: GraphAddress, tmp_path: Path) -> None:
    code, _, err = call(
        graph, "train", "--dataset", "demo", "--epochs", "2", "--threads", "1", "--workers", "1",
        "--rows", "popularity,none,transitions+facts",
    )  # fmt: skip
    assert code == 0, err
    found = latest_run(graph.home, "demo")
    assert found is not None
    run = found[1].name
    newer = f"{run}-again"
    shutil.copytree(found[1], graph.home / "runs" / newer)

    check_only_reads(graph, run)
    log = tmp_path / "serve.log"
    with serving(graph, log, "--dataset", "demo") as (process, line):
        assert line.startswith(f"serving demo (run {run}, personas demo-")
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+", line)
        with httpx.Client(base_url=address, timeout=20) as client:
            check_as_the_command_line(graph, client)
            check_swap_under_load(graph, client, address, newer)
            check_latency(client)
        assert stop(process, signal.SIGTERM) == 143
    text = log.read_text()
    assert "stopped; the same command goes on from here" in one_line(text)
    assert " 500 " not in text
    assert f"answers come from run {newer} now" in text

    # Ctrl-C, beyond loopback, with a token.
    with serving(
        graph, log, "--host", "0.0.0.0", "--json", environment={"PERSONAREC_TOKEN": TOKEN}
    ) as (process, line):
        assert process.stdout is not None
        lines = [line]
        while lines[-1] != "}\n":
            lines.append(process.stdout.readline())
        said = json.loads("".join(lines))
        assert said["run"] == newer
        address = said["address"].replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{address}/search?q=d").status_code == 401
        shown = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{address}/search?q=d", headers=shown).status_code == 200
        assert stop(process, signal.SIGINT) == 130
    assert TOKEN not in log.read_text() + "".join(lines)


def check_only_reads(graph: GraphAddress, run: str) -> None:
    """Every endpoint, with every way to write watched at the driver."""
    written: list[str] = []

    def watch(name: str) -> Any:
        real = getattr(neo4j.Session, name)

        def watching(self: Any, *rest: Any, **named: Any) -> Any:
            written.append(name)
            return real(self, *rest, **named)

        return watching

    with graph.connect() as store, pytest.MonkeyPatch.context() as patch:
        for name in ("execute_write", "begin_transaction", "run"):
            patch.setattr(neo4j.Session, name, watch(name))
        live = LiveModel(store, graph.home, "demo")
        assert live.current.version.run == run
        app = create_app(live, Access(None, local=True), threads=2)
        client = TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1))
        item = live.current.recommender.retriever.items[0]
        some = client.get(f"/items/{item}").json()["facts"][0]
        filters = {"attributes": [{"relation": some["relation"], "entity": some["id"]}]}
        asked: list[tuple[str, str, Any]] = [
            ("POST", "/recommend", {"user": USER, "explain": True}),
            ("POST", "/recommend", {"items": ["Dune"], "n": 1000, "filters": filters}),
            ("POST", "/recommend/batch", {"requests": [{"user": USER}, {"items": ["Dune"]}]}),
            ("POST", "/sessions", {"items": ["Dune", "Foundation"], "explain": True}),
            ("GET", f"/personas/{USER}", None),
            ("GET", f"/personas/{USER}/neighbours", None),
            ("GET", f"/personas/{USER}/prototypes", None),
            ("GET", "/prototypes", None),
            ("POST", "/recommend", {"user": USER, "n": 1000, "filters": DATED, "diversity": 0.5}),
            ("GET", "/search?q=dune", None),
            ("GET", "/ready", None),
            ("GET", "/metrics", None),
            ("GET", "/openapi.json", None),
            ("POST", "/-/reload", None),
        ]
        for method, path, body in asked:
            response = client.request(method, path, json=body)
            assert response.status_code == 200, (path, response.text)
            if body and body.get("filters") == DATED:
                check_years(client, response.json())
            elif body and "filters" in body:
                keys = {r["item"] for r in response.json()["recommendations"]}
                assert item in keys
                for key in list(keys)[:3]:
                    facts = client.get(f"/items/{key}").json()["facts"]
                    assert (some["relation"], some["id"]) in {
                        (f["relation"], f["id"]) for f in facts
                    }
        assert client.get("/personas/nobody").status_code == 404
        assert client.get("/items/nothing").status_code == 404
        assert written == []
        # The watch sees a write (of what is there already).
        personas = live.current.version.personas
        assert personas is not None
        store.write(statement("set_current_persona"), dataset="demo", model=personas.id)
        assert written == ["execute_write"]


def check_years(client: TestClient, answer: Any) -> None:
    """The graph's own subjects say that these are of the years asked for."""
    found = answer["recommendations"]
    assert 10 < len(found) < 100
    for one in found[:3]:
        facts = client.get(f"/items/{one['item']}").json()["facts"]
        years = {int(f["name"][:4]) for f in facts if re.match(r"\d{4} .*novels$", f["name"])}
        assert any(DATED["year_from"] <= year <= DATED["year_to"] for year in years)


def check_as_the_command_line(graph: GraphAddress, client: httpx.Client) -> None:
    """The server says what ``personarec recommend`` says, filters and diversity included."""
    code, out, err = call(
        graph, "recommend", USER, "--dataset", "demo", "-n", "5", "--explain", "--json",
        "--diversity", "0.3", "--with", "LITERARY_GENRE_IS=detective fiction", "--title", "the",
        "--seen",
    )  # fmt: skip
    assert code == 0, err
    by_command = json.loads(out)
    filters = {
        "attributes": [{"relation": "LITERARY_GENRE_IS", "entity": "Detective Fiction"}],
        "title_contains": "THE", "exclude_seen": False,
    }  # fmt: skip
    body = {"user": USER, "n": 5, "explain": True, "diversity": 0.3, "filters": filters}
    served = client.post("/recommend", json=body).json()
    assert len(served["recommendations"]) == 5
    assert served["history"] == by_command["history"]
    for one, other in zip(served["recommendations"], by_command["recommendations"], strict=True):
        assert one["item"] == other["item"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
        assert [p["words"] for p in one["paths"]] == [p["words"] for p in other["paths"]]
    persona = client.get(f"/personas/{USER}").json()
    assert len(persona["facts"]) == 20
    near = client.get(f"/personas/{USER}/neighbours?n=5").json()["neighbours"]
    assert len(near) == 5
    assert near[0]["shared"]


def check_swap_under_load(
    graph: GraphAddress, client: httpx.Client, address: str, newer: str
) -> None:
    """Threads that ask without a pause see one change of the run and no failure."""
    seen: list[list[tuple[int, str]]] = [[] for _ in range(3)]
    end = threading.Event()

    def ask(into: list[tuple[int, str]]) -> None:
        with httpx.Client(base_url=address, timeout=20) as own:
            while not end.is_set():
                response = own.post("/recommend", json={"user": USER, "n": 5})
                into.append((response.status_code, response.json().get("run", "")))

    threads = [threading.Thread(target=ask, args=(one,)) for one in seen]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    point_to(graph.home, newer)
    # The watcher may have been there before: then nothing is left to change.
    assert client.post("/-/reload").json()["run"] == newer
    time.sleep(0.5)
    end.set()
    for thread in threads:
        thread.join(30)
    for one in seen:
        assert {status for status, _ in one} == {200}
        runs = [run for _, run in one]
        assert runs[-1] == newer
        assert sum(a != b for a, b in pairwise(runs)) == 1


def check_latency(client: httpx.Client) -> None:
    """Warm and one at a time; the bound is loose, for a busy machine."""
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        assert client.post("/recommend", json={"user": USER}).status_code == 200
        seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[10] < 0.25


def test_refusals_to_start_are_one_line(
    graph: GraphAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERSONAREC_TOKEN", raising=False)
    code, _, err = call(graph, "serve", "--host", "0.0.0.0")
    assert code == 1
    assert "set PERSONAREC_TOKEN" in one_line(err)
    code, _, err = call(graph, "serve", "--dataset", "demo", "--port", "0")
    assert code == 1
    assert "run personarec train --dataset demo first" in one_line(err)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = call(graph, "serve", "--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "choose another --port" in one_line(err)
    code, err = without(graph, "fastapi")
    assert code == 1
    assert "pip install 'personarec[serve]'" in one_line(err)


def without(graph: GraphAddress, module: str) -> tuple[int, str]:
    """How ``serve`` ends where a library is not installed."""
    code = f"import sys; sys.modules[{module!r}] = None; from cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--port", "0", *where(graph)],
        cwd=ROOT, env=os.environ | graph.environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stderr
