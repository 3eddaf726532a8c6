"""Benchmark of the offline load: import files and Neo4j's own importer against the online load.

    python -m benchmarks.offline.run             about five minutes
    python -m benchmarks.offline.run --users 10000 --items 2000 --ratings 100000

A made-up data set (by default 100,000 users, 20,000 items, 1,000,000 ratings) is staged first:
both ways need that, and it is not timed. Then, in one run and on one machine: the files are written
and imported into a stopped, empty Neo4j by ``neo4j-admin database import full``, its JVM's start
included; and the same stage is loaded online into a running, empty Neo4j. Both JVMs have the same
settings (serial collector, first-tier compiler). CPU seconds are those of all processes that take
part.

Writes results.json beside this file. Needs Neo4j's jars (scripts/setup-test-services.sh).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.ingest.server import ROOT, running_server
from kg.ingest import DataSetSources, Source, ingest
from kg.ingest.offline import write_import_files
from kg.ingest.stage import Stage
from kg.ingest.staging import stage
from kg.store import connect

sys.path.insert(0, str(ROOT / "tests"))
from services.neo4j_offline import StoppedNeo4j

HERE = Path(__file__).resolve().parent


def quiet(_what: str, _done: int, _total: int | None) -> None:
    """A progress callback that says nothing."""


def made_up(folder: Path, users: int, items: int, ratings: int) -> DataSetSources:
    """Ratings of different pairs, every user and every item among them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pairs = np.arange(max(users, items))
    pairs = (pairs % users) * items + pairs % items
    while len(pairs) < ratings:
        drawn = rng.integers(0, users * items, 2 * ratings)
        pairs = np.concatenate([pairs, np.setdiff1d(drawn, pairs)])
    user, item = np.divmod(rng.permutation(pairs[:ratings]), items)
    path = folder / "interactions.tsv"
    pl.DataFrame(
        {
            "user_id": "u" + pl.Series(user).cast(pl.String),
            "item_id": "i" + pl.Series(item).cast(pl.String),
            "rating": rng.integers(1, 11, ratings) / 2,
            "timestamp": 1_000_000_000 + rng.integers(0, 500_000_000, ratings),
        }
    ).write_csv(path, separator="\t")
    return DataSetSources("made", "movies", (Source("tsv-interactions", path),))


def offline(staged: Stage, folder: Path) -> dict[str, float]:
    """Seconds to write the files and to import them."""
    wall, cpu = time.perf_counter(), time.process_time()
    files = write_import_files(staged, folder / "files", quiet)
    written, written_cpu = time.perf_counter() - wall, time.process_time() - cpu
    neo4j = StoppedNeo4j(folder / "neo4j", os.environ)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.perf_counter()
    done = neo4j.shell(files.command)
    imported = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) nodes\s+(\d+) relationships", done.stdout)
    if found is None or int(found[2]) != files.relations:
        raise SystemExit(f"the import failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "writing_wall": written,
        "import_wall": imported,
        "wall": written + imported,
        "writing_cpu": written_cpu,
        "import_cpu": used,
        "cpu": written_cpu + used,
        "megabytes": sum(f.stat().st_size for f in files.folder.iterdir()) / 1e6,
    }


def online(data: DataSetSources, home: Path) -> dict[str, float]:
    """Seconds of ``kg ingest`` with the stage made before."""
    with running_server() as server:
        os.environ["PERSONAREC_GRAPH_PASSWORD"] = server.password
        with connect(server.uri, home) as store:
            wall, cpu, other = time.perf_counter(), time.process_time(), server.cpu()
            result = ingest(store, data, home, quiet)
            client = time.process_time() - cpu
            found = {
                "wall": time.perf_counter() - wall,
                "client_cpu": client,
                "server_cpu": server.cpu() - other,
            }
    total = sum(t.rows for t in result.stage.tables)
    if result.created != total:
        raise SystemExit(f"the online load created {result.created} of {total} rows")
    return found | {"cpu": found["client_cpu"] + found["server_cpu"]}


def main() -> None:
    """Run both ways and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    sizes = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="personarec-bench-") as name:
        folder = Path(name)
        data = made_up(folder / "data", sizes.users, sizes.items, sizes.ratings)
        home = folder / "home"
        staged = stage(data, home / "ingest" / data.name, quiet)
        nodes = sum(t.rows for t in staged.tables if t.kind == "node")
        relations = sum(t.rows for t in staged.tables if t.kind == "relation")
        print(f"{nodes:,} nodes, {relations:,} relations", flush=True)
        by_file = offline(staged, folder)
        print("offline", {k: round(v, 2) for k, v in by_file.items()}, flush=True)
        by_driver = online(data, home)
        print("online ", {k: round(v, 2) for k, v in by_driver.items()}, flush=True)
    results = {
        "nodes": nodes,
        "relations": relations,
        "offline": by_file,
        "online": by_driver,
        "times_faster_wall": by_driver["wall"] / by_file["wall"],
        "times_less_cpu": by_driver["cpu"] / by_file["cpu"],
        "load_average": os.getloadavg(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(f"{results['times_faster_wall']:.1f} times faster, {results['times_less_cpu']:.1f} times "
          "less CPU")  # fmt: skip
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
