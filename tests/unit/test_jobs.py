"""Work in processes of its own: what happens when one dies."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kg.errors import TryAgainError
from personarec.personas.comparison.cells import Cell, make_cells
from personarec.training.processes import Say, each_job, side_by_side


class DeadlyInputs:
    """Kills the process that unpickles it, as the kernel would one that wants too much memory."""

    def __getstate__(self) -> dict[str, int]:
        return {"anything": 1}

    def __setstate__(self, _state: Any) -> None:
        os._exit(9)


def test_a_killed_process_is_said_in_one_line() -> None:
    with pytest.raises(TryAgainError, match="run it again with --workers 1"):
        list(side_by_side(talk, DeadlyInputs(), [0, 1], 2, print))


def talk(_shared: Any, job: int, say: Say) -> int:
    for number in range(3):
        say(f"{job}: {number} " + 400 * "x")
    return job


@pytest.mark.parametrize("workers", [1, 2])
def test_what_jobs_say_is_said_here(workers: int) -> None:
    said: list[str] = []
    found = dict(each_job(talk, None, [0, 1, 2], workers, said.append))
    assert found == {0: 0, 1: 1, 2: 2}
    for job in found:
        own = [line for line in said if line.startswith(f"{job}: ")]
        assert [line.split()[1] for line in own] == ["0", "1", "2"]


def talk_much(_shared: None, job: int, say: Say) -> int:
    for _ in range(500):
        say(400 * "x")
    return job


def test_jobs_go_on_where_nobody_reads_what_they_say() -> None:
    def broken(_line: str) -> None:
        raise BrokenPipeError

    assert dict(side_by_side(talk_much, None, [0], 1, broken)) == {0: 0}


class HeldInputs:
    """Holds a lock where it is unpickled, which only the end of that process lets go."""

    name = "held"

    def __init__(self, lock: Path) -> None:
        self.lock = lock

    def __setstate__(self, state: dict[str, Path]) -> None:
        hold(state["lock"], 0, print)


def hold(lock: Path, _job: int, _say: Say) -> None:
    """Hold a lock, which only the end of the process lets go."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lock.with_suffix(".held").touch()
        time.sleep(600)


def wait_for_jobs(lock: Path) -> None:
    list(side_by_side(hold, lock, [0], 1, print))


def wait_for_cells(lock: Path) -> None:
    cell = Cell("alone", "svd", 2, 0)
    make_cells(lock.parent / "cells", HeldInputs(lock), [cell], print)  # type: ignore[arg-type]


@pytest.mark.parametrize("wait", [wait_for_jobs, wait_for_cells])
def test_work_ends_with_a_killed_parent(tmp_path: Path, wait: Callable[[Path], None]) -> None:
    lock = tmp_path / "lock"
    parent = multiprocessing.get_context("spawn").Process(target=wait, args=(lock,))
    parent.start()
    _wait_until(lock.with_suffix(".held").exists)
    assert not _free(lock)

    parent.kill()
    parent.join()

    _wait_until(lambda: _free(lock))


def _wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.1)
    pytest.fail("it did not happen within a minute")


def _free(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
