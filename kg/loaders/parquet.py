"""Rows of a Parquet file, one at a time, with what is wrong with a row said instead of raised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kg.errors import ChangeSomethingError, one_line
from kg.loaders.lines import rejected
from kg.loaders.records import Rejected
from kg.loaders.source_file import at_line

BATCH_ROWS = 1_000
BUFFER_BYTES = 1024 * 1024  # of a column's pages; without it a whole row group is read at once


def read_rows(
    path: Path, columns: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, Any], str] | Rejected]:
    """Yield (row number from 1, values by column, the row as text) for every row.

    Columns other than ``columns`` are not read; of those only the ones that the file has. Lists
    come as lists, structs as dicts. A row whose text is not UTF-8 comes as Rejected.

    Raises ChangeSomethingError when the file is not Parquet, or cut short or broken on the way.
    """
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    with path.open("rb") as source:
        try:
            file = parquet.ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False)
            known = [c for c in columns if c in file.schema_arrow.names]
            for batch in file.iter_batches(BATCH_ROWS, columns=known):
                for row in _rows(batch):
                    number += 1
                    at_line(path, number)
                    if row is None:
                        yield rejected(number, "not UTF-8")
                    else:
                        yield number, row, str(row)
        except (pa.ArrowException, OSError) as error:
            raise ChangeSomethingError(
                f"{path}: not a whole Parquet file: broken after row {number}: "
                f"{one_line(error, 120)}; fetch or write it again"
            ) from error


def _rows(batch: Any) -> list[dict[str, Any] | None]:
    """A batch's rows; None for one whose text cannot be decoded."""
    try:
        return batch.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [_row(batch.slice(place, 1)) for place in range(batch.num_rows)]


def _row(batch: Any) -> dict[str, Any] | None:
    try:
        (row,) = batch.to_pylist()
    except UnicodeDecodeError:
        return None
    return row  # type: ignore[no-any-return]
