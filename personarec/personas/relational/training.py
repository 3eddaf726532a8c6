"""Training of the relational encoder: places in sequences, what was visible there, what came next.

next-item loss: softmax of the next item against shared uniform negatives, from the visible items
alone. Two more, off unless given a weight: links (a fact of an item against other entities of its
type, DistMult's score) and contrast (deep graph infomax: item vectors of the graph against those of
a corrupted one, by a bilinear score with the graph's summary).

Nearly all that a batch costs is the pass over the graph, so a few batches share one: the messages
to the items are as they were before the first of them, and each batch moves the items' own vectors,
their offsets and the weights by age. What the batches say of the messages is added up and carried
back once. So far as it concerns the items' own vectors, which are the messages' source too, it
is added to the gradients of the batches of the next pass.

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

    def towards(self, other: Fitted, share: float) -> Fitted:
        """The numbers of both, ``share`` of them the other's."""

        def mixed(mine: Matrix, theirs: Matrix) -> Matrix:
            return np.asarray((1 - share) * mine + share * theirs, np.float32)

        return Fitted(
            mixed(self.inputs, other.inputs),
            mixed(self.outputs, other.outputs),
            mixed(self.weights, other.weights),
        )


@dataclass(frozen=True)
class _Drawn:
    """A process's places of a batch.

    Attributes:
        shown: int64, items visible at the places, one place after the other.
        owner: int64, the place of each.
        age: int64, its age, 0 for the newest.
        target: int64, the next item by place.
        negative: int64, items shared by all places.
        batch: how many places all processes have together.
        rows: which of them are this process's.
        share: what they weigh in the batch's loss.
    """

    shown: Ids
    owner: Ids
    age: Ids
    target: Ids
    negative: Ids
    batch: int
    rows: slice
    share: float

    def numbered(self, place: Ids) -> _Drawn:
        """The same with items numbered by their places in a block."""
        shown, target, negative = (place[i] for i in (self.shown, self.target, self.negative))
        return replace(self, shown=shown, target=target, negative=negative)


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
        self.sampling = np.random.default_rng(apart) if self.sampled else self.rng
        width = settings.dim - 1  # one more for the offsets
        self.model = RelationalModel(
            self.passing, width, settings.ages, settings.age_decay, rated[0]
        )
        self.judge = torch.nn.Bilinear(width, width, 1) if settings.contrast else None
        self.towers = (self.model.inputs, self.model.outputs)
        self.tables = [tower.own[rated[2]] for tower in self.towers]
        self.each_batch = [*self.tables, self.model.offsets, self.model.ages]
        """What every batch moves."""
        parts = [self.model, *([self.judge] if self.judge else [])]
        everything = [p for part in parts for p in part.parameters()]
        self.each_pass = [p for p in everything if not any(p is q for q in self.each_batch)]
        """What moves once after a pass's batches."""
        # A sampled pass is as dear as the batches whose items it is made for.
        self.batches_per_pass = 1 if self.sampled else settings.batches_per_pass
        rate = settings.learning_rate
        self.batch_optimizer = torch.optim.Adam(self.each_batch, lr=rate, fused=True)
        # Adam's step is as long for the sum of some batches' gradients as for one of them.
        self.pass_optimizer = torch.optim.Adam(
            self.each_pass, lr=rate * math.sqrt(self.batches_per_pass), fused=True
        )
        self.carried = [torch.zeros_like(table) for table in self.tables]
        """What the last pass carried back to the own vectors, for each batch of this one."""
        self.owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
        place = np.arange(len(sequences.items)) - sequences.indptr[self.owner]
        self.inner = np.flatnonzero(place > 0)
        counts = np.bincount(sequences.items, minlength=sequences.n_items)
        self.known = np.flatnonzero(counts)
        self.rarest = np.flatnonzero(counts == counts[self.known].min())
        # What nobody has is neither shown nor a negative: its facts and their relations speak for
        # it alone, with nothing of its own.
        cold = torch.from_numpy(np.setdiff1d(np.arange(len(graph.nodes[rated[2]])), self.known))
        for table in self.tables:
            with torch.no_grad():
                table[cold] = 0
            # It would learn, as a part of what its facts hear.
            table.register_hook(lambda gradient: gradient.index_fill(0, cold, 0))

    def run(self, judge: Callable[[Fitted], float] | None) -> Fitted:
        """Train; the epoch that ``judge`` finds best is kept, without one the last.

        What is judged and kept is an average over the epochs so far, the later ones weighing more
        (polynomial-decay averaging: Shamir, Zhang, ICML 2013).
        """
        best: Fitted | None = None
        average: Fitted | None = None
        power = self.settings.averaging
        highest, waited, first = -math.inf, 0, self.peers.rank == 0
        for epoch in range(1, self.settings.epochs + 1):
            loss = self.epoch()
            last = self.fitted()
            if average is None or power is None:
                average = last
            else:
                average = average.towards(last, (power + 1) / (epoch + power))
            if judge is None:
                if first:
                    say(f"relational: epoch {epoch} of {self.settings.epochs}, loss {loss:.3f}")
                continue
            fitted = replace(average, epochs=epoch)
            own = judge(fitted) if first else 0.0
            found = self.peers.agreed(own, torch.device("cpu"))
            if first:
                say(f"relational: epoch {epoch}, validation NDCG@100 {found:.4f}")
            if found > highest:
                best, highest, waited = fitted, found, 0
            elif (waited := waited + 1) >= self.settings.patience:
                break
        assert average is not None  # there is an epoch at least
        return best or average

    def epoch(self) -> float:
        """One pass over all places, in random order; the mean loss."""
        corrupted = None
        if self.settings.contrast and self.settings.corruption != "features":
            corrupted = Passing.of(rewired(self.graph, self.rated, self.rng), self.rated[2])
        broken = corrupted.whole() if corrupted is not None and not self.sampled else None
        places = self.rng.permutation(self.inner)
        size = self.settings.batch_size
        batches = [places[i : i + size] for i in range(0, len(places), size)]
        shared = self.batches_per_pass
        groups = [batches[i : i + shared] for i in range(0, len(batches), shared)]
        losses = [loss for group in groups for loss in self.learn(group, corrupted, broken)]
        return float(np.mean(losses))

    def learn(
        self, batches: list[Ids], corrupted: Passing | None = None, broken: Block | None = None
    ) -> list[float]:
        """Batches of places learned from one pass over the graph; the next-item loss of each."""
        drawn = [self._draw(batch) for batch in batches]
        block = self.whole
        if block is None:
            block, drawn = self._sampled(drawn)
        messages = [tower.messages(block) for tower in self.towers]
        others = len(batches) * self._other_losses(block, messages[0], corrupted, broken)
        lagging = [m.detach().requires_grad_() for m in messages]
        losses = []
        for batch in drawn:
            loss = self._next_item_loss(batch, block, lagging)
            losses.append(self._gradients(loss, self.each_batch))
            for table, gradient in zip(self.tables, self.carried, strict=True):
                table.grad += gradient
            self.batch_optimizer.step()
        said = others
        for heard, lag in zip(messages, lagging, strict=True):
            assert lag.grad is not None  # every batch reads all vectors
            said = said + (heard * lag.grad).sum()
        if said.requires_grad:  # else nobody hears anything
            self._gradients(said, [*self.each_pass, *self.tables])
            self.pass_optimizer.step()
            self.carried = [table.grad / len(batches) for table in self.tables]
        return losses

    def _gradients(self, loss: Tensor, parameters: list[torch.nn.Parameter]) -> float:
        """Give the parameters the gradients of the loss of all processes; that loss."""
        value = float(self.peers.sum(loss.detach().clone()))
        if not math.isfinite(value):
            raise ChangeSomethingError(
                "relational: the loss is no longer a number; lower learning_rate"
            )
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        self.peers.sum_gradients(parameters)
        return value

    def fitted(self) -> Fitted:
        """The items' vectors from every edge, and the weights by age."""
        block = self.whole or self.passing.whole()
        n = self.sequences.n_items
        with torch.no_grad():
            inputs, outputs = (tower(block)[:n] for tower in self.towers)
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

    def _draw(self, batch: Ids) -> _Drawn:
        """This process's places of a batch, and negatives for them."""
        rows, share = self._share(len(batch))
        places = batch[rows]
        where, owner, age = newest_places(
            self.sequences.indptr[self.owner[places]], places, self.settings.ages
        )
        shown, target = (self.sequences.items[p].astype(np.int64) for p in (where, places))
        negative = self.rng.choice(self.known, self.settings.negatives)
        return _Drawn(shown, owner, age, target, negative, len(batch), rows, share)

    def _sampled(self, drawn: list[_Drawn]) -> tuple[Block, list[_Drawn]]:
        """A block of the batches' items and drawn neighbours, and the batches numbered as in it."""
        named = [items for d in drawn for items in (d.shown, d.target, d.negative)]
        items = np.unique(np.concatenate(named))
        place = np.empty(self.passing.counts[self.rated[2]], np.int64)
        place[items] = np.arange(len(items))
        block = self.passing.sample(items, self.settings.fan_out, self.sampling)
        return block, [d.numbered(place) for d in drawn]

    def _next_item_loss(self, drawn: _Drawn, block: Block, messages: list[Tensor]) -> Tensor:
        """This process's part of a batch's loss; the parts' sum is the loss."""
        inputs, outputs = (
            tower.hearing(m, block) for tower, m in zip(self.towers, messages, strict=True)
        )
        ids, rate, count = block.ids[self.rated[2]], self.settings.dropout, len(drawn.target)
        offsets: Tensor = self.model.offsets
        if ids is not None:
            offsets = offsets[torch.from_numpy(ids[: block.wanted])]
        inputs = functional.dropout(inputs, rate)
        personas = self.model.personas(inputs, Places(drawn.shown, drawn.owner, drawn.age, count))
        # Drawn for the whole batch, so that it does not matter who works on which places.
        mask = functional.dropout(torch.ones(drawn.batch, personas.shape[1]), rate)
        personas = personas * mask[drawn.rows]
        good, bad = torch.from_numpy(drawn.target), torch.from_numpy(drawn.negative)
        own = ((personas * outputs[good]).sum(1) + offsets[good])[:, None]
        others = personas @ outputs[bad].T + offsets[bad]
        others = others.masked_fill(good[:, None] == bad, -math.inf)
        return drawn.share * functional.cross_entropy(
            torch.cat((own, others), 1), torch.zeros(count, dtype=torch.long)
        )

    def _other_losses(
        self, block: Block, heard: Tensor, corrupted: Passing | None, broken: Block | None
    ) -> Tensor:
        """This process's part of the losses that are off unless given a weight.

        ``heard``: the messages of the inputs' tower.
        """
        s, loss = self.settings, torch.zeros(())
        if s.links:
            loss = loss + s.links * self._link_loss()
        if s.contrast:  # of the block as it is: each process does the same, or has its own block
            contrast = self._contrast_loss(block, heard, corrupted, broken)
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
        self, block: Block, heard: Tensor, corrupted: Passing | None, broken: Block | None
    ) -> Tensor:
        """D(h, s) = hᵀ M s + c, s = σ(mean h) of the graph as it is, for both classes."""
        assert self.judge is not None
        tower, s = self.model.inputs, self.settings
        positive = tower.hearing(heard, block)
        items = block.ids[self.rated[2]]
        if corrupted is None:
            broken = block
        elif items is not None:
            broken = corrupted.sample(items[: block.wanted], s.fan_out, self.sampling)
        assert broken is not None
        order = None
        if s.corruption != "edges":
            order = torch.from_numpy(self.sampling.permutation(len(tower.items(broken))))
        negative = tower(broken, order)
        summary = torch.sigmoid(positive.mean(0)).expand(len(positive), -1)
        logits = torch.cat((self.judge(positive, summary), self.judge(negative, summary)))
        truth = torch.cat((torch.ones(len(positive), 1), torch.zeros(len(negative), 1)))
        return functional.binary_cross_entropy_with_logits(logits, truth)
