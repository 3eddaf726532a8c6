"""The search for settings: validation only, the same budget, killed and taken up again."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kg.errors import ChangeSomethingError, TryAgainError
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions
from personarec.retriever.tuning import JOURNAL, SearchSpace, TrialResult, Tuned, tune

pytest.importorskip("optuna")

SPACE = SearchSpace(
    embedding_size=(4, 8),
    blocks=(1,),
    heads=(1, 2),
    layer=("pre-norm",),
    dropout=(0.0, 0.2),
    max_length=(6,),
    learning_rate=(1e-3, 3e-2),
    batch_size=(64,),
    negatives=(4, 8),
    epochs=(4, 6),
)
BASE = SasRecConfig(embedding_size=8, max_length=6, dropout=0.2)
OPTIONS = TrainingOptions(epochs=4, batch_size=64, negatives=8, learning_rate=0.01)


def split() -> Split:
    rng = np.random.default_rng(0)
    rows = [(start + np.arange(8)) % 12 for start in rng.integers(0, 12, size=50)]
    whole = Sequences.from_lists([row[:6] for row in rows], 12)
    held = np.array([row[6:] for row in rows], dtype=np.int32)
    return Split(whole, held[:, 0], held[:, 1])


def search(folder: Path, trials: int, **more: object) -> Tuned:
    given = {"config": BASE, "options": OPTIONS} | more
    return tune(split(), SPACE, trials, folder, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return search(tmp_path_factory.mktemp("whole"), 4)


def test_finds_settings_of_the_space_and_starts_from_the_base(uninterrupted: Tuned) -> None:
    first, *rest = uninterrupted.trials
    assert len(rest) == 3
    assert first.settings["learning_rate"] == 0.01
    assert (first.settings["embedding_size"], first.settings["dropout"]) == (8, 0.2)
    assert len({json.dumps(trial.settings) for trial in uninterrupted.trials}) > 2
    best = uninterrupted.best
    assert best.ndcg == max(t.ndcg for t in uninterrupted.trials if not t.pruned) > 0
    assert uninterrupted.config.embedding_size == best.settings["embedding_size"]
    assert uninterrupted.options.learning_rate == best.settings["learning_rate"]
    assert uninterrupted.config.max_length == 6
    assert uninterrupted.options.epochs == best.settings["epochs"]
    assert first.settings["epochs"] == OPTIONS.epochs


def test_killed_and_taken_up_again_makes_the_same_trials(
    tmp_path: Path, uninterrupted: Tuned
) -> None:
    folder = tmp_path / "study"
    script = (
        "import sys; from pathlib import Path; import test_tuning as t\n"
        f"t.search(Path({str(folder)!r}), 4, on_trial=lambda r: print(r.number, flush=True))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{Path.cwd()}"},
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "0"
    # Into the second trial: its start stands in the journal, its end does not.
    limit = time.monotonic() + 20
    while (folder / JOURNAL).read_text().count('"op_code":4') < 2 and time.monotonic() < limit:
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    # As if cut off while it wrote, with the journal locked.
    with (folder / JOURNAL).open("a") as journal:
        journal.write('{"op_code": 5, "wor')
    lock = folder / f"{JOURNAL}.lock"
    if not lock.is_symlink():
        lock.symlink_to(folder / JOURNAL)
    made: list[TrialResult] = []
    resumed = search(folder, 4, on_trial=made.append)
    assert 0 < len(made) < 4, "the search began anew, or had nothing left to do"

    def seen(tuned: Tuned) -> list[tuple[object, ...]]:
        # Trials that were cut off keep their number, so numbers may differ.
        return [(t.settings, t.ndcg, t.epoch, t.pruned) for t in tuned.trials]

    assert seen(resumed) == seen(uninterrupted)
    assert (resumed.config, resumed.options) == (uninterrupted.config, uninterrupted.options)
    again = search(folder, 4, on_trial=made.append)
    assert seen(again) == seen(resumed)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "in-use").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TryAgainError, match="another search works on it"):
            search(tmp_path, 1)
    assert search(tmp_path, 1).trials


def test_a_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    search(tmp_path, 1)
    with pytest.raises(ChangeSomethingError, match="name another folder"):
        search(tmp_path, 2, seed=1)
    with pytest.raises(ChangeSomethingError, match="name another folder"):
        search(tmp_path, 2, options=OPTIONS.model_copy(update={"epochs": 5}))


def test_test_items_are_not_looked_at(tmp_path: Path) -> None:
    honest = split()
    poisoned = Split(honest.train, honest.valid, np.full_like(honest.test, 10**6))
    found = tune(poisoned, SPACE, 1, tmp_path, config=BASE, options=OPTIONS)
    assert found.best.ndcg > 0


def test_says_what_to_install_without_optuna(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ChangeSomethingError, match=r"personarec\[tune\]"):
        search(tmp_path, 1)


def test_hopeless_trials_are_stopped_early(tmp_path: Path) -> None:
    # Learning rates a hundred times too small, against eight trials that learn.
    space = SPACE.model_copy(update={"learning_rate": (1e-6, 3e-2), "epochs": (8,)})
    options = OPTIONS.model_copy(update={"epochs": 8})
    found = tune(split(), space, 12, tmp_path, config=BASE, options=options)
    stopped = [trial for trial in found.trials if trial.pruned]
    assert stopped
    assert max(t.ndcg for t in stopped) < found.best.ndcg
    assert not found.best.pruned
