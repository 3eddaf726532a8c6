"""A real Neo4j for the tests, reached in the first of three ways that works.

1. ``environment``: the server named by ``PERSONAREC_TEST_NEO4J_URI`` (with ``..._USER`` and
   ``..._PASSWORD``). Once named, nothing else is tried: when it does not answer, that is an error.
2. ``container``: an image in a Docker engine that answers, through testcontainers.
3. ``jars``: Neo4j's own jars as a plain process.

``scripts/setup-test-services.sh`` prepares the second and third and notes what it found in
``.cache/test-services.env``. ``PERSONAREC_TEST_NEO4J_VIA`` (one of the three names) allows one way
only. Nothing here pulls, downloads or installs.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from xml.etree import ElementTree

from neo4j import Driver, GraphDatabase
from neo4j.exceptions import AuthError, DriverError, Neo4jError

if TYPE_CHECKING:
    # Not `import docker`: type checkers and linters take this repository's folder of that name
    # for it.
    from docker.client import DockerClient  # type: ignore[import-not-found]
    from testcontainers.community.neo4j import Neo4jContainer

How = Literal["environment", "container", "jars"]

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("personarec-neo4j:5.26", "neo4j:5.26-community")
HEAP = "512m"
OWNER_LABEL = "personarec.test.pid"
SETUP_HINT = "run scripts/setup-test-services.sh"
START_SECONDS = 120.0
KEPT_LOGS = 20


class ServerUnavailable(RuntimeError):  # noqa: N818  (as the driver's ServiceUnavailable)
    """No Neo4j can be had in this way; the message says why."""


class NamedServerUnreachable(RuntimeError):  # noqa: N818
    """The server that the environment names does not answer. Nothing else is tried."""


class ServerProcess(Protocol):
    """What a server of our own can be told; a named server has none."""

    def kill(self) -> None:
        """End it at once, with no chance to shut down, and return when it is gone."""

    def start(self) -> None:
        """Start it again, on the same data and the same port."""

    def cause_of_death(self) -> str | None:
        """Say why it is not running; None while it runs."""


@dataclass
class Neo4jServer:
    """A Neo4j that answers, and how it was reached."""

    uri: str
    user: str
    password: str = field(repr=False)
    how: How
    detail: str = ""
    passed_over: tuple[str, ...] = ()
    process: ServerProcess | None = field(default=None, repr=False)

    @property
    def can_restart(self) -> bool:
        return self.process is not None

    def driver(self, **settings: Any) -> Driver:
        """Open a driver; the caller closes it."""
        return GraphDatabase.driver(self.uri, auth=(self.user, self.password), **settings)

    def kill(self) -> None:
        """End the server as a power cut would: SIGKILL, and return when it is gone."""
        self._own_process().kill()

    def start(self) -> None:
        """Start a killed server on the same data and port; ``wait_ready`` says when it is up."""
        self._own_process().start()

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Return when a query is answered.

        Raises:
            ServerUnavailable: `timeout` seconds have passed, or the server's process has ended.
            AuthError: the server answers but refuses the password.
        """
        deadline = time.monotonic() + timeout
        with self.driver(connection_timeout=2.0) as driver:
            while True:
                try:
                    # A plain run: execute_query would retry for longer than we may wait.
                    with driver.session() as session:
                        session.run("RETURN 1").consume()
                    return
                except AuthError:
                    raise
                except (DriverError, Neo4jError, OSError) as error:
                    if self.process and (cause := self.process.cause_of_death()):
                        raise ServerUnavailable(cause) from error
                    if time.monotonic() > deadline:
                        raise ServerUnavailable(
                            f"no answer from {self.uri} within {timeout:.0f} s: {error}"
                        ) from error
                time.sleep(0.2)

    def _own_process(self) -> ServerProcess:
        if self.process is None:
            raise ServerUnavailable(f"{self.uri} is not ours to kill or start ({self.how})")
        return self.process


Way = Callable[[Mapping[str, str]], AbstractContextManager[Neo4jServer]]


