"""Checkpoints: one folder of safetensors and JSON that needs no data set to be used."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from kg.errors import ChangeSomethingError

FORMAT = 2
"""Raised when older readers could no longer read a checkpoint."""

_TENSORS = "model.safetensors"
_DOCUMENT = "model.json"


class CheckpointError(ChangeSomethingError):
    """A folder is no checkpoint that this version can read."""


def save_checkpoint(
    folder: Path, tensors: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
) -> None:
    """Write a checkpoint so that at each moment one whole checkpoint exists.

    Everything goes to a new folder beside the target and is flushed to disk; only then the old one
    steps aside, the new one takes its name, and the old one is deleted.

    Args:
        folder: where; an older checkpoint there is replaced.
        tensors: arrays by name.
        document: JSON-compatible.

    Raises:
        CheckpointError: ``folder`` holds something that is not a checkpoint.
        OSError: the disk refused; the older checkpoint is untouched.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _DOCUMENT).is_file():
        raise CheckpointError(f"{folder} is not a checkpoint and not empty: choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
    try:
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, fresh / _TENSORS)
        text = json.dumps({"format": FORMAT, **document}, ensure_ascii=False, indent=1)
        (fresh / _DOCUMENT).write_text(text, encoding="utf-8")
        fresh.chmod(0o755)  # temporary folders are made for their owner only
        for path in (fresh / _TENSORS, fresh / _DOCUMENT, fresh):
            _flush(path)
        _replace(folder, fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def load_checkpoint(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what ``save_checkpoint`` wrote.

    Should a crash have struck between the two renames of a save, the older checkpoint is still
    there under its set-aside name and is put back first.

    Raises:
        CheckpointError: nothing there, or of another format.
    """
    aside = _aside(folder)
    if not folder.exists() and aside.exists():
        aside.rename(folder)
    try:
        document: dict[str, Any] = json.loads((folder / _DOCUMENT).read_text(encoding="utf-8"))
        tensors: dict[str, NDArray[Any]] = load_file(folder / _TENSORS)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} holds no checkpoint: train one first") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{folder / _DOCUMENT} is damaged: {error}") from error
    if document.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder} has format {document.get('format')}, this version reads {FORMAT}: train anew"
        )
    return tensors, document


def pack(name: str, array: csr_array | NDArray[Any]) -> dict[str, NDArray[Any]]:
    """A dense array under its name, or the arrays of a sparse one under names that begin so."""
    if isinstance(array, np.ndarray):
        return {name: array}
    return {
        f"{name}.data": array.data,
        f"{name}.indices": array.indices.astype(np.int32),
        f"{name}.indptr": array.indptr.astype(np.int64),
        f"{name}.shape": np.asarray(array.shape, dtype=np.int64),
    }


def unpack_all(
    prefix: str, tensors: Mapping[str, NDArray[Any]]
) -> dict[str, csr_array | NDArray[Any]]:
    """All that was packed under names that begin with ``prefix``, by the rest of its name."""
    found: dict[str, csr_array | NDArray[Any]] = {}
    for name, value in tensors.items():
        if not name.startswith(prefix):
            continue
        rest, _, part = name.removeprefix(prefix).partition(".")
        if not part:
            found[rest] = value
        elif part == "data":
            whole = name.removesuffix("data")
            rows, columns = (int(size) for size in tensors[whole + "shape"])
            found[rest] = csr_array(
                tuple(tensors[whole + key] for key in ("data", "indices", "indptr")),
                shape=(rows, columns),
            )
    return found


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _replace(folder: Path, fresh: Path) -> None:
    """Give ``fresh`` the name ``folder``; the old one goes only once the new one stands."""
    aside = _aside(folder)
    if folder.exists():
        if aside.exists():
            shutil.rmtree(aside)
        folder.rename(aside)
    try:
        fresh.rename(folder)
    except OSError:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise
    _flush(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    """Force a file's content, or a folder's names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
