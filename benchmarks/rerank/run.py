"""What a learned rerank of the first 100 is worth over the late fusion that it reorders.

    python -m benchmarks.rerank.run beauty --seeds 3 --work FOLDER [--home HOME] [--graph URI]

The data set must be in the graph. Per seed: SASRec is fitted to train and refitted, evidence is
built for both, weights are found on validation, candidates of both are gathered (steps that
FOLDER already holds are not made again). The reranker is measured cross-fitted on the validation
items, then, fitted to all of them, on the test items; against the late fusion, against the first
10 and 100 in the order of SASRec, and with all that comes from facts replaced by the same of
another item's facts. Results go to FOLDER/NAME.md. Beauty: half an hour on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from kg.store import connect
from personarec.evaluation.metrics import hit_rate, mrr, ndcg
from personarec.evaluation.significance import paired_bootstrap
from personarec.rerank.candidates import Candidates, gather
from personarec.rerank.features import ItemFeatures, Links
from personarec.rerank.model import Reranker, cross_fitted
from personarec.retriever.evidence import EvidenceData, build_evidence
from personarec.retriever.popularity import item_counts
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions, select_and_refit, sequence_scorer
from personarec.retriever.transitions import TransitionModel
from personarec.retriever.weights import search_weights
from personarec.training.data import GraphData, read_data

EVIDENCE = ("transitions", "popularity", "facts", "facts-regression", "linear+facts")
OF_FACTS = EVIDENCE[2:]
SHUFFLED = "shuffled "
PHASES = ("valid", "test")
Ranks = dict[str, NDArray[np.float64]]


def gather_seed(data: GraphData, seed: int, folder: Path) -> None:
    """Candidates of the validation and the test items, written to ``folder``."""
    split = data.split
    models = select_and_refit(split, SasRecConfig(), TrainingOptions(seed=seed))
    weights: dict[str, float] = {}
    for phase, trained in zip(PHASES, models, strict=True):
        fit = split.fit(phase == "test")
        targets = split.valid if phase == "valid" else split.test
        known = EvidenceData.of(data, fit)
        order = np.random.default_rng(0).permutation(fit.n_items)
        other = replace(known, facts=csr_array(known.facts[order]))
        evidence = {name: build_evidence(name, known) for name in EVIDENCE}
        scorer = sequence_scorer(trained.model, fit)
        if phase == "valid":
            weights = search_weights(scorer, evidence, fit, targets, seed=seed).weights
        evidence |= {SHUFFLED + name: build_evidence(name, other) for name in OF_FACTS}
        steps = TransitionModel.from_counts(known.counts).matrix
        features = ItemFeatures.of(item_counts(fit), data.facts, steps)
        shuffled = ItemFeatures.of(item_counts(fit), other.facts, steps)
        both = ItemFeatures(
            {**features.columns, SHUFFLED + "facts": shuffled.columns["facts"]},
            {**features.links, SHUFFLED + "fact": Links.by_facts(other.facts)},
        )
        users = np.flatnonzero(targets >= 0).astype(np.int64)
        some = {name: weights.get(name, 0.0) for name in evidence}
        found = gather(scorer, evidence, some, both, users, fit, targets)
        np.savez(
            folder / f"{data.name}-{phase}-{seed}.npz",
            names=np.array(found.names), users=found.users, targets=found.targets,
            items=found.items, features=found.features, place=found.place, ranks=found.ranks,
            counts=item_counts(fit), lengths=fit.lengths,
        )  # fmt: skip


def read_candidates(file: Path) -> tuple[Candidates, Candidates, dict[str, NDArray[np.int64]]]:
    """Candidates with the facts in place, the same with shuffled facts, and what slices need."""
    stored = np.load(file)
    names = [str(name) for name in stored["names"]]
    users, targets = stored["users"], stored["targets"]

    def part(shuffled: bool) -> Candidates:
        kept = [n for n in names if (SHUFFLED in n) == (shuffled and "fact" in n)]
        places = [names.index(n) for n in kept]
        return Candidates(
            tuple(kept), users, targets, stored["items"],
            np.ascontiguousarray(stored["features"][:, :, places]),
            stored["place"], stored["ranks"],
        )  # fmt: skip

    slices = {"count": stored["counts"][targets], "length": stored["lengths"][users]}
    return part(False), part(True), slices


def ranks_of(
    candidates: Candidates, shuffled: Candidates, score: Callable[[Candidates], NDArray[np.float32]]
) -> Ranks:
    """Ranks by row of the table."""
    order = candidates.features[:, :, candidates.names.index("sequence")]
    found = {"late fusion": candidates.ranks}
    for n in (10, 100):
        first = order.copy()
        first[:, n:] = order.min() - 1 - np.arange(order.shape[1])[n:]
        found[f"in SASRec's order, first {n}"] = candidates.reordered(first)
    found["learned"] = candidates.reordered(score(candidates))
    found["learned, shuffled facts"] = shuffled.reordered(score(shuffled))
    return found


def rank_seed(name: str, seed: int, folder: Path) -> None:
    """Ranks of all rows on both sets of items, written to ``folder``."""
    valid, valid_shuffled, _ = read_candidates(folder / f"{name}-valid-{seed}.npz")
    asked, asked_shuffled, _ = read_candidates(folder / f"{name}-test-{seed}.npz")
    test = np.full(int(max(valid.users.max(), asked.users.max())) + 1, -1, np.int32)
    test[asked.users] = asked.targets
    models = {c.names: Reranker.fit(c, test=test) for c in (valid, valid_shuffled)}
    found = {
        "valid": ranks_of(valid, valid_shuffled, cross_fitted),
        "test": ranks_of(asked, asked_shuffled, lambda c: models[c.names].score(c)),
    }
    flat = {f"{phase}|{row}": r for phase, rows in found.items() for row, r in rows.items()}
    np.savez(folder / f"{name}-ranks-{seed}.npz", **flat)  # type: ignore[arg-type]


def report(name: str, seeds: list[int], folder: Path) -> str:
    """Tables in Markdown; intervals are paired bootstraps over users, values meant over seeds."""
    stored = [np.load(folder / f"{name}-ranks-{seed}.npz") for seed in seeds]
    lines = []
    for phase in PHASES:
        _, _, slices = read_candidates(folder / f"{name}-{phase}-{seeds[0]}.npz")
        rows = [key.split("|")[1] for key in stored[0].files if key.startswith(phase)]
        ranks = {row: np.stack([s[f"{phase}|{row}"] for s in stored]) for row in rows}
        lines += [f"\n{name}, {phase}\n", "| row | HR@10 | NDCG@10 | MRR@10 | NDCG@100 |"]
        lines.append("|---|---|---|---|---|")
        for row, r in ranks.items():
            values = (hit_rate(r, 10), ndcg(r, 10), mrr(r, 10), ndcg(r, 100))
            lines.append(f"| {row} | " + " | ".join(f"{v.mean():.4f}" for v in values) + " |")
        lines += ["", "| row | against | users | HR@10 | NDCG@10 |", "|---|---|---|---|---|"]
        every = np.ones(len(slices["count"]), bool)
        learned, fused, control = "learned", "late fusion", "learned, shuffled facts"
        pairs = [(row, fused, "all", every) for row in rows if row != fused]
        pairs.append((learned, control, "all", every))
        for what, ends in (("count", (0, 5, 20)), ("length", (5, 10, 20, 100))):
            low = -1
            for high in (*ends, 10**9):
                inside = (slices[what] > low) & (slices[what] <= high)
                label = f"{what} {low + 1}–{high}" if high < 10**9 else f"{what} >{low}"
                if inside.any():
                    pairs.append((learned, fused, f"{label} ({inside.sum()})", inside))
                low = high
        for one, other, label, inside in pairs:
            cells = []
            for metric in (hit_rate, ndcg):
                i = paired_bootstrap(
                    metric(ranks[one][:, inside], 10), metric(ranks[other][:, inside], 10)
                )
                cells.append(f"{i.mean:+.4f} [{i.low:+.4f}, {i.high:+.4f}]")
            lines.append(f"| {one} | {other} | {label} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".personarec"))
    parser.add_argument("--graph")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data = None
    for seed in range(options.seeds):
        parts = [options.work / f"{options.dataset}-{phase}-{seed}.npz" for phase in PHASES]
        if not all(part.exists() for part in parts):
            if data is None:
                with connect(options.graph, options.home) as store:
                    data = read_data(store, options.dataset)
            gather_seed(data, seed, options.work)
        if not (options.work / f"{options.dataset}-ranks-{seed}.npz").exists():
            rank_seed(options.dataset, seed, options.work)
    text = report(options.dataset, list(range(options.seeds)), options.work)
    (options.work / f"{options.dataset}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
