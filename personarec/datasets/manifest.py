"""Data sets by name, folder or manifest: ``--dataset`` becomes the ingest's list of sources."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from kg.errors import ChangeSomethingError, did_you_mean
from kg.ingest import DataSetSources, Source
from kg.loaders import LOADERS, loader
from kg.schema import fact_relation

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PACKINGS = (".gz", ".zst", ".bz2")
ALSO_LOADERS = frozenset({"amazon-also"})
INTERACTIONS, ITEMS, TRIPLES = "interactions.tsv", "items.tsv", "triples.tsv"


class SourceEntry(BaseModel):
    """One file of a data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loader: str
    path: str | tuple[str, ...]
    """File name, or names of which the first that is there is taken, packed or not."""
    optional: bool = False
    """Whether the data set is whole without it."""
    also: bool = False
    """Whether it holds later purchases, which are left out unless asked for: they are a leak."""

    @property
    def names(self) -> tuple[str, ...]:
        """The file names, best first."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @field_validator("loader")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in LOADERS:
            raise ValueError(f"no loader {value!r}; there are: {', '.join(sorted(LOADERS))}")
        return value


class Manifest(BaseModel):
    """What a data set is: a name, a domain, source files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    domain: Literal["books", "movies", "products"]
    sources: tuple[SourceEntry, ...] = Field(min_length=1)
    data_folder: str | None = None
    """Folder of PERSONAREC_DATA that holds the files; else paths start at the manifest."""
    published: str | None = None
    """Where the files can be had, for the message when one is missing."""
    k_core: int = Field(default=0, ge=0)
    """Keep users and items with at least this many interactions among the kept."""
    dbpedia: bool = False
    """Whether its items are to be linked to DBpedia."""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("letters, digits, '.', '_' and '-' only, 64 at most")
        return value


def builtin_names() -> list[str]:
    """Names of the data sets that come with the package."""
    entries = files("personarec.datasets").iterdir()
    return sorted(e.name for e in entries if e.joinpath("manifest.yaml").is_file())


def resolve(
    dataset: str, *, data: Path | None = None, also: bool = False, k_core: int | None = None
) -> DataSetSources:
    """The data set that ``--dataset`` names: a built-in name, a folder or a manifest file.

    Args:
        dataset: what ``--dataset`` says.
        data: folder of the files, instead of the one that the manifest names.
        also: take sources of later purchases too.
        k_core: cut this core instead of the manifest's.

    Raises ChangeSomethingError, in one line, for anything else.
    """
    found = _resolve(dataset, data, also)
    if also and not any(s.loader in ALSO_LOADERS for s in found.sources):
        raise ChangeSomethingError(
            f"--also: data set {found.name} has no source of items bought together; leave it out"
        )
    return found if k_core is None else replace(found, k_core=k_core)


def _resolve(dataset: str, data: Path | None, also: bool) -> DataSetSources:
    if not dataset.strip():
        raise ChangeSomethingError("--dataset is empty; give a name, a folder or a manifest file")
    if dataset in builtin_names():
        with as_file(files("personarec.datasets").joinpath(dataset, "manifest.yaml")) as path:
            return from_manifest(path, data, also)
    path = Path(dataset)
    if path.is_dir():
        return from_folder(path, data, also)
    if path.is_file():
        return from_manifest(path, data, also)
    raise ChangeSomethingError(
        f"no data set {dataset!r}: neither built in ({', '.join(builtin_names())}), nor a folder, "
        f"nor a manifest file{did_you_mean(dataset, builtin_names())}"
    )


def name_of(dataset: str) -> str:
    """The name of the data set that ``--dataset`` names, without a look at its files."""
    path = Path(dataset)
    if dataset in builtin_names() or not path.exists():
        return dataset
    file = path / "manifest.yaml" if path.is_dir() else path
    return _manifest(file).name if file.is_file() else path.resolve().name


def wants_dbpedia(dataset: str) -> bool:
    """Whether ``--dataset`` names a manifest whose items are to be linked to DBpedia."""
    if dataset in builtin_names():
        text = files("personarec.datasets").joinpath(dataset, "manifest.yaml").read_text("utf-8")
        return Manifest(**yaml.safe_load(text)).dbpedia
    path = Path(dataset)
    file = path / "manifest.yaml" if path.is_dir() else path
    return file.is_file() and _manifest(file).dbpedia