@contextmanager
def neo4j_server(
    ways: Mapping[How, Way] | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[Neo4jServer]:
    """Give a Neo4j that answers, by the first way that works; end what was started.

    Args:
        ways: What to try, in order; by default the three of this module.
        environ: The environment to read; by default the process's own.

    Raises:
        ServerUnavailable: No way works. The message has the reason for each.
        NamedServerUnreachable: The server named in the environment does not answer.
        ValueError: ``PERSONAREC_TEST_NEO4J_VIA`` names no way.
    """
    ways = WAYS if ways is None else ways
    environ = os.environ if environ is None else environ
    via = environ.get("PERSONAREC_TEST_NEO4J_VIA")
    if via and via not in ways:
        raise ValueError(f"PERSONAREC_TEST_NEO4J_VIA is {via!r}; choose from {', '.join(ways)}")

    with ExitStack() as stack:
        reasons: list[str] = []
        for how, way in ways.items():
            if via and how != via:
                continue
            try:
                server = stack.enter_context(way(environ))
            except ServerUnavailable as error:
                reasons.append(f"{how}: {error}")
                continue
            server.passed_over = tuple(reasons)
            break
        else:
            raise ServerUnavailable("; ".join(reasons))
        yield server


# --- a server named in the environment ------------------------------------------------------------


@contextmanager
def named_server(environ: Mapping[str, str]) -> Iterator[Neo4jServer]:
    """Give the server of ``PERSONAREC_TEST_NEO4J_URI``; it is left as it is at the end."""
    uri = environ.get("PERSONAREC_TEST_NEO4J_URI")
    if not uri:
        raise ServerUnavailable("PERSONAREC_TEST_NEO4J_URI is not set")
    server = Neo4jServer(
        uri=uri,
        user=environ.get("PERSONAREC_TEST_NEO4J_USER", "neo4j"),
        password=environ.get("PERSONAREC_TEST_NEO4J_PASSWORD", ""),
        how="environment",
        detail=uri,
    )
    try:
        server.wait_ready(timeout=30.0)
    except (ServerUnavailable, AuthError) as error:
        raise NamedServerUnreachable(f"PERSONAREC_TEST_NEO4J_URI={uri}: {error}") from error
    yield server


# --- a container ----------------------------------------------------------------------------------


@contextmanager
def container_server(environ: Mapping[str, str]) -> Iterator[Neo4jServer]:
    """Run an image that the Docker engine has already, through testcontainers."""
    services = read_services(environ)
    with connected_engine(environ, services) as (engine, host):
        image = choose_image(engine, environ, services)
        is_local = host.startswith(("unix:", "npipe:"))
        if is_local:
            _remove_orphans(engine)
    # Testcontainers reads these at import. Ryuk would be one more image to pull.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TC_POOLING_INTERVAL", "0.25")
    os.environ.setdefault("TC_MAX_TRIES", str(int(START_SECONDS / 0.25)))
    if is_local:
        os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
        os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")

    with _environment("DOCKER_HOST", host):
        from testcontainers.community.neo4j import Neo4jContainer

        password = secrets.token_urlsafe(18)
        port = free_port()
        container = Neo4jContainer(image, username="neo4j", password=password)
        container.with_env("NEO4J_server_memory_heap_max__size", HEAP)
        container.with_env("NEO4J_server_memory_pagecache_size", "64m")
        container.with_env("NEO4J_dbms_usage__report_enabled", "false")
        container.with_env("NEO4J_db_tx__log_preallocate", "false")  # as run-jars.sh
        # A port of our choice survives kill and start; one that Docker chooses does not.
        container.with_bind_ports(7687, port)
        if is_local:
            container.with_env("NEO4J_server_bolt_advertised__address", f"127.0.0.1:{port}")
            # The Docker client takes an address too: do not listen to the whole network.
            container.ports["7687"] = ("127.0.0.1", port)  # type: ignore[assignment]
        container.with_kwargs(
            labels={OWNER_LABEL: str(os.getpid())},
            # Neo4j looks up its own addresses; without a way out each look-up costs ten seconds.
            dns_opt=["timeout:1", "attempts:1"],
        )
        log = _log_file(environ, "container")
        try:
            try:
                container.start()
            except Exception as error:
                _save_container_log(container, log)
                cause = str(error).partition(". ")[0]  # the rest is the log, which is saved
                raise ServerUnavailable(
                    f"{image} did not start: {cause}; {_last_words(log)}"
                ) from error
            server = Neo4jServer(
                uri=container.get_connection_url(),
                user="neo4j",
                password=password,
                how="container",
                detail=image,
                process=_ContainerProcess(container),
            )
            server.wait_ready()
            yield server
        finally:
            _save_container_log(container, log)
            container.stop()


def read_services(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the KEY=VALUE lines that setup-test-services.sh left; empty when it has not run."""
    try:
        lines = (cache_folder(environ) / "test-services.env").read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


@contextmanager
def connected_engine(
    environ: Mapping[str, str],
    services: Mapping[str, str],
    connect: Callable[[str], DockerClient] | None = None,
) -> Iterator[tuple[DockerClient, str]]:
    """Give a client of the first engine that answers, and the engine's address.

    The environment's engine goes before the one that the set-up script noted, and that before the
    usual socket.
    """
    from docker.errors import DockerException  # type: ignore[import-not-found]

    connect = connect or _connect_engine
    named = (environ.get("DOCKER_HOST"), services.get("DOCKER_HOST"))
    candidates = dict.fromkeys([host for host in named if host] + ["unix:///var/run/docker.sock"])
    for host in candidates:
        try:
            client = connect(host)
        except (DockerException, OSError):
            continue
        try:
            yield client, host
        finally:
            client.close()
        return
    raise ServerUnavailable(f"no Docker engine answers at {' or '.join(candidates)}; {SETUP_HINT}")


def _connect_engine(host: str) -> DockerClient:
    from docker.client import DockerClient

    # Reads the version from the engine, so it fails here when none is there.
    return DockerClient.from_env(environment={**os.environ, "DOCKER_HOST": host}, timeout=10)


def choose_image(
    engine: DockerClient, environ: Mapping[str, str], services: Mapping[str, str]
) -> str:
    """Return the first wanted image that the engine has; a named one is the only one wanted."""
    from docker.errors import ImageNotFound

    key = "PERSONAREC_TEST_NEO4J_IMAGE"
    wanted = [environ[key]] if environ.get(key) else [services.get(key, ""), *IMAGES]
    wanted = list(dict.fromkeys(filter(None, wanted)))
    for image in wanted:
        with suppress(ImageNotFound):
            engine.images.get(image)
            return image
    raise ServerUnavailable(f"the Docker engine does not have {' or '.join(wanted)}; {SETUP_HINT}")


def _remove_orphans(engine: DockerClient) -> None:
    """Remove the containers of test runs that were killed before they could do so themselves."""
    from docker.errors import APIError

    for container in engine.containers.list(all=True, filters={"label": OWNER_LABEL}):
        if not _lives(int(container.labels[OWNER_LABEL])):
            with suppress(APIError):  # another run may be removing it as well
                container.remove(force=True, v=True)


def _save_container_log(container: Neo4jContainer, path: Path) -> None:
    with suppress(Exception):  # a container that never came to be has no log
        path.write_bytes(container.get_wrapped_container().logs(timestamps=True))


class _ContainerProcess:
    """Kill and start a container; its data lie in its own volume, which outlives both."""

    def __init__(self, container: Neo4jContainer) -> None:
        self._container = container.get_wrapped_container()

    def kill(self) -> None:
        self._container.kill()
        self._container.wait(timeout=30)

    def start(self) -> None:
        self._container.start()

    def cause_of_death(self) -> str | None:
        self._container.reload()
        if self._container.status in {"running", "created", "restarting"}:
            return None
        tail = self._container.logs(tail=5).decode(errors="replace").strip()
        return f"the container is {self._container.status}: {tail}"


# --- the jars as a plain process ------------------------------------------------------------------


@contextmanager
def jars_server(environ: Mapping[str, str]) -> Iterator[Neo4jServer]:
    """Run the jars that docker/neo4j/jars.sh has fetched, in a home folder of this run's own."""
    jars = jars_folder(environ)
    if not jars.is_dir():
        raise ServerUnavailable(f"no jars at {jars}; run docker/neo4j/jars.sh")
    if problem := _problem_with_java(environ):
        raise ServerUnavailable(problem)
    homes = cache_folder(environ) / "neo4j" / "homes"
    homes.mkdir(parents=True, exist_ok=True)
    _remove_orphaned_homes(homes)

    home = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=homes))
    password = secrets.token_urlsafe(18)
    port = free_port()
    log = _log_file(environ, "jars")
    process = _JarsProcess(environ, jars=jars, home=home, port=port, password=password, log=log)
    server = Neo4jServer(
        uri=f"bolt://127.0.0.1:{port}",
        user="neo4j",
        password=password,
        how="jars",
        detail=jars.name,
        process=process,
    )
    try:
        process.start()
        server.wait_ready()
        yield server
    finally:
        process.kill()  # an orderly end takes up to ten seconds, for data that go anyway
        shutil.rmtree(home, ignore_errors=True)


