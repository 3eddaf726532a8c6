"""Rows with a trained network: the sequence model, with or without a persona inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from personarec.compare.fitted import Fitted, other_items
from personarec.compare.rows import NetworkPersona, Row
from personarec.evaluation.metrics import Scorer
from personarec.evaluation.sequences import Sequences
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.training import (
    EpochRecord,
    Trained,
    TrainingOptions,
    leak_intended,
    select_and_refit,
    sequence_scorer,
    train,
)

Matrix = NDArray[np.float32]
_CHOOSE, _REPORT = "choose.", "report."


@dataclass(frozen=True)
class Networks:
    """The model settings are chosen with, and the one that is reported.

    Attributes:
        choose: fitted to training items.
        report: fitted again, or the same model.
        choose_rows: float32, shape (n_users, size), trained tokens of the users, if any.
        report_rows: the same of the reported model.
    """

    choose: SasRec
    report: SasRec
    choose_rows: Matrix | None = None
    report_rows: Matrix | None = None

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Everything by name, for a cell to keep."""
        found: dict[str, NDArray[Any]] = {}
        for prefix, model, rows in (
            (_CHOOSE, self.choose, self.choose_rows), (_REPORT, self.report, self.report_rows),
        ):  # fmt: skip
            if prefix == _REPORT and model is self.choose:
                continue
            found |= {prefix + k: v.detach().cpu().numpy() for k, v in model.state_dict().items()}
            if rows is not None:
                found[prefix + "rows!"] = rows
        return found

    @classmethod
    def restore(cls, tensors: dict[str, NDArray[Any]], n_items: int, config: Any) -> Networks:
        """From what :meth:`tensors` gave and the shape of the network."""

        def model(prefix: str) -> SasRec | None:
            own = {
                k.removeprefix(prefix): torch.from_numpy(v)
                for k, v in tensors.items()
                if k.startswith(prefix) and not k.endswith("!")
            }
            if not own:
                return None
            made = SasRec(n_items, SasRecConfig(**config))
            made.load_state_dict(own)
            return made.eval()

        choose = model(_CHOOSE)
        if choose is None:
            raise ValueError("a cell that others build on keeps its model")
        return cls(
            choose,
            model(_REPORT) or choose,
            tensors.get(_CHOOSE + "rows!"),
            tensors.get(_REPORT + "rows!", tensors.get(_CHOOSE + "rows!")),
        )


def network_config(row: Row, shape: SasRecConfig, dim: int) -> SasRecConfig:
    """The shape of the row's network, with personas of ``dim`` numbers."""
    persona = row.persona
    if persona is None:
        return shape
    size = shape.embedding_size if persona.fusion == "rows" else dim
    return shape.model_copy(
        update={
            "persona_size": size, "persona_source": persona.source, "fusion": persona.fusion,
        }
    )  # fmt: skip


def train_network(
    row: Row,
    fitted: Fitted,
    seed: int,
    shape: SasRecConfig,
    options: TrainingOptions,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> tuple[Networks, Trained]:
    """Train a row's network for both phases; the second is the one settings were chosen with.

    Raises:
        ChangeSomethingError: the persona cannot be made of these data.
    """
    world = fitted.world
    config = network_config(row, shape, fitted.world.config.dim)
    options = options.model_copy(update={"seed": seed})
    given = network_inputs(row, fitted, seed, config, report=False)
    with leak_intended():
        if world.config.refit:
            again = network_inputs(row, fitted, seed, config, report=True)
            chosen, reported = select_and_refit(
                world.data.split, config, options, **given,
                refit_personas=again.get("personas"),
                refit_item_vectors=again.get("item_vectors"), on_epoch=on_epoch,
            )  # fmt: skip
        else:
            chosen = reported = train(
                world.data.split.train, config, options, valid=world.data.split.valid, **given,
                on_epoch=on_epoch,
            )  # fmt: skip
    return Networks(chosen.model, reported.model, chosen.rows, reported.rows), chosen


def network_scorer(
    networks: Networks,
    row: Row,
    fitted: Fitted,
    seed: int,
    sessions: Sequences,
    users: NDArray[np.int64],
    *,
    report: bool,
) -> Scorer:
    """Scores of sessions by their place.

    Args:
        networks: trained for the row.
        row: says which persona goes in.
        fitted: gives it.
        seed: of the persona.
        sessions: what is shown.
        users: int64, shape (b,), whose sessions they are.
        report: by the reported model, or by the one that settings are chosen with.
    """
    model = networks.report if report else networks.choose
    personas: Matrix | None = None
    if row.persona and row.persona.source == "given":
        rows = networks.report_rows if report else networks.choose_rows
        if rows is None:
            size = model.config.persona_size
            personas = given_personas(row.persona, fitted, seed, size, sessions, report=report)
        else:
            # A user without training items has no row of its own: the mean stands in.
            known = fitted.world.fit(report=report).lengths > 0
            personas = np.where(known[users, None], rows[users], rows[known].mean(axis=0))
    return sequence_scorer(model, sessions, personas)


def network_inputs(
    row: Row, fitted: Fitted, seed: int, config: SasRecConfig, *, report: bool
) -> dict[str, Any]:
    """Vectors that go into a row's training, by the names that ``train`` gives them."""
    found: dict[str, Any] = {}
    size, persona = config.persona_size, row.persona
    if persona is not None and persona.source == "prefix":
        vectors = fitted.item_vectors(persona.encoder, seed, report=report)
        found["item_vectors"] = _wide(vectors, size)
    elif persona is not None:
        sessions = fitted.world.fit(report=report)
        found["personas"] = given_personas(persona, fitted, seed, size, sessions, report=report)
    if row.items != "random":
        texts = fitted.item_texts(config.embedding_size)
        if row.items != "description":
            texts = texts[other_items(len(texts), seed)]
        found["initial_items"] = _wide(texts, config.embedding_size)
    return found


def given_personas(
    persona: NetworkPersona,
    fitted: Fitted,
    seed: int,
    size: int,
    sessions: Sequences,
    *,
    report: bool,
) -> Matrix:
    """One vector a session, float32, shape (b, size)."""
    model = fitted.personas(persona.encoder, seed, report=report, dim=size)
    found = model.personas(sessions)
    if not isinstance(found, np.ndarray):
        raise ChangeSomethingError(
            f"the {persona.encoder} persona is sparse; networks take dense ones"
        )
    return _wide(found, size)


def _wide(vectors: Matrix, size: int) -> Matrix:
    """As wide as the network wants them: encoders give fewer dimensions where data are few."""
    missing = max(size - vectors.shape[1], 0)
    return np.ascontiguousarray(np.pad(vectors[:, :size], ((0, 0), (0, missing))), np.float32)
