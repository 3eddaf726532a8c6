"""What mkdocs writes into pages from the code, so that the two cannot part: the graph schema."""

from __future__ import annotations

from typing import Any

from kg.schema import NODE_TYPES, RELATION_TYPES, Property


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for each page: fill in what stands between ``{{`` and ``}}``."""
    return markdown.replace("{{ nodes }}", _nodes()).replace("{{ relations }}", _relations())


def _nodes() -> str:
    rows = [(f"`{n.label}`", n.role.value, n.doc, _properties(n.properties)) for n in NODE_TYPES]
    return _table(("label", "role", "what", "properties"), rows)


def _relations() -> str:
    rows = [
        (
            f"`{r.name}`",
            " ".join(f"`{s}`" for s in r.sources),
            " ".join(f"`{t}`" if t else "the same" for t in r.targets),
            f"`{r.predicate}`" if r.predicate else "",
            r.doc + (" *Derived.*" if r.derived else ""),
            _properties(r.properties),
        )
        for r in RELATION_TYPES
    ]
    return _table(("type", "from", "to", "predicate", "what", "properties"), rows)


def _properties(properties: tuple[Property, ...]) -> str:
    return "<br>".join(f"`{p.name}` ({p.type}): {p.doc}" for p in properties)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in lines)
