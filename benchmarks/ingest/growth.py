"""How ``kg ingest`` grows with the data set: 1, 10 and 100 times MovieLens's size, as a picture.

    python -m benchmarks.ingest.growth [--scales 1,10,100]    embedded engine

Staging and loading are measured apart, each in a process of its own (memory.py). Writes
growth.json beside this file and docs/img/ingest-growth.png; needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.ingest import synthetic
from benchmarks.ingest.memory import ROWS, alone, loading, staging
from benchmarks.ingest.run import CACHE, ROOT

PICTURE = ROOT / "docs" / "img" / "ingest-growth.png"


def measure(scale: float) -> dict[str, Any]:
    """One size: rows, and CPU and wall seconds of both phases."""
    folder = CACHE / "growth"
    shutil.rmtree(folder, ignore_errors=True)
    data = synthetic.write(folder / "data", scale=scale)
    found: dict[str, Any] = {"scale": scale, "rows": round(ROWS * scale)}
    for phase in (staging, loading):
        wall, cpu, peak = alone(phase, data, folder, None)
        found[phase.__name__] = {"wall": wall, "cpu": cpu, "peak_mib": peak}
    shutil.rmtree(folder)
    return found


def draw(measured: list[dict[str, Any]]) -> None:
    """CPU seconds over rows, both axes logarithmic, with the line of proportional growth."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [m["rows"] for m in measured]
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    total = [m["staging"]["cpu"] + m["loading"]["cpu"] for m in measured]
    for label, values in (
        ("staging", [m["staging"]["cpu"] for m in measured]),
        ("loading", [m["loading"]["cpu"] for m in measured]),
        ("both", total),
    ):
        axes.loglog(rows, values, marker="o", label=label)
    line = [total[0] * r / rows[0] for r in rows]
    axes.loglog(rows, line, color="grey", linestyle=":", label="proportional to rows")
    axes.set(xlabel="source rows", ylabel="CPU seconds", title="kg ingest, embedded engine")
    axes.legend()
    axes.grid(alpha=0.3)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Growth of the load; see this file's head.")
    parser.add_argument("--scales", default="1,10,100")
    options = parser.parse_args()
    measured = []
    for scale in map(float, options.scales.split(",")):
        measured.append(measure(scale))
        print(json.dumps(measured[-1]), flush=True)
    text = json.dumps(measured, indent=1) + "\n"
    (Path(__file__).parent / "growth.json").write_text(text, "utf-8")
    draw(measured)


if __name__ == "__main__":
    main()
