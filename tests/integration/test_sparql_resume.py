"""A run that was killed: the next one asks only what was not answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import small_dbpedia as small
from services.misbehaving_proxy import Fault, misbehaving_proxy, rows
from services.sparql_server import sparql_server
from sparql_small import client

from kg.dbpedia.endpoint import DBpediaEndpoint

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
from pathlib import Path
from kg.dbpedia.endpoint import DBpediaEndpoint
from kg.sparql.client import Endpoint
url, cache, out, *iris = sys.argv[1:]
endpoint = Endpoint(url, Path(cache), user_agent="t", min_interval=0.01)
DBpediaEndpoint(endpoint, batch=10).facts(iris, Path(out))
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sparql")
    with sparql_server(small.write(folder / "small.nt"), folder) as url:
        yield url


@pytest.mark.parametrize("at", [0, 1, 2, 7, 30, 45])
def test_a_killed_run_goes_on(at: int, engine: str, tmp_path: Path) -> None:
    iris = [*small.films()[:200], small.resource("Older_Name")]
    DBpediaEndpoint(client(engine, tmp_path / "other")).facts(iris, tmp_path / "whole.nt")
    reached, over = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        reached.set()
        over.wait(60)

    def script(query: str, number: int) -> Fault | None:
        if number == at:
            return hold
        # Some blocks are split on the way, which must not be forgotten either.
        too_long = query.count("resource/Film_") > 8 and "Film_40_" in query
        return rows(lambda r: r[:-1]) if too_long else None

    out, cache = tmp_path / "out.nt", tmp_path / "cache"
    with misbehaving_proxy(engine, script) as proxy:
        command = [sys.executable, "-c", RUN, proxy.url, str(cache), str(out), *iris]
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        try:
            assert reached.wait(60)
            assert not out.exists()
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
            over.set()
        before = list(proxy.queries)
        assert len(before) == at + 1
        endpoint = client(proxy.url, cache)
        DBpediaEndpoint(endpoint, batch=10).facts(iris, out)
        later = proxy.queries[len(before) :]
        # The one in the air when the run was killed is the only one sent again.
        assert set(before) & set(later) == {before[at]}
        assert max(Counter(before).values()) == max(Counter(later).values()) == 1
        assert max(Counter(proxy.answered).values()) == 1
        sent = len(proxy.queries)
        DBpediaEndpoint(client(proxy.url, cache), batch=10).facts(iris, out)
        assert len(proxy.queries) == sent
    assert sent > 45
    assert out.read_bytes() == (tmp_path / "whole.nt").read_bytes()
    assert not list(tmp_path.glob("*.partial"))
