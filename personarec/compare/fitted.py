"""What rows are made of, fitted once in a process for each phase: evidence and personas.

Two phases: ``report=False`` is fitted to what settings are chosen on, ``report=True`` to what the
results are reported for; without refitting they are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from kg.errors import ChangeSomethingError
from personarec.compare.cells import cell_key
from personarec.compare.kept_personas import kept
from personarec.compare.rows import PERSONA, SHUFFLED
from personarec.compare.world import World
from personarec.personas.encoder import ENCODER_FORMAT, Encoder, Personas, TrainingData
from personarec.personas.registry import make_encoder
from personarec.retriever.evidence import EvidenceData, build_evidence

if TYPE_CHECKING:
    from personarec.retriever.fusion import Evidence

Matrix = NDArray[np.float32]


class Fitted:
    """Evidence and personas of one comparison, each fitted when first asked for.

    Attributes:
        world: what they are fitted to.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._evidence = lru_cache(maxsize=24)(self._fit_evidence)
        self._personas = lru_cache(maxsize=12)(self._fit_personas)
        self._data = lru_cache(maxsize=2)(self._evidence_data)
        self._texts = lru_cache(maxsize=2)(self._embed_items)

    def evidence(
        self, name: str, seed: int, *, report: bool, settings: Mapping[str, Any] | None = None
    ) -> Evidence:
        """An evidence by the name that rows give it; with settings other than its defaults.

        Raises:
            ChangeSomethingError: the data do not allow it.
        """
        if name.startswith(PERSONA):
            return self.personas(name.removeprefix(PERSONA), seed, report=report)
        # Only what is shuffled differs from seed to seed.
        own = seed if name.startswith(SHUFFLED) else 0
        given = tuple(sorted((settings or {}).items()))
        found: Evidence = self._evidence(name, own, self._phase(report), given)
        return found

    def facts(self, name: str, seed: int) -> csr_array:
        """Facts as the evidence of that name has them: each item's own, or another item's.

        Returns:
            csr, shape (n_items, n_facts).
        """
        facts = self.world.data.facts
        if not name.startswith(SHUFFLED):
            return facts
        return csr_array(facts[other_items(facts.shape[0], seed)])

    def personas(self, name: str, seed: int, *, report: bool, dim: int | None = None) -> Personas:
        """Personas of an encoder's name, as rows give it.

        ``dim``: how wide; none: as the settings say.

        Raises:
            ChangeSomethingError: no such encoder, or the data do not allow it.
        """
        name = self.world.config.encoder_named(name)
        return self._personas(name, seed, self._phase(report), dim or self.world.config.dim)

    def item_texts(self, dim: int) -> Matrix:
        """Vectors of the items' texts, float32, shape (n_items, dim); no interaction is looked at.

        Raises:
            ChangeSomethingError: the items have no words.
        """
        return self._texts(dim)

    def item_vectors(self, name: str, seed: int, *, report: bool) -> Matrix:
        """What each item adds to a persona: float32, shape (n_items, size).

        The shuffled control gives each item the vector of another one, the same in both phases.
        """
        inner = name.removeprefix("shuffled:")
        model = self.personas(inner, seed, report=report)
        vectors = getattr(model, "inputs", None)
        vectors = model.items if vectors is None else vectors
        if not isinstance(vectors, np.ndarray):
            raise ChangeSomethingError(f"the {inner} persona is sparse; networks take dense ones")
        if inner != name:
            vectors = vectors[other_items(len(vectors), seed)]
        return np.ascontiguousarray(vectors, np.float32)

    def _phase(self, report: bool) -> bool:
        # Without refitting both are one, and fitted once.
        return report and self.world.config.refit

    def _fit_evidence(
        self, name: str, seed: int, report: bool, settings: tuple[tuple[str, Any], ...]
    ) -> Any:
        data = replace(self._data(report), facts=self.facts(name, seed))
        return build_evidence(name.removeprefix(SHUFFLED), data, dict(settings))

    def _fit_personas(self, name: str, seed: int, report: bool, dim: int) -> Personas:
        wrapper, colon, inner = name.partition(":")
        if wrapper == "shuffled" and colon:
            from personarec.personas.baselines.controls import ShuffledEncoder

            known = Known(model=self._personas(inner, seed, report, dim))
            return ShuffledEncoder(inner=known, dim=dim, seed=seed).fit(
                TrainingData.of(self.world.data, refit=report)
            )
        settings: dict[str, Any] = {}
        config = self.world.config
        if "keywords" in name.split(":"):
            # In the space that the items' texts are in, where rows start from those too.
            settings = {"embedder": config.embedder, "cache": self.world.texts}
            if config.llm_url:
                settings |= {"llm_url": config.llm_url, "llm_model": config.llm_model}
        encoder = make_encoder(name, dim=dim, seed=seed, **settings)
        if report:
            encoder = encoder.to_refit(lambda: self._personas(name, seed, False, dim))
        # What it is fitted to is made only where it is fitted.
        return kept(
            self._file(encoder, report),
            lambda: encoder.fit(TrainingData.of(self.world.data, refit=report)),
        )

    def _file(self, encoder: Encoder, report: bool) -> Path:
        identity = {
            "personas": ENCODER_FORMAT, "data": self.world.data_hash,
            "split": self.world.protocol.name, "report": report,
            "class": type(encoder).__name__,
            "encoder": encoder.model_dump(mode="json", serialize_as_any=True),
        }  # fmt: skip
        name = f"{encoder.name.replace(':', '-')}.seed{encoder.seed}.{encoder.dim}"
        return self.world.out / "personas" / f"{name}.{cell_key(identity)[:12]}.safetensors"

    def _embed_items(self, dim: int) -> Matrix:
        from personarec.text.items import item_text_vectors

        data = TrainingData.of(self.world.data)
        return item_text_vectors(data, self.world.config.embedder, dim, cache=self.world.texts)

    def _evidence_data(self, report: bool) -> EvidenceData:
        return EvidenceData.of(self.world.data, self.world.fit(report=report))


def other_items(n_items: int, seed: int) -> NDArray[np.int64]:
    """Whose facts, vector or text each item has in a shuffled control: int64, shape (n_items,)."""
    return np.random.default_rng(seed).permutation(n_items)


class Known(Encoder):
    """An encoder that was fitted already, so that a wrapper does not fit it again."""

    name: ClassVar[str] = "known"
    model: Any

    def fit(self, data: TrainingData) -> Any:
        """What was fitted."""
        return self.model
