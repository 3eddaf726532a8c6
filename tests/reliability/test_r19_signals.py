"""R19: SIGTERM and Ctrl-C during a load: a quick, clean end with its exit code, and it goes on."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import GraphAddress
from integration.small import write_small
from reliability.trial import (
    SLOWLY,
    Forks,
    content,
    fresh,
    ingest_words,
    one_line,
    undisturbed,
    until,
)

from kg.ingest import stats

SECONDS = 10.0
STOPS = 5


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_load_which_then_goes_on(
    graph: GraphAddress, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    data = write_small(tmp_path / "data", "data", users=100, items=20)
    words = ingest_words(tmp_path / "data", "--batch-rows", "10")
    expected, _ = undisturbed(data, tmp_path / "reference")
    rng = random.Random(code)
    with Forks(tmp_path / "forks") as forks:
        forks.start(graph, *words, fault=SLOWLY)
        until(lambda: list(graph.home.glob("ingest/*/journal-*.json")))
        time.sleep(rng.uniform(0.05, 0.3))
        began = time.monotonic()
        os.kill(forks.pid, number)
        assert forks.wait() == code, forks.error_text()
        assert time.monotonic() - began < SECONDS
        assert "stopped; the same command goes on from here" in one_line(forks.error_text())
        with graph.connect() as store:
            assert [x["status"] for x in stats(store)["loads"]] == ["running"]
        assert forks.run(graph, *words) == 0, forks.error_text()
        assert "resumed load" in forks.out_text()
    assert content(graph) == (expected, ["complete"])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_at_any_moment(
    graph: GraphAddress, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """In the staging, the start of the engine, the schema, a batch or the end."""
    data = write_small(tmp_path / "data", "data", users=60, items=20)
    words = ingest_words(tmp_path / "data", "--batch-rows", "20")
    expected, _ = undisturbed(data, tmp_path / "reference")
    rng = random.Random(code)
    stopped, slowest, tries = 0, 0.0, 0
    with Forks(tmp_path / "forks") as forks:
        began = time.monotonic()
        assert forks.run(graph, *words) == 0, forks.error_text()
        whole = time.monotonic() - began
        while stopped < STOPS:
            tries += 1
            assert tries < 5 * STOPS, "the loads end before they are stopped"
            fresh(graph)
            forks.start(graph, *words)
            # Not in the first moments, before the command line listens to signals.
            time.sleep(0.03 + rng.uniform(0, whole))
            began = time.monotonic()
            with suppress(ProcessLookupError):
                os.kill(forks.pid, number)
            ended = forks.wait()
            seconds = time.monotonic() - began
            if ended == 0:
                whole *= 0.9
                continue
            assert ended == code, forks.error_text()
            # A library that was interrupted within may add lines of its own.
            assert "personarec: stopped; " in forks.error_text()
            stopped += 1
            slowest = max(slowest, seconds)
            assert forks.run(graph, *words) == 0, forks.error_text()
            assert content(graph) == (expected, ["complete"])
    assert slowest < SECONDS
