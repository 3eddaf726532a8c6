"""Personas as the mean of what items are: their facts, or the words they are described by."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import unquote

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from kg.errors import ChangeSomethingError
from personarec.personas.encoder import DensePersonas, Encoder, Matrix, TrainingData
from personarec.personas.facts import FactModel


class MeanItemEncoder(Encoder):
    """Mean of the items' features, which are TF-IDF over facts, reduced by SVD.

    Nothing is learned from interactions: this is latent semantic analysis of facts (Deerwester et
    al., JASIS 1990).
    """

    name: ClassVar[str] = "mean-item"

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        facts = data.facts()
        if not facts.nnz:
            raise ChangeSomethingError("mean-item: no item has a fact; load facts, or use svd")
        items = reduced(FactModel.from_matrix(facts).items, self.dim, self.seed)
        return DensePersonas.fitted(items, data.sequences)


class KeywordsEncoder(Encoder):
    """Mean of the items' words: TF-IDF over titles and names of facts, reduced by SVD.

    tf is 1 + log(count) and idf smoothed, rows of unit length (scikit-learn's TfidfVectorizer).
    """

    name: ClassVar[str] = "keywords"
    min_items: int = 2
    """Words of fewer items are left out: they join nothing."""

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        texts = item_texts(data)
        vectorizer = TfidfVectorizer(
            sublinear_tf=True, min_df=self.min_items, dtype=np.float32, token_pattern=r"\w+"
        )
        try:
            words = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise ChangeSomethingError(
                f"keywords: no word is shared by {self.min_items} items; load titles or facts"
            ) from error
        return DensePersonas.fitted(reduced(words, self.dim, self.seed), data.sequences)


def item_texts(data: TrainingData) -> list[str]:
    """Each item's title and the names of its facts' entities, in plain words."""
    names = np.array([_words(key) for key in data.fact_names()], object)
    facts = data.facts()
    titles = data.titles or (None,) * data.sequences.n_items
    return [
        " ".join([title or "", *names[facts.indices[facts.indptr[i] : facts.indptr[i + 1]]]])
        for i, title in enumerate(titles)
    ]


def reduced(matrix: sparse.csr_array, dim: int, seed: int) -> Matrix:
    """The matrix's rows in its ``dim`` strongest directions, float32, shape (rows, ≤ dim)."""
    size = min(dim, min(matrix.shape) - 1)
    if size < 1:
        raise ChangeSomethingError(f"features have shape {matrix.shape}: too few to reduce by SVD")
    reducer = TruncatedSVD(size, random_state=seed)
    return np.asarray(reducer.fit_transform(sparse.csr_matrix(matrix)), np.float32)


def _words(key: str) -> str:
    """The last part of an entity's key or IRI as words."""
    return re.sub(r"[_\W]+", " ", unquote(re.split(r"[/#]", key)[-1]))
