"""The cache of answers: whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kg.errors import ChangeSomethingError
from kg.sparql.cache import AnswerCache, Entry, Term

ROWS = [{"s": Term("uri", "http://x/é"), "o": Term("literal", 'a "b"\n', "en")}, {}]
ENTRY = Entry(ROWS, "2026-01-02T03:04:05+00:00")  # type: ignore[arg-type]


def test_what_is_kept_is_given_back(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "a" / "b", "http://x", None)
    assert cache.get("q") is None
    cache.put("q", ENTRY)
    assert AnswerCache(tmp_path / "a" / "b", "http://x", None).get("q") == ENTRY
    cache.put("r", Entry([], "2026", "too many"))
    assert cache.get("r") == Entry([], "2026", "too many")
    cache.forget("q")
    cache.forget("q")
    assert cache.get("q") is None


def test_endpoint_graph_and_query_tell_answers_apart(tmp_path: Path) -> None:
    caches = [AnswerCache(tmp_path, u, g) for u in ("http://x", "http://y") for g in (None, "g")]
    assert len({c.path(q) for c in caches for q in ("q", "Q", "q ")}) == 12


def test_a_damaged_entry_counts_as_absent(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, "http://x", None)
    cache.put("q", ENTRY)
    path = cache.path("q")
    good = path.read_bytes()
    read_anyway = 0
    for place in range(len(good)):
        path.write_bytes(good[:place])
        assert cache.get("q") is None
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        # A few bits of a gzip header mean nothing; then the content must be the right one.
        assert cache.get("q") in (None, ENTRY)
        read_anyway += cache.get("q") is not None
    assert read_anyway < 10
    path.write_bytes(good)
    assert cache.get("q") == ENTRY
    path.replace(cache.path("other"))
    assert cache.get("other") is None  # it answers another query


def test_an_entry_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = AnswerCache(tmp_path, "http://x", None)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ChangeSomethingError, match="No space left") as caught:
        cache.put("q", ENTRY)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChangeSomethingError, match="name another cache folder"):
        AnswerCache(tmp_path / "file", "http://x", None)
