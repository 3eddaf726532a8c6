"""From sources to an explained recommendation, by the command line, on both engines."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import GraphAddress, quiet
from small import write_small

import cli
from kg.ingest import dump_hash, stats
from kg.store import GraphStore
from kg.views.personas import read_personas, require_model, versions
from personarec.commands.recommend import print_recommended, recommend_for
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.splits import Split
from personarec.recommend.service import Options, Recommender, Whom, open_run
from personarec.rerank.lessons import Judged
from personarec.retriever.persona_scores import PersonaScores
from personarec.retriever.recommender import Retriever
from personarec.training import run as run_module
from personarec.training.config import RERANKED, ROWS, TrainConfig
from personarec.training.data import known_prefix, read_data
from personarec.training.run import latest_run, train_data_set

METRICS = ("HR@10", "NDCG@10", "MRR@10", "HR@100", "NDCG@100", "MRR@100")


def personarec(graph: GraphAddress, *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    where = ["--home", str(graph.home), *(["--graph", graph.uri] if graph.uri else [])]
    argv, sys.argv = sys.argv, ["personarec", *arguments, *where]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stopped:
            cli.main()
    finally:
        sys.argv = argv
    return int(stopped.value.code or 0), out.getvalue(), err.getvalue()


def ok(graph: GraphAddress, *arguments: str) -> Any:
    code, out, err = personarec(graph, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_demo_road_twice(graph: GraphAddress) -> None:
    """The whole of ``make demo`` with all its rows, then again: quick, and nothing changes."""
    first = ok(graph, "train", "--dataset", "demo", "--epochs", "4")
    assert [r["name"] for r in first] == list(ROWS)
    for row in first:
        values = [row[m] for m in METRICS]
        assert all(0 <= v <= 1 for v in values)
        assert row["NDCG@10"] <= row["HR@10"] <= row["HR@100"]
    by_name = {r["name"]: r for r in first}
    # The planted order and tastes must show, whatever the seed.
    assert by_name["transitions+facts"]["NDCG@10"] > 2 * by_name["popularity"]["NDCG@10"]
    found = latest_run(graph.home, "demo")
    assert found is not None
    (_, run), trained_at = found, (found[1] / "metrics.json").stat().st_mtime_ns

    with graph.connect() as store:
        before = dump_hash(store, derived=True)
        loads = stats(store)["loads"]
        assert [x["status"] for x in loads] == ["complete"]
    code, again, err = personarec(graph, "train", "--dataset", "demo", "--epochs", "4")
    assert code == 0, err
    assert "0 created, 0 changed by the ingest" in again
    assert "this training was there already" in again
    assert all(name in again for name in ROWS)
    assert "clear" in again
    assert "learned rerank not kept: cross-fitted validation" in again
    assert "soon after" in again
    assert (run / "metrics.json").stat().st_mtime_ns == trained_at
    with graph.connect() as store:
        assert dump_hash(store, derived=True) == before
        assert stats(store)["loads"] == loads
        check_planted_tastes(store)
    check_run_folder(run)
    check_recommendations(graph)
    check_personas(graph)


def check_planted_tastes(store: GraphStore) -> None:
    """Clusters of the stored personas are the planted tastes; of shuffled ones they are not."""
    from importlib.resources import files

    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    lines = files("personarec.datasets.demo").joinpath("tastes.tsv").read_text("utf-8").splitlines()
    planted = {f"demo:{row.split(chr(9))[0]}": row.split("\t")[1] for row in lines[1:]}
    users = sorted(planted)
    vectors = read_personas(store, require_model(store, "demo"), users)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = KMeans(len(set(planted.values())), n_init=10, random_state=0).fit_predict(vectors)
    truth = [planted[u] for u in users]
    assert adjusted_rand_score(truth, found) > 0.75
    shuffled = np.random.default_rng(0).permutation(found)
    assert abs(adjusted_rand_score(truth, shuffled)) < 0.05


def check_run_folder(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {
        "config.json", "environment.json", "metrics.json", "ranks.parquet", "checkpoint",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["options"]["epochs"] == 4
    environment = json.loads((folder / "environment.json").read_text())
    assert len(environment["dataHash"]) == 64
    ranks = pl.read_parquet(folder / "ranks.parquet")
    metrics = json.loads((folder / "metrics.json").read_text())
    rerank = metrics["rerank"]
    found = rerank["seeds"][0]["validation NDCG@10"]
    assert found["mean"] == pytest.approx(found["after"] - found["before"])
    assert rerank["kept"] == (found["low"] > 0)
    assert (Retriever.load(folder / "checkpoint").rerank is not None) == rerank["kept"]
    for row in metrics["rows"]:
        own = ranks.filter(pl.col("row") == row["name"])["rank"]
        assert len(own) == metrics["users"]
        assert (own <= 10).mean() == pytest.approx(row["HR@10"])


def check_recommendations(graph: GraphAddress) -> None:
    known = ok(graph, "recommend", "DEMOR00007", "--dataset", "demo", "-n", "5", "--explain")
    assert len(known["recommendations"]) == 5
    assert not {r["item"] for r in known["recommendations"]} & set(known["history"])
    for found in known["recommendations"]:
        assert found["score"] == pytest.approx(sum(found["parts"].values()), abs=1e-4)
        for path in found["paths"]:
            assert path["from"] in known["history"]
            assert path["to"] == found["item"]
    session = ok(graph, "recommend", "--items", "Dune,Foundation", "--explain")
    kinds = {p["kind"] for r in session["recommendations"] for p in r["paths"]}
    assert kinds >= {"fact", "transition"}
    quoted = ok(graph, "recommend", "--items", '"The Lion, the Witch and the Wardrobe", Dune')
    assert len(quoted["history"]) == 2
    code, _, err = personarec(graph, "recommend", "--items", "Dune,No such book")
    assert (code, err.count("\n")) == (1, 1)
    assert "no item 'No such book'" in err


def check_personas(graph: GraphAddress) -> None:
    near = ok(graph, "kg", "neighbours", "DEMOR00007", "-n", "5")
    assert len(near["neighbours"]) == 5
    assert near["neighbours"][0]["shared"]
    persona = ok(graph, "personas", "show", "DEMOR00007")
    weights = [p["weight"] for p in persona["preferences"]]
    assert weights == sorted(weights, reverse=True)
    assert len(weights) == 20
    code, out, _ = personarec(graph, "personas", "show", "DEMOR00007")
    assert code == 0
    assert persona["preferences"][0]["name"] in out


def test_checkpoint_needs_neither_data_set_nor_graph(
    store: GraphStore, graph: GraphAddress, tmp_path: Path
) -> None:
    result = trained(store, graph.home, tmp_path)
    retriever = Retriever.load(result.folder / "checkpoint")
    found = retriever.recommend([0, 1], 3)
    assert len(found) == 3
    (tmp_path / "elsewhere").mkdir()
    moved = (result.folder / "checkpoint").rename(tmp_path / "elsewhere" / "copy")
    assert Retriever.load(moved).recommend([0, 1], 3) == found


SMALL = TrainConfig().model_copy(update={"rows": ("popularity", "none", "transitions+facts")})


def trained(
    store: GraphStore,
    home: Path,
    tmp_path: Path,
    workers: int = 1,
    said: Callable[[str], None] = lambda _: None,
    **changes: Any,
) -> run_module.Run:
    from kg.ingest import ingest

    data = write_small(tmp_path / "data", users=30, items=15)
    ingest(store, data, home, quiet)
    config = SMALL.model_copy(
        update={"options": SMALL.options.model_copy(update={"epochs": 2, "threads": 1}), **changes}
    )
    return train_data_set(store, "small", config, home, quiet, said, workers=workers)


def test_refit_learns_from_validation_items_and_writes_them(
    store: GraphStore, graph: GraphAddress, tmp_path: Path
) -> None:
    plain = trained(store, graph.home, tmp_path)
    before = read_personas(store, require_model(store, "small"), read_data(store, "small").users)
    refitted = trained(store, graph.home, tmp_path, refit=True)
    after = read_personas(store, require_model(store, "small"), read_data(store, "small").users)
    assert plain.folder != refitted.folder
    assert plain.metrics["protocol"] != refitted.metrics["protocol"]
    assert not np.array_equal(before, after)
    assert require_model(store, "small").fitted == "train and validation interactions"
    assert latest_run(graph.home, "small") == ("small", refitted.folder)


def test_a_kept_rerank_orders_what_is_recommended(
    store: GraphStore, graph: GraphAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept by a planted verdict: what is recommended has the ranks of its row in the table."""
    monkeypatch.setattr(Judged, "helps", property(lambda judged: True))
    said: list[str] = []
    result = trained(store, graph.home, tmp_path, rows=("all evidence", RERANKED), said=said.append)
    assert result.metrics["rerank"]["kept"]
    assert [line for line in said if line.startswith("learned rerank kept: ")] == [
        result.metrics["rerank"]["why"]
    ]
    ranks = pl.read_parquet(result.folder / "ranks.parquet").filter(pl.col("row") == RERANKED)
    rank_of = {(row["user"], row["item"]): row["rank"] for row in ranks.iter_rows(named=True)}
    data = read_data(store, "small")
    _, retriever = open_run(graph.home, "small")
    recommender = Recommender(store, "small", retriever)
    prefix, everything = known_prefix(data.split), Options(len(data.catalogue.ids), explained=20)
    checked = 0
    for user, target in enumerate(data.split.test):
        history = tuple(data.catalogue.ids[i] for i in prefix[user])
        if target < 0 or not history:
            continue
        found = recommender.recommend(Whom(history), everything)
        place = [one.item for one in found].index(data.catalogue.ids[target]) + 1
        assert abs(rank_of[data.users[user], data.catalogue.ids[target]] - place) <= 0.5
        for one in found:
            assert list(one.parts)[-1] == "rerank"
            assert one.score == pytest.approx(sum(one.parts.values()), abs=1e-4)
        checked += 1
    assert checked == len(rank_of) > 20
    # The command and the page ask the same recommender, for a known user and for a session.
    (who, *_) = recommender.user(data.users[0]).history[-1:]
    known = recommend_for(store, graph.home, "small", data.users[0], None, 3, explained=True)
    strange = recommend_for(store, graph.home, "small", None, who, 3, explained=True)
    for outcome in (known, strange):
        assert all("rerank" in one.parts for one in outcome.found)
        print_recommended(outcome)


