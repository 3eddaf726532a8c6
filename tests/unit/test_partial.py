"""Names of files under way, and what killed processes left of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kg.partial import partial_path, remove, write_json


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    final = tmp_path / "a[1].nt"
    kept = [
        tmp_path / f"a[1].nt.{os.getppid()}.partial",  # its process lives
        tmp_path / f"b.nt.{gone.pid}.partial",
        tmp_path / "a[1].nt.x.partial",
        final,
    ]
    for path in kept:
        path.write_text("")
    (tmp_path / f"a[1].nt.{gone.pid}.partial").write_text("")
    assert partial_path(final) == tmp_path / f"a[1].nt.{os.getpid()}.partial"
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_folders_too(tmp_path: Path) -> None:
    folder = partial_path(tmp_path / "f")
    (folder / "sub").mkdir(parents=True)
    remove(folder)
    remove(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_document_that_json_cannot_hold_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.json"
    write_json(path, {"a": "ä"})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_json(path, {"a": path})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_is_no_utf8_can_be_told(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_json(tmp_path / "a.json", [name])
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == [name]
