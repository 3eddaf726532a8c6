"""The retriever benchmark's own sums; RecBole is not needed here."""

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "retriever" / "quality.py"


@pytest.fixture(scope="module")
def quality():
    spec = importlib.util.spec_from_file_location("retriever_quality", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def curve(quality, *points):
    return [quality.Point(epoch, cpu, cpu, ndcg) for epoch, (cpu, ndcg) in enumerate(points, 1)]


def test_a_quality_both_reached_is_compared_at_its_first_time(quality):
    ours = curve(quality, (2.0, 0.01), (4.0, 0.03), (6.0, 0.02))
    theirs = curve(quality, (100.0, 0.005), (200.0, 0.02))
    found = quality.compare(ours, theirs, 0.02)
    assert (found.ours, found.theirs, found.ratio, found.at_least) == (4.0, 200.0, 50.0, False)


def test_what_they_did_not_reach_is_a_bound_and_says_so(quality):
    ours, theirs = curve(quality, (4.0, 0.03)), curve(quality, (100.0, 0.005), (200.0, 0.02))
    found = quality.compare(ours, theirs, 0.03)
    assert (found.theirs, found.ratio, found.at_least) == (None, 50.0, True)


def test_what_we_did_not_reach_has_no_ratio(quality):
    ours, theirs = curve(quality, (4.0, 0.01)), curve(quality, (200.0, 0.02))
    found = quality.compare(ours, theirs, 0.02)
    assert (found.ours, found.ratio, found.at_least) == (None, None, False)


def test_the_best_of_both_sides_is_among_the_levels(quality):
    ours, theirs = curve(quality, (4.0, 0.061), (5.0, 0.06)), curve(quality, (200.0, 0.0123))
    found = [level.ndcg for level in quality.levels(ours, theirs)]
    assert found == sorted({*quality.LEVELS, 0.061, 0.0123})
