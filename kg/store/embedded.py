"""The embedded engine's life cycle: ArcadeDB in the process, spoken to over its own Bolt port."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kg.errors import TryAgainError, one_line
from kg.partial import write_json
from kg.schema import quote_name

if TYPE_CHECKING:
    from kg.store.graph_store import GraphStore

DATABASE = "personarec"
USER = "root"
FILLING = "filling"  # the file that stands beside the database while it is filled in bulk
START_SECONDS = 10.0  # that a second process waits for the first one to start the engine
WAL_FLUSH = "yes_nometadata"  # survive a power cut, not only a killed process


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
        self._guest: IO[str] | None = None
        end = time.monotonic() + START_SECONDS
        while True:
            self._lock = _try_lock(folder / "lock")
            if self._lock is not None:
                (folder / "bolt.json").unlink(missing_ok=True)  # an earlier owner's
                self.port = self._start()
                return
            if (port := _port_of_owner(folder / "bolt.json")) is not None:
                self.port = self._join(port)
                return
            if time.monotonic() > end:
                raise TryAgainError(
                    f"another process is starting the embedded engine in {folder}; "
                    "try again in a moment"
                )
            time.sleep(0.05)

    @property
    def owner(self) -> bool:
        """Whether this process runs the engine."""
        return self._lock is not None

    def _join(self, port: int) -> int:
        self._guest = _try_lock(self.folder / "guests", fcntl.LOCK_SH)
        if self._guest is None:
            raise TryAgainError(
                "another process loads the first data set of the embedded engine in "
                f"{self.folder}; try again when it is done"
            )
        return port

    def _start(self) -> int:
        # Read by the engine when it is loaded: keeps its log out of the terminal and the
        # working directory.
        os.environ["ARCADEDB_LOG_CONSOLE"] = "0"
        os.environ["ARCADEDB_LOG_DIR"] = str(self.folder / "log")
        import arcadedb

        if (self.folder / FILLING).exists():  # a first load died, and nothing else was there
            shutil.rmtree(self.folder / "databases" / DATABASE, ignore_errors=True)
            (self.folder / FILLING).unlink()
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
        self._database.set_wal_flush(WAL_FLUSH)
        self._set_limit(0)  # a process killed in a limited query leaves its limit in the files
        write_json(self.folder / "bolt.json", {"port": port, "pid": os.getpid()})
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

    def fill(self, work: Callable[[Filling], None]) -> bool:
        """Let ``work`` fill the database in bulk, where it is empty and no other process is here.

        The bulk load is not one transaction: whatever ends it early, the engine stops, and its next
        start begins with an empty database again.

        Returns:
            Whether ``work`` was called.
        """
        import arcadedb

        if self._database is None or (alone := _try_lock(self.folder / "guests")) is None:
            return False
        with alone:
            types = self._database.query("sql", "SELECT records FROM schema:types").to_list()
            if any(t["records"] for t in types):
                return False
            marker = self.folder / FILLING
            marker.touch()
            _sync(self.folder)
            try:
                filling = Filling(self._database)
                work(filling)
                filling.close()
            except BaseException as error:
                self._stop()
                if isinstance(error, arcadedb.ArcadeDBError):
                    raise TryAgainError(
                        f"the embedded engine in {self.folder} failed: {one_line(error)}; nothing "
                        "was loaded; run the command again"
                    ) from error
                raise
            marker.unlink()
            _sync(self.folder)
            return True

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Stop statements that begin meanwhile after a time, where this process runs the engine.

        The engine has one limit for all; what else begins meanwhile is under it too.
        """
        if self._database is None:
            yield
            return
        self._set_limit(seconds)
        try:
            yield
        finally:
            self._set_limit(0)

    def _set_limit(self, seconds: float) -> None:
        self._sql(f"ALTER DATABASE `arcadedb.command.timeout` {int(1000 * seconds)}")

    def _sql(self, text: str) -> None:
        if self._database is None:
            raise TryAgainError(
                f"another process runs the embedded engine in {self.folder}, and only that one "
                "can change vector indexes; wait until it ends and run this again"
            )
        self._database.command("sql", text)

    def close(self) -> None:
        """Stop the engine where this process runs it."""
        if self.owner:  # so that who comes now waits for the lock, and then runs the engine
            (self.folder / "bolt.json").unlink(missing_ok=True)
        self._stop()
        for lock in (self._lock, self._guest):
            if lock is not None:
                lock.close()
        self._lock = self._guest = None

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
        self._server = self._database = None


class Filling:
    """An empty database while it is filled in bulk: nodes first, then relations between them."""

    def __init__(self, database: Any) -> None:
        self._database = database
        # Incoming sides are written in between: all at the end would take long without a stop.
        self._batch = database.graph_batch(
            use_wal=True, wal_flush=WAL_FLUSH, max_deferred_incoming_edges=200_000
        )
        self._places: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        """Write what is still in memory."""
        self._batch.close()

    def nodes(self, label: str, rows: list[dict[str, Any]]) -> None:
        """Create nodes of a label; each row is a node's properties, its id among them."""
        places = self._batch.create_vertices(label, rows)
        known = self._places.setdefault(label, {})
        known.update(zip((row["id"] for row in rows), places, strict=True))

    def relations(
        self, kind: tuple[str, str, str], ends: list[tuple[str, str]], rows: list[dict[str, Any]]
    ) -> None:
        """Create relations of a kind (type, source label, target label): ends and properties.

        Raises KeyError for an end that was not created before.
        """
        name, source, target = kind
        self._database.command("sql", f"CREATE EDGE TYPE {quote_name(name)} IF NOT EXISTS")
        sources, targets = self._places[source], self._places[target]
        self._batch.new_edges(
            [sources[start] for start, _ in ends], name, [targets[end] for _, end in ends], rows
        )


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


def _try_lock(path: Path, mode: int = fcntl.LOCK_EX) -> IO[str] | None:
    file = path.open("w")
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _port_of_owner(path: Path) -> int | None:
    """Where the process that runs the engine answers; None while it is starting."""
    try:
        return int(json.loads(path.read_text("utf-8"))["port"])
    except (OSError, ValueError, KeyError):
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
