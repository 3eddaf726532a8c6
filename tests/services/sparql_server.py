"""A real SPARQL engine on loopback for the tests: Oxigraph's server, which pip installs."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.neo4j_server import free_port

START_SECONDS = 30.0


@contextmanager
def sparql_server(triples: Path, folder: Path) -> Iterator[str]:
    """Load an N-Triples file into a database under ``folder``; give the endpoint's address.

    Raises:
        RuntimeError: the server's program is not installed, or does not come up.
    """
    program = shutil.which("oxigraph", path=str(Path(sys.executable).parent)) or shutil.which(
        "oxigraph"
    )
    if program is None:
        raise RuntimeError("no program 'oxigraph'; install the extra 'test'")
    database = folder / "oxigraph"
    subprocess.run(
        [program, "load", "--location", str(database), "--file", str(triples)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    port = free_port()
    command = [program, "serve-read-only", "--location", str(database), "--bind"]
    with (folder / "oxigraph.log").open("wb") as log:
        process = subprocess.Popen([*command, f"127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        _wait(process, port, folder / "oxigraph.log")
        yield f"http://127.0.0.1:{port}/query"
    finally:
        process.kill()
        process.wait(timeout=30)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/query?query=ASK%7B%7D")
            connection.getresponse().read()
            connection.close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"oxigraph is not up: {log.read_text()[-500:]}") from error
        time.sleep(0.05)
