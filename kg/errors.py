"""Errors by how one recovers from them: try again, or change something first.

Each message is one line that says what, where and what to do next; the command line prints it as it
is. A programming error is never one of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PersonarecError(Exception):
    """Base of every error that a user can act on."""


class TryAgainError(PersonarecError):
    """The same call may succeed later: a server that restarts, a lock that is held."""


class ChangeSomethingError(PersonarecError):
    """The same call will fail again until the user changes input, settings or permissions."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` with the nearest of the names; empty where none is near."""
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def one_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an error's text, for use inside a one-line message."""
    text = " ".join(str(getattr(error, "message", None) or error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
