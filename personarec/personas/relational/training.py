"""Training of the relational encoder: places in sequences, what was visible there, what came next.

next-item loss: softmax of the next item against shared uniform negatives, from the visible items
alone. Two more, off unless given a weight: links (a fact of an item against other entities of its
type, DistMult's score) and contrast (deep graph infomax: item vectors of the graph against those of
a corrupted one, by a bilinear score with the graph's summary).

Several processes: each learns its share of every batch's places, and gradients are added up. What
all must draw alike comes from one stream of random numbers, which each of them has.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, RelationKey
from personarec.console import say
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import Matrix
from personarec.personas.relational.graph import Block, Passing, rewired
from personarec.personas.relational.model import Places, RelationalModel
from personarec.personas.relational.rule import newest_places
from personarec.retriever.parallel import Peers

if TYPE_CHECKING:
    from personarec.personas.relational.encoder import RelationalEncoder

Ids = NDArray[np.int64]
LINKS = 1024
"""Links and other entities drawn at a step, where links are learned."""


@dataclass(frozen=True)
class Fitted:
    """What training gave.

    Attributes:
        inputs: float32, shape (n_items, width), what items add to a persona.
        outputs: the same shape, what personas are scored against.
        weights: float32, a by age.
        epochs: of the training.
        level: by how much the offsets of items that nobody has were raised.
    """

    inputs: Matrix
    outputs: Matrix
    weights: Matrix
    epochs: int = 0
    level: float = 0.0


class Trainer:
    """One training: the model, its graph and its draws."""

    def __init__(
        self, settings: RelationalEncoder, graph: HeteroGraph, rated: RelationKey,
        sequences: Sequences, peers: Peers | None = None,
    ) -> None:  # fmt: skip
        """``graph`` and ``sequences``: the same users in the same order, for all ``peers``."""
        self.settings, self.graph, self.rated, self.sequences = settings, graph, rated, sequences
        self.peers = peers or Peers()
        self.rng = np.random.default_rng(settings.seed)
        self.passing = Passing.of(graph, rated[2])
        self.sampled = self.passing.edges > settings.edge_budget
        self.whole = None if self.sampled else self.passing.whole()
        # Neighbours are drawn for a process's own places, and by how many these are.
        apart = (settings.seed, self.peers.rank)
        self.drawn = np.random.default_rng(apart) if self.sampled else self.rng
        width = settings.dim - 1  # one more for the offsets
        self.model = RelationalModel(
            self.passing, width, settings.ages, settings.age_decay, rated[0]
        )
        self.judge = torch.nn.Bilinear(width, width, 1) if settings.contrast else None
        parts = [self.model, *([self.judge] if self.judge else [])]
        self.parameters = [p for part in parts for p in part.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=settings.learning_rate)
        self.owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
        place = np.arange(len(sequences.items)) - sequences.indptr[self.owner]
        self.inner = np.flatnonzero(place > 0)
        counts = np.bincount(sequences.items, minlength=sequences.n_items)
        self.known = np.flatnonzero(counts)
        self.rarest = np.flatnonzero(counts == counts[self.known].min())
        # What nobody has is neither shown nor a negative: its facts and their relations speak for
        # it alone, with nothing of its own.
        cold = torch.from_numpy(np.setdiff1d(np.arange(len(graph.nodes[rated[2]])), self.known))
        for tower in (self.model.inputs, self.model.outputs):
            own = tower.own[rated[2]]
            with torch.no_grad():
                own[cold] = 0
            # It would learn, as a part of what its facts hear.
            own.register_hook(lambda gradient: gradient.index_fill(0, cold, 0))

    def run(self, judge: Callable[[Fitted], float] | None) -> Fitted:
        """Train; the epoch that ``judge`` finds best is kept, without one the last."""
        best: Fitted | None = None
        highest, waited, first = -math.inf, 0, self.peers.rank == 0
        for epoch in range(1, self.settings.epochs + 1):
            loss = self.epoch()
            if judge is None:
                if first:
                    say(f"relational: epoch {epoch} of {self.settings.epochs}, loss {loss:.3f}")
                continue
            fitted = replace(self.fitted(), epochs=epoch)
            own = judge(fitted) if first else 0.0
            found = self.peers.agreed(own, torch.device("cpu"))
            if first:
                say(f"relational: epoch {epoch}, validation NDCG@100 {found:.4f}")
            if found > highest:
                best, highest, waited = fitted, found, 0
            elif (waited := waited + 1) >= self.settings.patience:
                break
        return best or self.fitted()

    def epoch(self) -> float:
        """One pass over all places, in random order; the mean loss."""
        corrupted = None
        if self.settings.contrast and self.settings.corruption != "features":
            corrupted = Passing.of(rewired(self.graph, self.rated, self.rng), self.rated[2])
        broken = corrupted.whole() if corrupted is not None and not self.sampled else None
        places = self.rng.permutation(self.inner)
        size = self.settings.batch_size
        starts = range(0, len(places), size)
        losses = [self.step(places[i : i + size], corrupted, broken) for i in starts]
        return float(np.mean(losses))

    def step(
        self, places: Ids, corrupted: Passing | None = None, broken: Block | None = None
    ) -> float:
        """One batch of places learned; its loss."""
        loss = self._loss(places, corrupted, broken)
        value = float(self.peers.sum(loss.detach().clone()))
        if not math.isfinite(value):
            raise ChangeSomethingError(
                "relational: the loss is no longer a number; lower learning_rate"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.peers.sum_gradients(self.parameters)
        self.optimizer.step()
        return value

    def fitted(self) -> Fitted:
        """The items' vectors from every edge, and the weights by age."""
        block = self.whole or self.passing.whole()
        n = self.sequences.n_items
        with torch.no_grad():
            inputs, outputs = (t(block)[:n] for t in (self.model.inputs, self.model.outputs))
            offsets = self.model.offsets[:n, None].clone()
            # Nothing tells how likely an item is that nobody has: as likely as the rarest.
            cold = np.setdiff1d(np.arange(n), self.known)
            offsets[torch.from_numpy(cold)] = offsets[torch.from_numpy(self.rarest)].mean()
            # The offset is one more dimension, which is 1 in every persona.
            inputs = torch.cat((inputs, torch.zeros_like(offsets)), 1)
            outputs = torch.cat((outputs, offsets), 1)
            weights = self.model.ages.exp()
        return Fitted(inputs.numpy().copy(), outputs.numpy().copy(), weights.numpy().copy())

    def _share(self, count: int) -> tuple[slice, float]:
        """This process's rows of a batch, all if there are too few, and what they weigh."""
        if count < self.peers.size:
            return slice(None), 1 / self.peers.size
        rows = slice(self.peers.rank, None, self.peers.size)
        return rows, len(range(count)[rows]) / count

    def _loss(self, batch: Ids, corrupted: Passing | None, broken: Block | None) -> Tensor:
        """This process's part of the batch's loss; the parts' sum is the loss."""
        s = self.settings
        rows, share = self._share(len(batch))
        places = batch[rows]
        where, owner, age = newest_places(self.sequences.indptr[self.owner[places]], places, s.ages)
        shown = self.sequences.items[where].astype(np.int64)
        target = self.sequences.items[places].astype(np.int64)
        negative = self.rng.choice(self.known, s.negatives)
        if self.whole is None:
            items, row = np.unique(np.concatenate((shown, target, negative)), return_inverse=True)
            block = self.passing.sample(items, s.fan_out, self.drawn)
            offsets = self.model.offsets[torch.from_numpy(items)]
            shown, target, negative = np.split(row, (len(shown), len(shown) + len(target)))
        else:
            block, offsets = self.whole, self.model.offsets
        inputs, outputs = self.model.inputs(block), self.model.outputs(block)
        inputs = functional.dropout(inputs, s.dropout)
        personas = self.model.personas(inputs, Places(shown, owner, age, len(places)))
        # Drawn for the whole batch, so that it does not matter who works on which places.
        mask = functional.dropout(torch.ones(len(batch), personas.shape[1]), s.dropout)
        personas = personas * mask[rows]
        good, bad = torch.from_numpy(target), torch.from_numpy(negative)
        own = ((personas * outputs[good]).sum(1) + offsets[good])[:, None]
        others = personas @ outputs[bad].T + offsets[bad]
        others = others.masked_fill(good[:, None] == bad, -math.inf)
        loss = share * functional.cross_entropy(
            torch.cat((own, others), 1), torch.zeros(len(places), dtype=torch.long)
        )
        if s.links:
            loss = loss + s.links * self._link_loss()
        if s.contrast:  # of the block as it is: each process does the same, or has its own block
            contrast = self._contrast_loss(block, corrupted, broken)
            loss = loss + s.contrast / self.peers.size * contrast
        return loss

    def _link_loss(self) -> Tensor:
        """A fact of an item against other entities of its type, by DistMult's score."""
        tower = self.model.outputs
        facts = [d for d in self.passing.to_items if d.source in tower.own]
        if not facts:
            return torch.zeros(())
        share = np.array([d.matrix.nnz for d in facts], float)
        d = facts[self.rng.choice(len(facts), p=share / share.sum())]
        edges = self.rng.integers(d.matrix.nnz, size=LINKS)
        other = self.rng.integers(d.matrix.shape[1], size=LINKS)
        rows, part = self._share(LINKS)
        edges = edges[rows]
        items = np.searchsorted(d.matrix.indptr, edges, side="right") - 1
        entities = d.matrix.indices[edges].astype(np.int64)
        subject = tower.own[self.rated[2]][torch.from_numpy(items.astype(np.int64))]
        subject = subject * tower.relation[tower.number[d.name]]
        table = tower.own[d.source]
        good, bad = torch.from_numpy(entities), torch.from_numpy(other)
        own = (subject * table[good]).sum(1, keepdim=True)
        others = (subject @ table[bad].T).masked_fill(good[:, None] == bad, -math.inf)
        return part * functional.cross_entropy(
            torch.cat((own, others), 1), torch.zeros(len(edges), dtype=torch.long)
        )

    def _contrast_loss(
        self, block: Block, corrupted: Passing | None, broken: Block | None
    ) -> Tensor:
        """D(h, s) = hᵀ M s + c, s = σ(mean h) of the graph as it is, for both classes."""
        assert self.judge is not None
        tower, s = self.model.inputs, self.settings
        positive = tower(block)
        items = block.ids[self.rated[2]]
        if corrupted is None:
            broken = block
        elif items is not None:
            broken = corrupted.sample(items[: block.wanted], s.fan_out, self.drawn)
        assert broken is not None
        order = None
        if s.corruption != "edges":
            order = torch.from_numpy(self.drawn.permutation(len(tower.items(broken))))
        negative = tower(broken, order)
        summary = torch.sigmoid(positive.mean(0)).expand(len(positive), -1)
        logits = torch.cat((self.judge(positive, summary), self.judge(negative, summary)))
        truth = torch.cat((torch.ones(len(positive), 1), torch.zeros(len(negative), 1)))
        return functional.binary_cross_entropy_with_logits(logits, truth)