def test_a_persona_that_weighs_newer_items_more_is_part_of_the_retriever(
    store: GraphStore, graph: GraphAddress, tmp_path: Path
) -> None:
    """Fitted for both phases, saved, and part of what is recommended, to strangers too."""
    settings = {"dim": 8, "epochs": 3, "batch_size": 64}
    changed: dict[str, Any] = {"encoder": "relational", "encoder_settings": settings}
    rows = ("none", "all evidence")
    result = trained(store, graph.home, tmp_path, rows=rows, refit=True, rerank=False, **changed)
    assert "persona" in result.metrics["rows"][1]["weights"][0]
    retriever = Retriever.load(result.folder / "checkpoint")
    scores = retriever.evidence["persona"]
    assert isinstance(scores, PersonaScores)
    # The stored personas are of the retriever's own vectors, with all items weighing alike.
    data = read_data(store, "small")
    stored = read_personas(store, require_model(store, "small"), data.users)
    made = scores.personas.long_term(data.split.fit(refit=True))
    np.testing.assert_allclose(stored, made, atol=1e-6)

    weighed = replace(retriever, weights={**retriever.weights, "persona": 0.5})
    (found,) = weighed.recommend([0, 1, 2], 1)
    assert found.parts["persona"] != 0
    assert found.score == pytest.approx(sum(found.parts.values()), abs=1e-5)
    # An encoder that averages its items gives no such part.
    plain = trained(store, graph.home, tmp_path, rows=rows, refit=True, rerank=False)
    assert "persona" not in plain.metrics["rows"][1]["weights"][0]


