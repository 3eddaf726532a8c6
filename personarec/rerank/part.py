"""The learned rerank as one more part of a retriever's score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from personarec.rerank.candidates import CANDIDATES, describe
from personarec.rerank.features import ItemFeatures, Links
from personarec.rerank.model import RerankConfig, Reranker, RerankNet

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences

PART = "rerank"
"""Name of the part."""
_GAP = 0.01
"""How far below the lowest candidate all other items stand at least."""


@dataclass(frozen=True)
class RerankPart:
    """What is added to fused scores so that the first of them stand in the learned order.

    Attributes:
        model: trained on validation items.
        known: of the fit sequences of the retriever that it is a part of.
        candidates: of each session.
    """

    model: Reranker
    known: ItemFeatures
    candidates: int = CANDIDATES

    def added(
        self,
        parts: Mapping[str, NDArray[np.float32]],
        weights: Mapping[str, float],
        sessions: Sequences,
    ) -> NDArray[np.float32]:
        """What it adds to the fused score of each item.

        The learned score says nothing across sessions, so only differences within one are taken
        from it: over a session's candidates what is added is 0 on average. It is 0 for the items
        that the session shows, which are no candidates, and for all others one number, at most 0,
        that keeps them below the candidates.

        Args:
            parts: as :func:`describe` takes them: not weighted.
            weights: of the late fusion.
            sessions: b sequences.

        Returns:
            float32, shape (b, n_items).
        """
        everyone = np.arange(len(sessions), dtype=np.int64)
        found = describe(parts, weights, self.known, everyone, sessions, k=self.candidates)
        learned, fused = self.model.score(found), found.features[:, :, 0]
        added = np.zeros((len(sessions), sessions.n_items), np.float32)
        for row, items in enumerate(found.items):
            own = items[items >= 0]
            if not len(own):
                continue
            difference = learned[row, : len(own)].astype(np.float64) - fused[row, : len(own)]
            difference -= difference.mean()
            if len(own) == self.candidates:
                # No other item is above the last candidate before they are reordered.
                lowest = (fused[row] + difference).min() - _GAP
                added[row] = min(0.0, lowest - float(fused[row, -1]))
                added[row, sessions[row]] = 0
            added[row, own] = difference
        return added

    def arrays(self) -> tuple[dict[str, csr_array | NDArray[Any]], dict[str, Any]]:
        """Arrays by name, and a document: what ``restore`` takes."""
        arrays: dict[str, csr_array | NDArray[Any]] = {
            f"net:{name}".replace(".", "/"): value.cpu().numpy()
            for name, value in self.model.net.state_dict().items()
        }
        arrays |= {f"column:{name}": column for name, column in self.known.columns.items()}
        arrays |= {f"link:{name}": links.there for name, links in self.known.links.items()}
        document = {
            "features": list(self.model.names),
            "config": self.model.config.model_dump(),
            "candidates": self.candidates,
            "columns": list(self.known.columns),
            "links": {
                name: "straight" if links.back is None else "through"
                for name, links in self.known.links.items()
            },
        }
        return arrays, document

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], document: Mapping[str, Any]) -> RerankPart:
        """From ``arrays``.

        Raises:
            KeyError, ValueError, RuntimeError: they do not fit together.
        """
        config, names = RerankConfig(**document["config"]), tuple(document["features"])
        net = RerankNet(len(names), config.hidden, config.dropout)
        net.load_state_dict(
            {  # a number comes back as an array of one
                name: torch.from_numpy(arrays[f"net:{name}".replace(".", "/")]).reshape(own.shape)
                for name, own in net.state_dict().items()
            }
        )
        links: dict[str, Links] = {}
        for name, kind in document["links"].items():
            there = arrays[f"link:{name}"]
            links[name] = Links(there) if kind == "straight" else Links.through(there)
        columns = {name: arrays[f"column:{name}"] for name in document["columns"]}
        known = ItemFeatures(columns, links)
        return cls(Reranker(names, net.eval(), config), known, document["candidates"])
