"""What personas alone know of the next item: every baseline encoder, on real data.

    python -m benchmarks.personas.run            about half an hour on one core
    python -m benchmarks.personas.run --data movielens-dbpedia --rows mean-item propagation svd

Leave-one-out; encoders see training items alone, the persona at test is of training and validation
items. Settings, and how a persona is read (its own score, or a linear map), are chosen on
validation (NDCG@100). Full ranking, seen items masked, one seed, one thread; each row is a process
of its own, so that its peak memory is its own (data and libraries included). A linear map has seen
no cold item come next, so it ranks them last: 0 in that column is the reading's doing. Seconds are
of the chosen settings' fit, and of the whole row with all settings tried and all measures.

Needs movielens-dbpedia and amazon-beauty under PERSONAREC_DATA or ../shared/data. Writes results.md
and results.json beside this.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.hdgi.graphs import data_folder
from kg.ingest import ingest
from kg.store import connect
from personarec.datasets.manifest import resolve
from personarec.evaluation.metrics import hit_rate, ndcg
from personarec.evaluation.persona_probe import Probe, probe
from personarec.evaluation.significance import paired_bootstrap
from personarec.personas.baselines.ease import EasePersonas
from personarec.personas.encoder import TrainingData
from personarec.personas.registry import make_encoder
from personarec.training.data import GraphData, read_data

HERE = Path(__file__).resolve().parent
DATA_SETS = {"movielens-dbpedia": "movielens-dbpedia", "amazon-beauty": "beauty"}
NO_SIZE = ("constant", "facts", "ease, full matrix")
"""Rows that the number of dimensions does not change."""
GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "svd": ({"scaled": False}, {"scaled": True}),
    "facts": ({"age_decay": 0.7}, {"age_decay": 0.85}, {"age_decay": 1.0}),
    "hdgi": ({"user_features": "random"}, {"user_features": "items"}),
    "ease, full matrix": ({"regularisation": 100.0}, {"regularisation": 500.0}),
}
ROWS = (
    "random", "constant", "shuffled:propagation", "mean-item", "keywords", "propagation",
    "shrunk:propagation", "svd", "ease, full matrix", "ease", "lightgcn", "hdgi", "facts",
)  # fmt: skip
AGAINST = ("mean-item", "propagation")


def read(name: str) -> GraphData:
    """Load a data set into an embedded graph of its own, and read it back."""
    folder = data_folder()
    short = DATA_SETS[name]
    dataset = resolve(short, data=folder / name) if short != name else resolve(str(folder / name))
    with tempfile.TemporaryDirectory() as home, connect(None, Path(home)) as store:
        ingest(store, dataset, Path(home), lambda _what, _done, _total: None)
        return read_data(store, dataset.name)


def one_row(
    name: str, row: str, dim: int, grid: tuple[dict[str, Any], ...]
) -> tuple[dict[str, Any], Any]:
    """Fit and probe an encoder with the best of a grid of settings: what is printed, and ranks."""
    data = TrainingData.of(DATA[name])
    started = time.perf_counter()
    best: tuple[float, Probe, dict[str, Any], float] | None = None
    encoder_name = row.split(",", maxsplit=1)[0]
    for settings in grid:
        began = time.perf_counter()
        model = make_encoder(encoder_name, dim=dim, **settings).fit(data)
        fitting = time.perf_counter() - began
        readings = None
        if row.endswith("full matrix"):
            assert isinstance(model, EasePersonas)
            readings = {"x B": model.full_score}
        found = probe(model, DATA[name].split, fitted=data.sequences, readings=readings)
        if best is None or found.choice[found.reading] > best[0]:
            chosen = dict(settings)
            if hasattr(model, "kappa"):
                chosen["kappa"] = model.kappa
            best = (found.choice[found.reading], found, chosen, fitting)
    assert best is not None
    _, found, chosen, fitting = best
    cold = found.ranking.ranks[found.cold]
    few = found.ranking.ranks[found.few]
    return {
        "row": row,
        "dim": "–" if row in NO_SIZE else dim,
        "reading": found.reading,
        "chosen": chosen,
        "settings": ", ".join(f"{k} {v}" for k, v in chosen.items()),
        "hr10": found.ranking.hit_rate(10), "hr100": found.ranking.hit_rate(100),
        "ndcg10": found.ranking.ndcg(10), "recall100": found.recall(),
        "cold_hr100": float(hit_rate(cold, 100).mean()) if len(cold) else None,
        "few_hr100": float(hit_rate(few, 100).mean()) if len(few) else None,
        "short_hr100": found.short.hit_rate(100),
        "fit_seconds": round(fitting, 1), "seconds": round(time.perf_counter() - started, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "users": len(found.ranking.users), "cold": len(cold), "few": len(few),
    }, found.ranking.ranks  # fmt: skip


DATA: dict[str, GraphData] = {}
"""Filled before the rows' processes begin, which inherit it."""


