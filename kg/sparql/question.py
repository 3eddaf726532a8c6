"""Questions put to an endpoint: one pattern, asked of a block of keys, as rows and as counts.

Queries are files under kg/sparql/queries. A file starts with ``# purpose:`` (and a pattern with
``# columns:``); ``{{name}}`` is put in here, from names that are checked or terms already escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from kg.sparql.terms import iri_term

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@cache
def query_file(name: str) -> tuple[dict[str, str], str]:
    """Header and text of a query file."""
    lines = files("kg.sparql.queries").joinpath(f"{name}.rq").read_text("utf-8").splitlines()
    header: dict[str, str] = {}
    while lines and lines[0].startswith("#"):
        key, _, value = lines.pop(0).removeprefix("#").partition(":")
        header[key.strip()] = value.strip()
    return header, "\n".join(lines).strip()


def _fill(name: str, **values: str) -> str:
    # One pass: what is put in is not searched for placeholders again.
    return _PLACEHOLDER.sub(lambda m: values[m.group(1)], query_file(name)[1])


@dataclass(frozen=True)
class Question:
    """What to ask of each key: a pattern over ``?s`` (the key) that always binds ``?o``."""

    pattern: str
    """Name of a pattern's file."""
    term: Callable[[str], str] = iri_term
    """Makes a key into a SPARQL term."""
    predicates: tuple[str, ...] = field(default=())
    """Full IRIs, where the pattern wants them."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Variables of a row besides ``?s``."""
        return tuple(query_file(self.pattern)[0]["columns"].split())

    def rows_query(self, keys: Iterable[str]) -> str:
        """The query for the rows. Raises NotATermError for a key that is no term."""
        columns = " ".join(f"?{c}" for c in self.columns)
        return _fill("rows", columns=columns, keys=self._keys(keys), pattern=self._pattern())

    def counts_query(self, keys: Iterable[str]) -> str:
        """The query for the number of rows of each key."""
        return _fill("counts", keys=self._keys(keys), pattern=self._pattern())

    def _keys(self, keys: Iterable[str]) -> str:
        return " ".join(map(self.term, keys))

    def _pattern(self) -> str:
        return _fill(self.pattern, predicates=", ".join(map(iri_term, self.predicates)))
