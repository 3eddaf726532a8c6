"""``personarec compare-personas`` on the demo: cells, going on after a stop, the report."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("sklearn")

from kg.errors import ChangeSomethingError, TryAgainError
from kg.ingest import ingest
from kg.store import connect
from personarec.commands.compare_personas import (
    cells_of,
    compare_personas,
    wanted,
    write_report,
)
from personarec.datasets.manifest import resolve
from personarec.evaluation.leakage import LeakError, refuse_known_users
from personarec.personas.comparison import cells as cells_module
from personarec.personas.comparison.cells import Cell, cells_folder, make_cells
from personarec.personas.comparison.intervals import nested_interval
from personarec.personas.comparison.report import gate, rows_of
from personarec.personas.comparison.strangers import parted
from personarec.training.data import GraphData, read_data

ASKED = ("mean-item,propagation", "6", 2)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> GraphData:
    home = tmp_path_factory.mktemp("home")
    with connect(None, home) as store:
        ingest(store, resolve("demo"), home, lambda _what, _done, _total: None)
        return read_data(store, "demo")


def test_a_comparison_goes_on_where_it_stopped(
    demo: GraphData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted(["demo"], *ASKED)
    cells = cells_of(asked)
    assert [c.seed for c in cells if c.encoder == "propagation"] == [0, 0, 1, 1]
    assert [c.seed for c in cells if c.encoder == "mean-item"] == [0]  # draws nothing
    folder = cells_folder(tmp_path, demo)
    said: list[str] = []

    def stop_after_two(line: str) -> None:
        said.append(line)
        if "2 of" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cells(folder, demo, cells, stop_after_two)
    made = sorted(p.name for p in folder.glob("*.json"))
    assert len(made) == 2
    times = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    # One that was stopped between its two files is not there.
    (folder / f"{cells[2].stem}.parquet").write_bytes(b"half")

    monkeypatch.setattr("personarec.training.data.read_data", lambda _store, _name: demo)
    document, text = compare_personas(None, asked, tmp_path)  # type: ignore[arg-type]
    assert len(list(folder.glob("*.json"))) == len(cells)
    assert not list(folder.glob("*.partial"))
    for name, written in times.items():
        assert (folder / name).stat().st_mtime_ns == written
    make_cells(folder, demo, cells, said.append)
    assert said[-1] == f"demo: {len(cells)} cells are there, 0 to make"
    write_report(tmp_path / "report.md", document, text)
    assert json.loads((tmp_path / "report.json").read_text()) == document
    check_table(document, text, folder)


def check_table(document: dict, text: str, folder: Path) -> None:
    rows = {r["encoder"]: r for r in document["tables"]["demo"]}
    assert {name: r["seeds"] for name, r in rows.items()} == {"mean-item": 1, "propagation": 2}
    for row in rows.values():
        for mean, low, high in row["intervals"].values():
            assert low <= mean <= high
        assert row["against"]["shuffled"][1] > 0  # the demo's tastes are planted
        assert row["means"]["taste ARI"] > 0.3
    ranks = pl.read_parquet(folder / "alone-mean-item-6-0.parquet")
    found = rows["mean-item"]["intervals"]["HR@10"][0]
    assert (ranks["rank"] <= 10).mean() == pytest.approx(found)
    assert text.count("| propagation |") == 5  # the table's, and one for each row of strangers
    assert "One data set is too few" in text
    for strange in document["strangers"]["demo"]:
        shown = strange["shown"]
        assert shown["persona 10"]["hr100"] >= shown["popularity 10"]["hr100"]


def test_an_encoder_that_fails_says_why_and_a_killed_one_how_to_go_on(
    demo: GraphData, tmp_path: Path
) -> None:
    with pytest.raises(ChangeSomethingError, match="facts"):
        make_cells(tmp_path, demo, [Cell("strangers", "facts", 4, 0)], lambda _line: None)
    broken = tmp_path / "gone"

    def kill_first() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.005)
        children[0].kill()

    killer = threading.Thread(target=kill_first)
    killer.start()
    with pytest.raises(TryAgainError, match="goes on from here"):
        make_cells(broken, demo, [Cell("alone", "svd", 4, 0)], lambda _line: None)
    killer.join()
    assert not list(broken.glob("*.json"))


def test_strangers_have_nothing_in_what_is_fitted(demo: GraphData) -> None:
    found = parted(demo, 0)
    rated = found.data.graph.relations[found.data.rated]
    assert (np.diff(rated.indptr)[found.strangers] == 0).all()
    assert len(found.strangers) == int(0.2 * (demo.split.test >= 0).sum())
    with pytest.raises(LeakError, match="were fitted to"):  # planted
        refuse_known_users("planted", demo.split.train, found.strangers)


def test_options_that_cannot_be(tmp_path: Path) -> None:
    for encoders, dims, match in (
        ("svdd", "4", "did you mean svd"), (None, "many", "give numbers"), (None, "1", "two")
    ):  # fmt: skip
        with pytest.raises(ChangeSomethingError, match=match):
            wanted(["demo"], encoders, dims, 1)


def test_users_are_nested_in_seeds() -> None:
    rng = np.random.default_rng(0)
    users = rng.random(300)
    same = nested_interval(np.stack([users] * 3))
    one = nested_interval(users[None])
    # The same users three times are no more users; seeds that differ make it wider.
    assert same.high - same.low == pytest.approx(one.high - one.low, rel=0.15)
    apart = nested_interval(np.stack([users - 0.3, users, users + 0.3]))
    assert apart.high - apart.low > 3 * (one.high - one.low)
    paired = nested_interval(users[None] + 0.01, users[None])
    assert (paired.low, paired.high) == pytest.approx((0.01, 0.01))
    with pytest.raises(ValueError, match="same users"):
        nested_interval(users[None], users[None, 1:])


def test_the_gate_asks_for_all_three_on_both() -> None:
    def cell(encoder: str, rank: float, seed: int = 0) -> tuple[dict, pl.DataFrame]:
        rng = np.random.default_rng(seed)
        n = 200
        ranks = np.maximum(1, rank + rng.integers(-2, 3, n)).astype(float)
        frame = pl.DataFrame(
            {
                "user": np.arange(n), "rank": ranks, "shuffled": ranks + 200,
                "cold": np.zeros(n, bool), "few": np.zeros(n, bool),
                "valid_edge": ranks, "test_edge": ranks,
            }
        )  # fmt: skip
        base = {"encoder": encoder, "dim": 4, "seed": seed, "reading": "own", "settings": {}}
        return base | {"seconds": 1.0, "fitSeconds": 1.0, "peakMb": 1}, frame

    good = [cell("mean-item", 9), cell("propagation", 8), cell("svd", 3)]
    bad = [cell("mean-item", 9), cell("propagation", 3), cell("svd", 5)]
    assert "Better: svd 4." in gate({"a": rows_of(good), "b": rows_of(good)})
    verdict = gate({"a": rows_of(good), "b": rows_of(bad)})
    assert "None is." in verdict
    assert "- svd 4: a: " in verdict


def test_an_encoder_named_twice_is_asked_once() -> None:
    asked = wanted(["demo", "demo"], "svd, random,svd", "8", 1)
    assert (asked.datasets, asked.encoders) == (("demo",), ("svd", "random"))


def test_cells_of_encoders_that_worked_otherwise_are_not_taken(
    demo: GraphData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cells_folder(tmp_path, demo)
    assert cells_folder(tmp_path, demo) == before
    monkeypatch.setattr(cells_module, "ENCODER_FORMAT", cells_module.ENCODER_FORMAT + 1)
    assert cells_folder(tmp_path, demo) != before
