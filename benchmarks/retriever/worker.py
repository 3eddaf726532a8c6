"""A process that is told what to do, line by line, and says what each task took.

Both sides of the comparison run in one, so that they take turns on the same core and neither pays
for the other's memory. This file is imported by RecBole's interpreter too: standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

Reply = dict[str, Any]
"""What a task returned, with ``wall`` and ``cpu`` seconds and ``peak_mib``, the process's peak."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def serve(tasks: Mapping[str, Callable[..., Reply]]) -> None:
    """Do what the lines of standard input ask for, until it ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print where they like; the replies stay readable
    for line in sys.stdin:
        asked = json.loads(line)
        task = tasks[asked.pop("do")]
        wall, cpu = time.perf_counter(), time.process_time()
        reply = task(**asked)
        reply["wall"] = time.perf_counter() - wall
        reply["cpu"] = time.process_time() - cpu
        reply["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(reply), file=replies, flush=True)


class Worker:
    """The other end: starts a module in a process with one thread, asks, and ends it."""

    def __init__(self, root: Path, python: str | Path, module: str, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=root,
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        if kind is not None:
            self.process.kill()
        self.process.wait()

    def ask(self, do: str, **asked: Any) -> Reply:
        """Have a task done. Raises SystemExit where the process ended instead."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"do": do, **asked}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args!r} ended with {self.process.wait()} in {do}")
        reply: Reply = json.loads(line)
        return reply
