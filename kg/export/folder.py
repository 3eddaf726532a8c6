"""A folder of files that appears whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kg.errors import ChangeSomethingError, TryAgainError, one_line

MARKER = "export.json"
"""Names the files of an export, so that --force replaces an export and nothing else."""


@contextmanager
def new_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """Give a folder beside ``out`` to write in; it becomes ``out`` at the end, or is removed.

    Raises:
        ChangeSomethingError: ``out`` is not empty and not to be replaced, or not to be written.
        TryAgainError: the disk is full.
    """
    try:
        out = out.resolve()
        earlier = _earlier(out, force)
        partial = out.with_name(f".{out.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            yield partial
            if earlier:
                _replace(partial, out)
            else:
                partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        why = error.strerror or one_line(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise TryAgainError(
                f"cannot write {out}: {why}; free space, and run it again"
            ) from error
        raise ChangeSomethingError(
            f"cannot write {out}: {why}; mend permissions or name another folder with --out"
        ) from error


def _earlier(out: Path, force: bool) -> bool:
    """Whether ``out`` is an earlier export. Raises ChangeSomethingError where it cannot be used."""
    if not out.name or (out.exists() and not out.is_dir()):
        raise ChangeSomethingError(f"{out} is no folder to export to; name another with --out")
    there = {entry.name for entry in out.iterdir()} if out.exists() else set()
    if not there:
        return False
    if not force:
        raise ChangeSomethingError(
            f"{out} is not empty; name another folder with --out, or add --force to replace an "
            "earlier export"
        )
    foreign = sorted(there - _exported(out))
    if foreign:
        raise ChangeSomethingError(
            f"{out} holds {foreign[0]!r}, which no export wrote; name another folder with --out"
        )
    return True


def _exported(out: Path) -> set[str]:
    try:
        return {MARKER, *json.loads((out / MARKER).read_text("utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _replace(partial: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    out.rename(old)
    try:
        partial.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
