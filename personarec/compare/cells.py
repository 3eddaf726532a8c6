"""Cells: one row and one seed each, a folder that is there whole or not at all.

A folder is written under a name of its own and takes its place by rename, so what a killed run has
finished is found again by looking. Its name ends in a hash of all that its content follows from:
other settings or data make other cells.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kg.partial import partial_path, remove, write_json, written_whole
from personarec.compare.asking import Answers

if TYPE_CHECKING:
    from collections.abc import Mapping

CELL_FORMAT = 1
"""Raised whenever the same settings and data would give another content."""

_METRICS, _RANKS, _TENSORS = "metrics.json", "ranks.parquet", "models.safetensors"


@dataclass(frozen=True)
class CellResult:
    """What a cell found.

    Attributes:
        answers: to the test queries.
        validation: NDCG@10 on the validation items, what choices are made by.
        weights: of each evidence, by name, where there are some.
        notes: anything else worth keeping (epochs, parts' seconds).
        tensors: of the trained models, by name, where other cells build on them.
    """

    answers: Answers
    validation: float
    weights: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def cell_key(identity: Mapping[str, Any]) -> str:
    """SHA-256 of all that a cell's content follows from."""
    text = json.dumps([CELL_FORMAT, identity], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def cell_folder(out: Path, row: str, seed: int, key: str) -> Path:
    """Where a cell is, or would be."""
    name = re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")
    return out / "cells" / f"{name}.seed{seed}.{key[:12]}"


def is_there(folder: Path, *, model: bool = False) -> bool:
    """Whether a cell is there, with its model if others build on it.

    A folder is renamed into place with everything in it; but an earlier version may have made it
    when no row built on this one.
    """
    return (folder / _METRICS).is_file() and (not model or (folder / _TENSORS).is_file())


def write_cell(
    folder: Path,
    result: CellResult,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    metrics: Mapping[str, Any],
    who: Mapping[str, list[str]],
) -> None:
    """Write a cell so that it is there whole or not at all.

    Args:
        folder: its place.
        result: what was found.
        config: all that it follows from.
        environment: machine, versions, data.
        metrics: what config and result come to.
        who: the columns ``user`` and ``item``: ids of the queries' users and targets.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(folder)
    remove(partial)
    partial.mkdir()
    try:
        if result.tensors:
            from safetensors.numpy import save

            with written_whole(partial / _TENSORS) as file:
                file.write(save({k: np.ascontiguousarray(v) for k, v in result.tensors.items()}))
        frame = pl.DataFrame(
            {**who, "rank": result.answers.ranks, "top": result.answers.lists},
            schema_overrides={"top": pl.Array(pl.Int32, result.answers.lists.shape[1])},
        )
        with written_whole(partial / _RANKS) as file:
            frame.write_parquet(file)
        for name, content in (
            ("config.json", config), ("environment.json", environment), (_METRICS, metrics),
        ):  # fmt: skip
            write_json(partial / name, content)
        if is_there(folder, model=bool(result.tensors)):  # another run was faster
            return
        remove(folder)
        partial.replace(folder)
    finally:
        remove(partial)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Content of metrics.json."""
    found: dict[str, Any] = json.loads((folder / _METRICS).read_text("utf-8"))
    return found


def read_answers(folder: Path) -> Answers:
    """Ranks and lists of a cell."""
    frame = pl.read_parquet(folder / _RANKS, columns=["rank", "top"])
    return Answers(frame["rank"].to_numpy(), frame["top"].to_numpy().astype(np.int32))


def read_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    """Tensors of the models that a cell keeps."""
    from safetensors.numpy import load_file

    found: dict[str, NDArray[Any]] = load_file(folder / _TENSORS)
    return found
