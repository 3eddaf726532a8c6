"""Personas in the space of texts: the mean of the items' texts, or keywords of the history.

Nothing is learned from interactions, so a new item is known as soon as it has a text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from kg.errors import ChangeSomethingError
from kg.views import row_normalised
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import (
    DensePersonas,
    Encoder,
    Matrix,
    TrainingData,
    mean_persona,
)
from personarec.text import answers
from personarec.text.asking import AskOptions, ask_all
from personarec.text.embedders import Embedder, make_embedder
from personarec.text.history import Histories
from personarec.text.items import described, histories
from personarec.text.narrowing import How, Narrowing
from personarec.text.prompt import PromptFile


class _TextSettings(Encoder):
    embedder: str = "tfidf"
    """``tfidf``, ``minilm``, ``auto`` (what is installed), or a sentence-transformers model."""
    narrow: How = "pca"
    """How vectors wider than ``dim`` are made narrower; ``first`` for Matryoshka models."""
    cache: Path | None = None
    """Folder that keeps vectors and answers of language models."""

    def _of_items(self, data: TrainingData) -> tuple[Embedder, Narrowing, Matrix]:
        """The embedder, how its vectors become ``dim`` wide, and those of the items."""
        texts = described(data)
        embedder = make_embedder(
            self.embedder, texts, dim=self.dim, seed=self.seed, cache=self.cache
        )
        vectors = embedder.embed(texts)
        narrowing = Narrowing.fitted(vectors, self.dim, self.narrow)
        return embedder, narrowing, narrowing(vectors)


@dataclass(frozen=True, kw_only=True)
class TextPersonas(DensePersonas):
    """The mean of the visible items' vectors, each weighted decay^age; age 0 for the newest."""

    decay: float

    def personas(self, sessions: Sequences) -> Matrix:
        """See :class:`DensePersonas`."""
        means = row_normalised(sessions.recency(self.decay)) @ self.items
        return np.where(sessions.lengths[:, None] > 0, means, self.center).astype(np.float32)

    def long_term(self, sessions: Sequences) -> Matrix:
        """See :class:`Personas`."""
        return super().personas(sessions)


class TextEncoder(_TextSettings):
    """Recency-weighted mean of the vectors of the visible items' texts."""

    name: ClassVar[str] = "text"
    age_decay: float = Field(default=0.7, gt=0, le=1)
    """Weight of the next older item of the session."""

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        _, _, items = self._of_items(data)
        rule = TextPersonas(items, np.zeros(items.shape[1], np.float32), decay=self.age_decay)
        return replace(rule, center=mean_persona(rule, data.sequences))


@dataclass(frozen=True)
class Keywords:
    """Keywords of sessions: by a language model where there is one, else their strongest facts.

    Attributes:
        histories: tells the sessions.
        endpoint: the language model, or none.
        folder: where its answers are kept.
        decay: weight of the next older item where facts are summed.
    """

    histories: Histories
    endpoint: tuple[str, str] | None
    folder: Path | None
    decay: float

    def of(self, sessions: Sequences) -> list[str]:
        """One text a session; blank for an empty one."""
        composed = self.histories.keywords(sessions, self.decay)
        if self.endpoint is None or self.folder is None:
            return composed
        from personarec.text.endpoint import Endpoint

        prompt = PromptFile.read("keywords")
        told = self.histories.told(sessions)
        shown = [row for row, text in enumerate(told) if text]
        found = ask_all(
            Endpoint(*self.endpoint),
            [prompt.filled(history=told[row]) for row in shown],
            answers.keywords,
            self.folder,
            AskOptions(),
        )
        written = dict(zip(shown, found.texts, strict=True))
        return [written.get(row) or text for row, text in enumerate(composed)]


@dataclass(frozen=True, kw_only=True)
class KeywordPersonas(DensePersonas):
    """The vector of a session's keywords, in the space of the items' texts."""

    keywords: Keywords
    embedder: Embedder
    narrowing: Narrowing

    def personas(self, sessions: Sequences) -> Matrix:
        """See :class:`DensePersonas`."""
        if not len(sessions):
            return np.zeros((0, self.size), np.float32)
        shown = sessions.lengths > 0
        result = np.tile(self.center, (len(sessions), 1))
        if shown.any():
            texts = self.keywords.of(sessions.take(np.flatnonzero(shown)))
            result[shown] = self.narrowing(self.embedder.embed(texts))
        return result

    def long_term(self, sessions: Sequences) -> Matrix:
        """See :class:`Personas`."""
        return replace(self, keywords=replace(self.keywords, decay=1.0)).personas(sessions)


class KeywordsEncoder(_TextSettings):
    """Keywords of the history, embedded beside the items' texts (the published LLM persona).

    Without a language model they are the facts that the history says most.
    """

    name: ClassVar[str] = "keywords"
    age_decay: float = Field(default=0.7, gt=0, le=1)
    """Where facts are summed: weight of the next older item of the session."""
    llm_url: str | None = None
    """Of an OpenAI-compatible endpoint; it is asked once for every history that is new."""
    llm_model: str | None = None

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        if (self.llm_url is None) != (self.llm_model is None):
            raise ChangeSomethingError("keywords: set llm_url and llm_model, or neither")
        if self.llm_url and not self.cache:
            raise ChangeSomethingError("keywords: set cache, the folder that keeps the answers")
        embedder, narrowing, items = self._of_items(data)
        endpoint = (self.llm_url, self.llm_model) if self.llm_url and self.llm_model else None
        keywords = Keywords(histories(data), endpoint, self.cache, self.age_decay)
        rule = KeywordPersonas(
            items, np.zeros(items.shape[1], np.float32), keywords=keywords, embedder=embedder,
            narrowing=narrowing,
        )  # fmt: skip
        return replace(rule, center=mean_persona(rule, data.sequences))
