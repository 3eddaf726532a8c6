"""A bounded pool of threads for what computes and for what waits for the graph."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from personarec.web import limits
from personarec.web.problems import ProblemError

T = TypeVar("T")


class Work:
    """Runs functions in threads: so many at a time, so many waiting, each within a time."""

    def __init__(
        self,
        threads: int,
        *,
        waiting: int = limits.WAITING,
        seconds: float = limits.ANSWER_SECONDS,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="personarec-web")
        self._room = threading.BoundedSemaphore(threads + waiting)
        self._seconds = seconds

    async def run(self, function: Callable[[], T]) -> T:
        """The function's result.

        Raises:
            ProblemError: 503 when too many wait, 504 when it took too long. A function that has
                begun runs to its end, and keeps its thread until then.
        """
        if not self._room.acquire(blocking=False):
            raise ProblemError(
                503, "too many requests wait already; try again in a second", {"Retry-After": "1"}
            )
        future = self._pool.submit(function)
        future.add_done_callback(lambda _: self._room.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except TimeoutError:
            raise ProblemError(
                504, f"no answer within {self._seconds:g} s; ask for less, or try again later"
            ) from None

    def close(self) -> None:
        """Take no more; what runs, ends."""
        self._pool.shutdown(wait=False, cancel_futures=True)
