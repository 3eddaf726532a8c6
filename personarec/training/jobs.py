"""Training jobs one after the other, or side by side in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

from personarec.training.processes import default_workers, side_by_side
from personarec.training.table import Inputs, JobResult, Say, job_names, run_job

Job = tuple[int, str]
"""(seed, name of the job)."""


def run_jobs(inputs: Inputs, workers: int | None, say: Say) -> dict[Job, JobResult]:
    """Run every job of every seed.

    A job gives the same result alone or beside others.

    Args:
        inputs: data, phases and settings.
        workers: processes; none: one for small data, else one for each processor, and one where
            several train a model together.
        say: called with a line of progress.
    """
    jobs = [(seed, name) for seed in inputs.config.seeds for name in job_names(inputs.config)]
    if inputs.config.processes > 1:
        workers = 1
    workers = min(workers or default_workers(len(inputs.data.interactions)), len(jobs))
    by = f"by {inputs.config.processes} processes each, " if inputs.config.processes > 1 else ""
    say(f"training {len(jobs)} models, {by}{workers} at a time")
    run = (
        _in_turn(inputs, jobs, say)
        if workers == 1
        else side_by_side(_quietly, inputs, jobs, workers)
    )
    results: dict[Job, JobResult] = {}
    for job, result in run:
        results[job] = result
        say(f"seed {job[0]}: {job[1]} done, {len(results)} of {len(jobs)}")
    return results


def _in_turn(inputs: Inputs, jobs: list[Job], say: Say) -> Iterator[tuple[Job, JobResult]]:
    for job in jobs:
        yield job, run_job(inputs, *job, say)


def _quietly(inputs: Inputs, job: Job) -> JobResult:
    return run_job(inputs, *job, lambda _: None)
