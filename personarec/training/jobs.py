"""Training jobs one after the other, or side by side in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import torch

from kg.errors import TryAgainError
from personarec.training.table import Inputs, JobResult, Say, job_names, run_job

SMALL = 50_000
"""Fewer interactions train faster than a process starts."""

Job = tuple[int, str]
"""(seed, name of the job)."""


def run_jobs(inputs: Inputs, workers: int | None, say: Say) -> dict[Job, JobResult]:
    """Run every job of every seed.

    A job gives the same result alone or beside others.

    Args:
        inputs: data, phases and settings.
        workers: processes; none: one for small data, else one for each processor.
        say: called with a line of progress.
    """
    jobs = [(seed, name) for seed in inputs.config.seeds for name in job_names(inputs.config)]
    if workers is None:
        workers = 1 if len(inputs.data.interactions) < SMALL else os.cpu_count() or 1
    workers = min(workers, len(jobs))
    say(f"training {len(jobs)} models, {workers} at a time")
    run = _in_turn(inputs, jobs, say) if workers == 1 else _side_by_side(inputs, jobs, workers)
    results: dict[Job, JobResult] = {}
    for job, result in run:
        results[job] = result
        say(f"seed {job[0]}: {job[1]} done, {len(results)} of {len(jobs)}")
    return results


def _in_turn(inputs: Inputs, jobs: list[Job], say: Say) -> Iterator[tuple[Job, JobResult]]:
    for job in jobs:
        yield job, run_job(inputs, *job, say)


def _side_by_side(inputs: Inputs, jobs: list[Job], workers: int) -> Iterator[tuple[Job, JobResult]]:
    # Spawned, not forked: the parent holds a database engine and torch's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _prepare, (inputs,)) as pool:
        pending = {pool.submit(_run_here, job): job for job in jobs}
        try:
            for done in as_completed(pending):
                yield pending[done], done.result()
        except BaseException as error:
            # Not waited for: who asks to stop does not mean in a minute.
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise TryAgainError(
                    "a training process was killed, perhaps for want of memory; run it again with "
                    "--workers 1"
                ) from error
            raise


_inputs: Inputs | None = None  # of this worker process


def _prepare(inputs: Inputs) -> None:
    global _inputs  # noqa: PLW0603  (a worker's initializer has no other place to leave it)
    _inputs = inputs
    torch.set_num_threads(1)


def _run_here(job: Job) -> JobResult:
    if _inputs is None:
        raise RuntimeError("the worker was not prepared")
    return run_job(_inputs, *job, lambda _: None)