def all_rows(name: str, args: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every row of a data set, each in a process of its own."""
    context = multiprocessing.get_context("fork")
    grids = GRIDS | {"lightgcn": ({"epochs": args.epochs},)}
    for row in args.rows:
        for dim in args.dims[-1:] if row in NO_SIZE else args.dims:
            if row == "lightgcn" and f"{name}:{dim}" in args.skip_lightgcn:
                print(f"{name} lightgcn {dim}: skipped", file=sys.stderr)
                continue
            with ProcessPoolExecutor(1, context, initializer=threadpool_limits, initargs=(1,)) as p:
                found = p.submit(
                    one_row, name, row, 2 if row in NO_SIZE else dim, grids.get(row, ({},))
                ).result()
            if row == "ease, full matrix":  # each fit is a matrix inversion: λ is chosen once
                grids["ease"] = (found[0]["chosen"],)
            print(name, json.dumps(found[0]), flush=True)
            yield found


def compared(rows: list[tuple[dict[str, Any], Any]]) -> None:
    """NDCG@10 against the mean item and untrained propagation of the same size, or the largest."""
    ranks = {(r["row"], r["dim"]): found for r, found in rows}
    largest = max((r["dim"] for r, _ in rows if r["dim"] != "–"), default=0)
    for row, found in rows:
        for other in AGAINST:
            size = largest if row["dim"] == "–" else row["dim"]
            if (other, size) not in ranks or row["row"] == other:
                continue
            gap = paired_bootstrap(ndcg(found, 10), ndcg(ranks[other, size], 10))
            row[f"against {other}"] = [gap.mean, gap.low, gap.high]


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """One data set's rows in Markdown."""
    first = rows[0]
    lines = [
        f"## {name}: {first['users']} users asked, {first['cold']} cold targets, "
        f"{first['few']} users with three training items or fewer",
        "",
        "| persona | size | read by | HR@10 | HR@100 | NDCG@10 | recall@100 | cold HR@100 "
        "| few HR@100 | newest 3: HR@100 | NDCG@10 − mean-item | NDCG@10 − propagation "
        "| fit s | all s | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        read_by = r["reading"] + (f" ({r['settings']})" if r["settings"] else "")
        numbers = [
            r[k] for k in
            ("hr10", "hr100", "ndcg10", "recall100", "cold_hr100", "few_hr100", "short_hr100")
        ]  # fmt: skip
        cells = [r["row"], r["dim"], read_by, *("–" if n is None else f"{n:.4f}" for n in numbers)]
        cells += [_gap(r.get(f"against {other}")) for other in AGAINST]
        cells += [r["fit_seconds"], r["seconds"], r["peak_mb"]]
        lines.append("| " + " | ".join(str(c) for c in cells) + " |")
    return "\n".join(lines)


def _gap(gap: list[float] | None) -> str:
    if gap is None:
        return "–"
    mean, low, high = gap
    bold = "**" if low > 0 or high < 0 else ""
    return f"{bold}{mean:+.4f}{bold} [{low:+.4f}, {high:+.4f}]"


def verdicts(name: str, rows: list[dict[str, Any]]) -> str:
    """Who beat whom, in words."""
    lines = []
    for other in AGAINST:
        gaps = {
            f"{r['row']} {r['dim']}".removesuffix(" –"): r[f"against {other}"]
            for r in rows
            if f"against {other}" in r
        }
        better = [k for k, (_, low, _) in gaps.items() if low > 0]
        worse = [k for k, (_, _, high) in gaps.items() if high < 0]
        open_ = [k for k in gaps if k not in better and k not in worse]
        lines.append(
            f"- {name}, NDCG@10 against {other} of the same size: "
            f"better {', '.join(better) or '–'}; worse {', '.join(worse) or '–'}; "
            f"not told apart {', '.join(open_) or '–'}."
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", choices=list(DATA_SETS), default=list(DATA_SETS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--dims", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--epochs", type=int, default=60, help="most epochs of LightGCN")
    parser.add_argument("--skip-lightgcn", nargs="*", default=[], metavar="DATA:DIM")
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    args = parser.parse_args()
    result: dict[str, Any] = {}
    for name in args.data:
        # In a process of its own: what the embedded engine takes is no encoder's memory.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            DATA[name] = pool.submit(read, name).result()
        found = []
        for row in all_rows(name, args):
            found.append(row)
            compared(found)
            result[name] = [r for r, _ in found]
            write(result, args.out)
        del DATA[name]


def write(result: dict[str, Any], out: Path) -> None:
    """The tables, as Markdown and JSON; after each row, so that a run cut short leaves its rows."""
    intro = " ".join(str(__doc__).split("\n\n")[2].split())
    text = "\n\n".join(
        ["# Personas alone: what they know of the next item", intro]
        + [table(name, rows) for name, rows in result.items()]
        + ["## Who beat the mean item and untrained propagation"]
        + [verdicts(name, rows) for name, rows in result.items()]
    )
    out.write_text(text + "\n", "utf-8")
    out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
