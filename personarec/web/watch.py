"""Looks for a newer run now and then, and has it loaded."""

from __future__ import annotations

import logging
import threading

from kg.errors import PersonarecError, one_line
from personarec.web.metrics import Metrics
from personarec.web.served import LiveModel

SECONDS = 5.0  # between two looks; one costs a small file and one read of the graph
_LOG = logging.getLogger("personarec.web")


class Watcher:
    """A thread that refreshes a live model until it is closed."""

    def __init__(self, live: LiveModel, books: Metrics, seconds: float = SECONDS) -> None:
        self._live = live
        self._books = books
        self._seconds = seconds
        self._end = threading.Event()
        self._told = ""
        self._thread = threading.Thread(target=self._watch, name="personarec-watch", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._end.wait(self._seconds):
            try:
                self._live.refresh()
                self._told = ""
            except PersonarecError as error:
                self._failed(one_line(error, 600))
            except Exception as error:  # an older model that answers is better than none
                self._failed(f"a defect of personarec: {type(error).__name__}: {one_line(error)}")

    def _failed(self, what: str) -> None:
        """Count each failure; tell a new one."""
        self._books.load_failed()
        if what != self._told:
            _LOG.error("%s; still on run %s", what, self._live.current.version.run)
            self._told = what
