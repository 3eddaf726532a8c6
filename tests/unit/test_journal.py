"""The journal of a load: whole or not at all, and never a reason to fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.ingest.journal import Journal

counts = st.integers(0, 10**12)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40), st.text(max_size=40), counts, counts, counts, counts, counts)
def test_round_trip(
    tmp_path: Path, load: str, content: str, table: int, row: int, new: int, old: int, same: int
) -> None:
    journal = Journal(load, content, table, row, new, old, same)
    journal.save(tmp_path / "journal.json")
    assert Journal.load_from(tmp_path / "journal.json") == journal


def test_the_latest_save_is_what_is_read_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    for row in range(5):
        Journal("l", "h", 1, row).save(path)
    assert Journal.load_from(path) == Journal("l", "h", 1, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["journal.json"]


@pytest.mark.parametrize("failing", [(os, "fsync"), (Path, "replace")])
def test_a_save_that_fails_leaves_the_one_before(
    failing: tuple[object, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.json"
    Journal("l", "h", 1, 100).save(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*failing, full)
        with pytest.raises(OSError, match="No space left"):
            Journal("l", "h", 2, 200).save(path)
    assert Journal.load_from(path) == Journal("l", "h", 1, 100)
    Journal("l", "h", 3, 300).save(path)  # the leftover of the failed one is no hindrance
    assert Journal.load_from(path) == Journal("l", "h", 3, 300)


def test_the_content_is_on_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.json"
    synced: list[tuple[int, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    Journal("l", "h").save(path)
    assert synced == [(path.stat().st_size, False)]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"\0" * 100, b"{}",
        b'{"load": "l"}', b'{"load": "l", "content_hash": "h", "unknown": 1}',
        b'{"load": "l", "content_hash": "h", "table": 1', b'[["load", "l"]]',
    ],
)  # fmt: skip
def test_a_journal_that_cannot_be_read_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    path.write_bytes(content)
    assert Journal.load_from(path) is None


def test_no_journal_is_none(tmp_path: Path) -> None:
    assert Journal.load_from(tmp_path / "gone.json") is None
    assert Journal.load_from(tmp_path) is None
