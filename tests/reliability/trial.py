"""What the trials share: commands in processes that can be killed, and what to compare with.

A trial needs many processes, and a fresh one spends a second or more on imports. ``Forks`` is one
process that has imported everything and forks a child for each command.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType

import pytest
from conftest import GraphAddress, quiet, wipe

import cli
from kg.ingest import DataSetSources, dump, ingest, stats
from kg.store import connect

ROOT = Path(__file__).resolve().parents[2]

_FORKING = """
import json, os, sys, traceback
import arcadedb, cli, kg.ingest, kg.store, personarec.commands.train, personarec.datasets.manifest
for line in sys.stdin:
    task = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        for number, file in ((0, os.devnull), (1, task["out"]), (2, task["err"])):
            os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
        os.environ.update(task["environment"])
        sys.argv = ["personarec", *task["words"]]
        code = 99
        try:
            exec(task["fault"], {})
            cli.main()
        except SystemExit as end:
            code = end.code
        except BaseException:  # what --debug lets through
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


SLOWLY = """
import time
from kg.ingest.journal import Journal
save = Journal.save
def slow(journal, path):
    save(journal, path)
    time.sleep(0.03)
Journal.save = slow
"""
"""A pause after each batch, for a load that must still be running when something happens to it."""


class Forks:
    """Runs the command line in forked children, one at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / "out", folder / "err"
        self.pid = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORKING],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, graph: GraphAddress, *words: str, fault: str = "") -> None:
        """Start a command; ``fault`` is Python run before it in its process."""
        task = {
            "words": [*words, *where(graph)], "fault": fault, "out": str(self._out),
            "err": str(self._err), "environment": graph.environment,
        }  # fmt: skip
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(task) + "\n")
        stdin.flush()
        self.pid = int(self._answer())

    def kill(self) -> None:
        """kill -9 the running command; one that has just ended is no matter."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Exit code of the command, negative for a signal."""
        return int(self._answer())

    def run(self, graph: GraphAddress, *words: str, fault: str = "") -> int:
        """Run a command to its end."""
        self.start(graph, *words, fault=fault)
        return self.wait()

    def out_text(self) -> str:
        """Standard output of the last command."""
        return self._out.read_text("utf-8")

    def error_text(self) -> str:
        """Standard error of the last command."""
        return self._err.read_text("utf-8")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> Forks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if kind is not None:
            self.kill()
        self._process.kill()
        self._process.communicate()


def where(graph: GraphAddress) -> list[str]:
    """The options that say where the graph and the state are."""
    return ["--home", str(graph.home), *(["--graph", graph.uri] if graph.uri else [])]


def start(
    graph: GraphAddress, *words: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from cli import main; main()", *words, *where(graph)],
        cwd=ROOT, env=os.environ | graph.environment | (environment or {}), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def run(
    graph: GraphAddress, *words: str, environment: dict[str, str] | None = None, limit: float = 200
) -> tuple[int, str, str]:
    """Exit code, output and errors of a command in a process of its own."""
    process = start(graph, *words, environment=environment)
    out, err = process.communicate(timeout=limit)
    return process.returncode, out, err


def call(graph: GraphAddress, *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    argv, sys.argv = sys.argv, ["personarec", *words, *where(graph)]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stopped:
            cli.main()
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(stopped.value.code or 0), out.getvalue(), err.getvalue()


def one_line(err: str) -> str:
    """The one line of advice that a failed command printed; an AssertionError for anything else."""
    lines = [line for line in err.splitlines() if line.startswith("personarec: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err, err
    assert "defect" not in lines[0], err
    return lines[0]


def undisturbed(data: DataSetSources, home: Path) -> tuple[list[bytes], list[int]]:
    """The dump of a load nobody disturbed, in an embedded engine, and the rows of its tables."""
    with connect(None, home) as store:
        result = ingest(store, data, home, quiet)
        return list(dump(store)), [t.rows for t in result.stage.tables]


def fresh(graph: GraphAddress) -> None:
    """Empty the graph and the home folder."""
    if graph.server is not None:
        wipe(graph.server)
    shutil.rmtree(graph.home, ignore_errors=True)


def content(graph: GraphAddress) -> tuple[list[bytes], list[str]]:
    """The dump of a graph, and the states of its loads."""
    with graph.connect() as store:
        return list(dump(store)), sorted({x["status"] for x in stats(store)["loads"]})


def until(condition: Callable[[], object], seconds: float = 60, step: float = 0.002) -> None:
    """Wait until a condition holds; an AssertionError when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(step)


def ingest_words(data: Path | str, *more: str) -> Sequence[str]:
    """The words of an ingest command."""
    return ("kg", "ingest", "--dataset", str(data), *more)
