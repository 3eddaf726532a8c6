"""Bad input through the real command line: one line of advice, exit code not 0, no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).resolve().parents[2]
SENTINEL = "s3ntinel-Passw0rd"
NOBODY = "bolt://127.0.0.1:1"  # nothing listens there, and the refusal comes at once
CHANGE, AGAIN = cli.EXIT_CHANGE, cli.EXIT_AGAIN
RATINGS = "user_id\titem_id\trating\ttimestamp\n"
REVIEW = '{"reviewerID": "u", "asin": "%s", "overall": 5.0, "unixReviewTime": 1}\n'


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process, the environment bare of our settings."""
    for name in ("GRAPH", "GRAPH_USER", "GRAPH_PASSWORD", "GRAPH_DATABASE", "HOME", "DATA"):
        monkeypatch.delenv(f"PERSONAREC_{name}", raising=False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the test runner keeps its own

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["personarec", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        assert isinstance(code, int)
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose embedded graph holds one tiny data set, 'tiny', never trained."""
    from kg.ingest import ingest
    from kg.store import connect
    from personarec.datasets.manifest import resolve

    folder = tmp_path_factory.mktemp("data") / "tiny"
    folder.mkdir()
    rows = "".join(f"u{n % 3}\ti{n}\t4\t{n}\n" for n in range(6))
    (folder / "interactions.tsv").write_text(RATINGS + rows)
    path = tmp_path_factory.mktemp("home")
    with connect(None, path) as store:
        ingest(store, resolve(str(folder)), path, lambda *_: None)
    return path


def says(ended: Ended, code: int, *parts: str) -> None:
    """One line on standard error and nothing else, saying all of ``parts``."""
    assert ended.out == ""
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.endswith("\n")
    assert ended.err.startswith("personarec: ")
    assert "Traceback" not in ended.err
    assert "defect" not in ended.err
    assert [p for p in parts if p not in ended.err] == [], ended.err
    assert ended.code == code


def manifest(folder: Path, text: str) -> Path:
    path = folder / "m.yaml"
    path.write_text(text)
    return path


def reviews(folder: Path, *bad: str, good: int = 20) -> Path:
    """A manifest of a file with some good reviews, then ``bad`` lines."""
    lines = "".join(REVIEW % n for n in range(good)) + "".join(f"{b}\n" for b in bad)
    (folder / "reviews.jsonl").write_text(lines)
    text = "name: bad\ndomain: books\nsources: [{loader: amazon-reviews, path: reviews.jsonl}]\n"
    return manifest(folder, text)


def test_nobody_with_items_to_hold_out(run: Run, home: Path) -> None:
    for words in (
        ("train",), ("tune", "--trials", "1"), ("compare", "--split", "leave-one-out"),
        ("compare-personas", "--encoders", "svd", "--dims", "8", "--seeds", "1"),
    ):  # fmt: skip
        ended = run(*words, "--dataset", "tiny", "--home", home)
        last = ended.err.splitlines()[-1]
        assert ended.code == CHANGE, ended.err
        assert last.startswith("personarec: ")
        assert "load more data" in last
        assert "Traceback" not in ended.err


# -- data sets -------------------------------------------------------------------------------------


def test_a_missing_file(run: Run, tmp_path: Path, home: Path) -> None:
    text = "name: a\ndomain: books\nsources: [{loader: ntriples, path: gone.nt}]\n"
    ended = run("kg", "ingest", "--dataset", manifest(tmp_path, text), "--home", home)
    says(ended, CHANGE, str(tmp_path / "gone.nt"), "is missing")


def test_too_many_broken_lines(run: Run, tmp_path: Path, home: Path) -> None:
    path = reviews(tmp_path, '{"reviewerID": "u", "asi')
    ended = run("kg", "ingest", "--dataset", path, "--home", home)
    says(ended, CHANGE, "reviews.jsonl", "1 of 21 rows", "line 21", "broken JSON", "--max-bad",
         "quarantine.jsonl", "nothing was loaded")  # fmt: skip
    listed = next((home / "ingest" / "bad").glob("stage-*/quarantine.jsonl"))
    assert '"line":21' in listed.read_text()
    ended = run("kg", "ingest", "--dataset", path, "--home", home, "--max-bad", "0.05", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert '"quarantined": 1' in ended.out


def test_one_line_also_for_a_row_full_of_odd_signs(run: Run, tmp_path: Path, home: Path) -> None:
    path = reviews(tmp_path, '{"reviewerID": "a\\nb\\u2028c", "asin": {"x": "\\n\\n"}}', good=1)
    says(run("kg", "ingest", "--dataset", path, "--home", home), CHANGE, "line 2")


def test_no_such_data_set(run: Run, home: Path) -> None:
    says(run("kg", "ingest", "--dataset", "dmeo", "--home", home), CHANGE, "did you mean demo?")


def test_an_unknown_option_in_a_manifest(run: Run, tmp_path: Path, home: Path) -> None:
    path = manifest(tmp_path, "naem: x\n")
    ended = run("kg", "ingest", "--dataset", path, "--home", home)
    says(ended, CHANGE, str(path), "name")
    path = manifest(tmp_path, reviews(tmp_path).read_text() + "naem: x\n")
    ended = run("kg", "ingest", "--dataset", path, "--home", home)
    says(ended, CHANGE, "unknown option naem; did you mean name?")


def test_a_folder_without_interactions(run: Run, tmp_path: Path, home: Path) -> None:
    ended = run("kg", "ingest", "--dataset", tmp_path, "--home", home)
    says(ended, CHANGE, f"{tmp_path} has no interactions.tsv")


def test_a_data_set_that_is_not_in_the_graph(run: Run, home: Path) -> None:
    for words in (
        ["kg", "stats"],
        ["kg", "dump"],
        ["personas", "list"],
        ["kg", "neighbours", "u0"],
    ):
        ended = run(*words, "--dataset", "demo", "--home", home)
        says(ended, CHANGE, "data set 'demo' is not in the graph", "there: ", "tiny", "kg ingest")


# -- the graph -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["kg", "stats"], ["kg", "query", "RETURN 1 AS a"], ["kg", "ingest", "--dataset", "demo"]],
)
def test_an_absent_server(words: list[str], run: Run, tmp_path: Path) -> None:
    ended = run(*words, "--graph", NOBODY, "--home", tmp_path / "home")
    says(ended, AGAIN, f"no graph server answers at {NOBODY}", "--graph")


@pytest.mark.parametrize(
    "uri",
    ["http://localhost:7687", "localhost:7687", "bolt://", "bolt://h:port", "bolt://[::1", "x"],
)
def test_a_bad_uri(uri: str, run: Run, tmp_path: Path) -> None:
    says(
        run("kg", "stats", "--graph", uri, "--home", tmp_path / "home"),
        CHANGE,
        "--graph",
        "bolt://",
    )


def test_a_query_that_writes(run: Run, home: Path) -> None:
    before = run("kg", "dump", "--hash", "--home", home)
    assert before.code == 0
    for text in ("CREATE (n:User {id: 'x'})", "RETURN 1 AS a // x\rCREATE (n:User {id: 'x'})"):
        says(run("kg", "query", text, "--home", home), CHANGE, "kg query only reads", "CREATE")
    assert run("kg", "dump", "--hash", "--home", home) == before


def test_a_query_that_the_embedded_engine_answers_wrongly(run: Run, home: Path) -> None:
    text = "MATCH (u:User) RETURN u.dataset AS d, count(u) IS NULL AS a"
    says(run("kg", "query", text, "--home", home), CHANGE, "WITH count(x) AS n", "--graph")


def test_a_query_that_is_wrong(run: Run, home: Path) -> None:
    says(
        run("kg", "query", "MATCH (u:User RETURN u", "--home", home), CHANGE, "refused a statement"
    )
    text = "MATCH (u:User {id: $user}) RETURN u.id AS id"
    says(run("kg", "query", text, "--home", home), CHANGE, "user")


@pytest.mark.parametrize("param", ["user", "=1", "two words=1", "1a=1", "a-b=1", "\n=1"])
def test_a_bad_parameter(param: str, run: Run, tmp_path: Path) -> None:
    ended = run("kg", "query", "RETURN $a AS a", "-p", param, "--home", tmp_path / "home")
    says(ended, CHANGE, "--param must be NAME=VALUE, not ")
    assert not (tmp_path / "home").exists()


# -- personas, training, recommending --------------------------------------------------------------


def test_an_unknown_user(run: Run, home: Path) -> None:
    for words in (["kg", "neighbours"], ["personas", "show"]):
        ended = run(*words, "nobody", "--dataset", "tiny", "--home", home)
        says(ended, CHANGE, "no user 'nobody' in data set tiny", "tiny:u0")


def test_personas_before_any_training(run: Run, home: Path) -> None:
    for words in (["kg", "neighbours", "u0"], ["personas", "show", "u0"]):
        ended = run(*words, "--dataset", "tiny", "--home", home)
        says(ended, CHANGE, "data set tiny has no personas yet", "personarec train")
    ended = run("personas", "use", "v9", "--dataset", "tiny", "--home", home)
    says(ended, CHANGE, "no persona version 'v9'", "none")


def test_an_unknown_row_of_the_table(run: Run, tmp_path: Path) -> None:
    ended = run("train", "--dataset", "demo", "--rows", "nothing", "--home", tmp_path / "home")
    says(ended, CHANGE, "no row 'nothing'; there are: ")
    assert not (tmp_path / "home").exists()


def test_a_recommendation_before_any_training(run: Run, home: Path) -> None:
    for words in (["u0"], ["--items", "i1,i2"]):
        ended = run("recommend", *words, "--dataset", "tiny", "--home", home)
        says(ended, CHANGE, "personarec train")


# -- what must never be printed --------------------------------------------------------------------


def test_a_password_is_never_printed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"bolt://neo4j:{SENTINEL}@127.0.0.1:1"
    ended = run("kg", "stats", "--graph", uri, "--home", tmp_path)
    says(ended, AGAIN, NOBODY)
    assert SENTINEL not in ended.out + ended.err
    for uri in (f"http://neo4j:{SENTINEL}@h:1", f"{SENTINEL}", f"bolt://u:{SENTINEL}@h:1:2"):
        ended = run("kg", "stats", "--graph", uri, "--home", tmp_path)
        says(ended, CHANGE, "--graph")
        assert SENTINEL not in ended.out + ended.err
    monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", SENTINEL)
    ended = run("kg", "stats", "--graph", NOBODY, "--home", tmp_path)
    says(ended, AGAIN, NOBODY)
    assert SENTINEL not in ended.out + ended.err


@pytest.mark.parametrize("sign", ["[x]", "#", "?", "/", "\u2100"])
def test_nor_is_one_with_signs_that_a_uri_gives_another_meaning(
    sign: str, run: Run, tmp_path: Path
) -> None:
    uri = f"bolt://neo4j:{SENTINEL}{sign}1@127.0.0.1:1"
    ended = run("kg", "stats", "--graph", uri, "--home", tmp_path)
    assert SENTINEL not in ended.out + ended.err
    assert ended.code != 0
    assert ended.err.count("\n") == 1


def in_a_process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cli import main; main()", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_debug_shows_where_and_no_password(tmp_path: Path) -> None:
    words = (
        "kg",
        "stats",
        "--graph",
        f"bolt://neo4j:{SENTINEL}@127.0.0.1:1",
        "--home",
        str(tmp_path),
    )
    plain, debug = in_a_process(*words), in_a_process(*words, "--debug")
    says(Ended(plain.returncode, plain.stdout, plain.stderr), AGAIN, NOBODY)
    assert "Traceback (most recent call last)" in debug.stderr
    assert "TryAgainError" in debug.stderr
    assert debug.returncode != 0
    assert debug.stdout == ""
    # The command line itself is not ours to hide; what we print is.
    assert SENTINEL not in plain.stderr + debug.stderr


def test_a_defect_is_said_as_one(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``says`` takes for a defect is one, and a traceback is seen where there is one."""
    from kg import store

    def broken(*_: object) -> None:
        raise RuntimeError("planted\nfault")

    monkeypatch.setattr(store, "connect", broken)
    ended = run("kg", "stats", "--home", tmp_path)
    assert ended.code == cli.EXIT_DEFECT
    assert ended.err.startswith("personarec: a defect of personarec: RuntimeError: planted fault")
    assert ended.err.count("\n") == 1
    with pytest.raises(AssertionError):
        says(ended, cli.EXIT_DEFECT)


def test_a_command_that_does_not_heed_a_stop_is_ended(tmp_path: Path) -> None:
    code = """
import sys, time
import cli
cli.STOP_SECONDS = 1.0
@cli.cli.command()
def deaf():
    while True:
        try:
            print("on", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            pass
sys.argv = ["personarec", "deaf"]
cli.main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert err == "personarec: stopped; the same command goes on from here\n"
