"""Cells of the comparison: one encoder, size and seed each, made in a process of its own.

A cell is a small JSON file and a Parquet file of ranks by user. The JSON is written last and by
rename, so a cell that is there is whole, and what a stopped comparison has made is not made again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import re
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from kg.errors import TryAgainError
from kg.partial import write_json, written_whole
from personarec.personas.comparison.alone import measure_alone
from personarec.personas.comparison.strangers import measure_strangers
from personarec.personas.encoder import ENCODER_FORMAT
from personarec.training.data import GraphData
from personarec.training.processes import end_with_parent

CELL_FORMAT = 3
"""Raised whenever the same cell and data would give another content."""
Kind = Literal["alone", "strangers"]
_MEASURES = {"alone": measure_alone, "strangers": measure_strangers}


@dataclass(frozen=True)
class Cell:
    """What is asked, of whom.

    Attributes:
        kind: ``alone``: what the persona alone knows; ``strangers``: of users not trained on.
        encoder: its name.
        dim: most dimensions; 0 for encoders that have no size.
        seed: of everything random.
    """

    kind: Kind
    encoder: str
    dim: int
    seed: int

    @property
    def stem(self) -> str:
        """File name, without its ending."""
        name = re.sub(r"[^a-z0-9]+", "-", self.encoder)
        return f"{self.kind}-{name}-{self.dim}-{self.seed}"


def cells_folder(home: Path, data: GraphData) -> Path:
    """Where the cells of a data set are; other content, or other encoders, have another folder."""
    made_of = f"{CELL_FORMAT} {ENCODER_FORMAT} {data.content_hash()}"
    key = hashlib.sha256(made_of.encode()).hexdigest()
    return home / "personas-compared" / f"{data.name}-{key[:12]}"


def make_cells(
    folder: Path, data: GraphData, cells: Sequence[Cell], say: Callable[[str], None]
) -> None:
    """Make the cells that are not there yet, one after the other.

    Raises:
        TryAgainError: a cell's process was killed.
        ChangeSomethingError: an encoder cannot be fitted to the data; the cells before it stay.
    """
    missing = [c for c in cells if not (folder / f"{c.stem}.json").exists()]
    say(f"{data.name}: {len(cells) - len(missing)} cells are there, {len(missing)} to make")
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Not forked from here: a database engine runs in this process. The server has the libraries.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "data.pickle"
        source.write_bytes(pickle.dumps(data))
        for number, cell in enumerate(missing, start=1):
            if (folder / f"{cell.stem}.json").exists():
                continue  # another run has made it meanwhile
            started = time.perf_counter()
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_make, args=(folder, source, cell, theirs))
            process.start()
            theirs.close()
            try:
                failed = ours.recv()
            except EOFError:  # it died before it could say anything
                failed = TryAgainError(
                    f"the process of {cell.stem} was killed, perhaps for want of memory; the same "
                    "command goes on from here"
                )
            except BaseException:
                process.terminate()
                raise
            finally:
                process.join()
            if failed is not None:
                raise failed
            seconds = time.perf_counter() - started
            say(f"{data.name}: {cell.stem}, {number} of {len(missing)}, {seconds:.0f} s")


def read_cells(
    folder: Path, cells: Sequence[Cell]
) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    """The cells that are there: what was measured, and ranks by user."""
    for cell in cells:
        path = folder / f"{cell.stem}.json"
        if path.exists():
            yield json.loads(path.read_text("utf-8")), pl.read_parquet(path.with_suffix(".parquet"))


def _make(folder: Path, source: Path, cell: Cell, answer: Any) -> None:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    end_with_parent()
    try:
        with threadpool_limits(1):  # torch's too, where it is loaded
            data: GraphData = pickle.loads(source.read_bytes())
            started = time.perf_counter()
            found, ranks = _MEASURES[cell.kind](data, cell.encoder, cell.dim, cell.seed)
            found |= {"kind": cell.kind, "encoder": cell.encoder, "dim": cell.dim}
            found |= {"seed": cell.seed, "seconds": round(time.perf_counter() - started, 1)}
            found["peakMb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            write_cell(folder, cell, found, ranks)
    except Exception as error:
        answer.send(error)
    else:
        answer.send(None)


def write_cell(folder: Path, cell: Cell, found: dict[str, Any], ranks: pl.DataFrame) -> None:
    """Both files by rename, the JSON last."""
    path = folder / f"{cell.stem}.parquet"
    with written_whole(path) as file:
        ranks.write_parquet(file)
    write_json(path.with_suffix(".json"), found)
