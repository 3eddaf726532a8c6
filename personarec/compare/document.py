"""Everything a comparison found as one document: what the report, and anybody's script, reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personarec.compare.asking import Answers
from personarec.compare.cells import read_answers, read_metrics
from personarec.compare.rows import PAPER, ROWS, SASREC, Row
from personarec.compare.run import CUTOFFS, Finished
from personarec.compare.world import World, item_knowledge
from personarec.evaluation.beyond_accuracy import list_quality
from personarec.evaluation.error_analysis import KINDS, misses
from personarec.evaluation.metrics import METRICS, hit_rate, ndcg
from personarec.evaluation.protocols import UNSEEN_USERS
from personarec.evaluation.significance import bootstrap_together, holm, mcnemar
from personarec.evaluation.slices import Slicing, slicings
from personarec.personas.facts import FactModel
from personarec.retriever.popularity import item_counts
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions

FORMAT = 1
FEW = 20
"""Fewer users are too few for an interval of their own."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """Rows that the sentence is about, chosen by validation.

    Attributes:
        plain: the best that knows neither facts nor personas.
        facts: the best with facts and without personas; none: no such row.
        without: the best without personas, with facts or not.
        persona: the best with personas.
    """

    plain: str | None
    facts: str | None
    without: str | None
    persona: str | None


def results_document(done: Finished) -> dict[str, Any]:
    """Rows, comparisons, slices, list quality and errors of a finished comparison."""
    world, users = done.world, _Users(done.world)
    answers = {r.name: [read_answers(c.folder) for c in done.cells[r.name]] for r in done.rows}
    metrics = {r.name: [read_metrics(c.folder) for c in done.cells[r.name]] for r in done.rows}
    validation = {n: float(np.mean([m["validation"] for m in own])) for n, own in metrics.items()}
    chosen = choose(done.rows, validation)
    pairs = _pairs(done.rows, chosen)
    ranks = {name: np.stack([a.ranks for a in own]) for name, own in answers.items()}
    counts = item_counts(world.fit(report=True))
    compared = _compared(pairs, ranks, users, world)
    rows = _rows(done, answers, metrics, ranks, counts)
    return {
        "format": FORMAT,
        "dataset": world.data.name,
        "split": world.protocol.name,
        "rule": world.protocol.words,
        "refit": world.config.refit,
        "cuts": world.protocol.cuts,
        "seeds": world.config.seeds,
        "trials": world.config.trials,
        "encoder": world.config.encoder,
        "dimensions": world.config.dim,
        "network": _changed(world.config.sasrec, world.config.options),
        "users": len(users),
        "queries": len(world.protocol.test),
        "items": len(world.data.catalogue.ids),
        "interactions": len(world.data.interactions),
        "facts": int(world.data.facts.nnz),
        "linked": int(world.links.linked.sum()),
        "dataHash": world.data_hash,
        "environment": world.environment,
        "checks": [{"name": c.name, "found": c.found} for c in done.checks],
        "rows": rows,
        "absent": [{"name": n, "reason": r} for n, r in done.absent.items()],
        "chosen": vars(chosen),
        "comparisons": compared,
        "slices": _slices(world, chosen, compared, ranks, users, counts),
        "misses": KINDS,
        "paper": _paper(done, {r["name"]: r for r in rows}),
    }


class _Users:
    """Queries gathered by user: a user is the unit that is drawn, however often it was asked."""

    def __init__(self, world: World, kept: NDArray[np.bool_] | None = None) -> None:
        asked = world.protocol.test.users
        self.kept = np.ones(len(asked), bool) if kept is None else kept
        _, self.place = np.unique(asked[self.kept], return_inverse=True)
        self.size = np.bincount(self.place)

    def __len__(self) -> int:
        return len(self.size)

    def mean(self, values: Values) -> Values:
        """Each user's mean over the queries and seeds, shape (n_users,); values: (seeds, q)."""
        own = values.mean(axis=0)[self.kept]
        return np.asarray(np.bincount(self.place, weights=own) / self.size)


def choose(rows: Sequence[Row], validation: dict[str, float]) -> Chosen:
    """The rows that a sentence is made of, by validation NDCG@10 alone."""

    def best(names: list[str]) -> str | None:
        return max(names, key=lambda n: validation[n], default=None)

    # Rows are compared with their like: not every retriever has one that is reordered, or weighed
    # by length, which validation flatters the more the fewer users each weight was found on. One
    # that starts from texts answers to other texts, with all the facts, and says nothing of these.
    free = [
        r
        for r in rows
        if not (r.reorders or r.by_length or r.is_control or r.starts_from_texts)
        and r.group != PAPER
    ]
    plain = [r.name for r in free if not r.uses_facts and not r.uses_persona]
    facts = [r.name for r in free if r.uses_facts and not r.uses_persona]
    return Chosen(
        best(plain),
        best(facts),
        best(plain + facts),
        best([r.name for r in free if r.uses_persona]),
    )


