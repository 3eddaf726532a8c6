"""A persona encoder's fit, in this process or in several that train one model together."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kg.errors import ChangeSomethingError
from personarec.personas.encoder import Encoder, Personas, TrainingData
from personarec.training.processes import process_killed, side_by_side

OPTION = "--nproc"

if TYPE_CHECKING:
    Shared = tuple[Encoder, TrainingData, Path, int]


def check_processes(encoder: Encoder, name: str, processes: int) -> None:
    """Raises ChangeSomethingError for several processes and an encoder that trains in one."""
    if processes > 1 and not encoder.parallel:
        raise ChangeSomethingError(
            f"encoder {name} trains in one process; leave {OPTION} out or take --encoder relational"
        )


def fit_encoder(encoder: Encoder, data: TrainingData, processes: int = 1) -> Personas:
    """The fitted encoder.

    Each of several processes has the data and the whole model, and its share of every batch; they
    meet at a file, so no port is taken by chance, and talk by gloo: encoders train on the CPU.

    Raises:
        ChangeSomethingError: what the encoder raises.
        TryAgainError: a process was killed.
    """
    if processes == 1:
        return encoder.fit(data)
    with tempfile.TemporaryDirectory() as place:
        shared = encoder, data, Path(place) / "meeting", processes
        # They wait for one another, so each job has a process of its own.
        found = dict(side_by_side(_fit, shared, range(processes), processes, OPTION))
    fitted = found[0]
    assert fitted is not None
    return fitted


def _fit(shared: Shared, rank: int) -> Personas | None:
    """One process's part; the first one's result stands for all, which are the same."""
    from torch import distributed

    encoder, data, meeting, size = shared
    distributed.init_process_group("gloo", meeting.as_uri(), rank=rank, world_size=size)
    try:
        fitted = encoder.fit(data)
    except RuntimeError as error:
        if "gloo" in str(error):  # what one is told whose peer is gone
            raise process_killed(OPTION) from error
        raise
    # Not after a failure: the others would report a lost connection instead of it.
    distributed.destroy_process_group()
    return fitted if rank == 0 else None
