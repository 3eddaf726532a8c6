"""The table of the comparison, its gate, and both in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from personarec.evaluation.metrics import hit_rate, ndcg
from personarec.evaluation.significance import Interval
from personarec.personas.comparison.intervals import nested_interval

Ranks = NDArray[np.float64]
METRICS: dict[str, Callable[[Ranks], Ranks]] = {
    "HR@10": lambda ranks: hit_rate(ranks, 10),
    "HR@100": lambda ranks: hit_rate(ranks, 100),
    "NDCG@10": lambda ranks: ndcg(ranks, 10),
}
GATE = ("shuffled", "mean-item", "propagation")
"""What an encoder must beat to be called better: its own personas shuffled, and two baselines."""
AIM = ("svd", "lightgcn")
"""What it is compared with beside."""
MEANS = {
    "cold HR@100": "coldHr100",
    "cold HR@100, own score": "coldOwnHr100",
    "few HR@100": "fewHr100",
    "newest 3: HR@100": "shortHr100",
    "taste ARI": "tasteAri",
}


@dataclass
class Row:
    """An encoder of one size over its seeds.

    Attributes:
        encoder: its name.
        dim: most dimensions, 0 where it has no size.
        cells: what was measured, one a seed.
        ranks: float64, shape (n_seeds, n_users): of the test items.
        strange: the same from somebody else's persona; NaN where there is none.
        edges: float64, shape (n_seeds, 2, n): of held-out edges of the sampled users.
        intervals: of the metrics.
        against: of NDCG@10 less that of another row of the same size, or of the largest.
    """

    encoder: str
    dim: int
    cells: list[dict[str, Any]]
    ranks: Ranks
    strange: Ranks
    edges: Ranks
    intervals: dict[str, Interval] = field(default_factory=dict)
    against: dict[str, Interval] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Encoder and size."""
        return f"{self.encoder} {self.dim}" if self.dim else self.encoder

    def mean(self, key: str) -> float | None:
        """Mean over the seeds of what was measured; None where nothing was."""
        values = [c[key] for c in self.cells if c.get(key) is not None]
        return float(np.mean(values)) if values else None

    @property
    def passes(self) -> bool:
        """Above everything in the gate, intervals excluding 0."""
        return all(g in self.against and self.against[g].low > 0 for g in GATE)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "encoder": self.encoder,
            "dim": self.dim,
            "seeds": len(self.cells),
            "reading": sorted({c["reading"] for c in self.cells}),
            "settings": [c["settings"] for c in self.cells],
            "intervals": {k: [v.mean, v.low, v.high] for k, v in self.intervals.items()},
            "against": {k: [v.mean, v.low, v.high] for k, v in self.against.items()},
            "means": {name: self.mean(key) for name, key in MEANS.items()},
            "fitSeconds": self.mean("fitSeconds"),
            "seconds": self.mean("seconds"),
            "peakMb": self.mean("peakMb"),
            "passes": self.passes,
        }


def rows_of(cells: Sequence[tuple[dict[str, Any], pl.DataFrame]]) -> list[Row]:
    """Cells of one data set, gathered over their seeds, with intervals."""
    groups: dict[tuple[str, int], list[tuple[dict[str, Any], pl.DataFrame]]] = {}
    for found, ranks in cells:
        groups.setdefault((found["encoder"], found["dim"]), []).append((found, ranks))
    rows = []
    for (encoder, dim), group in groups.items():
        frames = [frame.sort("user") for _, frame in group]
        row = Row(
            encoder,
            dim,
            [found for found, _ in group],
            np.stack([f["rank"].to_numpy() for f in frames]),
            np.stack([f["shuffled"].to_numpy() for f in frames]),
            np.stack([_edges(f) for f in frames]),
        )
        row.intervals = {name: nested_interval(of(row.ranks)) for name, of in METRICS.items()}
        row.intervals["recall@100"] = nested_interval(hit_rate(row.edges, 100).mean(axis=1))
        rows.append(row)
    _compare(rows)
    return rows


def _compare(rows: list[Row]) -> None:
    by_name = {(r.encoder, r.dim): r for r in rows}
    largest = max((r.dim for r in rows), default=0)
    for row in rows:
        own = ndcg(row.ranks, 10)
        if not np.isnan(row.strange).any():
            row.against["shuffled"] = nested_interval(own, ndcg(row.strange, 10))
        for other in (*GATE[1:], *AIM):
            found = by_name.get((other, row.dim or largest))
            if found is not None and found is not row:
                row.against[other] = nested_interval(own, ndcg(found.ranks, 10))


def _edges(frame: pl.DataFrame) -> Ranks:
    edges = frame.select("valid_edge", "test_edge").to_numpy().T
    return np.asarray(edges[:, ~np.isnan(edges[0])])


