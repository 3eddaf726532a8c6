"""A Neo4j of our own that is stopped at first, so that the bulk importer can fill it."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.neo4j_server import (
    Neo4jServer,
    ServerUnavailable,
    _JarsProcess,
    _problem_with_java,
    free_port,
    jars_folder,
)

IMPORT_HEAP = "1g"  # what the importer itself suggests

_ADMIN = """#!/bin/sh
# What an installed Neo4j has under bin, over the jars alone, with the JVM settings of run-jars.sh.
export NEO4J_HOME='{home}' NEO4J_CONF='{home}/conf'
exec '{java}' -Xmx{heap} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \\
  --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED \\
  --add-opens=java.base/sun.nio.ch=ALL-UNNAMED \\
  --add-opens=java.base/java.util.concurrent=ALL-UNNAMED \\
  -Dfile.encoding=UTF-8 -cp '{jars}/*' org.neo4j.cli.AdminTool "$@"
"""


class StoppedNeo4j:
    """A home folder with ``bin/neo4j-admin``, and a server for later."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        """Raises ServerUnavailable: there are no jars, or no Java for them."""
        self._environ = environ
        self._jars = jars_folder(environ)
        if not self._jars.is_dir():
            raise ServerUnavailable(f"no jars at {self._jars}; run docker/neo4j/jars.sh")
        if problem := _problem_with_java(environ):
            raise ServerUnavailable(problem)
        self.home = home
        (home / "conf").mkdir(parents=True)
        (home / "bin").mkdir()
        java = f"{environ['JAVA_HOME']}/bin/java" if environ.get("JAVA_HOME") else "java"
        admin = home / "bin" / "neo4j-admin"
        admin.write_text(_ADMIN.format(home=home, java=java, jars=self._jars, heap=IMPORT_HEAP))
        admin.chmod(0o755)

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command for which ``neo4j-admin`` is this one."""
        path = f"{self.home / 'bin'}{os.pathsep}{self._environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", command],
            env={**self._environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    @contextmanager
    def running(self) -> Iterator[Neo4jServer]:
        """The server on what was imported."""
        password = secrets.token_urlsafe(18)
        port = free_port()
        log = self.home / "server.log"
        process = _JarsProcess(
            self._environ, jars=self._jars, home=self.home, port=port, password=password, log=log
        )
        uri = f"bolt://127.0.0.1:{port}"
        server = Neo4jServer(uri, "neo4j", password, "jars", self._jars.name, process=process)
        try:
            process.start()
            server.wait_ready()
            yield server
        finally:
            process.kill()
