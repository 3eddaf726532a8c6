"""Work done in processes of their own, side by side."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from kg.errors import TryAgainError

SMALL = 50_000
"""Fewer interactions train faster than a process starts."""
Job = TypeVar("Job")
Result = TypeVar("Result")
Shared = TypeVar("Shared")
Say = Callable[[str], None]


def default_workers(interactions: int) -> int:
    """Processes to train in: one for small data, else one for each processor."""
    return 1 if interactions < SMALL else os.cpu_count() or 1


def each_job(
    work: Callable[[Shared, Job, Say], Result], shared: Shared, jobs: Sequence[Job], workers: int,
    say: Say,
) -> Iterator[tuple[Job, Result]]:  # fmt: skip
    """Each job with its result: here, one after the other, or in as many processes as there are
    workers and jobs; arguments and errors are those of :func:`side_by_side`.
    """
    workers = min(workers, len(jobs))
    if workers > 1:
        return side_by_side(work, shared, jobs, workers, say)
    return ((job, work(shared, job, say)) for job in jobs)


def side_by_side(
    work: Callable[[Shared, Job, Say], Result], shared: Shared, jobs: Iterable[Job], workers: int,
    say: Say, option: str = "--workers",
) -> Iterator[tuple[Job, Result]]:  # fmt: skip
    """Each job with its result, as they end.

    Args:
        work: a function of a module, called as work(shared, job, say) in a process with one thread.
        shared: what every job needs; sent once to each process.
        jobs: what to do.
        workers: processes.
        say: called here, by a thread, with the lines that jobs say there.
        option: what sets their number, for the advice when one was killed.

    Raises:
        TryAgainError: a process was killed.
    """
    # Spawned, not forked: the parent holds a database engine and torch's threads.
    context = multiprocessing.get_context("spawn")
    lines, writer = context.Pipe(duplex=False)
    listener = threading.Thread(target=_pass_on, args=(lines, say), daemon=True)
    listener.start()
    try:
        with ProcessPoolExecutor(workers, context, _prepare, (work, shared, writer)) as pool:
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
                    raise process_killed(option) from error
                raise
    finally:
        writer.close()  # the last of its writers, so the listener comes to its end
        listener.join()
        lines.close()


def _pass_on(lines: Connection, say: Say) -> None:
    with suppress(EOFError):
        while True:
            line = lines.recv()
            with suppress(OSError):  # nobody reads it; what is said next would fill the pipe
                say(line)


def process_killed(option: str) -> TryAgainError:
    """What is said of a killed process; ``option`` sets how many there are."""
    return TryAgainError(
        f"a training process was killed, perhaps for want of memory; run it again with {option} 1"
    )


_prepared: tuple[Callable[[Any, Any, Say], Any], Any, Say] | None = None  # of this worker process


def _prepare(work: Callable[[Any, Any, Say], Any], shared: Any, writer: Connection) -> None:
    global _prepared  # noqa: PLW0603  (a worker's initializer has no other place to leave it)
    import torch

    end_with_parent()
    # Short, so that it is written in one piece: no lock is held by a process that is killed.
    _prepared = work, shared, lambda line: writer.send(line[:500])
    torch.set_num_threads(1)


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that came.

    Nobody is left to take the result then, and the job may have an hour to go.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_here(job: Any) -> Any:
    if _prepared is None:
        raise RuntimeError("the worker was not prepared")
    work, shared, say = _prepared
    return work(shared, job, say)
