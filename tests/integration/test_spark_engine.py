"""Staging and writing by Spark: the same books, tables and graph as by this process."""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from conftest import GraphAddress, in_ci, quiet
from polars.testing import assert_frame_equal
from rich_data import DBR, write_rich
from services.tcp_proxy import CommitCutter
from small import write_small

from kg.errors import ChangeSomethingError, TryAgainError
from kg.ingest import DataSetSources, IngestResult, Source, dump, dump_hash, ingest, stats
from kg.ingest.stage import Stage
from kg.ingest.staging import stage
from kg.spark import SparkWriter, ingest_with_spark, stage_with_spark, writing
from kg.spark.session import _no_stack_of_a_signal
from kg.store import GraphStore, Statement, connect, statement

# Each of the hundred statements is a job of its own; that takes a minute for any data this small.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """A session on two cores, three tries a task; skipped or failed as the Neo4j tests."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession

        os.environ["PYSPARK_PYTHON"] = sys.executable
        session = (
            SparkSession.builder.master("local[2,3]")
            .config("spark.driver.memory", "1g")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.log.level", "ERROR")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.codegen.wholeStage", "false")  # to compile takes longer than to run
            .getOrCreate()
        )
    except (ModuleNotFoundError, PySparkException) as error:
        if in_ci():
            pytest.fail(f"the Spark engine must be tested here: {error}", pytrace=False)
        pytest.skip(f"SPARK NOT TESTED: {error}")
    yield session
    session.stop()


def write_noisy(folder: Path) -> DataSetSources:
    """Duplicates, conflicts, ties and rows of every kind that is set aside."""
    data = write_rich(folder / "rich", "noisy")
    draw = random.Random(7)
    rows = ["user_id\titem_id\trating\ttimestamp"]
    for _ in range(400):
        user, item = f"u{draw.randrange(12)}", f"i{draw.randrange(15)}"
        rows.append(f"{user}\t{item}\t{draw.choice(['', '1', '2.5'])}\t{draw.randrange(30)}")
    rows[50:50] = ["u\ti\tx\t1", "", "u\ti\t1\t1\t1", f"{'k' * 2000}\ti\t1\t1", "u\ti\t1\t1e30"]
    items = ["item_id\ttitle\tgenres\tdbpedia_uri"]
    items += [f"i{n % 15}\tTitle {n} e\u0301\tDrama|War{n % 2}\t{DBR}R{n % 13}" for n in range(25)]
    facts = ["head\trelation\ttail"]
    for n in range(60):
        predicate = ("dbo:director", "http://dbpedia.org/ontology/director", "dbo:nothing")[n % 3]
        facts.append(f"{DBR}R{n % 17}\t{predicate}\t{DBR}Person_{n % 5}")
    facts += [f"{DBR}R1\tdbo:previousWork\t{DBR}R2", f"{DBR}R2\tdbo:starring\tnot an IRI"]
    labels = []
    for n in range(20):
        name = "http://www.w3.org/2000/01/rdf-schema#label"
        labels.append(f'<{DBR}Person_{n % 7}> <{name}> "Name {n // 7}"@en .')
        about = "http://dbpedia.org/ontology/abstract"
        labels.append(f'<{DBR}R{n}> <{about}> " About {n}, in\\nlines. "@en .')
    labels.append("<broken> .")
    reviews = [
        f'{{"reviewerID": "u{n}", "asin": "i{n}", "overall": 5.0, "unixReviewTime": {n}}}'
        for n in range(20)
    ]
    sources = list(data.sources)
    for name, file, lines in (
        ("tsv-interactions", "interactions.tsv", rows), ("tsv-items", "items.tsv", items),
        ("tsv-facts", "facts.tsv", facts), ("ntriples", "labels.nt", labels),
        ("amazon-reviews", "reviews.json", reviews),
    ):  # fmt: skip
        (folder / file).write_text("\n".join(lines) + "\n", "utf-8")
        sources.append(Source(name, folder / file))
    return replace(data, sources=tuple(sources))


def same(here: Stage, there: Stage) -> None:
    assert there.books == here.books
    assert there.tables == here.tables
    assert list(there.quarantine()) == list(here.quarantine())
    for table in here.tables:
        assert_frame_equal(
            pl.read_parquet(there.folder / table.file), pl.read_parquet(here.folder / table.file)
        )


