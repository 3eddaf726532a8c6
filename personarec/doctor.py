"""``personarec doctor``: what is installed, and what the graph engine can do, on one screen."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kg.errors import PersonarecError, one_line
from kg.ingest import loaded_names
from kg.store import connect, statement

OLDEST_NEO4J = (5, 26)

Check = tuple[str, str, str]
"""(what, ok | missing | failed, detail)."""


def examine(graph: str | None, home: Path) -> list[Check]:
    """All checks; none raises."""
    checks: list[Check] = [
        ("Python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        ("processors", "ok", str(os.cpu_count())),
    ]
    for package in ("personarec", "neo4j", "arcadedb", "polars", "torch", "dgl"):
        checks.append(_package(package))
    for program in ("java", "docker"):
        path = shutil.which(program)
        checks.append((program, "ok" if path else "missing", path or "only tests need it"))
    checks.append(("home", "ok", str(home.resolve())))
    checks.append(_device())
    checks += _graph(graph, home)
    return checks


def _package(name: str) -> Check:
    try:
        return (name, "ok", version(name))
    except PackageNotFoundError:
        extra = {"torch": "train", "dgl": "dgl"}.get(name)
        return (name, "missing", f"pip install 'personarec[{extra}]'" if extra else "reinstall")


def _device() -> Check:
    try:
        import torch
    except ImportError:
        return ("device", "missing", "no torch; the graph commands work without it")
    cuda = torch.cuda.is_available()
    return ("device", "ok", torch.cuda.get_device_name() if cuda else "CPU")


def _engine(engine: str, name: str, found: str, edition: str) -> Check:
    if engine == "embedded":  # it says of itself that it is a Neo4j
        return ("graph engine", "ok", f"ArcadeDB {version('arcadedb')}, with vector index")
    what = f"{name} {found} {edition}"
    numbers = tuple(int(n) for n in found.split(".")[:2] if n.isdigit())
    if numbers < OLDEST_NEO4J:
        return ("graph engine", "failed", f"{what}; personarec needs 5.26 or later")
    return ("graph engine", "ok", f"{what}, with vector index")


def _graph(graph: str | None, home: Path) -> list[Check]:
    try:
        with connect(graph, home) as store:
            (name, versions, edition), *_ = store.read(statement("server_version"))
            return [
                ("graph", "ok", f"{store.address}, database {store.database}"),
                _engine(store.engine, name, versions[0], edition),
                ("data sets", "ok", ", ".join(loaded_names(store)) or "none yet"),
            ]
    except PersonarecError as error:
        return [("graph", "failed", one_line(error))]
