"""Where the graph is: the embedded engine under the home folder, or a server by its URI."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import neo4j

from kg.errors import ChangeSomethingError
from kg.store.embedded import DATABASE, USER, EmbeddedEngine
from kg.store.graph_store import EMBEDDED, GraphStore, Neo4jDialect, translated_errors

SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUT = 20.0  # for a place that takes connections and says nothing
RETRY_TIME = 25.0  # rides over a server's restart; whoever waits is told within half a minute
GUEST_RETRY_TIME = 3.0  # the process that runs the embedded engine is there, or has ended for good


def connect(graph: str | None, home: Path) -> GraphStore:
    """Open the graph store.

    Args:
        graph: a ``bolt://`` or ``neo4j://`` URI; None or empty for the embedded engine.
        home: the project's home folder; the embedded engine lives in its ``graph`` folder.

    User, password and database of a server come from PERSONAREC_GRAPH_USER (default ``neo4j``),
    PERSONAREC_GRAPH_PASSWORD and PERSONAREC_GRAPH_DATABASE (default ``neo4j``), or from the URI.

    Raises:
        ChangeSomethingError: a bad URI, user, password or database.
        TryAgainError: nobody answers.
    """
    return _server_at(graph).connect() if graph else _open_embedded(home / "graph")


def credentials(uri: str) -> tuple[str, str]:
    """User and password of a server: those in its URI, else the environment's."""
    parts = urlsplit(uri)
    return (
        unquote(parts.username or "") or os.environ.get("PERSONAREC_GRAPH_USER", "neo4j"),
        unquote(parts.password or "") or os.environ.get("PERSONAREC_GRAPH_PASSWORD", ""),
    )


def _open_embedded(folder: Path) -> GraphStore:
    engine = EmbeddedEngine(folder)
    uri = f"bolt://127.0.0.1:{engine.port}"
    driver = neo4j.GraphDatabase.driver(
        uri,
        auth=(USER, engine.password),
        connection_timeout=CONNECT_TIMEOUT,
        connection_acquisition_timeout=ANSWER_TIMEOUT,
        max_transaction_retry_time=RETRY_TIME if engine.owner else GUEST_RETRY_TIME,
    )
    return GraphStore(driver, DATABASE, engine, f"{EMBEDDED} in {folder}")


@dataclass(frozen=True)
class Server:
    """A server and what it asks for, ready to be sent to another process."""

    address: str
    """Without user and password."""
    database: str
    user: str
    password: str = field(repr=False)

    def connect(self) -> GraphStore:
        """Open the graph store, as ``connect`` does."""
        with translated_errors(self.address, self.database):
            driver = neo4j.GraphDatabase.driver(
                self.address,
                auth=(self.user, self.password),
                connection_timeout=CONNECT_TIMEOUT,
                connection_acquisition_timeout=ANSWER_TIMEOUT,
                max_transaction_retry_time=RETRY_TIME,
            )
            try:
                # A first look with no retries: a server that is not there is said at once.
                driver.verify_connectivity()
            except BaseException:
                driver.close()
                raise
        return GraphStore(driver, self.database, Neo4jDialect(), self.address, self)


def _server_at(uri: str) -> Server:
    try:
        parts = urlsplit(uri)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # its text quotes the URI, and with it a password
        raise ChangeSomethingError("--graph is not a usable URI; use bolt://HOST:PORT") from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ChangeSomethingError(
            f"--graph must be {' or '.join(s + '://HOST:PORT' for s in ('bolt', 'neo4j'))}, "
            "or left out for the embedded engine"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # Rebuilt from its parts, so that a password in the URI reaches no message and no log.
    address = f"{parts.scheme}://{host}{port}"
    database = parts.path.strip("/") or os.environ.get("PERSONAREC_GRAPH_DATABASE", "neo4j")
    return Server(address, database, *credentials(uri))
