"""The folder of an export: whole or not there, and nobody else's files replaced."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kg.errors import ChangeSomethingError, TryAgainError
from kg.export.folder import MARKER, new_folder


def export(out: Path, files: dict[str, str], *, force: bool = False) -> None:
    with new_folder(out, force=force) as folder:
        for name, text in files.items():
            (folder / name).write_bytes(text.encode())
        marker = {"files": dict.fromkeys(files, 1)}
        (folder / MARKER).write_text(json.dumps(marker), "utf-8")


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing further than this fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_new_an_empty_and_a_nested_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "a/b/c"):
        export(tmp_path / name, {"x": "1"})
        assert (tmp_path / name / "x").read_text() == "1"
    assert not list(tmp_path.rglob(".*"))


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path: Path) -> None:
    export(tmp_path / "out", {"x": "1", "y": "1"})
    before = tree(tmp_path)
    with pytest.raises(ChangeSomethingError, match=r"is not empty; .* --force"):
        export(tmp_path / "out", {"x": "2"})
    assert tree(tmp_path) == before
    export(tmp_path / "out", {"x": "2"}, force=True)
    assert set(tree(tmp_path)) == {"out/x", f"out/{MARKER}"}
    assert (tmp_path / "out" / "x").read_text() == "2"


@pytest.mark.parametrize("marker", [None, "{", "[]", '{"files": 7}', '{"files": {"x": 1}}'])
def test_force_replaces_nothing_but_an_export(marker: str | None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "x").write_text("mine")
    (out / "thesis.tex").write_text("mine")
    if marker is not None:
        (out / MARKER).write_text(marker)
    before = tree(tmp_path)
    with pytest.raises(ChangeSomethingError, match="which no export wrote"):
        export(out, {"x": "2"}, force=True)
    assert tree(tmp_path) == before


def test_an_error_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    export(tmp_path / "out", {"x": "1"})
    before = tree(tmp_path)
    for out in (tmp_path / "out", tmp_path / "new"):
        with pytest.raises(AttributeError):
            export(out, {"x": "2", "y": None}, force=True)  # type: ignore[dict-item]
    assert tree(tmp_path) == before


def test_a_folder_of_a_killed_export_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "half").write_text("half")
    export(tmp_path / "out", {"x": "1"})
    assert set(tree(tmp_path)) == {"out/x", f"out/{MARKER}"}


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    export(tmp_path / "out", {"x": "1"})
    before = tree(tmp_path)
    with largest_file(10_000), pytest.raises(TryAgainError) as caught:
        export(tmp_path / "out", {"x": "2" * 100_000}, force=True)
    assert str(tmp_path / "out") in str(caught.value)
    assert "free space" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    places = [tmp_path / "file" / "below", tmp_path / "file", Path("/"), Path("/proc/nothing/here")]
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        places.append(tmp_path / "closed" / "out")
    for out in places:
        with pytest.raises(ChangeSomethingError) as caught:
            export(out, {"x": "1"})
        assert "name another" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "x"


def test_a_swap_that_fails_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tmp_path / "out", {"x": "1"})
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ChangeSomethingError, match="Input/output error"):
        export(tmp_path / "out", {"x": "2"}, force=True)
    monkeypatch.undo()
    assert (tmp_path / "out" / "x").read_text() == "1"
