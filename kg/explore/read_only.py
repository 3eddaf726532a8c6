"""A py2neo Graph whose every transaction asks for read access."""

from __future__ import annotations

from py2neo import Graph, Transaction

from kg.store.embedded import EmbeddedEngine


class ReadOnlyGraph(Graph):  # type: ignore[misc]  # py2neo has no types
    """A graph to look at.

    Neo4j refuses to write in a transaction of read access; the embedded engine does not heed it.
    """

    def __init__(
        self,
        address: str,
        database: str,
        user: str,
        password: str,
        engine: EmbeddedEngine | None = None,
    ) -> None:
        """Connect.

        Args:
            address: Bolt address, without user and password.
            database: its name.
            user: user name.
            password: password.
            engine: the embedded engine that answers there, closed with the graph.
        """
        super().__init__(address, name=database, auth=(user, password))
        self._engine = engine

    def auto(self, readonly: bool = True) -> Transaction:
        """An auto-commit transaction, for reading whatever is asked."""
        return super().auto(readonly=True)

    def begin(self, readonly: bool = True) -> Transaction:
        """A transaction, for reading whatever is asked."""
        return super().begin(readonly=True)

    def close(self) -> None:
        """Close the connections, and the embedded engine where this graph started it."""
        self.service.connector.close()
        if self._engine is not None:
            self._engine.close()

    def __enter__(self) -> ReadOnlyGraph:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
