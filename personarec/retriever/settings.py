"""Settings of the sequence model by data set: the tuned ones where there are any, else defaults.

Tuned settings are YAML files beside the data sets' manifests, ``datasets/tuned/NAME.yaml``, with
the two keys ``sasrec`` and ``options``; what a file does not name is as by default.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from kg.errors import ChangeSomethingError
from kg.partial import written_whole
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions


class Settings(BaseModel):
    """Shape of the network and how to train it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sasrec: SasRecConfig = SasRecConfig()
    options: TrainingOptions = TrainingOptions()


def settings_for(dataset: str, path: Path | None = None) -> Settings:
    """The settings tuned for a data set, by its name in the graph; the defaults if there are none.

    Args:
        dataset: its name.
        path: a file of settings to take instead.

    Raises:
        ChangeSomethingError: the file is there and is not such settings, or cannot be read.
    """
    if path is not None:
        return read_settings(path)
    folder = files("personarec.datasets").joinpath("tuned")
    # By a look at the names: one with a path in it finds nothing.
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.name == f"{dataset}.yaml":
            return _parsed(file.read_text("utf-8"), file.name)
    return Settings()


def read_settings(path: Path) -> Settings:
    """Settings from a file; raises ChangeSomethingError where it is none."""
    try:
        return _parsed(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ChangeSomethingError(f"{path}: {why}; name a file of settings") from error


def write_settings(path: Path, settings: Settings, comment: str) -> None:
    """Write what differs from the defaults, under a comment that says how it was found."""
    document: dict[str, Any] = settings.model_dump(mode="json", exclude_defaults=True)
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    with written_whole(path) as file:
        file.write((lines + yaml.safe_dump(document, sort_keys=False)).encode())


def _parsed(text: str, name: str) -> Settings:
    try:
        return Settings.model_validate(yaml.safe_load(text) or {})
    except (yaml.YAMLError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise ChangeSomethingError(f"{name}: not settings of the sequence model: {why}") from error
