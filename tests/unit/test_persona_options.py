"""What the options of persona encoders become."""

from __future__ import annotations

import pytest

from kg.errors import ChangeSomethingError
from personarec.commands.personas import with_encoder
from personarec.training.config import TrainConfig


@pytest.mark.parametrize(
    ("encoder", "dim", "width"),
    [(None, None, 256), ("svd", None, 256), ("relational", None, 64), ("relational", 32, 32)],
)
def test_width_of_a_persona(encoder: str | None, dim: int | None, width: int) -> None:
    config = with_encoder(TrainConfig(), encoder, dim, ())
    assert config.encoder == (encoder or "propagation")
    assert config.encoder_settings == {"dim": width}


def test_settings_are_named_and_an_unknown_one_is_said_at_once() -> None:
    config = with_encoder(TrainConfig(), "relational", None, ("epochs=3",))
    assert config.encoder_settings == {"dim": 64, "epochs": 3}
    with pytest.raises(ChangeSomethingError, match=r"'epoch'.*did you mean epochs"):
        with_encoder(TrainConfig(), "relational", None, ("epoch=3",))
