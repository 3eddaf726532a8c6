"""Texts and text vectors of what training data hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
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

    Raises:
        ChangeSomethingError: no item has words.
    """
    texts = described(data)
    made = make_embedder(
        embedder, texts, dim=dim, seed=seed, cache=cache, batch_size=batch_size, device=device,
        progress=progress,
    )  # fmt: skip
    vectors = made.embed(texts)
    narrow = Narrowing.fitted(vectors, dim, how)(vectors)
    if not narrow.any():  # after it: a model gives the empty text a vector too
        raise ChangeSomethingError(
            "no text vectors: no item has a title, a description or facts to make one of"
        )
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
