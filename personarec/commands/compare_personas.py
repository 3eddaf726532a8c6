"""Every persona encoder beside every other, on one data set or several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.partial import written_whole
from kg.store import GraphStore
from personarec.console import out, print_table, tell

if TYPE_CHECKING:
    from personarec.personas.comparison.cells import Cell

ENCODERS = (
    "random", "constant", "mean-item", "keywords", "propagation", "shrunk:propagation", "svd",
    "recent:svd", "ease", "ease-full", "lightgcn", "hdgi", "facts", "relational",
)  # fmt: skip
STRANGERS = ("propagation", "svd", "relational")
"""Encoders whose personas for users that training never saw are measured, where compared."""


@dataclass(frozen=True)
class PersonaComparison:
    """What a comparison is asked for.

    Attributes:
        datasets: names in the graph.
        encoders: names, wrappers included.
        dims: sizes.
        seeds: how many, for encoders that draw something.
    """

    datasets: tuple[str, ...]
    encoders: tuple[str, ...]
    dims: tuple[int, ...]
    seeds: int


def wanted(
    datasets: Sequence[str], encoders: str | None, dims: str, seeds: int
) -> PersonaComparison:
    """What the options say. Raises ChangeSomethingError for an unknown encoder or no number."""
    from personarec.personas.comparison.alone import FULL_MATRIX
    from personarec.personas.registry import make_encoder

    given = (n.strip() for n in encoders.split(",")) if encoders else ENCODERS
    names = tuple(dict.fromkeys(given))
    for name in names:
        if name != FULL_MATRIX:
            make_encoder(name)
    try:
        sizes = tuple(sorted({int(d) for d in dims.split(",")}))
    except ValueError:
        raise ChangeSomethingError(f"--dims {dims}: give numbers, as in 64,256,1024") from None
    if sizes[0] < 2:
        raise ChangeSomethingError("--dims: a persona has two dimensions or more")
    return PersonaComparison(tuple(dict.fromkeys(datasets)), names, sizes, seeds)


def cells_of(asked: PersonaComparison) -> list[Cell]:
    """The cells of one data set: the first seed of all before the second of any."""
    from personarec.personas.comparison.alone import SIZELESS, takes_seeds
    from personarec.personas.comparison.cells import Cell

    cells = []
    for seed in range(asked.seeds):
        for dim in asked.dims:
            for name in asked.encoders:
                if seed and not takes_seeds(name):
                    continue
                if name in SIZELESS and dim != asked.dims[0]:
                    continue
                cells.append(Cell("alone", name, 0 if name in SIZELESS else dim, seed))
        cells += [
            Cell("strangers", n, asked.dims[0], seed) for n in asked.encoders if n in STRANGERS
        ]
    return cells


def compare_personas(
    store: GraphStore, asked: PersonaComparison, home: Path
) -> tuple[dict[str, Any], str]:
    """Make what is missing of each data set; the comparison as a document and in Markdown.

    Raises:
        ChangeSomethingError: nobody of a data set has enough interactions.
        TryAgainError: a process was killed; what it had finished stays.
    """
    from personarec.evaluation.splits import require_held_out
    from personarec.personas.comparison.cells import cells_folder, make_cells
    from personarec.training.data import read_data

    cells = cells_of(asked)
    folders = {}
    for name in asked.datasets:
        data = read_data(store, name)
        if data.remark:
            tell(f"{name}: {data.remark}")
        require_held_out(data.split, name)
        folders[name] = cells_folder(home, data)
        make_cells(folders[name], data, cells, tell)
    return comparison(folders, cells)


def comparison(folders: dict[str, Path], cells: Sequence[Cell]) -> tuple[dict[str, Any], str]:
    """What the cells that are there say: folder of each data set → document and Markdown."""
    from personarec.personas.comparison.cells import read_cells
    from personarec.personas.comparison.report import (
        gate,
        markdown,
        rows_of,
        strangers_markdown,
    )

    alone, strange = ([c for c in cells if c.kind == k] for k in ("alone", "strangers"))
    tables = {name: rows_of(list(read_cells(f, alone))) for name, f in folders.items()}
    strangers = {
        name: [found for found, _ in read_cells(f, strange)] for name, f in folders.items()
    }
    text = "\n\n".join(
        ["# Personas alone: what they know of the next item", INTRODUCTION, gate(tables)]
        + [markdown(name, rows) for name, rows in tables.items()]
        + [strangers_markdown(name, found) for name, found in strangers.items() if found]
    )
    document = {
        "gate": gate(tables),
        "tables": {name: [r.document() for r in rows] for name, rows in tables.items()},
        "strangers": strangers,
    }
    return document, text + "\n"


INTRODUCTION = (
    "Leave-one-out; encoders see training items alone, the persona at test is of training and "
    "validation items. Settings, and how a persona is read (its own score, or a linear map), are "
    "chosen on validation (NDCG@100). Full ranking, seen items masked, one thread; each cell is a "
    "process of its own, so that its peak memory is its own (data and libraries included). "
    "Intervals are 95 %, of users nested in seeds; bold differences exclude 0. A linear map has "
    "seen no cold item come next, so it ranks them last: the encoder's own score is beside it. "
    "Seconds are of the chosen settings' fit, and of the whole cell with all settings tried and "
    "all measures, on a machine that may have been busy with other things."
)


def write_report(path: Path, document: dict[str, Any], text: str) -> None:
    """The Markdown at ``path``, the document beside it as JSON; each whole or not at all."""
    for where, content in (
        (path, text),
        (path.with_suffix(".json"), json.dumps(document, indent=1) + "\n"),
    ):
        with written_whole(where) as file:
            file.write(content.encode())


def print_comparison(document: dict[str, Any]) -> None:
    """A short table for each data set, and the gate."""
    for name, rows in document["tables"].items():
        ordered = sorted(rows, key=lambda r: -r["intervals"]["NDCG@10"][0])
        columns = list(ordered[0]["intervals"])
        print_table(
            name,
            ("persona", "size", "seeds", *columns, "s", "MB"),
            [
                (
                    r["encoder"], r["dim"] or "", r["seeds"],
                    *(f"{r['intervals'][c][0]:.4f}" for c in columns),
                    round(r["seconds"]), round(r["peakMb"]),
                )
                for r in ordered
            ],
        )  # fmt: skip
    out.print(document["gate"], markup=False)
