"""A proxy in front of a SPARQL endpoint that misbehaves on script, and notes what was asked.

The script is a function of the query and of how many requests came before; it returns a fault, or
None to hand the query on. The faults are those of public endpoints.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from urllib.request import Request, urlopen

JSON = "application/sparql-results+json"
Rows = list[dict[str, Any]]


@dataclass
class Exchange:
    """One request, and the ways to answer it."""

    handler: BaseHTTPRequestHandler
    body: bytes
    upstream: str

    def answer(self) -> bytes:
        """What the real endpoint answers."""
        headers = {k: v for k, v in self.handler.headers.items() if k.lower() != "host"}
        with urlopen(Request(self.upstream, self.body, headers), timeout=60) as response:
            return bytes(response.read())

    def send(
        self,
        body: bytes,
        status: int = 200,
        content_type: str = JSON,
        *,
        length: int | None = None,
        **headers: str,
    ) -> None:
        """Answer; ``length`` announces another length than that of the body."""
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)
        self.handler.close_connection = True


Fault = Callable[[Exchange], None]
Script = Callable[[str, int], Fault | None]


@dataclass
class Proxy:
    """The proxy's address, its script, and what came."""

    url: str
    script: Script
    queries: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    graphs: list[list[str]] = field(default_factory=list)
    """The default graphs named in each."""
    times: list[float] = field(default_factory=list)
    """When each came, monotonic seconds."""
    others: list[str] = field(default_factory=list)
    """Method and path of whatever was no POST."""
    answered: list[str] = field(default_factory=list)
    """Queries that were handed on and whose whole answer was sent back."""


# -- faults ----------------------------------------------------------------------------------------


def status(code: int, body: str = "", **headers: str) -> Fault:
    """An error, with headers such as ``Retry_After="3"``."""
    return lambda exchange: exchange.send(body.encode(), code, "text/plain", **headers)


def text(body: str, content_type: str = JSON) -> Fault:
    """Status 200 and something else than results."""
    return lambda exchange: exchange.send(body.encode(), 200, content_type)


def hang(seconds: float) -> Fault:
    """Say nothing for so long."""

    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.handler.close_connection = True

    return fault


def drip(seconds: float) -> Fault:
    """A body of one byte at a time, for so long."""

    def fault(exchange: Exchange) -> None:
        exchange.handler.send_response(200)
        exchange.handler.end_headers()
        with suppress(OSError):
            for _ in range(int(seconds / 0.05)):
                exchange.handler.wfile.write(b" ")
                exchange.handler.wfile.flush()
                time.sleep(0.05)
        exchange.handler.close_connection = True

    return fault


def reset(exchange: Exchange) -> None:
    """Cut the connection with RST."""
    linger = struct.pack("ii", 1, 0)
    exchange.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    exchange.handler.connection.close()
    exchange.handler.close_connection = True


def cut_json(exchange: Exchange) -> None:
    """The first half of the true answer, with its own length announced."""
    answer = exchange.answer()
    exchange.send(answer[: len(answer) // 2])


def cut_body(exchange: Exchange) -> None:
    """The first half of the true answer, the whole one's length announced."""
    answer = exchange.answer()
    exchange.send(answer[: len(answer) // 2], length=len(answer))


def rows(change: Callable[[Rows], Rows], code: int = 200, **headers: str) -> Fault:
    """The true answer with its rows changed, and headers added."""

    def fault(exchange: Exchange) -> None:
        document = json.loads(exchange.answer())
        document["results"]["bindings"] = change(document["results"]["bindings"])
        exchange.send(json.dumps(document).encode(), code, **headers)

    return fault


# -- the proxy -------------------------------------------------------------------------------------


@contextmanager
def misbehaving_proxy(upstream: str, script: Script = lambda _q, _n: None) -> Iterator[Proxy]:
    """Listen on a loopback port, and hand on to an endpoint what the script lets through."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = parse_qs(body.decode())
            query = form["query"][0]
            with lock:
                number = len(proxy.queries)
                proxy.queries.append(query)
                proxy.agents.append(self.headers["User-Agent"])
                proxy.graphs.append(form.get("default-graph-uri", []))
                proxy.times.append(time.monotonic())
            exchange = Exchange(self, body, upstream)
            with suppress(ConnectionError):  # the client gave up
                if (fault := proxy.script(query, number)) is not None:
                    fault(exchange)
                    return
                exchange.send(exchange.answer())
                with lock:
                    proxy.answered.append(query)

        def do_GET(self) -> None:
            proxy.others.append(f"GET {self.path}")
            Exchange(self, b"", upstream).send(b"only POST", 405, "text/plain")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # connections that a fault or the client has cut

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}/sparql", script)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
