"""Training of HDGI on a whole graph, with early stopping on the training loss as published."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from personarec.personas.hdgi.backends import open_backend
from personarec.personas.hdgi.config import HDGIConfig, HDGIOptions
from personarec.personas.hdgi.features import Features
from personarec.personas.hdgi.inputs import path_inputs
from personarec.personas.hdgi.model import HDGI
from personarec.personas.hdgi.paths import MetaPath
from personarec.torch_threads import torch_threads

OnEpoch = Callable[[int, float], None]
"""Called with the step, from 1, and its loss."""


@dataclass(frozen=True)
class TrainedHDGI:
    """What training gave.

    Attributes:
        embeddings: float32, shape (n, embedding_size), from the weights of the lowest loss.
        path_weights: float32, shape (paths,), β of eq. 5; sums to 1.
        losses: of every step; the first is that of the weights as drawn.
        best_epoch: the step whose weights were kept, from 1; 0 if nothing was trained.
        model: with these weights, on the device it was trained on.
    """

    embeddings: NDArray[np.float32]
    path_weights: NDArray[np.float32]
    losses: tuple[float, ...]
    best_epoch: int
    model: HDGI


def train_hdgi(
    features: Features,
    paths: Sequence[MetaPath],
    config: HDGIConfig | None = None,
    options: HDGIOptions | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainedHDGI:
    """Fit HDGI to one node type.

    The same seed gives the same vectors on the CPU with the same number of threads.

    Args:
        features: float32, shape (n, width), dense or CSR, normalised already.
        paths: meta-paths over the n nodes; composed ones for attention.
        config: shape.
        options: see there.
        on_epoch: called after each step.

    Raises:
        ChangeSomethingError: the loss is no longer a number.
        ValueError: no meta-path, one over other nodes, or a factored one for attention.
    """
    config, options = config or HDGIConfig(), options or HDGIOptions()
    n, width = features.shape
    if not paths:
        raise ValueError("HDGI needs at least one meta-path")
    for path in paths:
        if path.n != n:
            raise ValueError(f"{path.name} joins {path.n} nodes, but there are features of {n}")
    backend = open_backend(options.backend, options.device)
    inputs = path_inputs(features, paths, config, backend, options.device)
    forked: list[int] | None = [] if options.device == "cpu" else None  # none: every accelerator
    with torch_threads(options.threads), torch.random.fork_rng(forked):
        torch.manual_seed(options.seed)
        model = HDGI(width, len(paths), config).to(options.device)
        optimiser = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
        # One copy of the weights for the whole training, written over at each better step.
        best = {name: value.clone() for name, value in model.state_dict().items()}
        best_epoch, lowest, losses = 0, math.inf, []
        for epoch in range(1, options.epochs + 1):
            # Drawn on the CPU, so that every device sees the same permutations.
            permutation = torch.randperm(n).to(options.device)
            loss = model.loss(inputs, permutation)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise ChangeSomethingError(
                    f"HDGI's loss is {losses[-1]} at step {epoch}; lower learning_rate, or "
                    "normalise the features by l2"
                )
            if on_epoch is not None:
                on_epoch(epoch, losses[-1])
            if losses[-1] < lowest:
                lowest, best_epoch = losses[-1], epoch
                for name, value in model.state_dict().items():
                    best[name].copy_(value)
            elif epoch - best_epoch >= options.patience:
                break
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        model.load_state_dict(best)
        embeddings, beta = model.embed(inputs)
    return TrainedHDGI(
        embeddings.cpu().numpy(), beta.cpu().numpy(), tuple(losses), best_epoch, model
    )
