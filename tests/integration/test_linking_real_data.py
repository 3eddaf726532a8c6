"""The linker on films with public links: the figures of docs/linking.md, as floors."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kg.linking import Rules

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "linking" / "movielens_dbpedia.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("linking_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def films(benchmark: ModuleType, shared_data: Path) -> Any:
    folder = shared_data / "movielens-dbpedia"
    if not folder.is_dir():
        pytest.skip(f"REAL DATA NOT TESTED: no {folder}")
    return benchmark.read_data(folder)


@pytest.mark.parametrize("brackets", [True, False])
def test_agreement_with_public_links(benchmark: ModuleType, films: Any, brackets: bool) -> None:
    universe = benchmark.ClosedUniverse(films, brackets=brackets)
    items = {q.item for q in films.queries}

    def figures(rules: Rules) -> dict[str, float]:
        answers = benchmark.run(films, universe, rules)
        found: dict[str, float] = benchmark.compare(answers, films.public, items).as_dict()
        return found

    own = figures(Rules())
    assert own["linked"] == 2_862
    assert own["precision"] > 0.99
    assert own["precision_all"] > 0.92
    assert own["recall"] > 0.84
    # The margin and the threshold each keep wrong links out.
    loose = figures(replace(Rules(), threshold=0.5, margin=0.0))
    assert loose["precision_all"] < own["precision_all"]
    assert loose["recall"] > own["recall"]


def test_films_that_are_not_there_are_not_linked(benchmark: ModuleType, films: Any) -> None:
    gone = benchmark.missing_resources(films, Rules(), brackets=True)
    assert gone["items"] > 800
    assert gone["share"] < 0.02
