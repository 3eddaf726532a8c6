"""One Parquet file a label and one a relation type, with every property that the schema declares.

Personas, preferences and transitions are left out: they belong to a training, not to the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from kg.export.reading import DataSetReader
from kg.schema import Property, node_type, relation_type

BATCH_ROWS = 20_000  # a row group
ENDS = (
    Property("start", "string", "key of the node it leaves"),
    Property("end", "string", "key of the node it leads to"),
)


def write_parquet(data: DataSetReader, folder: Path) -> dict[str, int]:
    """Write ``nodes-LABEL.parquet`` and ``relations-TYPE.parquet``, no empty ones; rows a file.

    A relation's columns ``start`` and ``end`` are the keys (``id``) of its nodes; ``source``, there
    and with nodes, is the loader a row came through.
    """
    rows: dict[str, int] = {}

    def write(name: str, properties: tuple[Property, ...], content: Iterable[Any]) -> None:
        if count := _write(folder / name, properties, content):
            rows[name] = count

    def relation(name: str, content: Iterable[Any]) -> None:
        properties = (*ENDS, *relation_type(name).properties)
        found = ({"start": s, "end": e, **p} for s, e, p in content)
        write(f"relations-{name}.parquet", properties, found)

    reached: dict[str, set[str]] = {}
    rated = (relation_type("RATED"), "User", data.label)
    relation("RATED", data.relations(rated, data.users))
    for kind in data.fact_kinds():
        ends = reached.setdefault(kind[2], set())
        relation(kind[0].name, _noting(data.relations(kind, data.sources(kind[1])), ends))
    beyond = {kind for kind, _ in data.beyond(reached)}
    for kind in sorted(beyond, key=lambda k: k[0].name):
        relation(kind[0].name, data.relations(kind, sorted(reached[kind[1]])))
    reached["User"] = set(data.users)
    reached[data.label] = reached.get(data.label, set()) | set(data.items)
    for label, ids in sorted(reached.items()):
        found = ({"id": key, **p} for key, p in data.nodes(label, sorted(ids)))
        write(f"nodes-{label}.parquet", node_type(label).properties, found)
    return rows


def _noting(rows: Iterable[tuple[str, str, Any]], ends: set[str]) -> Iterable[Any]:
    for row in rows:
        ends.add(row[1])
        yield row


def _write(path: Path, properties: tuple[Property, ...], rows: Iterable[dict[str, Any]]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    types = {"string": pa.string(), "float": pa.float64(), "integer": pa.int64()}
    schema = pa.schema([(p.name, types[p.type]) for p in properties])
    count = 0
    content = iter(rows)
    part = list(islice(content, BATCH_ROWS))
    if not part:
        return 0
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        while part:
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
            count += len(part)
            part = list(islice(content, BATCH_ROWS))
    return count
