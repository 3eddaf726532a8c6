"""The rows reranked by what validation items taught: what they may know, and what they move.

Users end with three items that facts link in a row and nothing else does: who knows the facts and
has learned what they are worth names the next item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compare_small import LINKED_ITEMS as N_ITEMS
from compare_small import LINKED_USERS as N_USERS
from compare_small import linked_data, small_world
from scipy.sparse import csr_array

from kg.views.links import ItemLinks
from personarec.compare import run as run_module
from personarec.compare import work
from personarec.compare.asking import Answers
from personarec.compare.cells import read_answers
from personarec.compare.fitted import Fitted
from personarec.compare.rows import ROWS, Row
from personarec.compare.run import compare_world
from personarec.compare.tuning import settings_of
from personarec.compare.world import World
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.metrics import ndcg
from personarec.evaluation.protocols import make_protocol
from personarec.rerank.candidates import CANDIDATES
from personarec.rerank.model import RerankConfig

TRUE, BLANK, BARE = (
    ROWS[f"{base} learned rerank"]
    for base in ("everything", "everything with shuffled facts", "everything without facts")
)


def quiet(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Mapping[str, Path]]:
    """The rows that are reranked, made once."""
    data = linked_data()
    protocol = make_protocol("leave-one-out", data.interactions)
    rows = tuple(str(row.base) for row in (TRUE, BLANK, BARE))
    world = replace(
        small_world(tmp_path_factory.mktemp("learned"), rows=rows, seeds=1),
        data=replace(data, split=protocol.split), protocol=protocol,
        data_hash=data.content_hash(), links=ItemLinks(np.ones(N_ITEMS, bool), np.ones(N_ITEMS)),
    )  # fmt: skip
    done = compare_world(world, quiet)
    return world, {name: own[0].folder for name, own in done.cells.items()}


@pytest.fixture(autouse=True)
def few_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = RerankConfig(hidden=16, batch_size=16, learning_rate=0.03, epochs=16, patience=4)
    monkeypatch.setattr(work, "RERANK", quick)


def made(row: Row, world: World, bases: Mapping[str, Path]) -> Answers:
    settings = settings_of(row, world.config, {})
    return work.make_cell(row, 0, settings, Fitted(world), bases, quiet).answers


def same(a: Answers, b: Answers) -> bool:
    return np.array_equal(a.lists, b.lists) and np.array_equal(a.ranks, b.ranks)


def test_facts_that_name_the_target_help_the_row_and_never_its_control(
    finished: tuple[World, Mapping[str, Path]],
) -> None:
    found = {row.name: made(row, *finished) for row in (TRUE, BLANK)}
    assert ndcg(found[TRUE.name].ranks, 10).mean() > 0.9
    assert ndcg(found[BLANK.name].ranks, 10).mean() < 0.5
    assert same(made(TRUE, *finished), found[TRUE.name])


def test_the_row_without_facts_is_the_same_with_any_facts(
    finished: tuple[World, Mapping[str, Path]],
) -> None:
    world, bases = finished
    other = csr_array(np.random.default_rng(1).integers(2, size=world.data.facts.shape))
    changed = replace(world, data=replace(world.data, facts=csr_array(other, dtype=np.float32)))
    assert same(made(BARE, changed, bases), made(BARE, world, bases))
    assert not same(made(TRUE, changed, bases), made(TRUE, world, bases))


def test_lists_do_not_depend_on_test_targets(finished: tuple[World, Mapping[str, Path]]) -> None:
    world, bases = finished
    test, split = world.protocol.test, world.protocol.split
    # Another one's target, by no chance the user's own validation item.
    targets = np.roll(test.targets, 1)
    assert not (targets == split.valid[test.users]).any()
    held_out = split.test.copy()
    held_out[test.users] = targets
    protocol = replace(
        world.protocol, test=replace(test, targets=targets), split=replace(split, test=held_out)
    )
    changed = replace(world, protocol=protocol)
    found, moved = made(TRUE, world, bases), made(TRUE, changed, bases)
    np.testing.assert_array_equal(found.lists, moved.lists)
    assert not np.array_equal(found.ranks, moved.ranks)


def test_test_items_for_labels_stop_it(finished: tuple[World, Mapping[str, Path]]) -> None:
    world, bases = finished
    split = world.protocol.split
    leaky = replace(world.protocol, split=replace(split, valid=split.test))
    with pytest.raises(LeakError, match=f"{N_USERS} of {N_USERS} sessions are labelled with a"):
        made(TRUE, replace(world, protocol=leaky), bases)


@pytest.mark.parametrize("n", [12, 100])
def test_the_first_alone_are_moved(finished: tuple[World, Mapping[str, Path]], n: int) -> None:
    world, bases = finished
    base = read_answers(bases[str(BLANK.base)])
    assert BLANK.candidates == CANDIDATES == 100  # as many as in the kept retriever
    found = made(replace(BLANK, candidates=n), world, bases)
    inside = base.ranks <= n
    assert (found.ranks[inside] <= n).all()
    assert not np.array_equal(found.ranks[inside], base.ranks[inside])
    np.testing.assert_array_equal(found.ranks[~inside], base.ranks[~inside])
    assert inside.all() == (n > N_ITEMS)


def test_rows_answer_to_their_controls_and_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TRUE.against[0] == BLANK.name
    assert TRUE.base in TRUE.against
    assert (TRUE.is_control, BLANK.is_control, BARE.is_control) == (False, True, False)
    assert (TRUE.uses_facts, BLANK.uses_facts, BARE.uses_facts) == (True, True, False)
    world = small_world(tmp_path, rows=(TRUE.name,), seeds=1)
    first = compare_world(world, quiet)
    assert [row.name for row in first.rows] == ["sasrec", "everything", TRUE.name]
    assert compare_world(world, quiet).made == 0
    monkeypatch.setattr(run_module, "RERANK", RerankConfig(hidden=8))
    assert compare_world(world, quiet).made == 1
