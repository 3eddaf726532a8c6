"""Staging by Spark: the same books, quarantine and tables as by this process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import in_ci, quiet
from polars.testing import assert_frame_equal
from rich_data import DBR, write_rich

from kg.ingest import DataSetSources, Source, dump_hash, ingest
from kg.ingest.stage import Stage
from kg.ingest.staging import stage
from kg.spark import stage_with_spark
from kg.store import connect

# Each of the hundred statements is a job of its own; that takes a minute for any data this small.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """A session on two cores; skipped or failed as the Neo4j tests."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession

        os.environ["PYSPARK_PYTHON"] = sys.executable
        session = (
            SparkSession.builder.master("local[2]")
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