def markdown(name: str, rows: list[Row]) -> str:
    """One data set's table."""
    first = rows[0].cells[0]
    columns = [*METRICS, "recall@100"]
    means = [k for k in MEANS if any(r.mean(MEANS[k]) is not None for r in rows)]
    compared = [f"NDCG@10 − {other}" for other in (*GATE, *AIM)]
    header = [
        "persona", "size", "seeds", "read by", *columns, *means, *compared, "fit s", "all s",
        "peak MB",
    ]  # fmt: skip
    lines = [
        f"## {name}: {first['users']} users asked, {first['cold']} cold targets, "
        f"{first['few']} users with three training items or fewer",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
    ]
    for row in sorted(rows, key=lambda r: -r.intervals["NDCG@10"].mean):
        cells = [row.encoder, row.dim or "–", len(row.cells), _read_by(row)]
        cells += [_plain(row.intervals[c]) for c in columns]
        cells += [_number(row.mean(MEANS[k])) for k in means]
        cells += [_gap(row.against.get(other)) for other in (*GATE, *AIM)]
        cells += [
            f"{row.mean('fitSeconds'):.1f}", f"{row.mean('seconds'):.1f}",
            f"{row.mean('peakMb'):.0f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(c) for c in cells) + " |")
    return "\n".join(lines)


def gate(tables: dict[str, list[Row]]) -> str:
    """Which encoders may be called better, on all data sets; else the closest three."""
    sizes = [{(r.encoder, r.dim): r for r in rows} for rows in tables.values()]
    everywhere = [
        key for key in (sizes[0] if sizes else {})
        if all(key in s for s in sizes) and key[0] not in (*GATE, "constant", "random")
    ]  # fmt: skip
    where = " and ".join(tables)
    passed = [k for k in everywhere if all(s[k].passes for s in sizes)]
    head = (
        "An encoder is called better if its NDCG@10 is above that of its own personas shuffled, "
        "the mean item and untrained propagation of the same size, the paired 95 % interval "
        f"excluding 0, on {where}."
    )
    if len(tables) < 2:
        head += " One data set is too few for that: what follows is of it alone."
    lines = [head, ""]
    if passed:
        passed.sort(key=lambda k: -min(_margin(s[k]) for s in sizes))
        lines += ["Better: " + ", ".join(sizes[0][k].name for k in passed) + "."]
    else:
        closest = sorted(everywhere, key=lambda k: -min(_margin(s[k]) for s in sizes))[:3]
        lines += ["None is. The closest three, by the lowest end of their intervals:", ""]
        for key in closest:
            ends = "; ".join(
                f"{name}: " + ", ".join(f"− {g} {_gap(s[key].against.get(g))}" for g in GATE)
                for name, s in zip(tables, sizes, strict=True)
            )
            lines.append(f"- {sizes[0][key].name}: {ends}")
    return "\n".join(lines)


def strangers_markdown(name: str, cells: Sequence[dict[str, Any]]) -> str:
    """What is known of users that training never saw, by how many items they show."""
    lines = [
        f"## {name}: strangers, HR@100 by newest items shown",
        "",
        "| persona | size | seeds | strangers | κ | row | 1 | 2 | 3 | 5 | 10 | all |",
        "|" + "---|" * 12,
    ]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["encoder"], cell["dim"]), []).append(cell)
    for (encoder, dim), group in groups.items():
        for row in ("popularity", "persona", "shrunk", "resident"):
            values = [
                f"{np.mean([c['shown'][f'{row} {shown}']['hr100'] for c in group]):.4f}"
                for shown in (1, 2, 3, 5, 10, "all")
            ]
            kappa = "/".join(sorted({f"{c['kappa']:g}" for c in group})) if row == "shrunk" else "–"
            who = [encoder, dim, len(group), group[0]["users"], kappa, row]
            lines.append("| " + " | ".join(str(c) for c in (*who, *values)) + " |")
    return "\n".join(lines)


def _margin(row: Row) -> float:
    ends = [row.against[g].low for g in GATE if g in row.against]
    return min(ends) if len(ends) == len(GATE) else -1.0


def _read_by(row: Row) -> str:
    said = {
        c["reading"] + "".join(f", {k} {v}" for k, v in c["settings"].items()) for c in row.cells
    }
    return " / ".join(sorted(said))


def _plain(of: Interval) -> str:
    return f"{of.mean:.4f} [{of.low:.4f}, {of.high:.4f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _gap(gap: Interval | None) -> str:
    if gap is None:
        return "–"
    bold = "**" if gap.clear else ""
    return f"{bold}{gap.mean:+.4f}{bold} [{gap.low:+.4f}, {gap.high:+.4f}]"
