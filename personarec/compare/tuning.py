"""Trials on validation: as many for each row that has settings of its own.

Networks are tuned by :func:`personarec.retriever.tuning.tune`, evidence over the short lists here.
Late fusions are built of tuned parts and choose their weights in each cell; a control has the same
choice as the row it answers for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kg.partial import write_json
from personarec.compare.cells import cell_key
from personarec.compare.config import CompareConfig
from personarec.compare.fitted import Fitted
from personarec.compare.identity import row_identity
from personarec.compare.networks import network_config, network_inputs
from personarec.compare.rows import SHUFFLED, Row
from personarec.compare.settings import Settings
from personarec.compare.world import World
from personarec.evaluation.metrics import rank_all
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions
from personarec.retriever.tuning import SearchSpace, tune

_DECAYS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
_TRANSITIONS: dict[str, tuple[Any, ...]] = {
    "gap_decay": (0.4, 0.6, 0.8), "backward": (0.0, 0.25, 0.5, 1.0), "age_decay": _DECAYS,
}  # fmt: skip
SPACES: dict[str, dict[str, tuple[Any, ...]]] = {
    "transitions": _TRANSITIONS,
    "linear": {"regularisation": (20.0, 50.0, 100.0, 200.0, 500.0), "age_decay": _DECAYS},
    "linear+facts": {
        "regularisation": (20.0, 50.0, 100.0, 200.0, 500.0), "age_decay": _DECAYS,
        "fact_rows": (0.3, 1.0, 3.0, 10.0),
    },
    "facts": {"age_decay": _DECAYS},
    "item-knn": {"shrinkage": (0.0, 2.0, 5.0, 10.0, 20.0), "age_decay": _DECAYS},
}  # fmt: skip
"""What is tried for each evidence; the others have nothing to set."""


def tunable(row: Row) -> bool:
    """Whether a row has settings of its own."""
    if row.kind == "network":
        return True
    return row.kind == "evidence" and row.evidence[0].removeprefix(SHUFFLED) in SPACES


def tuning_folder(world: World, row: Row) -> Path:
    """Where a row's trials are kept; what changes none of them changes no folder."""
    config = world.config
    identity = {
        "row": row_identity(row, config), "data": world.data_hash, "split": world.protocol.name,
        "trials": config.trials,
    }  # fmt: skip
    if row.kind == "network":
        identity["sasrec"] = config.sasrec.model_dump()
        identity["options"] = config.options.model_dump(exclude={"device", "threads"})
    name = "".join(c if c.isalnum() else "-" for c in row.name)
    return world.out / "tuning" / f"{name}.{cell_key(identity)[:12]}"


def tune_row(world: World, row: Row, say: Callable[[str], None]) -> dict[str, Any]:
    """A row's best settings by validation, for the first seed; kept, and found again."""
    folder = tuning_folder(world, row)
    finished = folder / "settings.json"
    if not finished.exists():
        search = _tune_network if row.kind == "network" else _tune_evidence
        write_json(finished, search(world, row, folder, say))
    found: dict[str, Any] = json.loads(finished.read_text("utf-8"))
    return found


def settings_of(
    row: Row, config: CompareConfig, found: Mapping[str, Mapping[str, Any]]
) -> Settings:
    """A row's settings.

    Args:
        row: which.
        config: gives the defaults.
        found: what trials found, by name of the row; empty without trials.
    """
    own = found.get(row.name if row.kind == "network" else str(row.base), {})
    evidence = {n: found[n]["evidence"] for n in _known_as(row) if n in found}
    named = {e: evidence[n] for n, e in zip(_known_as(row), row.evidence, strict=True)
             if n in evidence}  # fmt: skip
    return Settings(
        SasRecConfig(**own["sasrec"]) if "sasrec" in own else config.sasrec,
        TrainingOptions(**own["options"]) if "options" in own else config.options,
        named,
        config.trials,
    )


def _known_as(row: Row) -> list[str]:
    """Names of the rows that each evidence is on its own."""
    shuffled = {SHUFFLED + "facts": "shuffled facts",
                SHUFFLED + "linear+facts": "linear+shuffled facts"}  # fmt: skip
    return [shuffled.get(name, name) for name in row.evidence]


def _tune_network(
    world: World, row: Row, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    config, fitted = world.config, Fitted(world)
    shape = network_config(row, config.sasrec, config.dim)
    given = network_inputs(row, fitted, 0, shape, report=False)
    # Vectors that are as wide as the network hold its width.
    fixed = row.items != "random" or (row.persona is not None and row.persona.fusion == "rows")
    space = SearchSpace(embedding_size=(shape.embedding_size,)) if fixed else SearchSpace()
    found = tune(
        world.data.split, space, config.trials, folder, config=shape, options=config.options,
        on_trial=lambda t: say(f"trial {t.number + 1} of {config.trials}: {t.ndcg:.4f}"), **given,
    )  # fmt: skip
    # The persona's part of the shape is the row's own, and is put in again with each cell.
    plain = found.config.model_copy(
        update={f: getattr(config.sasrec, f) for f in ("persona_size", "persona_source", "fusion")}
    )
    return {
        "sasrec": plain.model_dump(), "options": found.options.model_dump(),
        "validation": found.best.ndcg, "trials": len(found.trials),
    }  # fmt: skip


def _tune_evidence(
    world: World, row: Row, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    (name,) = row.evidence
    space = SPACES[name.removeprefix(SHUFFLED)]
    # Drawn without looking at earlier trials: the lists are short, and no state is to be kept.
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    rng = np.random.default_rng(seed)
    proposals: list[dict[str, Any]] = [{}]  # the defaults first
    for _ in range(world.config.trials * 20):
        drawn = {key: values[rng.integers(len(values))] for key, values in space.items()}
        if drawn not in proposals:
            proposals.append(drawn)
    proposals = proposals[: world.config.trials]
    split, scores = world.protocol.split, []
    for number, proposal in enumerate(proposals):
        evidence = Fitted(world, {name: proposal}).evidence(name, 0, report=False)

        def score(places: NDArray[np.int64], using: Any = evidence) -> NDArray[np.float32]:
            found: NDArray[np.float32] = using.score(split.train.take(places))
            return found

        scores.append(rank_all(score, split.train, split.valid).ndcg(10))
        say(f"trial {number + 1} of {len(proposals)}: {scores[-1]:.4f}")
    best = int(np.argmax(scores))
    return {"evidence": proposals[best], "validation": scores[best], "trials": len(proposals)}
