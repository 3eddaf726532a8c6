"""A training is found again only where it would give the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from compare_small import small_data

from personarec.training import persona_versions
from personarec.training.config import TrainConfig
from personarec.training.data import GraphData
from personarec.training.run import _key


def key(data: GraphData, config: TrainConfig) -> str:
    return _key(config, data, persona_versions.version_key(data, data.split.train, config))


def test_an_encoder_that_works_otherwise_makes_another_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, config = small_data(), TrainConfig()
    before = key(data, config)
    assert key(small_data(), TrainConfig()) == before
    monkeypatch.setattr(persona_versions, "PERSONA_FORMAT", persona_versions.PERSONA_FORMAT + 1)
    assert key(data, config) != before


def test_encoders_choose_by_other_validation_items() -> None:
    data = small_data()
    swapped = replace(data.split, valid=data.split.test, test=data.split.valid)
    assert key(replace(data, split=swapped), TrainConfig()) != key(data, TrainConfig())


def test_other_data_or_settings_make_another_training() -> None:
    data, config = small_data(), TrainConfig()
    titles = replace(data.catalogue, titles=("Another", *data.catalogue.titles[1:]))
    found = {
        key(data, config), key(replace(data, catalogue=titles), config),
        key(small_data(also=True), config), key(data, TrainConfig(encoder="svd")),
        key(data, TrainConfig(encoder="svd", encoder_settings={"dim": 8})),
    }  # fmt: skip
    assert len(found) == 5
