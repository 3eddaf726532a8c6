"""The relational encoder's settings and its fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph
from personarec.evaluation.persona_probe import sampled_targets, validation_ndcg
from personarec.personas.encoder import Encoder, TrainingData, session_keys
from personarec.personas.relational.rule import RecentPersonas
from personarec.torch_threads import torch_threads

if TYPE_CHECKING:
    from personarec.personas.relational.training import Fitted


class RelationalEncoder(Encoder):
    """Relational message passing over the typed graph, trained on the next item.

    Items hear their facts, their facts' other items, and their readers' other items; no parameter
    belongs to a user, so anybody's visible items make a persona. See ``model.py`` for the
    equations and ``training.py`` for the losses. Where there are validation items the best epoch
    by NDCG@100 of the scores h p is kept, else the last: to fit to validation items too, choose the
    epochs first (``settled``). Items that nobody has are placed by their facts afterwards, see
    ``cold.py``.
    """

    name: ClassVar[str] = "relational"
    recency: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    readers: bool = True
    """Whether items hear of their readers' other items, along RATED."""
    epochs: int = Field(default=15, ge=1)
    patience: int = Field(default=4, ge=1)
    """Epochs without a better one before training stops."""
    averaging: float | None = Field(default=3.0, ge=0)
    """Vectors are averaged over the epochs, the t-th weighing about t to this power; none: they are
    the last epoch's."""
    learning_rate: float = Field(default=8e-3, gt=0)
    batch_size: int = Field(default=1024, ge=1)
    batches_per_pass: int = Field(default=16, ge=1)
    """Batches that share one pass over the whole graph, see ``training.py``; a sampled one is a
    batch's own."""
    negatives: int = Field(default=512, ge=1)
    """Shared by a batch, drawn alike from the items that anybody has."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    ages: int = Field(default=50, ge=1)
    """Newest visible items that a persona is made of."""
    age_decay: float = Field(default=0.8, gt=0, le=1)
    """Weight of the next older item at the start of training; each age's weight is learned."""
    links: float = Field(default=0.0, ge=0)
    """Weight of the loss of the facts' links."""
    contrast: float = Field(default=0.0, ge=0)
    """Weight of the contrast with a corrupted graph."""
    corruption: Literal["edges", "features", "both"] = "edges"
    """What is corrupted: item ends of RATED permuted, own vectors of the items permuted, both."""
    edge_budget: int = Field(default=5_000_000, ge=0)
    """Messages of one pass beyond which training samples neighbours."""
    fan_out: int = Field(default=10, ge=1)
    """Neighbours of a node in one direction, where they are sampled."""
    level: float | None = Field(default=None, ge=0)
    """How much likelier than their facts say items are that nobody has, as a natural logarithm;
    none: chosen on validation, 0 without it."""
    threads: int | None = Field(default=1, ge=1)
    """Threads of torch while training; none: as torch is set."""

    @property
    def chooses(self) -> bool:
        """See :class:`Encoder`."""
        return True

    def fit(self, data: TrainingData) -> RecentPersonas:
        """See :class:`Encoder`."""
        import torch

        if not (data.sequences.lengths > 1).any():
            raise ChangeSomethingError("relational: no user has two items to learn an order from")
        with torch_threads(self.threads), torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            return self._fit(data)

    def _fit(self, data: TrainingData) -> RecentPersonas:
        from personarec.personas.relational.cold import levelled, placed, raised, without_readers
        from personarec.personas.relational.training import Trainer
        from personarec.retriever.parallel import Peers

        # In an order that users' places among the rows do not decide, like all that is drawn here.
        order = np.argsort(session_keys(data.sequences, self.seed), kind="stable")
        rated = sparse.csr_array(data.graph.relations[data.rated][order])
        if not self.readers:
            rated = sparse.csr_array(rated.shape, dtype=np.float32)
        graph = HeteroGraph(data.graph.nodes, data.graph.relations | {data.rated: rated})
        known = data.sequences.take(order)
        trainer = Trainer(self, graph, data.rated, known, Peers.current())

        def rule(fitted: Fitted) -> RecentPersonas:
            return RecentPersonas.of(
                fitted.outputs, fitted.inputs, fitted.weights, data.sequences, offset=True
            )

        judge: Callable[[Fitted], float] | None = None
        if data.valid is not None and (data.valid >= 0).any():
            targets = sampled_targets(data.valid, 5000, self.seed)

            def judge(fitted: Fitted) -> float:
                return validation_ndcg(rule(fitted).score, data.sequences, targets)

        fitted, facts = trainer.run(judge), data.facts()
        cold = without_readers(facts, trainer.known)
        if len(cold):
            fitted = placed(fitted, facts, trainer.known, cold)
            if self.level is not None or judge is None:
                fitted = raised(fitted, cold, self.level or 0)
            else:
                fitted = levelled(fitted, cold, judge)
        chosen = {"epochs": fitted.epochs, "level": fitted.level} if judge else {}
        return replace(rule(fitted), chosen=chosen)
