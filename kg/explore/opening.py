"""Open a graph for exploration: a py2neo Graph on a server or on the embedded engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kg.errors import ChangeSomethingError

if TYPE_CHECKING:
    from kg.explore.read_only import ReadOnlyGraph


def explore(graph: str | None = None, home: str | Path | None = None) -> ReadOnlyGraph:
    """Open a graph; close it with ``close()``, or use it as a context manager.

    Args:
        graph: ``bolt://`` or ``neo4j://`` URI; PERSONAREC_GRAPH when left out, and the embedded
            engine when that is unset. User, password and database as for ``kg.store.connect``.
        home: folder that holds the embedded engine; PERSONAREC_HOME or ``.personarec`` by default.

    Raises:
        ChangeSomethingError: py2neo is not installed, there is no graph in ``home``, or a bad URI,
            user, password or database.
        TryAgainError: nobody answers, or another process starts the embedded engine just now.
    """
    require_py2neo()
    graph = graph or os.environ.get("PERSONAREC_GRAPH")
    folder = Path(home or os.environ.get("PERSONAREC_HOME", ".personarec"))
    return _on_server(graph, folder) if graph else _on_embedded(folder / "graph")


def require_py2neo() -> None:
    """Raise ChangeSomethingError where py2neo is not installed."""
    try:
        import py2neo  # noqa: F401
    except ModuleNotFoundError as error:
        raise ChangeSomethingError(
            f"exploration needs {error.name}; pip install 'personarec[py2neo]'"
        ) from None


def _on_server(uri: str, home: Path) -> ReadOnlyGraph:
    from kg.explore.read_only import ReadOnlyGraph
    from kg.store import connect
    from kg.store.connect import credentials

    # The official driver looks first: py2neo tells a wrong password by a traceback.
    with connect(uri, home) as store:
        address, database = store.address, store.database
    return ReadOnlyGraph(address, database, *credentials(uri))


def _on_embedded(folder: Path) -> ReadOnlyGraph:
    from kg.explore.read_only import ReadOnlyGraph
    from kg.store.embedded import DATABASE, USER, EmbeddedEngine

    if not folder.is_dir():
        raise ChangeSomethingError(
            f"there is no graph in {folder}; name a server or another home, "
            "or run personarec kg ingest first"
        )
    engine = EmbeddedEngine(folder)
    try:
        address = f"bolt://127.0.0.1:{engine.port}"
        return ReadOnlyGraph(address, DATABASE, USER, engine.password, engine)
    except BaseException:
        engine.close()
        raise
