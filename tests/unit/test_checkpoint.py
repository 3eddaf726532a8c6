import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.retriever import checkpoint
from personarec.retriever.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from personarec.retriever.cold_items import ColdItems
from personarec.retriever.popularity import item_counts
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.transitions import TransitionModel, transition_counts

N_ITEMS = 20


def retriever(persona_size: int = 0, evidence: bool = True) -> Retriever:
    rng = np.random.default_rng(0)
    fit = Sequences.from_lists([rng.permutation(N_ITEMS)[:6] for _ in range(15)], N_ITEMS)
    torch.manual_seed(0)
    config = SasRecConfig(embedding_size=8, max_length=5, persona_size=persona_size)
    facts = csr_array((rng.random((N_ITEMS, 7)) < 0.3).astype(np.float32))
    vectors = rng.random((3, persona_size)).astype(np.float32)
    return Retriever(
        items=tuple(f"item:{i}é" for i in range(N_ITEMS)),
        model=SasRec(N_ITEMS, config).eval(),
        weights={"transitions": 0.1, "facts": 0.25} if evidence else {},
        popularity=item_counts(fit),
        evidence={
            "transitions": TransitionModel.from_counts(transition_counts(fit)),
            "facts": FactModel.from_matrix(facts),
        }
        if evidence
        else {},
        fact_keys=tuple(f"fact{i}" for i in range(7)) if evidence else (),
        cold=ColdItems.find(csr_array(facts), np.arange(N_ITEMS) % 4) if evidence else None,
        personas={"ann": vectors[0], "bob": vectors[1]} if persona_size else {},
        default_persona=vectors[2] if persona_size else None,
    )


@pytest.mark.parametrize(("persona_size", "evidence"), [(0, True), (4, True), (0, False)])
def test_loads_without_a_data_set_and_recommends_the_same(
    tmp_path: Path, persona_size: int, evidence: bool
) -> None:
    made = retriever(persona_size, evidence)
    made.save(tmp_path / "model")
    loaded = Retriever.load(tmp_path / "model")
    assert loaded.items == made.items
    assert loaded.fact_keys == made.fact_keys
    assert (loaded.cold is None) == (made.cold is None)
    assert loaded.weights == made.weights
    for user in (None, "ann"):
        for history in ([1, 2, 3], [4], []):
            assert loaded.recommend(history, user=user) == made.recommend(history, user=user)


def test_scores_are_the_sum_of_their_parts_and_seen_items_stay_out() -> None:
    made = retriever()
    found = made.recommend([3, 1, 4], n=50)
    assert len(found) == N_ITEMS - 3
    assert not {row.item for row in found} & {3, 1, 4}
    assert [row.score for row in found] == sorted((row.score for row in found), reverse=True)
    for row in found:
        assert set(row.parts) == {"sequence", "transitions", "facts"}
        assert row.score == pytest.approx(sum(row.parts.values()), abs=1e-5)
    assert len(made.recommend([3, 1, 4], n=50, exclude_seen=False)) == N_ITEMS
    assert [row.item for row in made.recommend([3, 1, 4], n=5)] == [row.item for row in found[:5]]


def test_a_session_without_items_gets_what_is_popular() -> None:
    made = retriever()
    found = made.recommend([], n=3)
    best = np.argsort(-made.popularity, kind="stable")[:3]
    assert [row.item for row in found] == list(best)
    assert set(found[0].parts) == {"popularity"}


def test_known_users_have_their_own_token_and_strangers_the_default() -> None:
    made = retriever(persona_size=4)
    anonymous = made.recommend([1, 2])
    assert made.recommend([1, 2], user="nobody") == anonymous
    assert made.recommend([1, 2], user="ann") != anonymous


def test_wrong_requests_are_refused() -> None:
    made = retriever()
    with pytest.raises(ValueError, match="at least 1"):
        made.recommend([1], n=0)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.19"):
        made.recommend([N_ITEMS])


def test_a_failed_save_leaves_the_old_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    save_checkpoint(folder, {"x": np.ones(2)}, {"run": 1})

    def full_disk(path: Path) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_flush", full_disk)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(folder, {"x": np.zeros(2)}, {"run": 2})
    tensors, document = load_checkpoint(folder)
    assert document["run"] == 1
    assert tensors["x"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_crash_between_the_renames_is_healed_at_load(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_checkpoint(folder, {"x": np.ones(2)}, {"run": 1})
    folder.rename(tmp_path / ".model.old")
    assert load_checkpoint(folder)[1]["run"] == 1
    save_checkpoint(folder, {"x": np.ones(2)}, {"run": 2})
    assert load_checkpoint(folder)[1]["run"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_save_after_a_crash_between_the_renames_succeeds(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_checkpoint(folder, {}, {"run": 1})
    folder.rename(tmp_path / ".model.old")
    save_checkpoint(folder, {}, {"run": 2})
    assert load_checkpoint(folder)[1]["run"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_no_checkpoint_is_refused_and_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        Retriever.load(tmp_path / "none")
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="not empty"):
        retriever().save(tmp_path)
    assert (tmp_path / "thesis.txt").exists()
    folder = tmp_path / "model"
    save_checkpoint(folder, {}, {"anything": 1})
    with pytest.raises(CheckpointError, match="no checkpoint of a retriever"):
        Retriever.load(folder)
    path = folder / "model.json"
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        Retriever.load(folder)
    path.write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        Retriever.load(folder)
