"""Trials on validation: as many for each row that has settings of its own.

Networks are tuned by :func:`personarec.retriever.tuning.tune`. Evidence and late fusions are tuned
over the short lists here, a fusion for its own validation and on the network that has been tuned;
its weights are sought in each trial. A control has the same choice as the row it answers for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from kg.partial import write_json
from personarec.compare.cells import cell_key
from personarec.compare.config import CompareConfig
from personarec.compare.fitted import Fitted
from personarec.compare.identity import row_identity
from personarec.compare.networks import network_config, network_inputs
from personarec.compare.rows import ROWS, SHUFFLED, Row
from personarec.compare.settings import Settings
from personarec.compare.work import validated
from personarec.compare.world import World
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions, leak_intended
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
"""What is tried for each evidence; the others keep their defaults."""


def tunable(row: Row) -> bool:
    """Whether a row has settings of its own."""
    return row.kind == "network" or (row.kind in ("evidence", "late") and bool(_parts(row)))


def tuning_folder(world: World, row: Row, bases: Mapping[str, Path]) -> Path:
    """Where a row's trials are kept; what changes none of them changes no folder."""
    config = world.config
    identity = {
        "row": row_identity(row, config), "data": world.data_hash, "split": world.protocol.name,
        "trials": config.trials,
    }  # fmt: skip
    if row.kind == "network":
        identity["sasrec"] = config.sasrec.model_dump()
        identity["options"] = config.options.model_dump(exclude={"device", "threads"})
    else:
        identity["lists"] = {name: SPACES[_plain(name)] for name in _parts(row)}
        identity["built on"] = {name: folder.name for name, folder in bases.items()}
    name = "".join(c if c.isalnum() else "-" for c in row.name)
    return world.out / "tuning" / f"{name}.{cell_key(identity)[:12]}"


def tune_row(
    fitted: Fitted, row: Row, bases: Mapping[str, Path], say: Callable[[str], None]
) -> dict[str, Any]:
    """A row's best settings by validation, for the first seed; kept, and found again.

    Args:
        fitted: evidence and personas.
        row: one that is ``tunable``.
        bases: folders of the finished cells of the first seed that the row builds on, by row.
        say: called with lines of progress.

    Raises:
        ChangeSomethingError: the data do not allow the row.
    """
    folder = tuning_folder(fitted.world, row, bases)
    finished = folder / "settings.json"
    if not finished.exists():
        if row.kind == "network":
            found = _tune_network(fitted, row, folder, say)
        else:
            found = _tune_parts(fitted, row, bases, folder, say)
        write_json(finished, found)
    kept: dict[str, Any] = json.loads(finished.read_text("utf-8"))
    return kept


def settings_of(
    row: Row, config: CompareConfig, found: Mapping[str, Mapping[str, Any]]
) -> Settings:
    """A row's settings.

    Args:
        row: which.
        config: gives the defaults.
        found: what trials found, by name of the row; empty without trials.
    """
    fused = ROWS[str(row.base)] if row.reorders else row
    network = found.get(fused.base or fused.name, {})
    return Settings(
        SasRecConfig(**network["sasrec"]) if "sasrec" in network else config.sasrec,
        TrainingOptions(**network["options"]) if "options" in network else config.options,
        found.get(fused.name, {}).get("evidence", {}),
        config.trials,
    )


def _parts(row: Row) -> list[str]:
    """Evidence of the row that has something to set."""
    return [name for name in row.evidence if _plain(name) in SPACES]


def _plain(name: str) -> str:
    return name.removeprefix(SHUFFLED)


def _tune_network(
    fitted: Fitted, row: Row, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    config = fitted.world.config
    shape = network_config(row, config.sasrec, config.dim)
    given = network_inputs(row, fitted, 0, shape, report=False)
    space = SearchSpace()
    # Vectors that are as wide as the network hold its width.
    if row.items != "random" or (row.persona is not None and row.persona.fusion == "rows"):
        width = shape.embedding_size
        heads = tuple(h for h in space.heads if width % h == 0)
        space = SearchSpace(embedding_size=(width,), heads=heads)
    with leak_intended():
        found = tune(
            fitted.world.data.split, space, config.trials, folder, config=shape,
            options=config.options, **given,
            on_trial=lambda t: say(f"trial {t.number + 1} of {config.trials}: {t.ndcg:.4f}"),
        )  # fmt: skip
    # The persona's part of the shape is the row's own, and is put in again with each cell.
    plain = found.config.model_copy(
        update={f: getattr(config.sasrec, f) for f in ("persona_size", "persona_source", "fusion")}
    )
    return {
        "sasrec": plain.model_dump(), "options": found.options.model_dump(),
        "validation": found.best.ndcg, "trials": len(found.trials),
    }  # fmt: skip


def _tune_parts(
    fitted: Fitted,
    row: Row,
    bases: Mapping[str, Path],
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """One part changed a trial, each in turn, the others as the best trial so far has them.

    The first trial is the defaults, so nothing that validation likes less is taken. Few trials get
    further so than by drawing all parts at once: most of what is drawn is worse than the defaults.
    """
    config, finished = fitted.world.config, folder / "trials.json"
    scores: list[float] = json.loads(finished.read_text("utf-8")) if finished.exists() else []
    best: dict[str, Any] = {}
    best_score = -1.0
    proposals = [None, *_turns(_parts(row), config.trials)][: config.trials]
    for number, proposal in enumerate(proposals):
        tried = best | dict([proposal] if proposal else [])
        if number == len(scores):
            settings = settings_of(row, config, {row.name: {"evidence": tried}})
            scores.append(validated(row, 0, settings, fitted, bases))
            write_json(finished, scores)
            say(f"trial {number + 1} of {len(proposals)}: {scores[-1]:.4f}")
        if scores[number] > best_score:
            best, best_score = tried, scores[number]
    return {"evidence": best, "validation": best_score, "trials": len(proposals)}


def _turns(parts: Sequence[str], n: int) -> list[tuple[str, dict[str, Any]]]:
    """Up to n settings to try of one part each, the parts by turns as long as they have any."""
    drawn = {part: _drawn(_plain(part), n) for part in parts}
    rounds = zip_longest(*([(part, own) for own in drawn[part]] for part in parts))
    return [turn for one in rounds for turn in one if turn is not None]


def _drawn(name: str, n: int) -> list[dict[str, Any]]:
    """Up to n different settings of an evidence, the same wherever it is a part."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    rng, space = np.random.default_rng(seed), SPACES[name]
    drawn: list[dict[str, Any]] = []
    # Without looking at earlier trials: the lists are short, and no state is to be kept.
    for _ in range(n * 20):
        one = {key: values[rng.integers(len(values))] for key, values in space.items()}
        if one not in drawn:
            drawn.append(one)
    return drawn[:n]
