"""A proxy in front of a Bolt server that reads along, and answers in its place when told to.

It knows as much of the protocol as that needs: the handshake, and where messages begin and end
(https://neo4j.com/docs/bolt/current/bolt/message/).
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

BEGIN, RESET, GOODBYE, ROUTE = 0x11, 0x0F, 0x02, 0x66
_MANIFEST = b"\x00\x00\x01\xff"  # the server's answer when it offers versions to choose from

Act = Literal["pass", "cut"] | str
"""What to do with a message: hand it on, cut the connection, or fail it with this error code."""


@dataclass
class BoltProxy:
    """What came through, and what is done with a BEGIN."""

    port: int
    decide: Callable[[bytes], Act]
    begun: list[bytes] = field(default_factory=list)
    """Every BEGIN message as it came."""
    routed: int = 0
    """ROUTE messages: how often a routing table was asked for."""


@contextmanager
def bolt_proxy(uri: str, decide: Callable[[bytes], Act] = lambda _: "pass") -> Iterator[BoltProxy]:
    """Listen on a loopback port and hand on to the server of a URI.

    ``decide`` is asked at each BEGIN, with its bytes.
    """
    parts = urlsplit(uri)
    upstream = (parts.hostname or "", parts.port or 7687)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = BoltProxy(listener.getsockname()[1], decide)
        sockets: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):  # closed at the end
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection(upstream)
                    sockets.extend((client, server))
                    threading.Thread(
                        target=_converse, args=(proxy, client, server), daemon=True
                    ).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for each in sockets:
                _close(each)


def _converse(proxy: BoltProxy, client: socket.socket, server: socket.socket) -> None:
    try:
        server.sendall(_exactly(client, 20))
        answer = _exactly(server, 4)
        client.sendall(answer)
        if answer == _MANIFEST:  # versions offered, one chosen, each with a mask of one byte
            count = _exactly(server, 1)
            offered = _exactly(server, 4 * count[0] + 1)
            client.sendall(count + offered)
            server.sendall(_exactly(client, 5))
        threading.Thread(target=_hand_back, args=(server, client), daemon=True).start()
        failed = False
        while True:
            message = _message(client)
            tag = message[3]
            if failed and tag not in (RESET, GOODBYE):
                client.sendall(_framed(b"\xb0\x7e"))  # IGNORED
                continue
            failed = False
            if tag == ROUTE:
                proxy.routed += 1
            if tag == BEGIN:
                proxy.begun.append(message)
                act = proxy.decide(message)
                if act == "cut":
                    return
                if act != "pass":
                    failed = True
                    client.sendall(_failure(act))
                    continue
            server.sendall(message)
    except (OSError, EOFError):
        pass
    finally:
        _close(client)
        _close(server)


def _hand_back(server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while part := server.recv(65536):
            client.sendall(part)
    _close(client)


def _message(source: socket.socket) -> bytes:
    """One message with its frame: chunks of a length and as many bytes, until a length of 0."""
    whole = b""
    while True:
        head = _exactly(source, 2)
        (length,) = struct.unpack(">H", head)
        if length == 0 and not whole:
            continue  # a sign of life between messages
        whole += head + _exactly(source, length)
        if length == 0:
            return whole


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = source.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _failure(code: str) -> bytes:
    def text(value: str) -> bytes:
        return b"\xd0" + bytes([len(value)]) + value.encode()

    fields = {
        "code": code,  # up to Bolt 5.6
        "neo4j_code": code,
        "message": "planted by a test",
        "gql_status": "50N42",
        "description": "error: general processing exception - planted by a test",
    }
    packed = b"".join(text(k) + text(v) for k, v in fields.items())
    return _framed(b"\xb1\x7f" + bytes([0xA0 + len(fields)]) + packed)


def _framed(body: bytes) -> bytes:
    return struct.pack(">H", len(body)) + body + b"\x00\x00"


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
