"""The graph store: one class over the official driver, for Neo4j and for the embedded engine."""

from __future__ import annotations

import logging
import random
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import neo4j
from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConfigurationError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
)

from kg.errors import ChangeSomethingError, PersonarecError, TryAgainError, one_line
from kg.schema import NODE_TYPES
from kg.store.statements import Statement, statement

if TYPE_CHECKING:
    from kg.store.connect import Server
    from kg.store.embedded import Filling

EMBEDDED = "embedded engine"
"""What the address of an embedded engine begins with."""
CLASHES = 20  # tries of a write that meets another writer's new key
T = TypeVar("T")
Row = list[Any]

# Unknown labels on an empty database are no news to our users.
logging.getLogger("neo4j.notifications").setLevel(logging.ERROR)


class Interruption(KeyboardInterrupt, CancelledError):  # noqa: N818, it is none
    """What a signal's handler raises to stop the work; a bare KeyboardInterrupt could hang.

    It may come in the middle of a message, with half of it sent or read. The driver does not look
    out for KeyboardInterrupt: it would ask for a rollback on the same connection, the server would
    take that for the rest of the message, and both would wait for ever. What it looks out for, in
    blocking code too, is a cancellation: it drops the connection, and the server rolls back.
    """


class Dialect(Protocol):
    """What cannot be said in one Cypher text for both engines."""

    name: str

    def create_vector_index(
        self, store: GraphStore, name: str, label: str, prop: str, dimension: int
    ) -> None: ...

    def drop_vector_index(self, store: GraphStore, name: str, label: str, prop: str) -> None: ...

    def fill(self, work: Callable[[Filling], None]) -> bool: ...

    def limited(self, seconds: float) -> AbstractContextManager[None]: ...

    def close(self) -> None: ...


class Neo4jDialect:
    """Neo4j 5.26 and later."""

    name = "neo4j"

    def create_vector_index(
        self, store: GraphStore, name: str, label: str, prop: str, dimension: int
    ) -> None:
        store.run_schema(
            statement("create_vector_index", index=name, label=label, property=prop),
            dimension=dimension,
        )

    def drop_vector_index(self, store: GraphStore, name: str, label: str, prop: str) -> None:
        store.run_schema(statement("drop_index", index=name))

    def fill(self, work: Callable[[Filling], None]) -> bool:
        return False

    def limited(self, seconds: float) -> AbstractContextManager[None]:
        return nullcontext()  # the server itself keeps to the transaction's time

    def close(self) -> None:
        pass


