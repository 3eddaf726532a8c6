"""The trained recommender as one object: sequence model, evidence and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from personarec.evaluation.metrics import mask_seen
from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.retriever.checkpoint import (
    CheckpointError,
    load_checkpoint,
    pack,
    save_checkpoint,
    unpack_all,
)
from personarec.retriever.cold_items import ColdItems
from personarec.retriever.evidence import FittedEvidence, restore_evidence
from personarec.retriever.fusion import components
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.training import encode_sessions


@dataclass(frozen=True)
class Recommendation:
    """One recommended item and where its score comes from.

    Attributes:
        item: item index.
        score: sum of ``parts``.
        parts: contribution by name: ``sequence`` and each evidence with its weight in; or
            ``popularity`` alone, for a session that shows nothing yet.
    """

    item: int
    score: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Retriever:
    """Everything needed to recommend, for known users and anonymous sessions alike.

    Attributes:
        items: keys of the items; position = item index.
        model: the sequence model.
        weights: of each evidence, by name.
        popularity: int64, shape (n_items,), counts in the fit sequences.
        evidence: by name, in the order it is added; see ``evidence.EVIDENCE``.
        fact_keys: keys of the facts; position = column of ``facts``.
        cold: items that nobody had touched, scored like their neighbours; none if not given.
        personas: float32 vectors of known users by key, if the model has a persona token.
        default_persona: float32, shape (persona_size,), the token of anonymous sessions.
    """

    items: tuple[str, ...]
    model: SasRec
    weights: Mapping[str, float]
    popularity: NDArray[np.int64]
    evidence: Mapping[str, FittedEvidence] = field(default_factory=dict)
    fact_keys: tuple[str, ...] = ()
    cold: ColdItems | None = None
    personas: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    default_persona: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together.

        Raises:
            ValueError: catalogues of different size, an evidence without weight, no default token.
        """
        if not len(self.items) == self.model.n_items == len(self.popularity):
            raise ValueError("items, model and popularity must be of one catalogue")
        missing = [name for name in self.evidence if name not in self.weights]
        if missing:
            raise ValueError(f"no weight for {', '.join(missing)}")
        if self.model.config.needs_personas and self.default_persona is None:
            raise ValueError("a model with a persona token needs one for anonymous sessions")

    @property
    def facts(self) -> FactModel | None:
        """The fact persona, if it is among the evidence."""
        found = self.evidence.get("facts")
        return found if isinstance(found, FactModel) else None

    def recommend(
        self,
        history: Sequence[int],
        n: int = 10,
        *,
        exclude_seen: bool = True,
        user: str | None = None,
    ) -> list[Recommendation]:
        """The best items after what a session has shown so far.

        Args:
            history: item indices, oldest first; may be empty.
            n: how many at most; fewer come back if the catalogue has fewer.
            exclude_seen: leave out the items of the history.
            user: key of a known user, whose persona vector is taken if the model has a token.

        Raises:
            ValueError: an index outside the catalogue, or n < 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        session = Sequences.from_lists([history], len(self.items))
        parts = self._parts(session, user)
        total = np.zeros(len(self.items), dtype=np.float32)
        for part in parts.values():
            total += part
        left = total.copy()
        if exclude_seen:
            mask_seen(left[None], session)
        # Of equal scores the smaller index first: the same answer each time.
        order = np.lexsort((np.arange(len(left)), -left))[:n]
        return [
            Recommendation(
                int(item), float(total[item]), {k: float(v[item]) for k, v in parts.items()}
            )
            for item in order
            if np.isfinite(left[item])
        ]

    def _parts(self, session: Sequences, user: str | None) -> dict[str, NDArray[np.float32]]:
        """Weighted scores, shape (n_items,), by name."""
        if not len(session.items):
            most = max(int(self.popularity.max(initial=0)), 1)
            return {"popularity": (self.popularity / most).astype(np.float32)}

        persona = self.default_persona if user is None else self.personas.get(user)
        persona = self.default_persona if persona is None else persona

        def score(_: NDArray[np.int64]) -> NDArray[np.float32]:
            given = None if persona is None else persona[None]
            states = encode_sessions(self.model, session, given)
            with torch.inference_mode():
                table = self.model.item_table.cpu()
                scores: NDArray[np.float32] = (torch.from_numpy(states) @ table.T).numpy()
            return scores

        evidence = self.evidence
        sequence, *rest = components(
            score, evidence, np.zeros(1, dtype=np.int64), session, self.cold
        )
        parts = {"sequence": sequence[0]}
        for name, part in zip(evidence, rest, strict=True):
            parts[name] = part[0] * np.float32(self.weights[name])
        return parts

    def save(self, folder: Path) -> None:
        """Write everything into ``folder``; see ``save_checkpoint``."""
        tensors: dict[str, NDArray[Any]] = {
            f"sasrec.{name}": value.detach().cpu().numpy()
            for name, value in self.model.state_dict().items()
        }
        tensors["popularity"] = self.popularity
        document: dict[str, Any] = {
            "items": list(self.items),
            "sasrec": self.model.config.model_dump(),
            "weights": dict(self.weights),
            "persona_users": list(self.personas),
            "evidence": {},
            "fact_keys": list(self.fact_keys),
        }
        for name, evidence in self.evidence.items():
            document["evidence"][name] = evidence.config.model_dump()
            for part, array in evidence.arrays().items():
                tensors |= pack(f"evidence.{name}.{part}", array)
        if self.cold is not None:
            tensors |= pack("cold.items", self.cold.items)
            tensors |= pack("cold.likeness", self.cold.likeness)
        if self.personas:
            tensors["personas"] = np.stack(list(self.personas.values()))
        if self.default_persona is not None:
            tensors["default_persona"] = self.default_persona
        save_checkpoint(folder, tensors, document)

    @classmethod
    def load(cls, folder: Path) -> Retriever:
        """Read what ``save`` wrote; no data set is needed.

        Raises:
            CheckpointError: no checkpoint there, or not one of a retriever.
        """
        tensors, document = load_checkpoint(folder)
        try:
            items = tuple(document["items"])
            model = SasRec(len(items), SasRecConfig(**document["sasrec"]))
            prefix = "sasrec."
            model.load_state_dict(
                {
                    name.removeprefix(prefix): torch.from_numpy(value)
                    for name, value in tensors.items()
                    if name.startswith(prefix)
                }
            )
            evidence = {
                name: restore_evidence(name, unpack_all(f"evidence.{name}.", tensors), settings)
                for name, settings in document["evidence"].items()
            }
            return cls(
                items=items,
                model=model.eval(),
                weights=document["weights"],
                popularity=tensors["popularity"],
                evidence=evidence,
                cold=ColdItems(**cold) if (cold := unpack_all("cold.", tensors)) else None,
                fact_keys=tuple(document.get("fact_keys", ())),
                personas=dict(
                    zip(document["persona_users"], tensors.get("personas", ()), strict=True)
                ),
                default_persona=tensors.get("default_persona"),
            )
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{folder} is no checkpoint of a retriever: {error}") from error
