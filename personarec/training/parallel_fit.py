"""A model's fit, in this process or in several that train it together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kg.errors import ChangeSomethingError
from personarec.personas.encoder import Encoder
from personarec.training.processes import Say, process_killed, side_by_side

OPTION = "--nproc"
Fitted = TypeVar("Fitted")


def check_processes(encoder: Encoder, name: str, processes: int) -> None:
    """Raises ChangeSomethingError for several processes and an encoder that trains in one."""
    if processes > 1 and not encoder.parallel:
        raise ChangeSomethingError(
            f"encoder {name} trains in one process; leave {OPTION} out or take --encoder relational"
        )


def fit_together(fit: Callable[[], Fitted], processes: int = 1) -> Fitted:
    """What ``fit`` gives.

    Each of several processes calls it, with the data and the whole model, and has its share of
    every batch (``Peers``); they meet at a file, so no port is taken by chance, and talk by gloo:
    on the CPU.

    Args:
        fit: a function of a module with its arguments bound (``functools.partial``).
        processes: how many.

    Raises:
        ChangeSomethingError: what ``fit`` raises.
        TryAgainError: a process was killed.
    """
    if processes == 1:
        return fit()
    with tempfile.TemporaryDirectory() as place:
        shared = fit, Path(place) / "meeting", processes
        # They wait for one another, so each job has a process of its own.
        found = dict(side_by_side(_part, shared, range(processes), processes, _unsaid, OPTION))
    fitted = found[0]
    assert fitted is not None
    return fitted


def _unsaid(_line: str) -> None:
    """What a fit says it says itself, as ``fit`` has bound it."""


def _part(shared: tuple[Callable[[], Fitted], Path, int], rank: int, _say: Say) -> Fitted | None:
    """One process's part; the first one's result stands for all, which are the same."""
    from torch import distributed

    fit, meeting, size = shared
    distributed.init_process_group("gloo", meeting.as_uri(), rank=rank, world_size=size)
    try:
        fitted = fit()
    except RuntimeError as error:
        if "gloo" in str(error):  # what one is told whose peer is gone
            raise process_killed(OPTION) from error
        raise
    # Not after a failure: the others would report a lost connection instead of it.
    distributed.destroy_process_group()
    return fitted if rank == 0 else None
