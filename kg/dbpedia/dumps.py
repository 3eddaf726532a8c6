"""DBpedia by its dumps: N-Triples or Turtle files of the Databus in a folder.

Of use are mappingbased-objects, article-categories, skos-categories, labels, redirects,
disambiguations, instance-types, mappingbased-literals (dates), short-abstracts or long-abstracts.
Files are indexed once (kg/dbpedia/dump_index.py); each block of resources is then one scan over
the index, part by part, so memory holds one part and what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kg.dbpedia.asking import Asked, Said
from kg.dbpedia.dump_index import FileIndex, dump_files, file_index
from kg.dbpedia.source import Progress
from kg.schema import RDFS_LABEL

if TYPE_CHECKING:
    import polars as pl

BATCH = 20_000


class DBpediaDumps(Asked):
    """Answers from dump files under ``folder``; their index is kept in ``cache``.

    The first question makes the index. Methods raise ChangeSomethingError when there are no files,
    or one cannot be read or is broken beyond 1 % of its lines.
    """

    def __init__(
        self,
        folder: Path,
        cache: Path,
        *,
        batch: int = BATCH,
        progress: Progress | None = None,
    ) -> None:
        self.folder = folder
        self.cache = cache
        self.batch = batch
        self._progress = progress

    @cached_property
    def indexes(self) -> dict[Path, FileIndex]:
        """Dump file -> its index. ``progress`` is called with files done and files in all."""
        files = dump_files(self.folder)
        made: dict[Path, FileIndex] = {}
        for file in files:
            made[file] = file_index(file, self.cache)
            if self._progress:
                self._progress(len(made), len(files))
        return made

    def _about(
        self, iris: Sequence[str], predicates: tuple[str, ...], *, names: bool = False
    ) -> Iterator[Said]:
        found = self._rows("s", iris, predicates).unique()
        known: dict[str, str] = {}
        if names and found.height:
            ends = found.filter("iri")["o"].unique().to_list()
            # Of several labels the first in order of text, as where rows are sorted.
            labels = self._rows("s", ends, (RDFS_LABEL,)).sort("o", descending=True)
            known = dict(labels.select("s", "o").iter_rows())
        for subject, predicate, value, is_iri in found.iter_rows():
            yield Said(subject, predicate, value, is_iri, known.get(value) if is_iri else None)

    def _labelled(self, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
        yield from self._rows("o", labels, (RDFS_LABEL,)).select("o", "s").unique().iter_rows()

    def _rows(self, column: str, keys: Sequence[str], predicates: tuple[str, ...]) -> pl.DataFrame:
        """Statements with one of the keys in a column and one of the predicates."""
        import polars as pl

        wanted = pl.LazyFrame({column: keys}, schema={column: pl.String})
        empty = pl.DataFrame(
            schema={"s": pl.String, "p": pl.String, "o": pl.String, "iri": pl.Boolean}
        )
        parts = [
            pl.scan_parquet(part)
            .filter(pl.col("p").is_in(list(predicates)))
            .join(wanted, on=column, how="semi")
            .collect()
            for index in self.indexes.values()
            for part in index.parts
        ]
        return pl.concat([empty, *parts])

    def _provenance(self) -> tuple[str | None, dict[str, int]]:
        return None, {
            str(file.relative_to(self.folder)): index.broken
            for file, index in self.indexes.items()
            if index.broken
        }