def from_folder(folder: Path, data: Path | None = None, also: bool = False) -> DataSetSources:
    """A folder with interactions.tsv, and perhaps items.tsv and triples.tsv, as a data set.

    Its name is the folder's. Its domain follows from the facts: films where a predicate is one of
    films only, books likewise, else products.

    Raises ChangeSomethingError when there are no interactions, or the name cannot be a key.
    """
    if (folder / "manifest.yaml").is_file():
        return from_manifest(folder / "manifest.yaml", data, also)
    if not (folder / INTERACTIONS).is_file():
        raise ChangeSomethingError(
            f"{folder} has no {INTERACTIONS} (user_id item_id rating timestamp, tab-separated); "
            "add it, or describe other files in a manifest.yaml there"
        )
    name = folder.resolve().name
    if not NAME.fullmatch(name):
        raise ChangeSomethingError(
            f"folder name {name!r} cannot be a data set's name (letters, digits, '.', '_' and '-' "
            "only); rename it, or put a manifest.yaml with a name there"
        )
    sources = [Source("tsv-interactions", folder / INTERACTIONS)]
    if (folder / ITEMS).is_file():
        sources.append(Source("tsv-items", folder / ITEMS))
    if (folder / TRIPLES).is_file():
        sources.append(Source("tsv-facts", folder / TRIPLES))
    return DataSetSources(name, _domain(folder / TRIPLES), tuple(sources))


def _domain(triples: Path) -> str:
    """The domain that most facts fit, films before books before products."""
    fits = {"movies": 0, "books": 0}
    if triples.is_file():
        for record in loader("tsv-facts").read(triples):
            predicate = getattr(record, "predicate", "")
            for domain, label in (("movies", "Movie"), ("books", "Book")):
                fits[domain] += fact_relation(predicate, label) is not None
    best = max(fits, key=lambda d: fits[d])
    return best if fits[best] else "products"


def from_manifest(path: Path, data: Path | None = None, also: bool = False) -> DataSetSources:
    """A manifest file as a data set.

    Raises ChangeSomethingError: broken YAML, an unknown option, a missing file.
    """
    manifest = _manifest(path)
    root = data or _root(manifest, path)
    found = (
        (entry, _file(manifest, entry, root))
        for entry in manifest.sources
        if also or not entry.also
    )
    sources = tuple(Source(entry.loader, file) for entry, file in found if file)
    return DataSetSources(manifest.name, manifest.domain, sources, manifest.k_core)


def _manifest(path: Path) -> Manifest:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date like 2001-99
        raise ChangeSomethingError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ChangeSomethingError(f"{path}: a manifest is a mapping with name, domain and sources")
    try:
        return Manifest(**content)
    except (ValidationError, TypeError) as error:
        raise ChangeSomethingError(f"{path}: {_first_problem(error)}") from None


def _file(manifest: Manifest, entry: SourceEntry, root: Path) -> Path | None:
    """The first of an entry's files that is there; None for an optional one that is not."""
    for name in entry.names:
        for packing in ("", *PACKINGS):
            if (file := root / f"{name}{packing}").is_file():
                return file
    if entry.optional:
        return None
    where = f"; it is published at {manifest.published}" if manifest.published else ""
    others = f" (nor {', '.join(entry.names[1:])}, packed or not)" if entry.names[1:] else ""
    raise ChangeSomethingError(
        f"{root / entry.names[0]} is missing{others}{where}; put it there, or name its folder "
        "with --data"
    )


def _root(manifest: Manifest, path: Path) -> Path:
    if manifest.data_folder is None:
        return path.parent
    data = os.environ.get("PERSONAREC_DATA")
    if not data:
        raise ChangeSomethingError(
            f"data set {manifest.name}: name the folder that holds "
            f"{manifest.sources[0].names[0]} with --data, or set PERSONAREC_DATA to the folder "
            f"above {manifest.data_folder} (published at {manifest.published or 'its own source'})"
        )
    return Path(data) / manifest.data_folder


def _first_problem(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return "option names must be texts"
    problem: Any = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        fields = SourceEntry.model_fields if len(problem["loc"]) > 1 else Manifest.model_fields
        hint = did_you_mean(str(problem["loc"][-1]), fields)
        return f"unknown option {where}" + (hint or f"; there are: {', '.join(fields)}")
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
