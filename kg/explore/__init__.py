"""Exploration by hand: the graph as Python objects, for notebooks, through py2neo's object mapper.

    from kg.explore import User, explore

    with explore("bolt://localhost:7687") as graph:
        reader = User.match(graph, "demo:DEMOR00011").first()
        for relation, fact, weight in reader.preferences():
            print(relation, fact.name, weight)
        for book in reader.rated:
            print(book.title, [person.name for person in book.author])

One class for each label of the schema, generated from it (see ``models``), imported from here by
name. They need ``pip install 'personarec[py2neo]'``. py2neo's last release is of 2021 and nobody
maintains it: nothing else of this project uses it, and nothing here writes.

What does not work on Neo4j 5.26: py2neo's calls that create, drop or list constraints and indexes,
whose syntax is gone, and parameters that are datetimes with a time zone (reading them works). On
the embedded engine the same calls fail, and nothing but good intent keeps a session from writing,
where Neo4j refuses. For what an object mapper cannot say, ``graph.query(cypher, parameters)``.
"""

from __future__ import annotations

from typing import Any

from kg.explore.opening import explore

__all__ = ["explore"]


def __getattr__(name: str) -> Any:
    """A class of ``kg.explore.models``, imported when it is first asked for.

    Raises ChangeSomethingError where py2neo is not installed.
    """
    from kg.schema import NODE_TYPES

    if name not in {n.label for n in NODE_TYPES}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kg.explore.opening import require_py2neo

    require_py2neo()
    from kg.explore.models import MODELS

    return MODELS[name]
