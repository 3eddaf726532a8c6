"""A language model's endpoint on loopback that answers, and misbehaves, on script.

The script is a function of the question's text and of how many questions came before; it returns
what is sent. What was asked is noted.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Sent:
    """One answer as bytes on the wire."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """Announced instead of the body's own."""
    before: float = 0.0
    """Seconds until anything is sent."""
    drip: float = 0.0
    """Seconds between the body's bytes."""


def said(text: str | None, *, finish: str = "stop", usage: Any = (7, 5), **message: Any) -> Sent:
    """A completion as the API gives it."""
    document: dict[str, Any] = {
        "choices": [{"message": {"content": text, **message}, "finish_reason": finish}]
    }
    if usage:
        document["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return Sent(json.dumps(document).encode())


Script = Callable[[str, int], Sent]


@dataclass
class ChatServer:
    """What is asked of the endpoint, and where it is."""

    url: str
    script: Script
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0

    @property
    def questions(self) -> list[str]:
        """The users' parts."""
        return [a["messages"][1]["content"] for a in self.asked]


@contextmanager
def chat_server(script: Script) -> Iterator[ChatServer]:
    """An endpoint that runs until the block ends."""
    lock = threading.Lock()
    at_once = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            nonlocal at_once
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                at_once += 1
                state.most_at_once = max(state.most_at_once, at_once)
                state.asked.append(asked)
                state.keys.append(self.headers.get("Authorization"))
                number = len(state.asked)
            try:
                self._send(state.script(asked["messages"][1]["content"], number))
            finally:
                with lock:
                    at_once -= 1

        def _send(self, sent: Sent) -> None:
            time.sleep(sent.before)
            # The asker may have gone away.
            with suppress(OSError):
                self.send_response(sent.status)
                for name, value in sent.headers.items():
                    self.send_header(name, value)
                length = len(sent.body) if sent.length is None else sent.length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                for start in range(0, len(sent.body), 1 if sent.drip else len(sent.body)):
                    time.sleep(sent.drip)
                    self.wfile.write(sent.body[start:][: 1 if sent.drip else None])
                    self.wfile.flush()
            self.close_connection = sent.length is not None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1", script)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
