"""An interruption in the middle of a message to or from the graph ends the work at once."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kg.store import GraphStore, Interruption, statement

LARGE = 1_000  # bytes; the driver's own messages are smaller
USERS = [f"user {number}" for number in range(3_000)]


class HalfWay:
    """Raises what a signal's handler raises, with half of a large message through.

    The server then waits for the other half, or nobody reads it. Whoever sends or reads on that
    connection afterwards would wait for ever, which is an AssertionError here.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.broken: socket.socket | None = None
        for each in ("sendall", "recv_into"):
            method = self._method(getattr(socket.socket, each), each == name)
            monkeypatch.setattr(socket.socket, each, method)

    def _method(self, real: Callable[..., Any], breaks: bool) -> Callable[..., Any]:
        def method(sock: socket.socket, data: Any, *size: int) -> Any:
            assert sock is not self.broken, "waits for an answer that cannot come"
            wanted = size[0] if size else len(data)
            if not breaks or self.broken is not None or wanted < LARGE:
                return real(sock, data, *size)
            self.broken = sock
            half = wanted // 2
            real(sock, memoryview(data)[:half], *([half] if size else []))
            raise Interruption

        return method


@pytest.mark.parametrize("half", ["sendall", "recv_into"])
def test_an_interruption_within_a_message_cuts_the_connection(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    store.ensure_schema()
    create = statement("create_nodes", label="User", values=())
    find = statement("found_nodes", label="User", columns=())
    rows = [[user] for user in USERS]
    work: Callable[[], object] = partial(store.write, create, rows=rows, load="a")
    if half == "recv_into":
        work()
        work = partial(store.read, find, ids=USERS)
    with monkeypatch.context() as patch:
        message = HalfWay(patch, half)
        with pytest.raises(Interruption):
            work()
        assert message.broken is not None
        assert message.broken.fileno() == -1
    # Another connection is made, and nothing was half written.
    ((found,),) = store.read(find, ids=USERS)
    assert len(found) == (len(USERS) if half == "recv_into" else 0)


def test_a_signal_raises_it_where_the_graph_is_in_use() -> None:
    code = """
import signal, sys
import cli

@cli.cli.command()
def work():
    from kg.store import Interruption
    try:
        signal.raise_signal(signal.SIGTERM)
    except Interruption:
        print("cut")
        raise

sys.argv = ["personarec", "work"]
cli.main()
"""
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (143, "cut\n"), ended.stderr
    assert ended.stderr.lstrip() == "personarec: stopped; the same command goes on from here\n"
