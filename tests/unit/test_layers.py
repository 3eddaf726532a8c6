"""Who may import whom: the graph knows nothing of the recommender, nor either of the command line.

And what is imported when: ``--help`` answers at once, and no graph command loads torch.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEARNING = {"torch", "dgl", "sklearn", "safetensors"}
FORBIDDEN = {
    "kg": {"personarec", "cli", *LEARNING},
    "personarec": {"cli"},
}
HEAVY = {"torch", "dgl", "sklearn", "neo4j", "arcadedb", "polars", "pydantic", "rich", "numpy",
         "scipy", "yaml", "pyoxigraph", "orjson", "duckdb", "pyarrow", "rapidfuzz", "SPARQLWrapper",
         "rdflib", "tenacity", "zstandard", "py2neo", "pyspark", "fastapi", "starlette", "uvicorn",
         "prometheus_client", "httpx", "urllib3", "sentence_transformers", "transformers", "optuna",
         "matplotlib"}  # fmt: skip


def imported(code: str) -> set[str]:
    """Top-level modules that code imports anywhere, inside functions and by name too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
            if called in ("import_module", "__import__", "find_spec"):
                found.add(str(node.args[0].value).split(".")[0])
    return found


def relative_beyond(code: str, depth: int) -> bool:
    """Whether a relative import leaves the package that stands ``depth`` folders above the file."""
    return any(isinstance(n, ast.ImportFrom) and n.level > depth for n in ast.walk(ast.parse(code)))


def violations(package: str, files: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """File -> modules it must not import."""
    found = {
        name: imported(code) & FORBIDDEN[package]
        | ({"a package above"} if relative_beyond(code, len(Path(name).parts) - 1) else set())
        for name, code in files
    }
    return {name: wrong for name, wrong in found.items() if wrong}


def files_of(package: str) -> list[tuple[str, str]]:
    return [
        (str(f.relative_to(ROOT)), f.read_text("utf-8"))
        for f in sorted((ROOT / package).rglob("*.py"))
    ]


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_dependencies_point_downwards(package: str) -> None:
    files = files_of(package)
    assert len(files) > 10
    assert violations(package, files) == {}


@pytest.mark.parametrize(
    ("package", "code", "wrong"),
    [
        ("kg", "import personarec", "personarec"),
        ("kg", "import personarec.commands.graph as c", "personarec"),
        ("kg", "from personarec.console import out", "personarec"),
        ("kg", "def f():\n    from personarec import console\n", "personarec"),
        ("kg", "if TYPE_CHECKING:\n    from personarec import console\n", "personarec"),
        ("kg", "class A:\n    def f(self):\n        import torch.nn\n", "torch"),
        ("kg", "try:\n    import dgl\nexcept ImportError:\n    dgl = None\n", "dgl"),
        ("kg", "import os, sklearn.cluster", "sklearn"),
        ("kg", "import importlib\nm = importlib.import_module('torch.nn')", "torch"),
        ("kg", "__import__('cli')", "cli"),
        ("kg", "from ...personarec import console", "a package above"),
        ("personarec", "from cli import main", "cli"),
        ("personarec", "def f():\n    import cli\n", "cli"),
    ],
)
def test_an_import_upwards_is_seen(package: str, code: str, wrong: str) -> None:
    name = f"{package}/store/planted.py"
    assert violations(package, [(name, code)]) == {name: {wrong}}


def test_imports_downwards_are_none_of_those() -> None:
    code = "import kg.schema\nfrom kg.store import connect\nimport numpy\n'import torch'\n"
    assert violations("personarec", [("personarec/a.py", code)]) == {}
    assert violations("kg", [("kg/store/a.py", code + "from ..schema import x\n")]) == {}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after ``code``."""
    ending = "\nimport sys, json\nprint(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code + ending],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by(
        "import sys, cli\n"
        "for words in ([], ['kg'], ['kg', 'ingest'], ['kg', 'links'], ['train'], ['recommend'],\n"
        "              ['serve'], ['compare'], ['compare-personas'], ['texts'], ['tune'],\n"
        "              ['personas', 'map']):\n"
        "    sys.argv = ['personarec', *words, '--help']\n"
        "    try:\n        cli.main()\n"
        "    except SystemExit as end:\n        assert end.code == 0, words\n"
        "    else:\n        raise AssertionError(words)\n"
    )
    assert {"click", "cli"} <= loaded
    assert loaded & HEAVY == set()


def test_the_graph_commands_load_no_torch() -> None:
    loaded = loaded_by(
        "import kg.ingest, kg.views, kg.views.personas, kg.views.transitions, kg.store\n"
        "import kg.store.query, kg.loaders, personarec.commands.ingest, personarec.commands.train"
    )
    assert {"kg", "personarec", "neo4j", "polars"} <= loaded
    assert loaded & LEARNING == set()


def test_a_heavy_import_is_seen() -> None:
    loaded = loaded_by("def f():\n    import numpy\nf()")
    assert loaded & HEAVY == {"numpy"}
