"""Settings of the sequence model by data set."""

from importlib.resources import files
from pathlib import Path

import pytest

from kg.errors import ChangeSomethingError
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.settings import Settings, read_settings, settings_for, write_settings
from personarec.retriever.training import TrainingOptions


def test_every_tuned_file_is_valid_and_changes_something() -> None:
    names = [f.name for f in files("personarec.datasets").joinpath("tuned").iterdir()]
    assert names
    for name in names:
        assert settings_for(name.removesuffix(".yaml")) != Settings()


def test_a_data_set_without_tuned_settings_has_the_defaults() -> None:
    assert settings_for("nothing-of-the-kind") == Settings()
    assert settings_for("../beauty/manifest") == Settings()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    settings = Settings(
        sasrec=SasRecConfig(embedding_size=32, layer="ligr"), options=TrainingOptions(epochs=3)
    )
    write_settings(tmp_path / "a.yaml", settings, "found by\ntrying")
    text = (tmp_path / "a.yaml").read_text()
    assert text.startswith("# found by\n# trying\n")
    assert "dropout" not in text
    assert read_settings(tmp_path / "a.yaml") == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sasrec: {embeding_size: 3}", "embeding_size"),
        ("options: {epochs: 0}", "epochs"),
        ("sasrec: {", "not settings"),
        ("[1]", "not settings"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises(ChangeSomethingError, match=message):
        read_settings(tmp_path / "b.yaml")


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ChangeSomethingError, match=r"d\.yaml: not UTF-8; name a file"):
        read_settings(tmp_path / "d.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match=r"c\.yaml: No such file"):
        read_settings(tmp_path / "c.yaml")
