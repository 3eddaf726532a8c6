"""Data-parallel training in several processes, as torchrun starts them.

Every process holds the whole model and works on its share of each batch; gradients are added up
before each step, so all models stay the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from personarec.retriever.batches import Batch


@dataclass(frozen=True)
class Peers:
    """The processes that train one model together.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Peers:
        """Those of the process group, if there is one; else this process alone."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def share(self, batch: Batch) -> Batch:
        """This process's rows of a batch; with more processes than rows it may have none."""
        if self.size == 1:
            return batch
        rows = slice(self.rank, None, self.size)
        return Batch(batch.users[rows], batch.items[rows], batch.targets[rows])

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every process the sum of all processes' gradients."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:  # nothing to do with this process's share
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def agreed(self, value: float, device: torch.device) -> float:
        """The value of process 0, so that all decide alike even where their sums round apart."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(shared, src=0)
        return float(shared)


@contextmanager
def process_group() -> Iterator[Peers]:
    """Join the processes that torchrun started; alone, nothing is joined.

    On GPUs each process trains on its own: ``device=f"cuda:{os.environ['LOCAL_RANK']}"``.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Peers()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Peers.current()
    finally:
        distributed.destroy_process_group()