@pytest.mark.parametrize("k_core", [0, 3])
def test_the_stage_is_the_one_of_this_process(spark: Any, tmp_path: Path, k_core: int) -> None:
    data = replace(write_noisy(tmp_path / "data"), k_core=k_core)
    here = stage(data, tmp_path / "here", quiet)
    for column in ("merged", "duplicates", "conflicts", "quarantined", "unused"):
        assert here.total(column), column
    assert bool(here.total("filtered")) is bool(k_core)
    # Parts so small that every file is read in several.
    there = stage_with_spark(data, tmp_path / "there", quiet, split_bytes=6000)
    same(here, there)
    left = {p.name for p in there.folder.iterdir()} - {t.file for t in there.tables}
    assert left <= {p.name for p in here.folder.iterdir()}
    assert stage_with_spark(data, tmp_path / "there", quiet) == there  # and is not made again


def test_movielens_gives_the_same_graph(spark: Any, shared_data: Path, tmp_path: Path) -> None:
    from personarec.datasets.manifest import resolve

    data = resolve(str(shared_data / "movielens-dbpedia"))
    there = stage_with_spark(data, tmp_path / "there" / "ingest" / data.name, quiet)
    same(stage(data, tmp_path / "here" / "ingest" / data.name, quiet), there)
    with connect(None, tmp_path / "graph") as store:
        first = ingest(store, data, tmp_path / "there", quiet)
        assert first.stage == there
        assert ingest(store, data, tmp_path / "here", quiet).load is None
        assert len(dump_hash(store)) == 64


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PERSONAREC_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments, "--home", str(home)],
        cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip


def test_from_the_command_line(tmp_path: Path) -> None:
    arguments = ("kg", "ingest", "--dataset", "demo", "--offline")
    done = run(tmp_path / "a", *arguments, str(tmp_path / "spark"), "--engine", "spark")
    assert done.returncode == 0, done.stderr
    assert "database import full neo4j @import.args" in done.stdout
    assert run(tmp_path / "b", *arguments, str(tmp_path / "local")).returncode == 0
    for file in sorted((tmp_path / "local").glob("*.csv")):
        if not file.name.startswith("node-Load"):
            here = [line.rpartition(",")[0] for line in file.read_text("utf-8").splitlines()]
            there = (tmp_path / "spark" / file.name).read_text("utf-8").splitlines()
            assert [line.rpartition(",")[0] for line in there] == here, file.name


