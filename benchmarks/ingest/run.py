"""Benchmark of the load: ``kg ingest`` against a row at a time, py2neo and the plain driver.

    python -m benchmarks.ingest.run                   both engines; about ten minutes
    python -m benchmarks.ingest.run --embedded-only   without Neo4j; under a minute

The data set is made up (synthetic.py): 37,365 nodes and 164,715 relations with skewed degrees,
staged beforehand. What is timed is the load into an empty database, the same load again, and the
export of all (user, item) pairs. ``kg ingest`` runs with its ledger, journal and locks. On Neo4j
the loaders take turns within each run against one server that was warmed up; the row-at-a-time
loop is measured on a sample and multiplied up. CPU seconds are the client's plus the server's: on
a machine that does other work too they are the honest figure, wall seconds are not.

Writes results.json and results.md beside this file. py2neo gets a virtual environment of its own
under .cache/benchmarks (pinned below); it is made on the first run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.ingest import baselines, synthetic
from benchmarks.ingest.server import ROOT, Server, running_server
from kg.ingest import DataSetSources, ingest
from kg.ingest.stage import Stage
from kg.ingest.staging import stage
from kg.store import GraphStore, connect
from kg.views import read_catalogue, read_interactions

CACHE = ROOT / ".cache" / "benchmarks"
HERE = Path(__file__).resolve().parent
PY2NEO = ("py2neo==2021.2.4", "pyarrow==26.0.1")
OURS, PY2NEO_BULK, UNWIND = "kg ingest", "py2neo bulk merge", "driver, UNWIND + MERGE"
LOOP = "driver, one MERGE a row (extrapolated)"


@dataclass
class Measured:
    """What one load or export took, in seconds."""

    wall: float
    client: float
    server: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds of client and server."""
        return self.client + self.server


Results = dict[tuple[str, str], list[Measured]]
"""(engine and what was done, loader) -> one measurement a run."""


def quiet(_what: str, _done: int, _total: int | None) -> None:
    """A progress callback that says nothing."""


def measured(work: Callable[[], object], server: Server | None = None) -> Measured:
    """Time ``work`` in this process and, where there is one, the server."""
    wall, client = time.perf_counter(), time.process_time()
    other = server.cpu() if server else 0.0
    work()
    result = Measured(time.perf_counter() - wall, time.process_time() - client)
    if server:
        time.sleep(0.1)  # its clock ticks in hundredths, and its commit may still be flushing
        result.server = server.cpu() - other
    return result


def export(store: GraphStore, data: DataSetSources) -> None:
    """All (user, item) pairs, as training reads them."""
    found = read_interactions(store, data.name, read_catalogue(store, data.name, data.item_label))
    if len(found.user) != synthetic.RATINGS:
        raise SystemExit(f"exported {len(found.user)} pairs, not {synthetic.RATINGS}")


def our_load(store: GraphStore, data: DataSetSources, home: Path, created: int) -> None:
    """``kg ingest`` of staged data; checks how much it created."""
    result = ingest(store, data, home, quiet)
    if result.created != created or result.changed:
        raise SystemExit(f"created {result.created} and changed {result.changed}, not {created}")


# -- embedded --------------------------------------------------------------------------------------


def embedded(data: DataSetSources, home: Path, results: Results, runs: int) -> None:
    """Each run in a process and a database of its own; its start is counted too."""
    for _ in range(runs):
        shutil.rmtree(home / "graph", ignore_errors=True)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            for what, found in pool.apply(embedded_run, (data, home)):
                results["embedded", what].append(found)


def embedded_run(data: DataSetSources, home: Path) -> list[tuple[str, Measured]]:
    """First load with the engine's start, second load, export."""
    opened: list[GraphStore] = []

    def first() -> None:
        opened.append(connect(None, home))
        our_load(opened[0], data, home, synthetic.NODES + synthetic.RELATIONS)

    found = [("first load", measured(first))]
    with opened[0] as store:
        found.append(("second load", measured(lambda: our_load(store, data, home, 0))))
        found.append(("export", measured(lambda: export(store, data))))
    return found


# -- Neo4j -----------------------------------------------------------------------------------------


