"""The trained recommender as one object: sequence model, evidence, their weights, the rerank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.rerank.candidates import feature_names
from personarec.rerank.part import PART, RerankPart
from personarec.retriever.best import best
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

SESSIONS = 32
"""Scored at once: bounds the memory of a large batch over a large catalogue."""


@dataclass(frozen=True)
class Scores:
    """One session's scores.

    Attributes:
        total: float32, shape (n_items,), the sum of the parts.
        parts: the same shape by name: ``sequence`` and each evidence that weighs something, with
            its weight in, then ``rerank`` where there is one; ``popularity`` alone where the
            session shows nothing yet.
    """

    total: NDArray[np.float32]
    parts: dict[str, NDArray[np.float32]]

    def fused(self, item: int) -> float:
        """An item's score before the rerank, which is the score where there is none."""
        own = (part[item] for name, part in self.parts.items() if name != PART)
        return float(sum(own, np.float32(0)))


@dataclass(frozen=True)
class Recommendation:
    """One recommended item and where its score comes from.

    Attributes:
        item: item index.
        score: sum of ``parts``.
        parts: contribution by name, as in :class:`Scores`.
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
        rerank: what puts the first of the fused scores in another order; none if not given.
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
    rerank: RerankPart | None = None
    personas: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    default_persona: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together.

        Raises:
            ValueError: catalogues of different size, an evidence without weight, no default token,
                a rerank that was taught with other evidence.
        """
        if not len(self.items) == self.model.n_items == len(self.popularity):
            raise ValueError("items, model and popularity must be of one catalogue")
        missing = [name for name in self.evidence if name not in self.weights]
        if missing:
            raise ValueError(f"no weight for {', '.join(missing)}")
        if self.model.config.needs_personas and self.default_persona is None:
            raise ValueError("a model with a persona token needs one for anonymous sessions")
        if self.rerank is not None:
            taught, known = self.rerank.model.names, self.rerank.known
            if taught != feature_names(("sequence", *self.evidence), known):
                raise ValueError(f"the rerank was taught with {', '.join(taught)}")
            if any(len(column) != len(self.items) for column in known.columns.values()):
                raise ValueError("items and rerank must be of one catalogue")

    @property
    def facts(self) -> FactModel | None:
        """The fact persona, if it is among the evidence."""
        found = self.evidence.get("facts")
        return found if isinstance(found, FactModel) else None

    def scores(
        self, sessions: Sequence[Sequence[int]], users: Sequence[str | None]
    ) -> Iterator[Scores]:
        """Scores of each session in turn, many computed as one matrix.

        Args:
            sessions: item indices, oldest first; may be empty.
            users: key of each session's user, whose persona vector is taken if the model has a
                token; None for anonymous ones.

        Raises:
            ValueError: an index outside the catalogue.
        """
        for start in range(0, len(sessions), SESSIONS):
            block = range(start, min(start + SESSIONS, len(sessions)))
            shown = [place for place in block if len(sessions[place])]
            parts = self._parts([sessions[p] for p in shown], [users[p] for p in shown])
            row = iter(range(len(shown)))
            for place in block:
                if len(sessions[place]):
                    here = next(row)
                    own = {name: part[here] for name, part in parts.items()}
                else:
                    most = max(int(self.popularity.max(initial=0)), 1)
                    own = {"popularity": (self.popularity / most).astype(np.float32)}
                total = np.zeros(len(self.items), np.float32)
                for part in own.values():
                    total += part
                yield Scores(total, own)

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
            user: as in :meth:`scores`.

        Raises:
            ValueError: an index outside the catalogue, or n < 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        (found,) = self.scores([history], [user])
        return [
            Recommendation(
                int(item),
                float(found.total[item]),
                {name: float(part[item]) for name, part in found.parts.items()},
            )
            for item in best(found.total, n, history if exclude_seen else ())
        ]

    def _parts(
        self, sessions: Sequence[Sequence[int]], users: Sequence[str | None]
    ) -> dict[str, NDArray[np.float32]]:
        """Weighted scores by name, shape (b, n_items), of sessions with items."""
        if not sessions:
            return {}
        block = Sequences.from_lists(sessions, len(self.items))
        default = self.default_persona
        personas = (
            None
            if default is None
            else np.stack([self.personas.get(u or "", default) for u in users])
        )

        def score(_: NDArray[np.int64]) -> NDArray[np.float32]:
            states = encode_sessions(self.model, block, personas)
            with torch.inference_mode():
                table = self.model.item_table.cpu()
                result: NDArray[np.float32] = (torch.from_numpy(states) @ table.T).numpy()
            return result

        # What weighs nothing is not computed, as its part is 0 whatever it says, unless the rerank
        # was taught with it.
        reranked = self.rerank is not None
        used = {k: v for k, v in self.evidence.items() if reranked or self.weights[k]}
        everyone = np.arange(len(block), dtype=np.int64)
        scored = components(score, used, everyone, block, self.cold)
        parts = dict(zip(("sequence", *used), scored, strict=True))
        added = {} if self.rerank is None else {
            PART: self.rerank.added(parts, self.weights, block)
        }  # fmt: skip
        for name in used:
            parts[name] *= np.float32(self.weights[name])
        return {k: part for k, part in parts.items() if self.weights.get(k, 1)} | added

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
        if self.rerank is not None:
            arrays, document["rerank"] = self.rerank.arrays()
            for part, array in arrays.items():
                tensors |= pack(f"rerank.{part}", array)
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
                rerank=(
                    RerankPart.restore(unpack_all("rerank.", tensors), rerank)
                    if (rerank := document.get("rerank"))
                    else None
                ),
                fact_keys=tuple(document.get("fact_keys", ())),
                personas=dict(
                    zip(document["persona_users"], tensors.get("personas", ()), strict=True)
                ),
                default_persona=tensors.get("default_persona"),
            )
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{folder} is no checkpoint of a retriever: {error}") from error
