"""What was made at some cost, on disk by key: vectors of texts and answers of language models.

One SQLite file, so that a killed run loses at most the batch under way and several processes may
share it. The file is opened anew for every call: the object can be pickled, forked and used by
several threads.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from kg.errors import ChangeSomethingError, TryAgainError, one_line

WAIT_SECONDS = 30.0  # for another process that writes
_AT_A_TIME = 500  # keys a question; SQLite takes 999 and more


class Cache:
    """Bytes by key, in a file that is made when something is first put in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of the keys that are there.

        Raises:
            ChangeSomethingError: the file is no cache.
            TryAgainError: another process holds it.
        """
        found: dict[str, bytes] = {}
        if not self.path.exists():
            return found
        with self._open() as connection:
            for start in range(0, len(keys), _AT_A_TIME):
                part = keys[start : start + _AT_A_TIME]
                marks = ",".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT key, content FROM kept WHERE key IN ({marks})", part
                )
                found.update(rows)
        return found

    def put(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Keep rows, all or none; raises as :meth:`get`, and when the disk refuses."""
        with self._open() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=WAIT_SECONDS)) as connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, content BLOB NOT NULL)"
                )
                yield connection
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise TryAgainError(
                    f"another process writes to {self.path}; run it again when that has ended"
                ) from error
            advice = (
                "remove it, and what it kept is made again"
                if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT"))
                else "make room or mend permissions, then run it again"
            )
            raise ChangeSomethingError(
                f"cannot use the cache {self.path}: {one_line(error)}; {advice}"
            ) from error
        except OSError as error:
            raise ChangeSomethingError(
                f"cannot make the folder {self.path.parent}: {one_line(error)}; name another home"
            ) from error


def digest(*parts: str) -> str:
    """A key of several texts: SHA-256, with their borders."""
    sha = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        sha.update(len(raw).to_bytes(8, "little") + raw)
    return sha.hexdigest()
