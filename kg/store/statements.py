"""Cypher statements: one per file under kg/cypher, with a header, the same text for both engines.

A file starts with ``// purpose:``, ``// parameters:``, ``// columns:`` and ``// mode: read|write``.
Values travel as parameters. A name that cannot be a parameter stands as ``{{name}}`` and is put in
by :func:`statement`, checked against the schema and quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from kg.schema import node_type, quote_name, relation_type

HEADER_FIELDS = ("purpose", "parameters", "columns", "mode")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
# Placeholders that must be names of the schema; the rest (property, index) are names we compose.
_CHECKED = {"label": node_type, "source": node_type, "target": node_type, "type": relation_type}
# Placeholders for any number of properties, each with a comma before it: as the pairs of a map
# whose values follow the key in the list ``row``, and as columns of the node or relation ``x``.
_LISTS: dict[str, Callable[[int, str], str]] = {
    "values": lambda place, name: f", {name}: row[{place + 1}]",
    "columns": lambda place, name: f", x.{name}",
}


@dataclass(frozen=True)
class Statement:
    """A statement ready to run."""

    name: str
    text: str
    mode: Literal["read", "write"]


@cache
def _source(name: str) -> tuple[dict[str, str], str]:
    text = files("kg.cypher").joinpath(f"{name}.cypher").read_text("utf-8")
    header: dict[str, str] = {}
    lines = text.splitlines()
    while lines and lines[0].startswith("//"):
        key, _, value = lines.pop(0).removeprefix("//").partition(":")
        header[key.strip()] = value.strip()
    missing = [f for f in HEADER_FIELDS if f not in header]
    if missing or header["mode"] not in ("read", "write"):
        raise ValueError(f"kg/cypher/{name}.cypher: bad header, missing {missing or 'mode'}")
    return header, "\n".join(lines).strip()


def statement(name: str, **names: str | Sequence[str]) -> Statement:
    """Load ``kg/cypher/<name>.cypher`` and put quoted names in its placeholders.

    ``values`` and ``columns`` take names of properties, the others one name each.

    Raises:
        UnknownNameError: a label or type outside the schema, or a name with odd characters.
        KeyError: a placeholder without a name.
    """
    header, text = _source(name)
    for kind, value in names.items():
        if kind in _CHECKED:
            _CHECKED[kind](str(value))

    def put(placeholder: re.Match[str]) -> str:
        kind = placeholder.group(1)
        value = names[kind]
        if isinstance(value, str):
            return quote_name(value)
        return "".join(_LISTS[kind](place, quote_name(n)) for place, n in enumerate(value))

    body = _PLACEHOLDER.sub(put, text)
    return Statement(name, body, "write" if header["mode"] == "write" else "read")


def statement_names() -> list[str]:
    """Names of all statements, sorted."""
    entries = files("kg.cypher").iterdir()
    return sorted(e.name.removesuffix(".cypher") for e in entries if e.name.endswith(".cypher"))
