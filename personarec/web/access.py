"""Who may ask: the address that is listened on, the token, the name that clients use."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from kg.errors import ChangeSomethingError

TOKEN_VARIABLE = "PERSONAREC_TOKEN"
SHORTEST_TOKEN = 16
OPEN = ("/health", "/ready")
"""Answered without a token, so that a supervisor needs none."""
PAGE = ("/", "/static/")
"""The page's own files, which hold no data: the page asks for the token itself."""


def is_loopback(host: str) -> bool:
    """Whether an address, or every address of a name, stays on this machine.

    Raises ChangeSomethingError for a name without an address.
    """
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ChangeSomethingError(f"--host {host!r} has no address; use 127.0.0.1") from None
    return all(is_local(str(place[0])) for *_, place in found)


def is_local(address: str) -> bool:
    """Whether an address stays on this machine; a name does not count."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        token: what a client must show; None for none.
        local: listening on loopback only.
    """

    token: str | None
    local: bool

    def __repr__(self) -> str:
        """Without the token: this text may reach a log."""
        return f"Access(token={'set' if self.token else None}, local={self.local})"

    @classmethod
    def to(cls, host: str, environment: Mapping[str, str]) -> Access:
        """The rule for a host. Raises ChangeSomethingError: beyond loopback without a token."""
        local = is_loopback(host)
        token = environment.get(TOKEN_VARIABLE) or None
        if token is None and not local:
            raise ChangeSomethingError(
                f"--host {host} can be reached from other machines: set {TOKEN_VARIABLE} to a "
                "secret that clients must show, or leave --host out"
            )
        if token is not None and (len(token) < SHORTEST_TOKEN or not token.isprintable()):
            raise ChangeSomethingError(
                f"{TOKEN_VARIABLE} must be at least {SHORTEST_TOKEN} characters, all printable: "
                "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
            )
        return cls(token, local)

    def admits(self, path: str, authorization: bytes) -> bool:
        """Whether a request shows the token, where one is needed; takes the same time for each."""
        if self.token is None or path in (*OPEN, PAGE[0]) or path.startswith(PAGE[1]):
            return True
        scheme, _, shown = authorization.partition(b" ")
        right = hmac.compare_digest(shown.strip(), self.token.encode())
        return right and scheme.lower() == b"bearer"

    def knows(self, host: bytes) -> bool:
        """Whether a request's Host names this machine, where only this machine may ask.

        Without a token, a web page could otherwise reach the server through a name of its own that
        it points to 127.0.0.1.
        """
        if self.token is not None or not self.local:
            return True
        name = host.decode("latin-1")
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        return name.lower() == "localhost" or is_local(name)