class GraphStore:
    """Runs statements on one database.

    Every call is one managed transaction that names its database: the driver repeats it after a
    transient failure, so the work given must be safe to repeat.
    """

    def __init__(
        self,
        driver: neo4j.Driver,
        database: str,
        dialect: Dialect,
        address: str,
        server: Server | None = None,
    ) -> None:
        self._driver = driver
        self._dialect = dialect
        # In a cluster a read may reach a member that lags: it waits for our own last write.
        self._bookmarks = neo4j.GraphDatabase.bookmark_manager()
        self.database = database
        self.address = address
        self.server = server
        """How another process can open the same store; None for the embedded engine."""
        self.retries = 0
        """Units of work that ran again, after another writer's clash or a broken connection."""

    @property
    def engine(self) -> str:
        """``neo4j`` or ``embedded``."""
        return self._dialect.name

    def __repr__(self) -> str:
        return f"GraphStore({self.engine}, {self.address}, database={self.database!r})"

    def __enter__(self) -> GraphStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and the embedded engine where this process runs it."""
        self._driver.close()
        self._dialect.close()

    def read(self, query: Statement, **parameters: Any) -> list[Row]:
        """Rows of a read statement, each a list of values in the order of its columns."""
        return self.transaction(lambda tx: tx.rows(query, **parameters), read=True)

    def write(self, query: Statement, **parameters: Any) -> neo4j.SummaryCounters:
        """Run a write statement in a transaction of its own."""
        return self.transaction(lambda tx: tx.execute(query, **parameters))

    def transaction(
        self, work: Callable[[Transaction], T], *, read: bool = False, seconds: float | None = None
    ) -> T:
        """Run ``work`` in one managed transaction; it may run more than once.

        A Neo4j server stops it after ``seconds``, where they are given.

        Raises:
            TryAgainError: the server is away, or the outcome of the commit is unknown.
            ChangeSomethingError: the server refused.
        """
        with (
            translated_errors(self.address, self.database),
            self._driver.session(
                database=self.database, fetch_size=20_000, bookmark_manager=self._bookmarks
            ) as session,
        ):
            run = session.execute_read if read else session.execute_write
            tries = 0

            def once(tx: neo4j.ManagedTransaction) -> T:
                nonlocal tries
                tries += 1
                self.retries += tries > 1
                return work(Transaction(tx))

            bounded = neo4j.unit_of_work(timeout=seconds)(once) if seconds else once
            for attempt in range(CLASHES):
                try:
                    return run(bounded)
                except IncompleteCommit:
                    # Whether it was committed nobody knows; all work is safe to repeat.
                    if attempt == CLASHES - 1:
                        raise
                    time.sleep(random.uniform(0, 0.2 * (attempt + 1)))
                except ClientError as error:
                    # Another writer created the same key at the same moment; the next try finds
                    # it. The driver does not count this as transient.
                    if not _is_clash(error) or attempt == CLASHES - 1:
                        raise
                    time.sleep(random.uniform(0, 0.05 * (attempt + 1)))
            raise AssertionError("unreachable")

    def run_schema(self, query: Statement, **parameters: Any) -> None:
        """Run a schema statement (each is idempotent by IF [NOT] EXISTS)."""
        self.transaction(lambda tx: tx.execute(query, **parameters))

    def fill(self, work: Callable[[Filling], None]) -> bool:
        """Let ``work`` fill an empty database in bulk; False where the engine has no such way.

        All of what ``work`` does stays, or nothing. The schema must be there, and no other thread
        may use this store meanwhile.
        """
        with translated_errors(self.address, self.database):
            return self._dialect.fill(work)

    def read_text(
        self,
        text: str,
        parameters: dict[str, Any],
        limit: int,
        seconds: float | None = None,
    ) -> tuple[list[str], list[Row]]:
        """Run a reader's own query text; column names and at most ``limit`` rows.

        The engine stops a query that takes more than ``seconds``, where they are given; an embedded
        engine that another process runs does not.
        """

        def work(tx: Transaction) -> tuple[list[str], list[Row]]:
            return tx.text(text, parameters, limit)

        if seconds is None:
            return self.transaction(work, read=True)
        with translated_errors(self.address, self.database), self._dialect.limited(seconds):
            return self.transaction(work, read=True, seconds=seconds)

    def ensure_schema(self) -> None:
        """Create the unique constraint of every label (before the first row, or loads crawl)."""
        for node in NODE_TYPES:
            name = f"{node.label.lower()}_id"
            self.run_schema(statement("create_constraint", constraint=name, label=node.label))

    def create_vector_index(self, name: str, label: str, prop: str, dimension: int) -> None:
        """Create a cosine vector index where it does not exist, and wait until it is online."""
        with translated_errors(self.address, self.database):
            self._dialect.create_vector_index(self, name, label, prop, dimension)
        self._await_index(name)

    def drop_vector_index(self, name: str, label: str, prop: str) -> None:
        """Drop a vector index where it exists."""
        with translated_errors(self.address, self.database):
            self._dialect.drop_vector_index(self, name, label, prop)

    def _await_index(self, name: str, timeout: float = 120.0) -> None:
        end = time.monotonic() + timeout
        while self.engine == "neo4j":
            rows = self.read(statement("index_states"))
            if dict(map(tuple, rows)).get(name) == "ONLINE":
                return
            if time.monotonic() > end:
                raise TryAgainError(
                    f"vector index {name} is not online after {timeout:.0f} s; try again later"
                )
            time.sleep(0.1)


class Transaction:
    """The open transaction that a unit of work runs its statements in."""

    def __init__(self, tx: neo4j.ManagedTransaction) -> None:
        self._tx = tx

    def rows(self, query: Statement, **parameters: Any) -> list[Row]:
        """Rows of a statement, each a list of values."""
        return [r.values() for r in self._tx.run(_literal(query), parameters)]

    def execute(self, query: Statement, **parameters: Any) -> neo4j.SummaryCounters:
        """Run a statement for its effect."""
        return self._tx.run(_literal(query), parameters).consume().counters

    def text(
        self, text: str, parameters: dict[str, Any], limit: int
    ) -> tuple[list[str], list[Row]]:
        """Run text given by hand; column names and at most ``limit`` rows."""
        result = self._tx.run(text, parameters)
        columns = list(result.keys())
        rows: list[Row] = []
        for record in result:
            if len(rows) == limit:
                break
            rows.append(record.values())
        return columns, rows


def _is_clash(error: ClientError) -> bool:
    return (error.code or "").endswith("ConstraintValidationFailed") or (
        "Duplicated key" in str(error.message)
    )


def _literal(query: Statement) -> Any:
    # The driver types query text as LiteralString; ours is a file of the package with quoted names.
    return query.text


@contextmanager
def translated_errors(address: str, database: str) -> Iterator[None]:
    """Turn the driver's errors into ours, with where it happened and the next step."""
    try:
        yield
    except PersonarecError:
        raise
    except AuthError as error:
        if address.startswith(EMBEDDED):
            raise TryAgainError(
                f"the process that ran the {address} ended; run the command again"
            ) from error
        raise ChangeSomethingError(
            f"{address} refused the user name or password; set PERSONAREC_GRAPH_USER and "
            "PERSONAREC_GRAPH_PASSWORD"
        ) from error
    except ServiceUnavailable as error:
        if address.startswith(EMBEDDED):
            raise TryAgainError(
                f"the process that ran the {address} ended, or does not answer; run the command "
                "again"
            ) from error
        raise TryAgainError(
            f"no graph server answers at {address}; start it, or leave --graph out for the "
            "embedded engine"
        ) from error
    except ConfigurationError as error:
        raise ChangeSomethingError(f"cannot connect to {address}: {one_line(error)}") from error
    except ClientError as error:
        if error.code and error.code.endswith("DatabaseNotFound"):
            raise ChangeSomethingError(
                f"{address} has no database {database!r}; set PERSONAREC_GRAPH_DATABASE"
            ) from error
        raise ChangeSomethingError(f"{address} refused a statement: {one_line(error)}") from error
    except Neo4jError as error:
        raise TryAgainError(
            f"{address} failed: {one_line(error)}; run the command again"
        ) from error
    except (DriverError, OSError) as error:
        raise TryAgainError(
            f"connection to {address} broke: {one_line(error)}; run the command again"
        ) from error
