"""The graph store: Neo4j or the embedded engine behind one class."""

from kg.store.connect import Server, connect
from kg.store.graph_store import GraphStore, Interruption, Transaction
from kg.store.statements import Statement, statement, statement_names

__all__ = [
    "GraphStore",
    "Interruption",
    "Server",
    "Statement",
    "Transaction",
    "connect",
    "statement",
    "statement_names",
]
