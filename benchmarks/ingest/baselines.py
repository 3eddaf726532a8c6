"""Loaders to compare with, over the same staged tables: a row at a time, and UNWIND with MERGE.

Both leave ids, properties and relations as ``kg ingest`` does, without its ledger, journal, lock
and comparison.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import neo4j
import polars as pl

from kg.ingest.stage import Stage, Table

BATCH = 5_000
Row = dict[str, Any]


def merge_node(table: Table) -> str:
    return f"MERGE (n:{table.label} {{id: row.id}}) SET n += row.properties"


def merge_relation(table: Table) -> str:
    return (
        f"MATCH (a:{table.source_label} {{id: row.source}}) "
        f"MATCH (b:{table.target_label} {{id: row.target}}) "
        f"MERGE (a)-[r:{table.label}]->(b) SET r += row.properties"
    )


def rows(stage: Stage, table: Table) -> list[Row]:
    """Rows of a table as a driver's user would build them."""
    ends = ("id",) if table.kind == "node" else ("source", "target")
    return [
        {end: row[end] for end in ends}
        | {"properties": {k: v for k, v in row.items() if k not in ends}}
        for row in pl.read_parquet(stage.folder / table.file).to_dicts()
    ]


def tables(stage: Stage, kind: str) -> Iterator[Table]:
    return (t for t in stage.tables if t.kind == kind)


def unwind_merge(driver: neo4j.Driver, stage: Stage, kinds: tuple[str, ...]) -> None:
    """The official driver's usual way: UNWIND and MERGE, a transaction for each 5,000 rows."""
    for kind in kinds:
        for table in tables(stage, kind):
            merge = merge_node(table) if kind == "node" else merge_relation(table)
            found = rows(stage, table)
            for start in range(0, len(found), BATCH):
                driver.execute_query(
                    f"UNWIND $rows AS row {merge}", rows=found[start : start + BATCH]
                )


def loop_seconds(driver: neo4j.Driver, stage: Stage, kind: str, sample: int) -> float:
    """Wall seconds for all rows of a kind, one MERGE in a transaction of its own each.

    Measured on about ``sample`` rows, taken at equal distances from all tables, and multiplied up:
    the time of a row depends on the row hardly at all.
    """
    total = sum(t.rows for t in tables(stage, kind))
    step = max(1, total // sample)
    seconds, count = 0.0, 0
    with driver.session() as session:
        for table in tables(stage, kind):
            merge = merge_node(table) if kind == "node" else merge_relation(table)
            part = rows(stage, table)[::step]
            began = time.perf_counter()
            for row in part:
                session.run(f"WITH $row AS row {merge}", row=row).consume()
            seconds += time.perf_counter() - began
            count += len(part)
    return seconds / count * total