def on_neo4j(
    server: Server, data: DataSetSources, home: Path, staged: Stage, results: Results, runs: int
) -> None:
    python = py2neo_python()
    os.environ["PERSONAREC_GRAPH_PASSWORD"] = server.password
    with connect(server.uri, home) as store, server.driver() as driver:
        store.ensure_schema()  # for all loaders: without it none ends in this time
        server.wipe()
        # Warms the server up: the statements of each are planned, its own code is compiled.
        baselines.unwind_merge(driver, staged, ("node", "relation"))
        server.wipe()
        our_load(store, data, home, synthetic.NODES + synthetic.RELATIONS)
        for run in range(runs):
            server.wipe()
            ours(server, store, data, home, results)
            server.wipe()
            for name, found in zip(
                ("first load", "second load"), py2neo_loads(server, python, staged), strict=True
            ):
                results[f"Neo4j, {name}", PY2NEO_BULK].append(found)
            server.wipe()
            for name in ("first load", "second load"):
                results[f"Neo4j, {name}", UNWIND].append(
                    measured(
                        lambda: baselines.unwind_merge(driver, staged, ("node", "relation")),
                        server,
                    )
                )
            server.wipe()
            loop = baselines.loop_seconds(driver, staged, "node", 500)
            baselines.unwind_merge(driver, staged, ("node",))
            loop += baselines.loop_seconds(driver, staged, "relation", 500)
            results["Neo4j, first load", LOOP].append(Measured(loop, 0.0))
            print(f"run {run + 1} of {runs} done", file=sys.stderr)


def ours(
    server: Server, store: GraphStore, data: DataSetSources, home: Path, results: Results
) -> None:
    everything = synthetic.NODES + synthetic.RELATIONS
    for name, work in (
        ("first load", lambda: our_load(store, data, home, everything)),
        ("second load", lambda: our_load(store, data, home, 0)),
        ("export", lambda: export(store, data)),
    ):
        results[f"Neo4j, {name}", OURS].append(measured(work, server))


def py2neo_python() -> Path:
    """The interpreter of py2neo's virtual environment, made where it is missing."""
    folder = CACHE / "py2neo"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PY2NEO], check=True)
        (folder / "ready").touch()
    return python


def py2neo_loads(server: Server, python: Path, staged: Stage) -> list[Measured]:
    """py2neo's first and second load, in a process of its own."""
    command = [python, HERE / "with_py2neo.py", server.uri, server.password, staged.folder]
    found = []
    cpu = server.cpu()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            now = server.cpu()
            found.append(Measured(**json.loads(line), server=now - cpu))
            cpu = now
    if process.returncode:
        raise SystemExit(f"py2neo ended with {process.returncode}")
    return found


# -- report ----------------------------------------------------------------------------------------


def median(found: list[Measured]) -> Measured:
    columns = zip(*((m.wall, m.client, m.server) for m in found), strict=True)
    return Measured(*(statistics.median(c) for c in columns))


def table(results: Results) -> str:
    """Medians as a Markdown table; ratios are medians of the ratios within each run."""
    lines = [
        "| load | loader | wall s | CPU s | client's | server's | wall / ours | CPU / ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (what, loader), found in results.items():
        middle = median(found)
        mine = results.get((what, OURS), [])
        wall = [f.wall / m.wall for f, m in zip(found, mine, strict=False)]
        cpu = [f.cpu / m.cpu for f, m in zip(found, mine, strict=False)]
        cells = [middle.wall, middle.cpu, middle.client, middle.server]
        cells += [statistics.median(r) if r else 0.0 for r in (wall, cpu)]
        shown = " | ".join(f"{c:.2f}" if c else "–" for c in cells)
        lines.append(f"| {what} | {loader} | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of the load; see this file's head.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--embedded-only", action="store_true")
    options = parser.parse_args()
    data = synthetic.write(CACHE / "data")
    home = CACHE / "home"
    staged = stage(data, home / "ingest" / data.name, quiet)
    counts = [sum(t.rows for t in baselines.tables(staged, k)) for k in ("node", "relation")]
    if counts != [synthetic.NODES, synthetic.RELATIONS]:
        raise SystemExit(f"staged {counts} nodes and relations")
    results: Results = defaultdict(list)
    by_step: Results = defaultdict(list)
    embedded(data, home, by_step, options.runs)
    for (engine, what), found in by_step.items():
        results[f"{engine}, {what}", OURS] = found
    if not options.embedded_only:
        with running_server() as server:
            on_neo4j(server, data, home, staged, results, options.runs)
    text = table(results)
    document = {
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "runs": options.runs,
        "nodes": counts[0],
        "relations": counts[1],
        "measured": [
            {"load": what, "loader": loader, "runs": [asdict(m) for m in found]}
            for (what, loader), found in results.items()
        ],
    }
    (HERE / "results.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    (HERE / "results.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
