"""The reconciler's SQL on DuckDB: in little memory, and in more where a statement needs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from kg.errors import TryAgainError

MEMORY = 128  # MB that it may hold at first; more goes to disk


class LocalSql:
    """One DuckDB connection, with one thread: what it takes does not depend on the machine's cores.

    DuckDB keeps to its limit by writing to disk, but some statements cannot go on below a size that
    grows with their input. Such a statement is done again with a quarter more, up to half of the
    machine's memory.
    """

    def __init__(self, folder: Path, memory: int = MEMORY) -> None:
        """Open an empty database that keeps its working files under ``folder``."""
        self._files = [folder / name for name in ("work.duckdb", "work.duckdb.wal")]
        self._memory = memory
        self._most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2_000_000
        self._db = duckdb.connect(
            str(self._files[0]),  # a database in memory keeps more of it to itself
            config={
                "memory_limit": f"{memory}MB",
                "temp_directory": str(folder / "work.tmp"),
                "threads": 1,
                "preserve_insertion_order": False,
                "fsync_mode": "NONE",  # nobody opens it again
                "checkpoint_threshold": "1TB",
            },
        )
        self._db.execute("PRAGMA disable_checkpoint_on_shutdown; SET enable_progress_bar = false")

    def create_function(
        self, name: str, work: Callable[[str], str], takes: list[Any], gives: Any
    ) -> None:
        """Let statements call a function of Python."""
        self._db.create_function(name, work, takes, gives)

    def execute(
        self, statement: str, values: Sequence[object] | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Do one statement; its rows are fetched from what comes back.

        Raises TryAgainError when half of the machine's memory is too little for it.
        """
        while True:
            try:
                return self._db.execute(statement, values)
            except duckdb.OutOfMemoryException as error:
                if self._memory >= self._most:
                    raise TryAgainError(
                        f"sorting the records takes more than {self._memory} MB of memory, which "
                        "is half of this machine's; run it again on a larger one, or with --engine "
                        "spark"
                    ) from error
                self._memory = min(self._memory + self._memory // 4 + 1, self._most)
                self._db.execute(f"SET memory_limit = '{self._memory}MB'")

    def close(self) -> None:
        """Stop, and remove the working files."""
        self._db.close()
        for file in self._files:
            file.unlink(missing_ok=True)