def _pairs(rows: Sequence[Row], chosen: Chosen) -> list[tuple[str, str]]:
    """Each row with the rows it answers to, and the chosen ones with each other."""
    there = {row.name for row in rows}
    pairs = [(row.name, other) for row in rows for other in row.against if other in there]
    for row, other in (
        (chosen.plain, SASREC), (chosen.facts, chosen.plain), (chosen.persona, chosen.without),
    ):  # fmt: skip
        if row and other and row != other and other in there:
            pairs.append((row, other))
    return list(dict.fromkeys(pairs))


def _rows(
    done: Finished,
    answers: dict[str, list[Answers]],
    metrics: dict[str, list[dict[str, Any]]],
    ranks: dict[str, Values],
    counts: NDArray[np.int64],
) -> list[dict[str, Any]]:
    world = done.world
    users, known = _Users(world), item_knowledge(world)
    facts = FactModel.from_matrix(world.data.facts).items
    targets = world.protocol.test.targets
    # Intervals of the rows themselves, all from the same draws.
    own = np.stack([users.mean(ndcg(found, 10)) for found in ranks.values()])
    intervals = bootstrap_together(own, samples=world.config.samples)
    lengths = world.protocol.test.visible.lengths
    rows = []
    for row, interval in zip(done.rows, intervals, strict=True):
        found, cells = ranks[row.name], metrics[row.name]
        entry: dict[str, Any] = {
            "name": row.name, "what": row.what, "group": row.group,
            "made of": row.made_of(world.config.encoder_named),
            "against": list(row.against), "control": row.is_control,
        }  # fmt: skip
        for k in CUTOFFS:
            for name, metric in METRICS.items():
                entry[f"{name}@{k}"] = float(users.mean(metric(found, k)).mean())
        entry["NDCG@10 interval"] = [interval.interval.low, interval.interval.high]
        entry["NDCG@10 per seed"] = [float(users.mean(own[None]).mean()) for own in ndcg(found, 10)]
        entry["validation"] = float(np.mean([c["validation"] for c in cells]))
        entry["weights"] = [c["weights"] for c in cells if c["weights"]]
        entry["seconds"] = float(np.mean([c["seconds"] for c in cells]))
        entry["lists"] = _mean(
            [list_quality(a.lists, counts, facts).as_dict() for a in answers[row.name]]
        )
        entry["misses"] = _mean(
            [misses(a.ranks, targets, a.lists, known) for a in answers[row.name]]
        )
        if world.protocol.name == UNSEEN_USERS:
            entry["by items shown"] = {
                str(n): float(ndcg(found[:, lengths == n], 10).mean()) for n in np.unique(lengths)
            }
        if row.name in done.found:
            entry["tuned"] = _tuned(done.found[row.name])
        rows.append(entry)
    return rows