def jars_folder(environ: Mapping[str, str]) -> Path:
    """Return where jars.sh puts the jars of the version that pom.xml states."""
    pom = ElementTree.parse(ROOT / "docker" / "neo4j" / "pom.xml")
    version = pom.findtext(".//{*}properties/{*}neo4j.version")
    return cache_folder(environ) / "neo4j" / f"jars-{version}"


def _problem_with_java(environ: Mapping[str, str]) -> str | None:
    java = "java"
    if home := environ.get("JAVA_HOME"):
        java = str(Path(home) / "bin" / "java")
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        ).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no Java: {error}"
    if re.search(r'version "(17|21)[.+"]', answer):
        return None
    return f"Neo4j 5.26 needs Java 17 or 21; {java} is {answer.partition(chr(10))[0]}"


class _JarsProcess:
    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        jars: Path,
        home: Path,
        port: int,
        password: str,
        log: Path,
    ) -> None:
        script = ROOT / "docker" / "neo4j" / "run-jars.sh"
        self._command = [str(script), "--jars", str(jars), "--home", str(home), "--port", str(port)]
        self._environ = {**environ, "NEO4J_AUTH": f"neo4j/{password}", "NEO4J_HEAP": HEAP}
        self._pid_file = home / "server.pid"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the tests, which then end the server in order.
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid_file.write_text(str(self._process.pid))

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(timeout=30)

    def cause_of_death(self) -> str | None:
        if self._process is None or (code := self._process.poll()) is None:
            return None
        return f"the process ended with status {code}; {_last_words(self._log)}"


