"""Texts and text vectors of what training data hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from kg.partial import written_whole
from personarec.personas.encoder import TrainingData
from personarec.personas.facts import FactModel
from personarec.text.compose import ItemTexts, entity_text, plain, readable, relation_text
from personarec.text.embedders import Embedder, Progress, make_embedder
from personarec.text.history import Histories
from personarec.text.narrowing import How, Narrowing

Matrix = NDArray[np.float32]


def item_texts(
    data: TrainingData,
    names: Mapping[str, str] | None = None,
    abstracts: Sequence[str | None] = (),
) -> ItemTexts:
    """What writes texts of the items of training data."""
    return ItemTexts(
        data.graph, data.item_type, data.sequences.n_items, data.titles, names or {}, abstracts
    )


def described(data: TrainingData) -> list[str]:
    """One text an item: its title and written description, or what its facts say."""
    texts = item_texts(data)
    written = data.descriptions or (None,) * data.sequences.n_items
    return [
        texts.titled(item, text) if text else texts.description(item)
        for item, text in enumerate(written)
    ]


def histories(data: TrainingData, names: Mapping[str, str] | None = None) -> Histories:
    """What tells sessions in words."""
    texts = item_texts(data, names)
    titles = {
        key: texts.title(i)
        for i, key in enumerate(data.graph.nodes[data.item_type][: texts.n_items])
    }
    known = {**texts.names, **titles}  # previous and subsequent works are items
    said = tuple(plain(known.get(key) or readable(key)) for key in data.fact_names())
    return Histories(texts, FactModel.from_matrix(data.facts()).items, said)


def item_text_vectors(
    data: TrainingData,
    embedder: str = "auto",
    dim: int = 128,
    *,
    how: How = "pca",
    seed: int = 0,
    cache: Path | None = None,
    batch_size: int = 64,
    device: str | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """Vectors of the items' texts, to start a retriever's item table from.

    Args:
        data: whose items; interactions are not looked at.
        embedder: ``tfidf``, ``minilm``, ``auto``, or a sentence-transformers model.
        dim: columns wanted.
        how: how wider vectors are made narrower; ``first`` for Matryoshka models.
        seed: of TF-IDF's SVD.
        cache: folder that keeps vectors.
        batch_size: texts a step.
        device: for torch.
        progress: called after each step.

    Returns:
        float32, shape (n_items, dim), rows of unit length, or zero for an item without words; the
        last columns are zero where the texts have fewer dimensions.
    """
    texts = described(data)
    made = make_embedder(
        embedder, texts, dim=dim, seed=seed, cache=cache, batch_size=batch_size, device=device,
        progress=progress,
    )  # fmt: skip
    vectors = made.embed(texts)
    narrow = Narrowing.fitted(vectors, dim, how)(vectors)
    return np.pad(narrow, ((0, 0), (0, dim - narrow.shape[1])))


def graph_text_vectors(
    texts: ItemTexts, descriptions: Sequence[str], embedder: Embedder
) -> tuple[dict[str, Matrix], dict[str, Matrix]]:
    """Vectors of the nodes of each type but users, and of the relations, by name.

    Items have those of their descriptions; entities, and works outside the data set, those of their
    names. Shapes (nodes, width) and (width,).
    """
    nodes = {}
    for label, keys in texts.graph.nodes.items():
        own = list(descriptions) if label == texts.item_type else []
        if label != "User":
            rest = [entity_text(label, key, texts.names) for key in keys[len(own) :]]
            nodes[label] = embedder.embed([*own, *rest])
    keys_ = sorted(texts.graph.relations)
    vectors = embedder.embed([relation_text(key) for key in keys_])
    return nodes, {key[1]: row for key, row in zip(keys_, vectors, strict=True)}


def write_texts(
    path: Path, ids: Sequence[str], texts: Sequence[str], made_by: Sequence[str]
) -> None:
    """Lines of JSON: id, text and what made it; whole or not at all."""
    with written_whole(path) as file:
        for row in zip(ids, texts, made_by, strict=True):
            line = dict(zip(("id", "text", "by"), row, strict=True))
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def with_descriptions(data: TrainingData, path: Path) -> TrainingData:
    """Training data with the descriptions of a file that :func:`write_texts` wrote.

    Raises:
        ChangeSomethingError: no such file, or not of such lines.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        found = {row["id"]: str(row["text"]) for row in rows}
    except FileNotFoundError as error:
        raise ChangeSomethingError(f"no texts at {path}; run personarec texts first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ChangeSomethingError(
            f"{path} holds no descriptions; remove it and run personarec texts again"
        ) from error
    ids = data.graph.nodes[data.item_type][: data.sequences.n_items]
    return replace(data, descriptions=tuple(found.get(i) for i in ids))