def _tuned(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a row's trials found of each part, as far as it is not the default."""
    settings = found.get("evidence")
    if settings is None:
        own = _changed(SasRecConfig(**found["sasrec"]), TrainingOptions(**found["options"]))
        settings = {"sequence model": own} if own else {}
    return {
        "settings": settings, "validation": found["validation"], "trials": found["trials"],
    }  # fmt: skip


def _changed(sasrec: SasRecConfig, options: TrainingOptions) -> dict[str, Any]:
    """Settings of the network that are not the default and that results follow from."""
    return sasrec.model_dump(exclude_defaults=True) | options.model_dump(
        exclude_defaults=True, exclude={"device", "seed", "threads"}
    )


def _mean(found: list[dict[str, float]]) -> dict[str, float | None]:
    """None where there is nothing to measure: JSON has no NaN."""
    means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    return {key: None if np.isnan(mean) else mean for key, mean in means.items()}


def _compared(
    pairs: Sequence[tuple[str, str]], ranks: dict[str, Values], users: _Users, world: World
) -> list[dict[str, Any]]:
    """Differences with intervals, p-values, and both corrected for how many were tried."""
    if not pairs:
        return []
    found: dict[str, Any] = {}
    for name, metric in (("NDCG@10", ndcg), ("HR@10", hit_rate), ("HR@100", hit_rate)):
        k = int(name.rpartition("@")[2])
        values = {row: users.mean(metric(ranks[row], k)) for row in {r for p in pairs for r in p}}
        differences = np.stack([values[a] - values[b] for a, b in pairs])
        drawn = bootstrap_together(differences, samples=world.config.samples)
        signs = [mcnemar(values[a], values[b]) for a, b in pairs] if metric is hit_rate else None
        p = np.array([s.p for s in signs] if signs else [d.p for d in drawn])
        found[name] = (drawn, signs, p, corrected(p, pairs), [values[b].mean() for _, b in pairs])
    entries = []
    for i, (row, against) in enumerate(pairs):
        entry: dict[str, Any] = {"row": row, "against": against}
        for name, (drawn, signs, p, adjusted, base) in found.items():
            interval = drawn[i].interval
            entry[name] = {
                "mean": interval.mean, "low": interval.low, "high": interval.high,
                "share": float(interval.mean / base[i]) if base[i] else None,
                "p": float(p[i]), "holm": float(adjusted[i]),
            }  # fmt: skip
            if signs:
                entry[name] |= {"better": signs[i].better, "worse": signs[i].worse}
        entries.append(entry)
    return entries


def corrected(p: Values, pairs: Sequence[tuple[str, str]]) -> Values:
    """Holm's correction in two families: what facts and personas are worth, and all the rest."""
    claim = np.array(
        [
            (ROWS[row].uses_facts or ROWS[row].uses_persona) and not ROWS[row].is_control
            for row, _ in pairs
        ]
    )
    result = np.empty(len(p))
    for family in (claim, ~claim):
        result[family] = holm(p[family])
    return result


def _slices(
    world: World,
    chosen: Chosen,
    compared: list[dict[str, Any]],
    ranks: dict[str, Values],
    users: _Users,
    counts: NDArray[np.int64],
) -> list[dict[str, Any]]:
    """The chosen rows in each part, and what separates them there."""
    wanted = [SASREC, chosen.plain, chosen.facts, chosen.persona]
    if chosen.facts:
        wanted += [n for n in ROWS[chosen.facts].against if ROWS[n].is_control]
    rows = [n for n in dict.fromkeys(wanted) if n in ranks]
    pairs = [
        (a, b)
        for a, b in ((chosen.facts, chosen.plain), (chosen.persona, chosen.without))
        if a and b and a != b
    ]
    data = world.data
    known = world.links.linked if world.links.linked.any() else None
    facts = np.diff(data.facts.indptr).astype(np.int64)
    found = []
    for slicing in slicings(world.protocol.test, counts, facts, known):
        parts = [_part(world, slicing, i, rows, pairs, ranks) for i in range(len(slicing.labels))]
        found.append({"name": slicing.name, "parts": [p for p in parts if p["queries"]]})
    return found


def _part(
    world: World,
    slicing: Slicing,
    part: int,
    rows: list[str],
    pairs: list[tuple[str, str]],
    ranks: dict[str, Values],
) -> dict[str, Any]:
    inside = slicing.part == part
    entry: dict[str, Any] = {"label": slicing.labels[part], "queries": int(inside.sum())}
    if not inside.any():
        return entry
    users = _Users(world, inside)
    entry["users"] = len(users)
    values = {n: users.mean(ndcg(ranks[n], 10)) for n in {*rows, *(n for p in pairs for n in p)}}
    entry["NDCG@10"] = {n: float(values[n].mean()) for n in rows}
    entry["HR@10"] = {n: float(users.mean(hit_rate(ranks[n], 10)).mean()) for n in rows}
    entry["differences"] = []
    if pairs and len(users) >= FEW:
        together = bootstrap_together(
            np.stack([values[a] - values[b] for a, b in pairs]), samples=2_000
        )
        entry["differences"] = [
            {
                "row": a, "against": b, "mean": d.interval.mean, "low": d.interval.low,
                "high": d.interval.high,
            }
            for (a, b), d in zip(pairs, together, strict=True)
        ]  # fmt: skip
    return entry


def _paper(done: Finished, rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The published table's cells: user tokens × item rows, and the reranked ones."""
    cells = []
    for user in ("none", "random", "text", "kg+text"):
        for items in ("random", "description"):
            row = SASREC if (user, items) == ("none", "random") else f"{user} x {items}"
            cells.append((user, items, row))
    reranked = [r.name for r in ROWS.values() if r.group == PAPER and r.kind == "rerank"]
    cells += [("kg+text", "description, reranked " + n.rpartition(" ")[2], n) for n in reranked]
    found = []
    for user, items, row in cells:
        entry: dict[str, Any] = {"user": user, "items": items, "row": row}
        if row in rows:
            entry |= {f"{n}@{k}": rows[row][f"{n}@{k}"] for k in (10, 100) for n in METRICS}
        else:
            entry["absent"] = done.absent.get(row, "not asked for")
        found.append(entry)
    return found
