"""Rows of the quarantine that a person mended, and that the next ingest takes back.

``mended.jsonl`` in the data set's folder holds, a row: the source file's name and the SHA-256 of
its content, the line, and the text to read in its place. A row counts for exactly that content of
the file: once the file itself is another, its mended rows are ignored.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from kg.errors import ChangeSomethingError
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.stage import Stage
from kg.loaders import loader
from kg.loaders.lines import read_lines
from kg.loaders.records import Interaction, Record, Rejected
from kg.loaders.source_file import SourceFile
from kg.partial import written_whole

FILE = "mended.jsonl"


class Mended(NamedTuple):
    """A line of a source, as it should have been."""

    source: str
    sha256: str
    line: int
    text: str


def whole_rows(data_set: DataSetSources, staged: Stage) -> Iterator[dict[str, object]]:
    """The quarantine's rows with their whole text, to be mended: source, line, reason, text.

    One entry a line of a file; what cannot be shown as text (not UTF-8, over-long) has none.
    """
    reasons: dict[str, dict[int, str]] = defaultdict(dict)
    for row in staged.quarantine():
        reasons[row["source"]].setdefault(row["line"], row["reason"])
    for source, name in zip(data_set.sources, data_set.names(), strict=True):
        wanted = reasons.pop(name, {})
        if not wanted or not _is_lines(source):
            continue
        for entry in read_lines(source.path):
            if isinstance(entry, Rejected):
                number, text = entry.line, None
            else:
                number, text = entry
            if number in wanted:
                yield {"source": name, "line": number, "reason": wanted[number], "text": text or ""}


def take_back(data_set: DataSetSources, staged: Stage, given: Path, folder: Path) -> int:
    """Keep a person's mended rows for the next ingest: all of a file, or none of it.

    Args:
        data_set: the data set by its sources.
        staged: its last stage, which set the rows aside.
        given: JSON lines with source, line and text.
        folder: the data set's folder under home.

    Returns:
        How many mended rows there are now.

    Raises:
        ChangeSomethingError: a row that is not in the quarantine, or still cannot be read.
    """
    aside = {(row["source"], row["line"]) for row in staged.quarantine()}
    by_name: dict[str, list[Source]] = defaultdict(list)
    for name, source in zip(data_set.names(), data_set.sources, strict=True):
        by_name[name].append(source)  # several where loaders share a file
    found: dict[str, dict[int, tuple[str, int]]] = defaultdict(dict)
    for at, (name, line, text) in _given(given):
        if (name, line) not in aside:
            raise ChangeSomethingError(
                f"{given}:{at}: line {line} of {name[:100]!r} is not in the quarantine; "
                "personarec kg quarantine lists what is"
            )
        if not all(map(_is_lines, by_name[name])):
            raise ChangeSomethingError(
                f"{given}:{at}: {name} does not consist of lines; mend the file itself"
            )
        found[name][line] = (text, at)
    rows: list[Mended] = []
    for name, lines in found.items():
        texts = [(line, text) for line, (text, _) in sorted(lines.items())]
        for source in by_name[name]:
            for line, record in read_mended(source, texts):
                if isinstance(record, Rejected):
                    raise ChangeSomethingError(
                        f"{given}:{lines[line][1]}: still not usable: {record.reason}"
                    )
        digest = by_name[name][0].sha256()
        rows += [Mended(name, digest, line, text) for line, text in texts]
    return _store(folder / FILE, rows)


def mended_rows(path: Path | None, name: str, source: Source) -> list[tuple[int, str]]:
    """The mended (line, text) of one source whose content is still the same."""
    if path is None:
        return []
    rows = [m for m in _stored(path) if m.source == name]
    if not rows:
        return []
    digest = source.sha256()
    return sorted((m.line, m.text) for m in rows if m.sha256 == digest)


def read_mended(
    source: Source, texts: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, Record | Rejected]]:
    """Read lines with a source's own loader; each result with the line that it stands for.

    The loader gets a file of the source's first line, which may be its header, and these lines.
    """
    lines = [line for line, _ in texts]
    with tempfile.TemporaryDirectory() as folder:
        path = SourceFile(Path(folder) / f"mended{_plain_suffix(source.path)}")
        first = next(iter(read_lines(source.path)), (1, ""))
        header = "" if isinstance(first, Rejected) else first[1]
        path.write_text("\n".join([header, *(text for _, text in texts)]) + "\n", "utf-8")
        for record in loader(source.loader).read(path):
            if path.line < 2:  # the first line is not one of ours
                continue
            line = lines[path.line - 2]
            yield line, record._replace(row=line) if isinstance(record, Interaction) else record


def _is_lines(source: Source) -> bool:
    return loader(source.loader).by_line and source.path.suffix.lower() != ".parquet"


def _plain_suffix(path: Path) -> str:
    return next((s for s in reversed(path.suffixes) if s not in (".gz", ".bz2", ".zst")), "")


def _given(path: Path) -> Iterator[tuple[int, tuple[str, int, str]]]:
    """Rows of a person's file, each with its line there."""
    try:
        for entry in read_lines(path):
            if isinstance(entry, Rejected):
                raise ChangeSomethingError(f"{path}:{entry.line}: {entry.reason}; correct the line")
            at, text = entry
            if not text.strip():
                continue
            try:
                row = orjson.loads(text)
                name, line, mended = row["source"], row["line"], row["text"]
                if not (isinstance(name, str) and isinstance(mended, str) and type(line) is int):
                    raise TypeError
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise ChangeSomethingError(
                    f"{path}:{at}: not a JSON object with source, line and text"
                ) from None
            if "\n" in mended or "\r" in mended:
                raise ChangeSomethingError(f"{path}:{at}: the text must be one line")
            yield at, (name, line, mended)
    except OSError as error:
        raise ChangeSomethingError(
            f"cannot read {path}: {error.strerror}; check the path"
        ) from None


def _stored(path: Path) -> list[Mended]:
    if not path.is_file():
        return []
    try:
        return [Mended(**orjson.loads(line)) for line in path.read_bytes().splitlines()]
    except (orjson.JSONDecodeError, TypeError):
        raise ChangeSomethingError(
            f"{path} is broken; mend or delete it, and take the rows back again"
        ) from None


def _store(path: Path, rows: list[Mended]) -> int:
    kept = {(m.source, m.sha256, m.line): m for m in (*_stored(path), *rows)}
    with written_whole(path) as file:
        for row in sorted(kept.values()):
            file.write(orjson.dumps(row._asdict()) + b"\n")
    return len(kept)
