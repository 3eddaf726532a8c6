"""R18: a full disk under the stage, the journal, a checkpoint or an export: said in one line.

A small file system in memory is mounted for it, which needs the right to mount.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import GraphAddress
from integration.small import write_small
from reliability.trial import ROOT, Forks, content, ingest_words, one_line, undisturbed, where

from kg.ingest import stats

SIZE = 8 * 1024 * 1024
FILL_AT_JOURNAL = """
from pathlib import Path
from kg.ingest.journal import Journal
save, calls = Journal.save, []
def filling(journal, path):
    calls.append(path)
    if len(calls) == 4:
        with open({filler!r}, "ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
    save(journal, path)
Journal.save = filling
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of SIZE bytes."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"FULL DISK NOT TESTED: cannot mount a small file system: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a disk up to ``leave`` bytes; the file to delete for room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    if leave:
        os.truncate(filler, filler.stat().st_size - leave)
    return filler


def home_on(graph: GraphAddress, disk: Path) -> GraphAddress:
    """The same graph, its stage and journal on the small disk."""
    graph.home.mkdir(parents=True)
    (disk / "ingest").mkdir()
    (graph.home / "ingest").symlink_to(disk / "ingest")
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 4096, 30_000])
def test_no_room_for_the_stage(
    graph: GraphAddress, tmp_path: Path, small_disk: Path, room: int
) -> None:
    data = write_small(tmp_path / "data", "data", users=400, items=40)
    expected, _ = undisturbed(data, tmp_path / "reference")
    home_on(graph, small_disk)
    filler = fill(small_disk, leave=room)
    words = ingest_words(tmp_path / "data")
    with Forks(tmp_path / "forks") as forks:
        code = forks.run(graph, *words)
        line = one_line(forks.error_text())
        assert "No space left on device" in line, line
        assert code == 75
        assert content(graph) == ([], [])
        filler.unlink()
        assert forks.run(graph, *words) == 0, forks.error_text()
    assert content(graph) == (expected, ["complete"])


def test_no_room_for_the_journal(graph: GraphAddress, tmp_path: Path, small_disk: Path) -> None:
    data = write_small(tmp_path / "data", "data", users=60, items=20)
    expected, _ = undisturbed(data, tmp_path / "reference")
    home_on(graph, small_disk)
    words = ingest_words(tmp_path / "data", "--batch-rows", "20")
    filler = small_disk / "filler"
    with Forks(tmp_path / "forks") as forks:
        fault = FILL_AT_JOURNAL.format(filler=str(filler))
        assert forks.run(graph, *words, fault=fault) == 75
        assert "No space left on device" in one_line(forks.error_text())
        with graph.connect() as store:
            assert [x["status"] for x in stats(store)["loads"]] == ["running"]
        # Again with no room at all: the same, and nothing worse.
        assert forks.run(graph, *words) == 75
        assert "No space left on device" in one_line(forks.error_text())
        filler.unlink()
        assert forks.run(graph, *words) == 0, forks.error_text()
        assert "resumed load" in forks.out_text()
    assert content(graph) == (expected, ["complete"])


def test_no_room_for_a_checkpoint(small_disk: Path) -> None:
    from safetensors import SafetensorError

    from personarec.retriever.checkpoint import load_checkpoint, save_checkpoint

    folder = small_disk / "model"
    save_checkpoint(folder, {"x": np.ones(1000)}, {"run": 1})
    for room in (0, 4096, 100_000):
        filler = fill(small_disk, leave=room)
        with pytest.raises((OSError, SafetensorError), match="No space left on device"):
            save_checkpoint(folder, {"x": np.zeros(50_000)}, {"run": 2})
        tensors, document = load_checkpoint(folder)
        assert document["run"] == 1
        assert tensors["x"].tolist() == [1.0] * 1000
        filler.unlink()
    save_checkpoint(folder, {"x": np.zeros(50_000)}, {"run": 2})
    assert load_checkpoint(folder)[1]["run"] == 2


def test_no_room_for_an_export(graph: GraphAddress, tmp_path: Path) -> None:
    """The dump goes to standard output; /dev/full is a disk with no room."""
    if not Path("/dev/full").exists():
        pytest.skip("EXPORT TO A FULL DISK NOT TESTED: this system has no /dev/full")
    write_small(tmp_path / "data", "data")
    with Forks(tmp_path / "forks") as forks:
        assert forks.run(graph, *ingest_words(tmp_path / "data")) == 0, forks.error_text()
    before = content(graph)
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ended = subprocess.run(
            [sys.executable, "-c", "from cli import main; main()", "kg", "dump", *where(graph)],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=100, check=False,
            env=os.environ | graph.environment,
        )  # fmt: skip
    assert ended.returncode == 75, ended.stderr
    assert "No space left on device" in one_line(ended.stderr)
    assert content(graph) == before
