"""The search for settings of the sequence model, kept in a file that ``train`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.store import GraphStore
from personarec.console import out as console
from personarec.console import print_table, tell

if TYPE_CHECKING:
    from personarec.retriever.tuning import TrialResult


def tune_data_set(
    store: GraphStore, dataset: str, trials: int, home: Path, path: Path | None, *, seed: int = 0
) -> dict[str, Any]:
    """Search on validation items, and write what was found.

    Args:
        store: the graph, with the data set loaded.
        dataset: its name.
        trials: how many, those of a search that was stopped included.
        home: the search is kept under ``tune``.
        path: file to write; beside the search when left out.
        seed: of the proposals.

    Returns:
        the search as plain data: its file, its best trial and all trials, the best first.

    Raises:
        ChangeSomethingError: Optuna is missing, nobody has enough interactions, or the folder
            holds another search.
        TryAgainError: another process works on the same search.
    """
    from personarec.evaluation.splits import require_held_out
    from personarec.retriever.settings import Settings, write_settings
    from personarec.retriever.tuning import SearchSpace, tune
    from personarec.training.data import read_data

    def ended(trial: TrialResult) -> None:
        state = "stopped early, at" if trial.pruned else "validation NDCG@10"
        tell(f"trial {trial.number + 1} of {trials}: {state} {trial.ndcg:.4f}")

    folder = home / "tune" / dataset
    data = read_data(store, dataset)
    require_held_out(data.split, dataset)
    found = tune(data.split, SearchSpace(), trials, folder, seed=seed, on_trial=ended)
    path = path or folder / "settings.yaml"
    whole = sum(not t.pruned for t in found.trials)
    comment = (
        f"{len(found.trials)} trials, {whole} of them to their end; the best by validation NDCG@10 "
        f"({found.best.ndcg:.4f}), one seed."
    )
    write_settings(path, Settings(sasrec=found.config, options=found.options), comment)
    ordered = sorted(found.trials, key=lambda t: (t.pruned, -t.ndcg))
    return {
        "dataset": dataset,
        "file": str(path),
        "best": vars(found.best),
        "trials": [vars(t) for t in ordered],
    }


def print_tuned(document: dict[str, Any]) -> None:
    """The best trials, and where the settings are."""
    shown = [t for t in document["trials"] if not t["pruned"]][:5]
    rows = [
        (t["number"] + 1, f"{t['ndcg']:.4f}", t["epoch"],
         ", ".join(f"{k} {v:.2g}" if isinstance(v, float) else f"{k} {v}"
                   for k, v in t["settings"].items()))
        for t in shown
    ]  # fmt: skip
    title = f"{document['dataset']}: the best of {len(document['trials'])} trials, on validation"
    print_table(title, ("trial", "NDCG@10", "epoch", "settings"), rows)
    console.print(f"settings: {document['file']}; train and compare take them by --tuned FILE",
                  markup=False)  # fmt: skip
