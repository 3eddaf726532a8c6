"""Files for the bulk importer: what is in them, all or none of them, and refusals in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from kg.errors import ChangeSomethingError, PersonarecError, TryAgainError
from kg.ingest import DataSetSources
from kg.ingest import offline as offline_module
from kg.ingest.offline import ingest_offline, write_import_files
from kg.ingest.sources import Source
from kg.ingest.stage import Books, Stage, Table

RATINGS = "user_id\titem_id\trating\ttimestamp"


def quiet(_what: str, _done: int, _total: int | None) -> None:
    pass


def stage_of(folder: Path, **columns: list[object]) -> Stage:
    """A stage with one table of films: ``id`` and the given columns."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(columns)
    frame.write_parquet(folder / "node-Movie.parquet")
    tables = [Table("node", "Movie", "node-Movie.parquet", len(frame))]
    return Stage(folder, "d", "movies", "0" * 64, tables, [Books("f", "l", rows_in=7, merged=7)])


def test_null_and_empty_text_are_told_apart(tmp_path: Path) -> None:
    staged = stage_of(tmp_path / "s", id=["1", "2", "3"], title=["", None, 'a "b", c'])
    files = write_import_files(staged, tmp_path / "out", quiet)
    lines = (files.folder / "node-Movie.csv").read_text("utf-8").splitlines()
    load = files.load
    assert lines == [f'"1","","{load}"', f'"2",,"{load}"', f'"3","a ""b"", c","{load}"']
    header = (files.folder / "node-Movie-header.csv").read_text("utf-8")
    assert header == "id:ID(Movie),title:string,loadId:string\n"


@pytest.mark.parametrize(
    ("title", "option"),
    [("plain \u2028", False), ("two\nlines", True), ("carriage\rreturn", True)],
)
def test_slow_reading_of_lines_within_fields_only_where_needed(
    tmp_path: Path, title: str, option: bool
) -> None:
    staged = stage_of(tmp_path / "s", id=["1"], title=[title])
    files = write_import_files(staged, tmp_path / "out", quiet)
    arguments = (files.folder / "import.args").read_text("utf-8").splitlines()
    assert ("--multiline-fields=true" in arguments) is option
    assert not any("skip" in a or "overwrite" in a for a in arguments)


def test_the_books_go_into_the_ledger(tmp_path: Path) -> None:
    staged = stage_of(tmp_path / "s", id=["1", "2"])
    files = write_import_files(staged, tmp_path / "out", quiet, database="films")
    names = (files.folder / "node-Load-header.csv").read_text("utf-8").strip().split(",")
    cells = (files.folder / "node-Load.csv").read_text("utf-8").strip().split(",")
    row = dict(zip(names, cells, strict=True))
    assert row["status:string"] == '"complete"'
    assert (row["rowsIn:long"], row["merged:long"], row["created:long"]) == ("7", "7", "2")
    assert files.command.startswith(f"cd {tmp_path / 'out'} && ")
    assert files.command.endswith("neo4j-admin database import full films @import.args")


@pytest.mark.parametrize("there", ["file in it", "a file itself"])
def test_only_a_new_or_empty_folder_is_written_to(tmp_path: Path, there: str) -> None:
    staged = stage_of(tmp_path / "s", id=["1"])
    folder = tmp_path / "out"
    kept = folder if there == "a file itself" else folder / "mine"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(ChangeSomethingError, match="not an empty folder; name another"):
        write_import_files(staged, folder, quiet)
    assert kept.read_text() == "mine"
    kept.unlink()
    assert write_import_files(staged, folder, quiet).nodes == 1


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    staged = stage_of(tmp_path / "s", id=["1"])

    def stop(_what: str, done: int, _total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_import_files(staged, tmp_path / "out" / "files", stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """The limit on a file's size stands in for the disk's end: the same call fails."""
    staged = stage_of(tmp_path / "s", id=[str(n) for n in range(100_000)])
    program = f"""
import resource, signal
from pathlib import Path
from kg.errors import TryAgainError
from kg.ingest.offline import write_import_files
from kg.ingest.stage import Stage, Table
staged = Stage(Path({str(staged.folder)!r}), "d", "movies", "0",
               [Table("node", "Movie", "node-Movie.parquet", 100_000)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write_import_files(staged, Path({str(tmp_path / "out" / "files")!r}), lambda *_: None)
except TryAgainError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.count("\n") == 1
    assert "cannot write the import files to" in done.stdout
    assert "File too large" in done.stdout
    assert list((tmp_path / "out").iterdir()) == []


def test_a_rename_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_self: Path, _target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(TryAgainError, match="busy; free space or name another folder"):
        write_import_files(stage_of(tmp_path / "s", id=["1"]), tmp_path / "out" / "files", quiet)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_column_without_a_form_is_a_defect_and_said(tmp_path: Path) -> None:
    staged = stage_of(tmp_path / "s", id=["1"], genres=[["a", "b"]])
    with pytest.raises(PersonarecError, match=r"node-Movie: column genres is of type List"):
        write_import_files(staged, tmp_path / "out", quiet)


def test_too_many_bad_rows_write_no_files(tmp_path: Path) -> None:
    source = tmp_path / "interactions.tsv"
    source.write_text(f"{RATINGS}\nu\ti\t1.0\t1\nu\tj\tbad\t2\n", "utf-8")
    data = DataSetSources("d", "movies", (Source("tsv-interactions", source),))
    with pytest.raises(ChangeSomethingError, match="1 of 2 rows are unusable"):
        ingest_offline(data, tmp_path / "home", tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()
    files = ingest_offline(data, tmp_path / "home", tmp_path / "out", quiet, max_bad=0.5)
    assert (files.nodes, files.relations) == (2, 1)


def test_the_folder_is_looked_at_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline_module, "stage", lambda *_: pytest.fail("staged"))
    with pytest.raises(ChangeSomethingError, match="not an empty folder"):
        ingest_offline(DataSetSources("d", "movies", ()), tmp_path, Path(__file__).parent, quiet)
