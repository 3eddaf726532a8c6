"""What is kept of a comparison is found again only where it would be made alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_small import small_data, small_world

from personarec.compare import identity
from personarec.compare.config import CompareConfig
from personarec.compare.fitted import Fitted
from personarec.compare.identity import row_identity
from personarec.compare.rows import ROWS, UNTRAINED
from personarec.personas.baselines.texts import KeywordPersonas
from personarec.personas.encoder import DensePersonas
from personarec.personas.relational.rule import RecentPersonas

SPLITS = ("leave-one-out", "global-temporal", "user-disjoint")


def test_personas_of_another_split_are_not_taken(tmp_path: Path) -> None:
    """One folder for several splits: what one may learn from, another tests."""
    for split in SPLITS:
        shared, alone = (
            Fitted(small_world(tmp_path / out, split=split)) for out in ("shared", split)
        )
        for report in (False, True):
            found, own = (f.personas("svd", 0, report=report) for f in (shared, alone))
            assert isinstance(found, DensePersonas)
            assert isinstance(own, DensePersonas)
            np.testing.assert_array_equal(found.items, own.items)
    assert len(list((tmp_path / "shared" / "personas").glob("*.safetensors"))) == 2 * len(SPLITS)


def test_other_titles_are_other_data() -> None:
    data = small_data()
    retitled = replace(data.catalogue, titles=("Another", *data.catalogue.titles[1:]))
    assert data.content_hash() != replace(data, catalogue=retitled).content_hash()


@pytest.mark.parametrize(
    ("row", "encoder", "changes"),
    [
        ("token", "keywords", {"llm_model": "m"}),
        ("everything+persona", "keywords", {"llm_model": "m"}),
        ("everything+persona", "shrunk:keywords", {"embedder": "tfidf"}),
        ("text x random", "svd", {"llm_model": "m"}),
        ("text x random", "svd", {"embedder": "tfidf"}),
        ("none x description", "svd", {"embedder": "tfidf"}),
        ("token", "svd", {"encoder": "ease"}),
        ("everything+shuffled persona", "svd", {"encoder": "ease"}),
        ("everything+untrained persona", "svd", {"encoder": "recent:svd"}),
    ],
)
def test_what_reaches_a_row_is_in_its_identity(
    row: str, encoder: str, changes: dict[str, Any]
) -> None:
    config = CompareConfig(encoder=encoder, embedder="minilm")
    other = config.model_copy(update=changes)
    assert row_identity(ROWS[row], config) != row_identity(ROWS[row], other)
    plain = ROWS["everything"]
    assert row_identity(plain, config) == row_identity(plain, other)


def test_automatic_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    config, row = CompareConfig(), ROWS["none x description"]
    found = []
    for name in ("minilm", "tfidf"):
        monkeypatch.setattr(identity, "chosen", lambda _, name=name: name)
        found.append(row_identity(row, config)["embedder"])
    assert found == ["minilm", "tfidf"]


def test_the_untrained_persona_weighs_items_as_the_trained_one_does(tmp_path: Path) -> None:
    for encoder, rule in (("svd", DensePersonas), ("recent:svd", RecentPersonas)):
        fitted = Fitted(small_world(tmp_path, encoder=encoder, dim=4))
        assert type(fitted.personas(UNTRAINED, 0, report=True)) is rule
    assert CompareConfig(encoder="relational").encoder_named(f"shuffled:{UNTRAINED}") == (
        "shuffled:recent:propagation"
    )


def test_keywords_are_in_the_space_of_the_items_texts(tmp_path: Path) -> None:
    world = replace(small_world(tmp_path, embedder="minilm", dim=4), texts=tmp_path / "texts")
    fitted = Fitted(world)
    found = fitted.personas("keywords", 0, report=False)
    assert isinstance(found, KeywordPersonas)
    np.testing.assert_allclose(found.items, fitted.item_texts(4), atol=1e-5)
