"""The server process: opens the model, listens, and answers until it is told to stop."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
import uvicorn

from kg.errors import ChangeSomethingError, one_line
from kg.store import GraphStore
from personarec.web.access import Access
from personarec.web.answers import origin
from personarec.web.app import create_app
from personarec.web.served import LiveModel
from personarec.web.watch import Watcher

STOP_SECONDS = 10
"""That requests in progress have to end when the server is told to stop."""
CONNECTIONS = 512


def serve(
    store: GraphStore,
    home: Path,
    dataset: str | None,
    host: str,
    port: int,
    *,
    workers: int,
    announce: Callable[[dict[str, Any]], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C, which is then raised again for the caller's handler.

    Args:
        store: the graph; only read.
        home: where the runs are.
        dataset: which one's last run; None for the last of any.
        host: name or address to listen on.
        port: 0 for a free one.
        workers: requests worked on at a time.
        announce: called once, when it listens, with the address and the fields of each answer.

    Raises:
        ChangeSomethingError: no model, no such data set, an address that cannot be used, or one
            beyond loopback without a token.
        TryAgainError: the graph does not answer.
    """
    access = Access.to(host, os.environ)
    with listening(host, port) as listener:
        # One thread of torch for each request: requests side by side are what fills the processors.
        torch.set_num_threads(1)
        live = LiveModel(store, home, dataset)
        app = create_app(live, access, threads=workers)
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("personarec.web").setLevel(logging.INFO)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,  # ours has the request's id, and never a query string
                proxy_headers=False,  # a header must not make a stranger local
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=STOP_SECONDS,
                ws="none",
            )
        )
        announce({"address": address_of(listener)} | origin(live.current))
        with closing(app.state.work), Watcher(live, app.state.metrics):
            server.run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ChangeSomethingError when the address cannot be used."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(place[:2], family=family, backlog=1024)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else one_line(error)
        raise ChangeSomethingError(
            f"cannot listen on {host}:{port} ({why}); choose another --port"
        ) from error
    # An answer is two writes, head and body, and without this the second one waits 40 ms for the
    # client's word on the first. asyncio sets it only on sockets that were made with a protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(listener: socket.socket) -> str:
    """What a client of this machine's network writes."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
