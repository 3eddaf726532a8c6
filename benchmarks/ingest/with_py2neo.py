"""py2neo's bulk merge over staged tables. Runs in a virtual environment of its own (see run.py).

Called as ``with_py2neo.py URI PASSWORD STAGE_FOLDER``, it loads every table of the stage twice and
prints, a line a load, wall seconds and its own CPU seconds as JSON. It imports nothing of
personarec.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-not-found, unused-ignore]
from py2neo import Graph  # type: ignore[import-not-found, unused-ignore]
from py2neo.bulk import (  # type: ignore[import-not-found, unused-ignore]
    merge_nodes,
    merge_relationships,
)

BATCH = 5_000


def load(graph: Graph, folder: Path, tables: list[dict[str, str]]) -> None:
    for table in tables:
        rows = pq.read_table(folder / table["file"]).to_pylist()
        for start in range(0, len(rows), BATCH):
            part = itertools.islice(rows, start, start + BATCH)
            if table["kind"] == "node":
                merge_nodes(graph.auto(), list(part), (table["label"], "id"))
                continue
            merge_relationships(
                graph.auto(),
                [(r.pop("source"), r, r.pop("target")) for r in map(dict, part)],
                table["label"],
                start_node_key=(table["source_label"], "id"),
                end_node_key=(table["target_label"], "id"),
            )


def main(uri: str, password: str, stage: Path) -> None:
    graph = Graph(uri, auth=("neo4j", password))
    tables = json.loads((stage / "stage.json").read_text("utf-8"))["tables"]
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        load(graph, stage, tables)
        line = {"wall": time.perf_counter() - wall, "client": time.process_time() - cpu}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
