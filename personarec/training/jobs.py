"""Training jobs one after the other, or side by side in processes of their own."""

from __future__ import annotations

from personarec.training.processes import Say, default_workers, each_job
from personarec.training.table import Inputs, JobResult, job_names, run_job

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
    run = each_job(_run, inputs, jobs, workers, say)
    results: dict[Job, JobResult] = {}
    for job, result in run:
        results[job] = result
        say(f"seed {job[0]}: {job[1]} done, {len(results)} of {len(jobs)}")
    return results


def _run(inputs: Inputs, job: Job, say: Say) -> JobResult:
    seed, name = job
    return run_job(inputs, seed, name, lambda line: say(f"{name}, {line}"))
