"""A TCP proxy on the loopback address that cuts a Bolt connection at a COMMIT of one's choice."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal

COMMIT = b"\x00\x02\xb0\x12\x00\x00"  # a chunk of two bytes: structure without fields, tag 0x12
Moment = Literal["before", "after"]


class CommitCutter:
    """Forwards to a server; at COMMIT number ``cut_at`` both connections are closed.

    ``before``: the server never sees that COMMIT. ``after``: the server has answered it, and the
    client never sees the answer. Either way the client cannot know. Later connections pass.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._commits = 0
        self._cut_at: int | None = None
        self._moment: Moment = "before"
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, at: int, moment: Moment) -> None:
        """Cut once, at the COMMIT number ``at`` from now on (1 is the next)."""
        with self._lock:
            self._commits, self._cut_at, self._moment = 0, at, moment

    @property
    def commits(self) -> int:
        """COMMITs seen since ``cut`` was last called."""
        return self._commits

    def __enter__(self) -> CommitCutter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._target)
            for end in (client, server):  # or every round trip takes 40 ms longer
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Connection(self, client, server)

    def due(self) -> Moment | None:
        """Count a COMMIT; how to cut at it, None to let it pass."""
        with self._lock:
            self._commits += 1
            if self._commits != self._cut_at:
                return None
            self.cuts += 1
            self._cut_at = None
            return self._moment


class _Connection:
    def __init__(self, cutter: CommitCutter, client: socket.socket, server: socket.socket) -> None:
        self._cutter = cutter
        self._client, self._server = client, server
        self._cut_at_answer = threading.Event()
        threading.Thread(target=self._upwards, daemon=True).start()
        threading.Thread(target=self._downwards, daemon=True).start()

    def _upwards(self) -> None:
        tail = b""
        with suppress(OSError):
            while data := self._client.recv(65536):
                # A COMMIT may come in two parts: the end of what went before is looked at too.
                seen = (tail + data).count(COMMIT) - tail.count(COMMIT)
                for _ in range(seen):
                    moment = self._cutter.due()
                    if moment == "before":
                        return self._close()
                    if moment == "after":
                        self._cut_at_answer.set()
                self._server.sendall(data)
                tail = data[-(len(COMMIT) - 1) :]
        return self._close()

    def _downwards(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65536):
                if self._cut_at_answer.is_set():
                    return self._close()
                self._client.sendall(data)
        return self._close()

    def _close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
