"""Files and folders under way, under a name of their own until they are whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO


def partial_path(final: Path) -> Path:
    """Where to write what will take the place of ``final`` by rename.

    The name holds this process's number, so that two do not write into one file; what a killed
    process left of the same is removed.
    """
    for left in final.parent.glob(f"{escape(final.name)}.*.partial"):
        number = left.name.removeprefix(f"{final.name}.").removesuffix(".partial")
        if number.isdigit() and not _lives(int(number)):
            remove(left)
    return final.with_name(f"{final.name}.{os.getpid()}.partial")


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place by rename, whole and on disk, if the block ends well.

    Until then, and if the block fails, what was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write one JSON document, whole or not at all.

    Raises:
        TypeError: what JSON cannot hold.
    """
    with written_whole(path) as file:
        file.write(json.dumps(content, indent=1).encode())  # escaped: a path may be no UTF-8


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
