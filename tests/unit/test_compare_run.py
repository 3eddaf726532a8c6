"""Cells made, found again after a kill, and made anew for other data; leaks planted."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from compare_small import N_ITEMS, N_USERS, small_data, small_world
from services.chat_server import Sent, chat_server, said

from personarec.compare import run as run_module
from personarec.compare.cells import cell_folder
from personarec.compare.checks import run_checks
from personarec.compare.document import results_document
from personarec.compare.fitted import Fitted
from personarec.compare.networks import network_inputs
from personarec.compare.report import write_report
from personarec.compare.rows import ROWS as ROWS_BY_NAME
from personarec.compare.run import compare_world
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.metrics import ndcg
from personarec.evaluation.sequences import Sequences
from personarec.retriever.transitions import transition_counts
from personarec.training.data import without_later_purchases

ROWS = (
    "popularity", "facts", "shuffled facts", "sasrec", "sasrec+transitions+facts",
    "sasrec+transitions+shuffled facts",
)  # fmt: skip


def quiet(_line: str) -> None:
    pass


def times(out: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("cells/*/metrics.json")}


def test_a_killed_comparison_goes_on_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world(tmp_path / "out", rows=ROWS)
    write, written = run_module.write_cell, []

    def killed(folder: Path, *rest: Any) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        write(folder, *rest)
        written.append(folder)

    monkeypatch.setattr(run_module, "write_cell", killed)
    with pytest.raises(KeyboardInterrupt):
        compare_world(world, quiet)
    before = times(world.out)
    assert len(before) == 4
    monkeypatch.setattr(run_module, "write_cell", write)
    done = compare_world(world, quiet)
    assert done.made == 2 + 4 * 2 - 4  # two rows are the same for each seed
    after = times(world.out)
    assert {name: after[name] for name in before} == before
    assert not list(world.out.glob("cells/*.partial"))

    again = compare_world(world, quiet)
    assert (again.made, times(world.out)) == (0, after)
    more = compare_world(small_world(world.out, rows=ROWS, seeds=3), quiet)
    assert more.made == 4
    assert {name: times(world.out)[name] for name in after} == after


def test_a_cell_of_before_others_built_on_it_is_made_with_its_model(tmp_path: Path) -> None:
    world = small_world(tmp_path / "out", rows=("none x description",), seeds=1)
    cell = compare_world(world, quiet).cells["none x description"][0]
    before = times(world.out)
    (cell.folder / "models.safetensors").unlink()
    assert compare_world(world, quiet).made == 1
    assert (cell.folder / "models.safetensors").exists()
    assert times(world.out).keys() == before.keys()


def test_items_of_the_control_start_from_other_items_texts(tmp_path: Path) -> None:
    world = small_world(tmp_path, rows=("none x description",))
    fitted, config = Fitted(world), world.config.sasrec
    own, other, again = (
        network_inputs(ROWS_BY_NAME[name], fitted, seed, config, report=False)["initial_items"]
        for name, seed in (
            ("none x description", 0), ("none x shuffled description", 0),
            ("none x shuffled description", 1),
        )
    )  # fmt: skip
    for shuffled in (other, again):
        assert {row.tobytes() for row in shuffled} == {row.tobytes() for row in own}
        assert (shuffled != own).any(axis=1).mean() > 0.5
    assert not np.array_equal(other, again)


def test_a_cell_that_cannot_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world(tmp_path, rows=("popularity",))

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("personarec.compare.cells.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        compare_world(world, quiet)
    assert list(tmp_path.glob("cells/*")) == []


def test_other_settings_or_data_make_other_cells(tmp_path: Path) -> None:
    rows = ("popularity", "sasrec")
    first = compare_world(small_world(tmp_path, rows=rows, seeds=1), quiet)
    folders = {c.folder for own in first.cells.values() for c in own}
    for changed in (
        small_world(tmp_path, rows=rows, seeds=1, refit=False),
        small_world(tmp_path, rows=rows, seeds=1, split="user-disjoint"),
        replace(small_world(tmp_path, rows=rows, seeds=1), data_hash="of other data"),
    ):
        found = compare_world(changed, quiet)
        assert found.made == 2
        assert not folders & {c.folder for own in found.cells.values() for c in own}
    other = small_world(tmp_path, rows=rows, seeds=1)
    options = other.config.options.model_copy(update={"learning_rate": 0.01})
    config = other.config.model_copy(update={"options": options})
    assert compare_world(replace(other, config=config), quiet).made == 1  # popularity has none


@pytest.mark.slow  # each process loads torch anew
def test_side_by_side_as_one_after_the_other(tmp_path: Path) -> None:
    one, two = (
        compare_world(small_world(tmp_path / name, rows=("sasrec",)), quiet, workers=workers)
        for name, workers in (("a", 1), ("b", 2))
    )
    for row in one.rows:
        for a, b in zip(one.cells[row.name], two.cells[row.name], strict=True):
            found = [pl.read_parquet(c.folder / "ranks.parquet") for c in (a, b)]
            assert found[0].equals(found[1])
            assert a.key == b.key


@pytest.mark.parametrize("split", ["leave-one-out", "global-temporal", "user-disjoint"])
def test_report_of_every_kind_of_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    rows = (
        *ROWS, "item-knn", "linear", "everything", "everything+persona", "token",
        "token constant", "prefix norms shuffled", "everything reranked 10",
        "everything learned rerank", "everything with shuffled facts learned rerank",
        "everything+persona learned rerank",
        "none x description", "random x random", "everything from texts learned rerank",
        "everything from shuffled texts",
    )  # fmt: skip
    world = small_world(tmp_path, rows=rows, seeds=1, split=split, encoder="svd")
    done = compare_world(world, quiet)
    assert done.absent == (
        {"random x random": "trained tokens belong to users, and this split tests users that "
         "have none"} if split == "user-disjoint" else {}
    )  # fmt: skip
    document = json.loads(json.dumps(results_document(done), allow_nan=False))
    in_paper = {c["row"]: c for c in document["paper"] if "absent" not in c}
    assert "sasrec" in in_paper
    for row in document["rows"]:
        assert in_paper.get(row["name"], row)["HR@10"] == row["HR@10"]
        (own,) = row["NDCG@10 per seed"]
        assert own == pytest.approx(row["NDCG@10"])
        assert 0 <= row["NDCG@10"] <= row["HR@10"] <= row["HR@20"] <= row["HR@100"] <= 1
        low, high = row["NDCG@10 interval"]
        assert low <= row["NDCG@10"] <= high
        if split == "leave-one-out":  # elsewhere misses are of queries, HR of users
            parts = row["misses"]
            assert parts["not in candidates"] + parts["demoted"] == pytest.approx(1 - row["HR@10"])
    compared = {(c["row"], c["against"]) for c in document["comparisons"]}
    assert ("sasrec+transitions+facts", "sasrec+transitions+shuffled facts") in compared
    assert ("everything learned rerank", "everything") in compared
    for slicing in document["slices"]:
        assert sum(p["queries"] for p in slicing["parts"]) == document["queries"]
    if split == "user-disjoint":
        assert set(document["rows"][0]["by items shown"]) == {"1", "2", "3", "5"}
    check_cell(done.cells["sasrec"][0].folder, world)

    markdown, html = (p.read_text() for p in write_report(tmp_path, document, "personarec <x>"))
    for row in document["rows"]:
        assert f"| {row['name']} |" in markdown
    assert "no test item" not in html.split("Leak checks")[0]
    page = html.lower()
    for foreign in ('src="http', "src='http", "@import", "<script", "<link", "url(http"):
        assert foreign not in page
    assert page.count("<svg") == 2 + len(document["slices"])
    assert "personarec &lt;x&gt;" in page
    assert "#0" not in html.split("</style>")[1]  # every colour is the page's own
    ids = [part.split('"')[0] for part in html.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    bare = write_report(tmp_path, document, "personarec")[1].read_text()
    assert "figures need matplotlib" in bare
    assert bare.count("<table") == html.count("<table")


def check_cell(folder: Path, world: Any) -> None:
    assert {p.name for p in folder.iterdir()} == {
        "config.json", "environment.json", "metrics.json", "ranks.parquet", "models.safetensors",
    }  # fmt: skip
    ranks = pl.read_parquet(folder / "ranks.parquet")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(ranks) == len(world.protocol.test)
    assert float(ndcg(ranks["rank"].to_numpy(), 10).mean()) == pytest.approx(metrics["NDCG@10"])
    assert set(ranks.columns) == {"user", "item", "rank", "top"}
    # The target is in the list exactly where its rank is within ten (no ties in a network).
    place = {key: i for i, key in enumerate(world.data.catalogue.ids)}
    inside = [place[i] in top for i, top in zip(ranks["item"], ranks["top"], strict=True)]
    np.testing.assert_array_equal(inside, ranks["rank"].to_numpy() <= 10)


def test_a_row_whose_input_fails_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    world = small_world(tmp_path, rows=("popularity", "token", "linear+facts"), encoder="svd")
    graph = replace(world.data.graph, relations={})
    bare = replace(
        world.data, graph=graph, facts=world.data.facts[:, :0], fact_columns=(),
        catalogue=replace(world.data.catalogue, titles=(None,) * N_ITEMS),
    )  # fmt: skip
    rows = ("popularity", "linear+facts", "token mean-item", "none x description")
    config = world.config.model_copy(update={"rows": rows})
    done = compare_world(replace(world, data=bare, config=config), quiet)
    assert [r.name for r in done.rows] == ["popularity"]
    assert done.absent["linear+facts"] == "the items have no facts"
    assert done.absent["token mean-item"] == "the items have no facts"
    document = results_document(done)
    assert document["rows"][0]["lists"]["diversity"] is None
    json.dumps(document, allow_nan=False)
    assert "| – |" in write_report(tmp_path, document, "personarec")[0].read_text()
    assert "no text vectors: no item has a title" in done.absent["none x description"]


def test_personas_are_as_wide_as_the_settings_say_and_other_widths_are_other_cells(
    tmp_path: Path,
) -> None:
    rows = ("sasrec", "token", "token shuffled", "random x random")
    asked = {"rows": rows, "encoder": "svd", "seeds": 1}
    narrow, wide = (compare_world(small_world(tmp_path, **asked, dim=dim), quiet) for dim in (4, 6))
    # The network without a persona, and the one whose personas are rows of it, are the same.
    assert (narrow.made, wide.made) == (4, 2)
    for done, dim in ((narrow, 4), (wide, 6)):
        found = json.loads((done.cells["token"][0].folder / "metrics.json").read_text())
        assert found["notes"]["shape"]["persona_size"] == dim
    kept = [file.name.split(".")[2] for file in (tmp_path / "personas").glob("*.safetensors")]
    assert set(kept) == {"4", "6"}


# -- leaks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["leave-one-out", "global-temporal", "user-disjoint"])
def test_checks_pass_and_say_what_they_saw(tmp_path: Path, split: str) -> None:
    checks = run_checks(small_world(tmp_path, split=split))
    assert [c.name for c in checks] == [
        "what settings are chosen on", "what is fitted to be reported", "facts", "test queries",
    ]  # fmt: skip


@pytest.mark.parametrize("split", ["leave-one-out", "global-temporal", "user-disjoint"])
@pytest.mark.parametrize("part", ["train", "refitted"])
def test_held_out_items_planted_in_a_split_stop_everything(
    tmp_path: Path, split: str, part: str
) -> None:
    world = small_world(tmp_path, split=split)
    whole = Sequences.from_interactions(world.data.interactions)
    leaky = replace(world.data.split, **{part: whole})
    world = replace(
        world,
        data=replace(world.data, split=leaky),
        protocol=replace(world.protocol, split=leaky),
    )
    with pytest.raises(LeakError, match="more items than the fit sequences allow"):
        compare_world(world, quiet)
    assert not (tmp_path / "cells").exists()


def test_later_items_of_who_validates_as_a_stranger_stop_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the item asked for, but what comes after it: known when it is asked for, it tells."""
    monkeypatch.setattr("personarec.evaluation.protocols.VALIDATORS", 1)
    world = small_world(tmp_path, split="user-disjoint")
    split, whole = world.protocol.split, Sequences.from_interactions(world.data.interactions)
    rows = [
        [*known, *(whole[u][len(known) + 1 :] if split.valid[u] >= 0 else [])]
        for u, known in ((u, split.train[u]) for u in range(len(whole)))
    ]
    longer = [len(row) for row in rows]
    assert sum(longer) > len(split.train.items)
    items = np.array([i for row in rows for i in row], np.int32)
    leaky = Sequences(np.concatenate(([0], np.cumsum(longer))), items, whole.n_items)
    split = replace(split, train=leaky)
    world = replace(
        world, data=replace(world.data, split=split), protocol=replace(world.protocol, split=split)
    )
    with pytest.raises(LeakError, match="more items than the fit sequences allow"):
        compare_world(world, quiet)


