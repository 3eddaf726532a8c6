"""What a person looks through after a load: rows set aside, and links to DBpedia."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.ingest.stage import last_stage
from personarec.console import out, print_table
from personarec.datasets.manifest import ALSO_LOADERS, name_of, resolve

if TYPE_CHECKING:
    from kg.ingest import DataSetSources
    from kg.ingest.stage import Stage


def quarantine_document(home: Path, dataset: str, limit: int | None) -> dict[str, Any]:
    """Rows that the last stage of a data set set aside, as plain data."""
    staged = last_stage(home, name_of(dataset))
    return {
        "dataset": staged.data_set,
        "file": str(staged.folder / "quarantine.jsonl"),
        "quarantined": staged.total("quarantined"),
        "rows": list(islice(staged.quarantine(), limit)),
    }


def write_quarantined(home: Path, dataset: str, data: Path | None, path: Path) -> int:
    """Write the rows set aside, with their whole text, as JSON lines to mend; how many."""
    import orjson

    from kg.ingest.mending import whole_rows
    from kg.partial import written_whole

    sources, staged = _staged_sources(home, dataset, data)
    count = 0
    with written_whole(path) as file:
        for row in whole_rows(sources, staged):
            file.write(orjson.dumps(row) + b"\n")
            count += 1
    return count


def take_back_rows(home: Path, dataset: str, data: Path | None, path: Path) -> int:
    """Keep mended rows for the next ingest; how many there are now."""
    from kg.ingest.mending import take_back

    sources, staged = _staged_sources(home, dataset, data)
    return take_back(sources, staged, path, home / "ingest" / staged.data_set)


def _staged_sources(home: Path, dataset: str, data: Path | None) -> tuple[DataSetSources, Stage]:
    from kg.linking.enrich import enriched_sources

    staged = last_stage(home, name_of(dataset))
    # As they were staged: two sources in one file are told apart by their paths.
    also = any(book.loader in ALSO_LOADERS for book in staged.books)
    own = resolve(dataset, data=data, also=also)
    return enriched_sources(own, home / "ingest" / own.name), staged


def print_quarantine(document: dict[str, Any]) -> None:
    """The rows set aside, and where all of them are."""
    rows, total = document["rows"], document["quarantined"]
    if rows:
        columns = ("source", "line", "reason", "text")
        print_table("", columns, [[r[c] for c in columns] for r in rows])
    shown = f" ({len(rows)} shown)" if len(rows) < total else ""
    out.print(f"{total} rows set aside{shown}: {document['file']}", markup=False)


def correct_links(
    home: Path, dataset: str, accept: Path | None, reject: Path | None
) -> dict[str, Any]:
    """Store a person's corrections of links: all lines of both files, or none."""
    from kg.linking import correct

    staged = last_stage(home, name_of(dataset))
    return correct(staged, home / "ingest" / staged.data_set, accept, reject)


def print_corrected(corrected: dict[str, Any]) -> None:
    """How many corrections and links there are now, and the next step."""
    out.print(
        f"{corrected['corrections']} corrections, {corrected['links']} links: {corrected['file']}; "
        "the next personarec kg ingest brings them into the graph",
        markup=False,
    )


def link_document(home: Path, dataset: str, sample: int, seed: int) -> dict[str, Any]:
    """The links of a data set in figures, as plain data."""
    from kg.linking import link_report

    staged = last_stage(home, name_of(dataset))
    return link_report(staged, home / "ingest" / staged.data_set, sample=sample, seed=seed)


def print_links(document: dict[str, Any]) -> None:
    """The links of a data set as tables."""
    from kg.linking.report import tables

    share = f"{document['coverage']:.1%}"
    out.print(f"{document['linked']} of {document['items']} items linked ({share})", markup=False)
    for title, columns, rows in tables(document):
        if rows:
            print_table(title, columns, rows)
