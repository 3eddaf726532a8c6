"""The embedded engine's life cycle: ArcadeDB in the process, spoken to over its own Bolt port."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kg.errors import TryAgainError, one_line
from kg.schema import quote_name

if TYPE_CHECKING:
    from kg.store.graph_store import GraphStore

DATABASE = "personarec"
USER = "root"


class EmbeddedEngine:
    """ArcadeDB running in this process, or the address of the process that runs it.

    The files are locked by the process that starts the engine; a second process finds the first
    one's loopback port in ``bolt.json`` and connects to that.
    """

    name = "embedded"

    def __init__(self, folder: Path) -> None:
        """Start, or find, the engine whose files are in ``folder``.

        Raises:
            TryAgainError: another process holds the files and does not answer yet.
        """
        self.folder = folder
        self._server: Any = None
        self._database: Any = None
        folder.mkdir(parents=True, exist_ok=True)
        self.password = _password(folder / "password")
        self._lock = _try_lock(folder / "lock")
        if self._lock is None:
            self.port = _port_of_owner(folder / "bolt.json")
        else:
            self.port = self._start()

    def _start(self) -> int:
        # Read by the engine when it is loaded: keeps its log out of the terminal and the
        # working directory.
        os.environ["ARCADEDB_LOG_CONSOLE"] = "0"
        os.environ["ARCADEDB_LOG_DIR"] = str(self.folder / "log")
        import arcadedb

        port = _free_port()
        self._server = arcadedb.create_server(
            str(self.folder),
            root_password=self.password,
            config={
                "host": "localhost",
                "http_port": 0,
                "bolt_port": port,
                "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
            },
        )
        try:
            self._server.start()
            self._database = self._server.create_database(DATABASE)
        except arcadedb.ArcadeDBError as error:
            raise TryAgainError(
                f"the embedded engine in {self.folder} did not start: {one_line(error)}; see "
                f"{self.folder / 'log'}, or move the folder away and ingest again"
            ) from error
        # Survive a power cut, not only a killed process.
        self._database.set_wal_flush("yes_nometadata")
        _write_atomically(self.folder / "bolt.json", json.dumps({"port": port, "pid": os.getpid()}))
        return port

    def create_vector_index(
        self, store: GraphStore, name: str, label: str, prop: str, dimension: int
    ) -> None:
        label, prop, name = (quote_name(n) for n in (label, prop, name))
        self._sql(f"CREATE PROPERTY {label}.{prop} IF NOT EXISTS ARRAY_OF_FLOATS")
        self._sql(
            f"CREATE INDEX {name} IF NOT EXISTS ON {label} ({prop}) LSM_VECTOR "
            f'METADATA {{"dimensions": {int(dimension)}, "similarity": "COSINE"}}'
        )

    def drop_vector_index(self, store: GraphStore, name: str, label: str, prop: str) -> None:
        self._sql(f"DROP INDEX {quote_name(name)} IF EXISTS")
        self._sql(f"DROP PROPERTY {quote_name(label)}.{quote_name(prop)} IF EXISTS FORCE")

    def _sql(self, text: str) -> None:
        if self._database is None:
            raise TryAgainError(
                f"another process runs the embedded engine in {self.folder}, and only that one "
                "can change vector indexes; wait until it ends and run this again"
            )
        self._database.command("sql", text)

    def close(self) -> None:
        """Stop the engine where this process runs it."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _password(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        pass
    password = secrets.token_urlsafe(24)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was quicker
        return path.read_text("utf-8")
    with os.fdopen(descriptor, "w") as file:
        file.write(password)
    return password


def _try_lock(path: Path) -> IO[str] | None:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _port_of_owner(path: Path) -> int:
    try:
        return int(json.loads(path.read_text("utf-8"))["port"])
    except (OSError, ValueError, KeyError) as error:
        raise TryAgainError(
            f"another process is starting the embedded engine in {path.parent}; "
            "try again in a moment"
        ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_text(text, "utf-8")
    partial.replace(path)
