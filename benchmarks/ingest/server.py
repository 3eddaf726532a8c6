"""The Neo4j that the benchmark runs against: one of its own from jars, or one that is named.

A server of its own is started from ``.cache/neo4j/jars-*`` (scripts/setup-test-services.sh fetches
them), with an empty data folder. PERSONAREC_BENCH_NEO4J_URI, _PASSWORD and _PID name another, whose
content is deleted; without the PID the server's CPU time is not measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A running Neo4j."""

    uri: str
    password: str
    pid: int | None

    def driver(self) -> neo4j.Driver:
        return neo4j.GraphDatabase.driver(self.uri, auth=("neo4j", self.password))

    def cpu(self) -> float:
        """CPU seconds the server has used; 0 where its process is not known."""
        if self.pid is None:
            return 0.0
        text = Path(f"/proc/{self.pid}/stat").read_text("utf-8")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wipe(self) -> None:
        """Delete everything."""
        with self.driver() as driver:
            for query in (
                "MATCH ()-[r]->() WITH r LIMIT 20000 DELETE r RETURN count(*) AS n",
                "MATCH (n) WITH n LIMIT 20000 DELETE n RETURN count(*) AS n",
            ):
                while driver.execute_query(query).records[0]["n"]:
                    pass


@contextmanager
def running_server() -> Iterator[Server]:
    """The named server, or one of our own that ends with the context."""
    environment = os.environ
    if uri := environment.get("PERSONAREC_BENCH_NEO4J_URI"):
        pid = environment.get("PERSONAREC_BENCH_NEO4J_PID")
        password = environment.get("PERSONAREC_BENCH_NEO4J_PASSWORD", "")
        yield Server(uri, password, int(pid) if pid else None)
        return
    jars = sorted((ROOT / ".cache" / "neo4j").glob("jars-*"))
    if not jars:
        raise SystemExit("no .cache/neo4j/jars-*; run scripts/setup-test-services.sh")
    home = Path(tempfile.mkdtemp(prefix="personarec-bench-"))
    process = subprocess.Popen(
        [ROOT / "docker/neo4j/run-jars.sh", "--jars", jars[-1], "--home", home],
        env=environment | {"NEO4J_AUTH": "neo4j/benchmark-only"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _answering(home, process)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home)


def _answering(home: Path, process: subprocess.Popen[bytes]) -> Server:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.5)
        try:
            port = (home / "bolt-port").read_text("utf-8").strip()
            server = Server(f"bolt://127.0.0.1:{port}", "benchmark-only", process.pid)
            with server.driver() as driver:
                driver.verify_connectivity()
        except (OSError, DriverError, Neo4jError):
            continue
        return server
    raise SystemExit(f"Neo4j did not start; see {home / 'logs'}")