def _remove_orphaned_homes(homes: Path) -> None:
    """Remove the homes, and end the servers, of test runs that were killed."""
    for home in homes.iterdir():
        owner = home.name.partition("-")[0]
        if owner.isdigit() and not _lives(int(owner)):
            with suppress(OSError, ValueError):
                pid = int((home / "server.pid").read_text())
                # The number may have gone to another process since: ours has its home on the line.
                if os.fsencode(home) in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(home, ignore_errors=True)


# --- shared ---------------------------------------------------------------------------------------


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return ``PERSONAREC_CACHE``, by default ``.cache`` in the repository."""
    return Path(environ.get("PERSONAREC_CACHE") or ROOT / ".cache").resolve()


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _log_file(environ: Mapping[str, str], how: How) -> Path:
    folder = cache_folder(environ) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("neo4j-*.log"), key=lambda path: path.stat().st_mtime)[
        : -KEPT_LOGS + 1
    ]:
        old.unlink(missing_ok=True)
    return folder / f"neo4j-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{how}.log"


def _last_words(log: Path) -> str:
    """Return why a server that left this log ended: a Java trace says it above its last lines.

    A full disk kills Neo4j in ways that do not name it, so the room beside the log is said too.
    """
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    causes = [line[line.index("Caused by: ") :] for line in lines if "Caused by: " in line]
    last = causes[-1:] or [line for line in lines if line.strip()][-1:] or ["it said nothing"]
    free = shutil.disk_usage(log.parent).free // 10**6
    return f"{last[0].strip()[:300]} (whole log: {log}; {free:,} MB of disk are free)"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _environment(key: str, value: str) -> Iterator[None]:
    before = os.environ.get(key)
    os.environ[key] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = before


WAYS: Mapping[How, Way] = {
    "environment": named_server,
    "container": container_server,
    "jars": jars_server,
}
