"""Peak memory of ``kg ingest``, staging and loading apart, at several sizes.

    python -m benchmarks.ingest.memory --rows 1e6,1e7 [--graph URI]

Each phase runs in a process of its own; what is reported is the peak of its resident memory as the
kernel counts it (VmHWM). Without --graph the embedded engine is part of the loading process, and
so are its caches. Source rows are ratings, titles and facts together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ingest import synthetic
from benchmarks.ingest.run import CACHE, quiet
from kg.ingest import DataSetSources, ingest
from kg.ingest.staging import stage
from kg.store import connect

ROWS = synthetic.RATINGS + synthetic.ITEMS + synthetic.FACTS


def peak_mib() -> float:
    """The most memory this process ever had resident."""
    status = Path("/proc/self/status").read_text("utf-8")
    (line,) = (x for x in status.splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def staging(data: DataSetSources, home: Path, _graph: str | None) -> None:
    stage(data, home / "ingest" / data.name, quiet)


def loading(data: DataSetSources, home: Path, graph: str | None) -> None:
    with connect(graph, home) as store:
        ingest(store, data, home, quiet)


def alone(phase: Callable[..., None], *arguments: Any) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MiB of a phase in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (phase, *arguments))


def _measured(phase: Callable[..., None], *arguments: Any) -> tuple[float, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    phase(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu, peak_mib()


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of the load; see this file's head.")
    parser.add_argument("--rows", default="1e6,1e7")
    parser.add_argument("--graph", help="URI of an empty Neo4j; its password in the environment")
    options = parser.parse_args()
    print("| rows | phase | wall s | CPU s | peak MiB |\n|---|---|---|---|---|")
    for rows in map(float, options.rows.split(",")):
        folder = CACHE / "memory" / f"{rows:.0f}"
        shutil.rmtree(folder, ignore_errors=True)
        data = synthetic.write(folder / "data", scale=rows / ROWS, name=f"made{rows:.0f}")
        for phase in (staging, loading):
            wall, cpu, peak = alone(phase, data, folder, options.graph)
            name = phase.__name__
            print(f"| {rows:,.0f} | {name} | {wall:.0f} | {cpu:.0f} | {peak:.0f} |", flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