def test_held_out_transitions_planted_in_evidence_stop_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world(tmp_path)
    whole = Sequences.from_interactions(world.data.interactions)
    monkeypatch.setattr(
        "personarec.retriever.evidence.transition_counts", lambda _: transition_counts(whole)
    )
    with pytest.raises(LeakError, match="transitions of what settings are chosen on"):
        compare_world(world, quiet)


def test_a_target_shown_at_test_stops_everything(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    asked = world.protocol.test
    shown = asked.visible.append(asked.targets)
    leaky = replace(world.protocol, test=replace(asked, visible=shown))
    with pytest.raises(LeakError, match="what is shown at test"):
        compare_world(replace(world, protocol=leaky), quiet)


def test_later_purchases_are_left_out_or_stop_everything(tmp_path: Path) -> None:
    data = small_data(also=True)
    assert "ALSO_BOUGHT" in {c.relation for c in data.fact_columns}
    kept, left_out = without_later_purchases(data.graph)
    assert left_out == ("ALSO_BOUGHT",)
    assert {name for _, name, _ in kept.relations} == {"AUTHOR", "IN_SERIES"}
    world = small_world(tmp_path)
    with pytest.raises(LeakError, match="ALSO_BOUGHT were derived from later purchases"):
        run_checks(replace(world, data=replace(data, split=world.data.split)))


def test_a_cells_name_can_be_read() -> None:
    found = cell_folder(Path("out"), "kg+text x random", 3, "abcdef0123456789")
    assert found == Path("out/cells/kg-text-x-random.seed3.abcdef012345")


def test_a_language_model_tells_users_once_and_is_told_no_held_out_item(tmp_path: Path) -> None:
    def model(_text: str, number: int) -> Sent:
        return said(f"mood {number % 5}")

    with chat_server(model) as server:
        changes = {"rows": ("text x random",), "seeds": 1, "llm_url": server.url, "llm_model": "m"}
        world = replace(small_world(tmp_path / "out", **changes), texts=tmp_path / "texts")
        done = compare_world(world, quiet)
        assert not done.absent
        asked = len(server.asked)
        # Of the training items, then of the validation items too, for the refitted network.
        assert N_USERS <= asked <= 2 * N_USERS
        titles = world.data.catalogue.titles
        visible = {
            tuple(titles[i] for i in world.data.split.fit(refit)[user])
            for user in range(N_USERS)
            for refit in (False, True)
        }
        told = {
            tuple(re.findall(r"Title \d+", question.split("Chosen:")[-1]))
            for question in server.questions
        }
        assert told <= visible
        compare_world(replace(world, out=tmp_path / "again"), quiet)
        assert len(server.asked) == asked
    plain = small_world(tmp_path / "out", rows=("text x random",), seeds=1)
    assert compare_world(plain, quiet).cells["text x random"] != done.cells["text x random"]


def test_weights_by_length_are_reported_with_their_groups(tmp_path: Path) -> None:
    rows = ("everything", "everything by length")
    done = compare_world(small_world(tmp_path, rows=rows, seeds=1), quiet)
    document = results_document(done)
    one, by_length = (
        next(r for r in document["rows"] if r["name"] == name)["weights"][0] for name in rows
    )
    starts = {int(name.split(" from ")[1].split()[0]) for name in by_length}
    assert min(starts) == 0
    assert len(starts) > 1
    assert set(by_length) == {f"{name} from {start} items" for name in one for start in starts}