def test_a_missing_java_is_said(tmp_path: Path) -> None:
    done = run(
        tmp_path, "kg", "ingest", "--dataset", "demo", "--engine", "spark",
        JAVA_HOME=str(tmp_path / "nowhere"),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("personarec: Spark did not start")
    assert "it needs Java 17 or later (JAVA_HOME)" in last
    assert "Traceback" not in done.stderr


# -- into a server, by tasks -----------------------------------------------------------------------

on_server = pytest.mark.parametrize(
    "graph", [pytest.param("neo4j", marks=pytest.mark.neo4j)], indirect=True
)
BATCH = 20
Part = tuple[int, int]


def by_spark(store: GraphStore, data: DataSetSources, home: Path, **options: Any) -> IngestResult:
    """Load by Spark what this process staged, in small batches."""
    stage(data, home / "ingest" / data.name, quiet)
    options = {"batch_rows": BATCH, "max_bad": 1, **options}
    return ingest_with_spark(store, data, home, quiet, **options)


def did(result: IngestResult) -> dict[str, Any]:
    """Counts and books, without the load's own id."""
    return result.as_dict() | {"load": result.load is not None}


def rows_of(result: IngestResult) -> int:
    return sum(t.rows for t in result.stage.tables)


def spied_on(folder: Path) -> Callable[..., Any]:
    """``write_part`` that leaves a file for each task, named by its process; nested, so that
    Spark sends it whole."""

    def spy(part: Part, **given: Any) -> Any:
        from kg.spark.writing import write_part

        table = given["table"]
        (folder / f"{os.getpid()}-{table.kind}-{table.file}-{part[0]}").touch()
        return write_part(part, **given)

    folder.mkdir()
    return spy


@on_server
def test_tasks_write_the_graph_of_one_process(
    spark: Any, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_noisy(tmp_path / "data")
    monkeypatch.setattr(writing, "write_part", spied_on(tmp_path / "tasks"))
    with connect(None, tmp_path / "here") as here:
        expected = ingest(here, data, tmp_path / "here", quiet, max_bad=1)
        first = by_spark(store, data, tmp_path / "there")
        assert did(first) == did(expected)
        assert first.created == rows_of(first)
        assert list(dump(store)) == list(dump(here))

        tasks = [p.name.split("-", 1) for p in (tmp_path / "tasks").iterdir()]
        assert str(os.getpid()) not in {process for process, _ in tasks}
        large = [t for t in first.stage.tables if t.rows > BATCH]
        assert {t.kind for t in large} == {"node", "relation"}
        for table in large:
            assert len([1 for _, what in tasks if f"-{table.file}-" in what]) == 2, table

        loads = stats(store)["loads"]
        again = by_spark(store, data, tmp_path / "again")
        assert (again.load, again.created, again.changed) == (None, 0, 0)
        assert again.unchanged == rows_of(again)
        assert stats(store)["loads"] == loads

        file = data.sources[-4].path  # the titles
        file.write_text(file.read_text("utf-8").replace("Title 1", "Title one"), "utf-8")
        expected = ingest(here, data, tmp_path / "here", quiet, max_bad=1)
        assert expected.changed
        assert did(by_spark(store, data, tmp_path / "there")) == did(expected)
        assert list(dump(store)) == list(dump(here))


@pytest.mark.parametrize("graph", ["embedded"], indirect=True)
def test_the_embedded_engine_is_filled_by_one_process(
    spark: Any, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "write_part", spied_on(tmp_path / "tasks"))
    result = by_spark(store, write_small(tmp_path / "data"), tmp_path / "home")
    assert result.created == rows_of(result)
    assert not list((tmp_path / "tasks").iterdir())


@on_server
def test_a_dry_run_writes_nothing(
    spark: Any, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "write_part", spied_on(tmp_path / "tasks"))
    result = by_spark(store, write_small(tmp_path / "data"), tmp_path / "home", dry_run=True)
    assert result.created == rows_of(result)
    assert list(dump(store)) == []
    assert not list((tmp_path / "tasks").iterdir())


@on_server
def test_a_task_that_dies_is_done_again(
    spark: Any, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()

    def dies_once(part: Part, **given: Any) -> Any:
        from pyspark import TaskContext

        from kg.spark.writing import write_part

        start, stop = part
        if TaskContext.get().attemptNumber() == 0 and stop - start > 2 * given["batch_rows"]:
            write_part((start, start + given["batch_rows"]), **given)
            (dead / f"{given['table'].file}-{start}").touch()
            os._exit(9)  # as if it were killed
        return write_part(part, **given)

    monkeypatch.setattr(writing, "write_part", dies_once)
    data = write_small(tmp_path / "data", users=40)
    result = by_spark(store, data, tmp_path / "there")
    deaths = len(list(dead.iterdir()))
    assert deaths >= 2, "no task died, so nothing was tested"
    # What the dead had written is there, and not written again.
    assert result.unchanged == deaths * BATCH
    assert result.created == rows_of(result) - result.unchanged
    (load,) = stats(store)["loads"]
    assert (load["status"], load["id"]) == ("complete", result.load)
    with connect(None, tmp_path / "here") as here:
        ingest(here, data, tmp_path / "here", quiet)
        assert list(dump(store)) == list(dump(here))


@on_server
def test_a_load_that_only_the_dead_wrote_is_closed(
    spark: Any, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_at_the_end(part: Part, **given: Any) -> Any:
        from pyspark import TaskContext

        from kg.spark.writing import write_part

        done = write_part(part, **given)
        if TaskContext.get().attemptNumber() == 0:
            os._exit(9)
        return done

    monkeypatch.setattr(writing, "write_part", dies_at_the_end)
    result = by_spark(store, write_small(tmp_path / "data"), tmp_path / "home", batch_rows=5000)
    assert (result.created, result.unchanged) == (0, rows_of(result))
    (load,) = stats(store)["loads"]
    assert (load["status"], load["id"]) == ("complete", result.load)


@on_server
def test_what_fails_in_a_task_is_one_line_of_ours(
    spark: Any, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, home = write_small(tmp_path / "data"), tmp_path / "home"
    server = store.server
    assert server is not None

    def fails(error: type[Exception], *, tasks_get: Any = server, home: Path = home) -> str:
        make = partial(SparkWriter, spark, tasks_get)
        with pytest.raises(error) as caught:
            ingest(store, data, home, quiet, make_writer=make)
        text = str(caught.value)
        assert len(text.splitlines()) == 1
        assert "org.apache" not in text
        assert server.password not in text
        return text

    away = fails(TryAgainError, tasks_get=replace(server, address="bolt://127.0.0.1:9"))
    assert "no graph server answers at bolt://127.0.0.1:9" in away
    refused = fails(ChangeSomethingError, tasks_get=replace(server, password="s3ntinel"))
    assert "refused the user name or password" in refused
    assert "s3ntinel" not in refused
    nowhere = fails(ChangeSomethingError, tasks_get=replace(server, database="nowhere"))
    assert "has no database 'nowhere'" in nowhere

    def loses_ends(part: Part, **given: Any) -> Any:
        from kg.ingest.tables import Counts
        from kg.spark.writing import WrittenPart, write_part

        if given["table"].label == "User":
            return WrittenPart(Counts(created=part[1] - part[0]))
        return write_part(part, **given)

    monkeypatch.setattr(writing, "write_part", loses_ends)
    # In a home of its own, for its journal now says that the users are there.
    lost = fails(ChangeSomethingError, home=tmp_path / "lost")
    assert "have an end that is not in the graph" in lost

    def elsewhere(part: Part, **given: Any) -> Any:
        from pathlib import Path

        from kg.spark.writing import write_part

        return write_part(part, **given | {"staged": replace(given["staged"], folder=Path("/no"))})

    monkeypatch.setattr(writing, "write_part", elsewhere)
    unseen = fails(ChangeSomethingError)
    assert unseen.startswith("a worker cannot read /no/")
    assert unseen.endswith("; name a --home that all workers see")

    def defect(_part: Part, **_given: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(writing, "write_part", defect)
    assert fails(TryAgainError).startswith("Spark failed: ")

    monkeypatch.undo()
    assert {load["status"] for load in stats(store)["loads"]} == {"running"}
    assert by_spark(store, data, home).resumed
    with connect(None, tmp_path / "here") as here:
        ingest(here, data, tmp_path / "here", quiet)
        assert list(dump(store)) == list(dump(here))


def started(graph: GraphAddress, data: Path, **environment: str) -> subprocess.Popen[str]:
    """``kg ingest --engine spark`` of a data set that is staged already, slowly."""
    words = ("kg", "ingest", "--dataset", str(data), "--home", str(graph.home), "--json")
    assert graph.uri is not None
    words += ("--graph", graph.uri, "--batch-rows", "10")
    command = [sys.executable, "-m", "cli", *words]
    environment = {**os.environ, **graph.environment, **environment}
    subprocess.run([*command, "--dry-run"], cwd=ROOT, env=environment, check=True)
    return subprocess.Popen(
        [*command, "--engine", "spark"], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def wait_for(
    count: int, query: Statement, store: GraphStore, process: subprocess.Popen[str]
) -> None:
    while store.read(query)[0][0] < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@on_server
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_run_again_it_ends_right(
    graph: GraphAddress, store: GraphStore, tmp_path: Path, how: signal.Signals
) -> None:
    data = write_small(tmp_path / "data", "data", users=400, items=60)
    process = started(graph, tmp_path / "data")
    wait_for(200, statement("count_relations", type="RATED", source="User"), store, process)
    os.kill(process.pid, how)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 128 + how
        assert time.monotonic() - began < 10
        assert err.splitlines()[-1] == "personarec: stopped; the same command goes on from here"
        assert "\tat " not in err, "a stack of Java"
        assert "Traceback" not in err
    (load,) = stats(store)["loads"]
    assert load["status"] == "running", "it was too late, so nothing was tested"

    out, err = started(graph, tmp_path / "data").communicate(timeout=200)
    result = json.loads(out)
    assert result["resumed"], err
    assert result["load"] == load["id"]
    assert [x["status"] for x in stats(store)["loads"]] == ["complete"]
    with connect(None, tmp_path / "here") as here:
        whole = ingest(here, data, tmp_path / "here", quiet)
        assert list(dump(store)) == list(dump(here))
    assert result["created"] + result["changed"] + result["unchanged"] == rows_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.5, 4.0])
def test_a_signal_while_it_stages_leaves_one_line(tmp_path: Path, seconds: float) -> None:
    write_small(tmp_path / "data", "data", users=2000, items=300)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "kg", "ingest", "--dataset", str(tmp_path / "data"),
         "--home", str(tmp_path / "home"), "--engine", "spark"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    before = ""
    while "Setting Spark log level" not in before:  # Spark is up
        line = process.stderr.readline()
        assert line, before
        before += line
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (128 + signal.SIGINT, 0), err
    if process.returncode:
        assert err.splitlines()[-1].startswith("personarec: stopped")
    assert "Traceback" not in err
    assert "\tat " not in err, "a stack of Java"


def test_a_signal_within_a_call_of_py4j_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    root, own = logging.getLogger(), logging.getLogger("py4j.clientserver")
    with _no_stack_of_a_signal():
        root.error("KeyboardInterrupt while sending command.")
        root.error("Exception while sending command.")
        own.error("Exception occurred while shutting down connection")
        root.error("anything else")
    own.error("after it")
    root.error("KeyboardInterrupt while sending command.")
    assert [record.getMessage() for record in caplog.records] == [
        "anything else", "after it", "KeyboardInterrupt while sending command.",
    ]  # fmt: skip


@on_server
def test_a_server_that_goes_away_is_said_in_one_line(
    graph: GraphAddress, store: GraphStore, tmp_path: Path
) -> None:
    write_small(tmp_path / "data", "data", users=400, items=60)
    assert graph.uri is not None
    at = urlsplit(graph.uri)
    assert at.hostname
    assert at.port
    with CommitCutter(at.hostname, at.port) as proxy:
        through = replace(graph, uri=f"bolt://127.0.0.1:{proxy.port}")
        process = started(through, tmp_path / "data")
        # Tasks of the first tables have come and gone; those that follow find nobody.
        wait_for(1, statement("count_nodes", label="User"), store, process)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 75, err
    assert out == ""
    assert err.splitlines()[-1].startswith(f"personarec: no graph server answers at {through.uri}")
    assert "\tat " not in err, "a stack of Java"
    assert "Traceback" not in err
    assert err.count("personarec: ") == 1


@on_server
def test_the_password_is_in_no_setting_file_or_line(
    spark: Any, graph: GraphAddress, store: GraphStore, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With Spark's own log at DEBUG, and its log of events, which holds all of its settings."""
    password = store.server.password if store.server else ""
    assert len(password) >= 8, "too short to be looked for"
    given: list[bytes] = []
    parallelize = spark.sparkContext.parallelize

    def spy(rows: Any, parts: int) -> Any:
        given.append(pickle.dumps(rows))
        return parallelize(rows, parts)

    monkeypatch.setattr(spark.sparkContext, "parallelize", spy)
    data = write_small(tmp_path / "data", "data", users=20)
    assert by_spark(store, data, graph.home).created
    settings = [*spark.sparkContext.getConf().getAll(), *spark.sparkContext.environment.items()]
    assert given
    assert settings
    assert password not in repr(settings)
    assert password.encode() not in b"".join(given)  # Spark writes this into a file

    more = write_small(tmp_path / "more", "more", users=20)
    conf, events, local = (tmp_path / name for name in ("conf", "events", "local"))
    for folder in (conf, events, local):
        folder.mkdir()
    (conf / "spark-defaults.conf").write_text(
        "spark.master local[2]\nspark.driver.host 127.0.0.1\nspark.ui.enabled false\n"
        f"spark.eventLog.enabled true\nspark.eventLog.dir {events.as_uri()}\n"
        f"spark.eventLog.compress false\nspark.local.dir {local}\nspark.log.level DEBUG\n"
    )
    process = started(graph, tmp_path / more.name, SPARK_CONF_DIR=str(conf))
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err[-2000:]
    assert json.loads(out)["created"]
    assert "DEBUG" in err, "Spark said nothing, so nothing was tested"
    assert password not in out + err
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert any("spark.eventLog.dir" in p.read_text("utf-8") for p in files if events in p.parents)
    assert [p for p in files if password.encode() in p.read_bytes()] == []