def test_planted_leak_in_the_graph_stops_the_training(
    store: GraphStore, graph: GraphAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transitions that go on into the held-out items reach the graph: training must refuse."""

    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.transitions import transition_counts

    def leaky_write(store: Any, dataset: str, catalogue: Any, counts: Any, *rest: Any) -> Any:
        everything = Sequences.from_interactions(read_data(store, dataset).interactions)
        return write(store, dataset, catalogue, transition_counts(everything), *rest)

    write = run_module.write_transitions
    monkeypatch.setattr(run_module, "write_transitions", leaky_write)
    with pytest.raises(LeakError, match="NEXT relations"):
        trained(store, graph.home, tmp_path)
    assert latest_run(graph.home, "small") is None


def test_planted_leak_in_the_personas_stops_the_training(
    store: GraphStore, graph: GraphAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Personas made of everything, the test items too: training must refuse, and write nothing."""
    monkeypatch.setattr(
        Split, "fit", lambda split, _refit: split.train.append(split.valid).append(split.test)
    )
    with pytest.raises(LeakError, match="RATED relations that personas are made of"):
        trained(store, graph.home, tmp_path)
    assert versions(store, "small") == []


def test_same_seed_same_table_alone_or_side_by_side(
    store: GraphStore, graph: GraphAddress, tmp_path: Path
) -> None:
    rows = ("none", "persona", "transitions+facts", RERANKED)
    first = trained(store, graph.home, tmp_path, rows=rows)
    (first.folder / "metrics.json").unlink()
    again = trained(store, graph.home, tmp_path, workers=2, rows=rows)
    assert again.fresh
    assert again.metrics == first.metrics
