"""Trials of compare: each row's own, judged by its own validation, kept when killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compare_small import small_world

from personarec.compare import run, tuning
from personarec.compare.document import results_document
from personarec.compare.fitted import Fitted
from personarec.compare.report import as_html, as_markdown, trials_found
from personarec.compare.rows import ROWS, Row
from personarec.compare.run import Cell, compare_world
from personarec.compare.settings import Settings
from personarec.compare.tuning import settings_of, tune_row, tuning_folder
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions

FUSION = "sasrec+transitions+facts"
SHORT = {"transitions": {"backward": (0.0, 0.5, 1.0)}, "facts": {"age_decay": (0.5, 0.95)}}


def quiet(_line: str) -> None:
    pass


def metrics(cell: Cell) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cell.folder / "metrics.json").read_text())
    return found


def judged(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[[Mapping[str, Any]], float]
) -> list[dict[str, Any]]:
    """Have trials judged by a function of their settings; the list of what was tried."""
    tried: list[dict[str, Any]] = []

    def validated(_row: Row, _seed: int, settings: Settings, *_: Any) -> float:
        tried.append({name: dict(own) for name, own in settings.evidence.items()})
        return judge(settings.evidence)

    monkeypatch.setattr(tuning, "validated", validated)
    monkeypatch.setattr(tuning, "SPACES", SHORT)
    return tried


def searched(tmp_path: Path, name: str, trials: int = 6) -> dict[str, Any]:
    world = small_world(tmp_path, rows=(name,), trials=trials)
    return tune_row(Fitted(world), ROWS[name], {}, quiet)


def test_trials_are_kept_and_their_settings_used(tmp_path: Path) -> None:
    world = small_world(tmp_path, rows=("transitions", "sasrec"), trials=2, seeds=1)
    done = compare_world(world, quiet)
    assert done.found["transitions"]["trials"] == 2
    assert done.found["sasrec"]["trials"] == 2
    row = done.rows[0]
    kept = tuning_folder(world, row, {}) / "settings.json"
    before = kept.stat().st_mtime_ns
    assert tune_row(Fitted(world), row, {}, quiet) == done.found["transitions"]
    assert kept.stat().st_mtime_ns == before
    config = json.loads((done.cells["sasrec"][0].folder / "config.json").read_text())
    assert config["settings"]["sasrec"] == done.found["sasrec"]["sasrec"]
    assert compare_world(world, quiet).made == 0


SETTINGS = "embedding size 16, max length 8, epochs 2, batch size 64, negatives 0"
"""What the network of ``small_world`` has that is not the default."""


def test_the_report_says_what_the_trials_found_and_where_they_started(tmp_path: Path) -> None:
    world = small_world(tmp_path, rows=("popularity", "transitions", "sasrec"), trials=3, seeds=1)
    done = compare_world(world, quiet)
    document = results_document(done)
    tuned = {r["name"]: r["tuned"] for r in document["rows"] if "tuned" in r}
    assert set(tuned) == {"transitions", "sasrec"}
    assert tuned["transitions"]["settings"] == done.found["transitions"]["evidence"]
    whole = done.found["sasrec"]["sasrec"] | done.found["sasrec"]["options"]
    own = tuned["sasrec"]["settings"]["sequence model"]
    assert own.items() <= whole.items()
    made = SasRecConfig().model_dump() | TrainingOptions().model_dump() | own
    assert {n for n in whole if made[n] != whole[n]} <= {"seed", "device", "threads"}

    for text in (as_markdown(document, "personarec"), as_html(document, "personarec")):
        assert "What the trials found" in text
        section = text.split("What the trials found")[1]
        for name in own:
            assert f"{name.replace('_', ' ')} " in section
        assert f"Sequence model: {SETTINGS}; trials start from there." in text

    plain = results_document(
        compare_world(small_world(tmp_path, rows=("popularity",), seeds=1), quiet)
    )
    text = as_markdown(plain, "personarec")
    assert f"Sequence model: {SETTINGS}." in text
    assert "What the trials found" not in text


def test_settings_are_said_by_part() -> None:
    parts = {"facts": {"age_decay": 0.5}, "transitions": {"gap_decay": 0.4, "backward": 0.0}}
    tuned = {"facts": {"facts": parts["facts"]}, FUSION: parts, "linear": {}}
    rows = [
        {"name": name, "tuned": {"settings": own, "validation": 0.05, "trials": 8}}
        for name, own in tuned.items()
    ]
    said = "best validation NDCG@10 .0500 of 8 trials, with"
    assert trials_found({"rows": [*rows, {"name": "popularity"}]}) == [
        f"facts: {said} age decay 0.5",
        f"{FUSION}: {said} facts: age decay 0.5; transitions: gap decay 0.4, backward 0",
        f"linear: {said} the defaults",
    ]


def test_only_rows_that_an_option_reaches_are_searched_again(tmp_path: Path) -> None:
    def folders(**asked: Any) -> list[Path]:
        rows = ("transitions", "sasrec", "token", "none x description")
        world = small_world(tmp_path, rows=rows, trials=2, encoder="hdgi")
        world = replace(world, config=world.config.model_copy(update=asked))
        return [tuning_folder(world, ROWS[name], {}) for name in rows]

    def changed(**asked: Any) -> list[bool]:
        return [a != b for a, b in zip(folders(), folders(**asked), strict=True)]

    assert changed(encoder="svd") == changed(dim=6) == [False, False, True, False]
    assert changed(embedder="tfidf") == [False, False, False, True]
    assert changed(options=TrainingOptions(epochs=3)) == [False, True, True, True]
    assert changed(seeds=3) == [False] * 4


def test_a_fusion_is_tuned_for_its_own_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "SPACES", SHORT)
    rows = (FUSION, "everything reranked 10")
    done = compare_world(small_world(tmp_path, rows=rows, trials=6), quiet)
    for name in (FUSION, "everything"):
        found, cell = done.found[name], done.cells[name][0]
        assert metrics(cell)["validation"] == found["validation"]
        assert found["trials"] == 6
    assert "everything reranked 10" not in done.found
    config = json.loads(
        (done.cells["everything reranked 10"][0].folder / "config.json").read_text()
    )
    assert config["settings"]["evidence"] == done.found["everything"]["evidence"]


def test_one_part_is_changed_at_a_time_and_the_best_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(evidence: Mapping[str, Any]) -> float:
        backward = evidence.get("transitions", {}).get("backward", 0.25)
        return float(backward - 10 * (evidence.get("facts", {}).get("age_decay") == 0.5))

    tried = judged(monkeypatch, judge)
    found = searched(tmp_path, FUSION)
    assert tried[0] == {}
    best: dict[str, Any] = {}
    for one in tried[1:]:
        changed = [part for part in SHORT if one.get(part) != best.get(part)]
        assert len(changed) == 1
        best = max(best, one, key=judge)
    assert found["evidence"] == best
    assert found["evidence"]["transitions"] == {"backward": 1.0}
    assert "facts" not in best or best["facts"] != {"age_decay": 0.5}
    assert found["validation"] == 1.0


def test_trials_end_where_nothing_is_left_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = judged(monkeypatch, lambda _: 0.5)
    assert searched(tmp_path, FUSION, trials=50) == {
        "evidence": {}, "validation": 0.5, "trials": 6
    }  # fmt: skip
    assert len(tried) == 6  # the defaults, three and two


@pytest.mark.parametrize(
    ("row", "control"),
    [("facts", "shuffled facts"), (FUSION, "sasrec+transitions+shuffled facts")],
)
def test_a_control_tries_what_its_row_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, control: str
) -> None:
    tried = judged(monkeypatch, lambda _: 0.5)
    searched(tmp_path, row)
    own, tried[:] = list(tried), []
    searched(tmp_path, control)
    assert own == [{n.removeprefix("shuffled "): s for n, s in one.items()} for one in tried]


@pytest.mark.filterwarnings("error::personarec.retriever.training.LeakWarning")
def test_the_papers_way_is_tried_without_a_warning(tmp_path: Path) -> None:
    world = small_world(tmp_path, rows=("token",), trials=2, seeds=1, encoder="svd", dim=4)
    assert compare_world(world, quiet).found["token"]["trials"] == 2


def test_heads_that_do_not_divide_a_width_that_is_held_are_not_tried(tmp_path: Path) -> None:
    world = small_world(tmp_path, rows=("none x description",), trials=6, seeds=1)
    shape = world.config.sasrec.model_copy(update={"embedding_size": 10})
    config = world.config.model_copy(update={"sasrec": shape})
    found = tune_row(Fitted(replace(world, config=config)), ROWS["none x description"], {}, quiet)
    assert found["sasrec"]["embedding_size"] == 10
    journal = next(tmp_path.glob("tuning/*/trials.jsonl")).read_text()
    assert '"choices": [1, 2]' in journal.replace("\\", "")


def test_killed_trials_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(evidence: Mapping[str, Any]) -> float:
        return float(evidence.get("transitions", {}).get("backward", 0.25))

    tried = judged(monkeypatch, judge)
    whole = searched(tmp_path / "whole", FUSION)
    uninterrupted, tried[:] = list(tried), []

    def killed(evidence: Mapping[str, Any]) -> float:
        if len(tried) == 4:
            raise KeyboardInterrupt
        return judge(evidence)

    tried = judged(monkeypatch, killed)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "killed", FUSION)
    tried = judged(monkeypatch, judge)
    assert searched(tmp_path / "killed", FUSION) == whole
    assert tried == uninterrupted[3:]


def test_what_takes_long_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines(name: str) -> str:
        said: list[str] = []
        rows = ("transitions", "sasrec")
        compare_world(small_world(tmp_path / name, rows=rows, trials=2, seeds=1), said.append)
        return "\n".join(said)

    quick = lines("quick")
    assert "trial 2 of 2" not in quick
    assert "epoch" not in quick
    monkeypatch.setattr(run, "BETWEEN_LINES", 0.0)
    long = lines("long")
    for line in (
        "transitions: trial 2 of 2: ",
        "sasrec: trial 2 of 2: ",
        "sasrec, seed 0: epoch 1",
    ):
        assert line in long


def test_a_fusion_on_another_network_is_searched_again(tmp_path: Path) -> None:
    world, row = small_world(tmp_path, trials=2), ROWS[FUSION]
    first, again, other = (
        tuning_folder(world, row, {"sasrec": Path("cells") / name}) for name in "aab"
    )
    assert first == again != other


def test_a_row_that_is_reordered_has_the_settings_of_its_base(tmp_path: Path) -> None:
    found = {
        "sasrec": {"sasrec": SasRecConfig(max_length=7).model_dump()},
        "everything": {"evidence": {"facts": {"age_decay": 0.5}}},
    }
    config = small_world(tmp_path).config
    for name in ("everything", "everything reranked 10", "everything learned rerank"):
        settings = settings_of(ROWS[name], config, found)
        assert settings.evidence == {"facts": {"age_decay": 0.5}}
        assert settings.sasrec.max_length == 7
    assert settings_of(ROWS[FUSION], config, found).evidence == {}
