"""Which Neo4j the tests take, and what they say when there is none. No server is started here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException, ImageNotFound  # type: ignore[import-not-found]
from services import neo4j_server as module
from services.neo4j_server import (
    WAYS,
    How,
    NamedServerUnreachable,
    Neo4jServer,
    ServerUnavailable,
    Way,
    choose_image,
    connected_engine,
    neo4j_server,
    read_services,
)

ALL: tuple[How, ...] = ("environment", "container", "jars")


class FakeWays:
    """Three ways that note what is asked of them; those named in `broken` do not work."""

    def __init__(self, broken: Mapping[How, Exception] | None = None) -> None:
        self.broken = broken or {}
        self.events: list[str] = []

    def ways(self) -> dict[How, Way]:
        return {how: self._way(how) for how in ALL}

    def _way(self, how: How) -> Way:
        @contextmanager
        def serve(environ: Mapping[str, str]) -> Iterator[Neo4jServer]:
            self.events.append(f"try {how}")
            if how in self.broken:
                raise self.broken[how]
            try:
                yield Neo4jServer("bolt://fake", "neo4j", "secret", how=how)
            finally:
                self.events.append(f"end {how}")

        return serve


def unavailable(*hows: How) -> dict[How, Exception]:
    return {how: ServerUnavailable(f"no {how} here") for how in hows}


def test_order_of_the_ways() -> None:
    assert tuple(WAYS) == ALL


@pytest.mark.parametrize(
    ("broken", "expected"),
    [((), "environment"), (("environment",), "container"), (("environment", "container"), "jars")],
)
def test_first_way_that_works_is_taken(broken: tuple[How, ...], expected: How) -> None:
    fake = FakeWays(unavailable(*broken))
    with neo4j_server(fake.ways(), {}) as server:
        assert server.how == expected
        assert server.passed_over == tuple(f"{how}: no {how} here" for how in broken)
    assert fake.events == [f"try {how}" for how in (*broken, expected)] + [f"end {expected}"]


def test_none_works_names_every_reason() -> None:
    fake = FakeWays(unavailable(*ALL))
    with pytest.raises(ServerUnavailable) as caught, neo4j_server(fake.ways(), {}):
        pass
    for how in ALL:
        assert f"{how}: no {how} here" in str(caught.value)


@pytest.mark.parametrize("via", ALL)
def test_via_allows_one_way_only(via: How) -> None:
    fake = FakeWays()
    with neo4j_server(fake.ways(), {"PERSONAREC_TEST_NEO4J_VIA": via}) as server:
        assert server.how == via
    assert fake.events == [f"try {via}", f"end {via}"]


def test_via_does_not_fall_back() -> None:
    fake = FakeWays(unavailable("container"))
    with (
        pytest.raises(ServerUnavailable, match="no container here"),
        neo4j_server(fake.ways(), {"PERSONAREC_TEST_NEO4J_VIA": "container"}),
    ):
        pass
    assert fake.events == ["try container"]


def test_unknown_via_is_an_error() -> None:
    with (
        pytest.raises(ValueError, match="choose from environment, container, jars"),
        neo4j_server(FakeWays().ways(), {"PERSONAREC_TEST_NEO4J_VIA": "docker"}),
    ):
        pass


def test_named_server_that_is_down_is_not_passed_over() -> None:
    fake = FakeWays({"environment": NamedServerUnreachable("down")})
    with pytest.raises(NamedServerUnreachable), neo4j_server(fake.ways(), {}):
        pass
    assert fake.events == ["try environment"]


def test_error_of_the_tests_is_not_taken_for_a_missing_server() -> None:
    fake = FakeWays()
    with pytest.raises(ServerUnavailable, match="from a test"), neo4j_server(fake.ways(), {}):
        raise ServerUnavailable("from a test")
    assert fake.events == ["try environment", "end environment"]


def test_named_server_is_given_as_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Neo4jServer, "wait_ready", lambda self, timeout: None)
    environ = {
        "PERSONAREC_TEST_NEO4J_URI": "neo4j://db:7687",
        "PERSONAREC_TEST_NEO4J_USER": "someone",
        "PERSONAREC_TEST_NEO4J_PASSWORD": "secret",
    }
    with neo4j_server(environ=environ) as server:
        assert (server.uri, server.user, server.password) == (
            "neo4j://db:7687",
            "someone",
            "secret",
        )
        assert server.how == "environment"
        assert not server.can_restart
        with pytest.raises(ServerUnavailable, match="not ours"):
            server.kill()


def test_named_server_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Neo4jServer, timeout: float) -> None:
        raise ServerUnavailable("no answer")

    monkeypatch.setattr(Neo4jServer, "wait_ready", refuse)
    with (
        pytest.raises(NamedServerUnreachable, match="no answer"),
        neo4j_server(environ={"PERSONAREC_TEST_NEO4J_URI": "bolt://db:7687"}),
    ):
        pass


def test_password_is_not_shown() -> None:
    assert "secret" not in repr(Neo4jServer("bolt://db", "neo4j", "secret", how="jars"))


def test_services_file(tmp_path: Path) -> None:
    environ = {"PERSONAREC_CACHE": str(tmp_path)}
    assert read_services(environ) == {}
    (tmp_path / "test-services.env").write_text(
        "# a remark with an = sign\nDOCKER_HOST=unix:///run/x/docker.sock\n\nA=b=c\n"
    )
    assert read_services(environ) == {"DOCKER_HOST": "unix:///run/x/docker.sock", "A": "b=c"}


def engines(*alive: str) -> tuple[Callable[[str], Any], list[str]]:
    """Return a connect function to engines of which only `alive` answer, and what it was asked."""
    asked: list[str] = []

    def connect(host: str) -> Any:
        asked.append(host)
        if host not in alive:
            raise DockerException("connection refused")
        return SimpleNamespace(close=lambda: None)

    return connect, asked


def test_engine_of_the_environment_comes_first() -> None:
    connect, asked = engines("unix:///env", "unix:///noted", "unix:///var/run/docker.sock")
    with connected_engine(
        {"DOCKER_HOST": "unix:///env"}, {"DOCKER_HOST": "unix:///noted"}, connect
    ) as (_, host):
        assert host == "unix:///env"
    assert asked == ["unix:///env"]


def test_dead_engines_are_passed_over() -> None:
    connect, asked = engines("unix:///var/run/docker.sock")
    with connected_engine(
        {"DOCKER_HOST": "unix:///env"}, {"DOCKER_HOST": "unix:///noted"}, connect
    ) as (_, host):
        assert host == "unix:///var/run/docker.sock"
    assert asked == ["unix:///env", "unix:///noted", host]


def test_no_engine_says_what_to_do() -> None:
    connect, _ = engines()
    with (
        pytest.raises(ServerUnavailable, match=r"setup-test-services\.sh"),
        connected_engine({}, {}, connect),
    ):
        pass


def engine_with(*images: str) -> Any:
    def get(image: str) -> str:
        if image not in images:
            raise ImageNotFound(image)
        return image

    return SimpleNamespace(images=SimpleNamespace(get=get))


KEY = "PERSONAREC_TEST_NEO4J_IMAGE"


@pytest.mark.parametrize(
    ("there", "environ", "services", "expected"),
    [
        (("mine", "noted", *module.IMAGES), {KEY: "mine"}, {KEY: "noted"}, "mine"),
        (("mine", "noted", *module.IMAGES), {}, {KEY: "noted"}, "noted"),
        (module.IMAGES, {}, {KEY: "noted"}, module.IMAGES[0]),
        (module.IMAGES[1:], {}, {}, module.IMAGES[1]),
    ],
)
def test_image_choice(
    there: tuple[str, ...], environ: dict[str, str], services: dict[str, str], expected: str
) -> None:
    assert choose_image(engine_with(*there), environ, services) == expected


def test_named_image_is_not_replaced_by_another() -> None:
    with pytest.raises(ServerUnavailable, match="does not have mine"):
        choose_image(engine_with(*module.IMAGES), {KEY: "mine"}, {})


def test_without_jars_the_reason_says_how_to_get_them(tmp_path: Path) -> None:
    environ = {"PERSONAREC_CACHE": str(tmp_path), "PERSONAREC_TEST_NEO4J_VIA": "jars"}
    with pytest.raises(ServerUnavailable, match=r"jars\.sh"), neo4j_server(environ=environ):
        pass


def test_jars_folder_is_that_of_the_script(tmp_path: Path) -> None:
    environ = {**os.environ, "PERSONAREC_CACHE": str(tmp_path)}
    folder = module.jars_folder(environ)
    folder.mkdir(parents=True)
    version = folder.name.removeprefix("jars-")
    assert version.startswith("5.26")
    (folder / f"neo4j-{version}.jar").touch()
    script = module.ROOT / "docker" / "neo4j" / "jars.sh"
    answer = subprocess.run([script], env=environ, capture_output=True, text=True, check=True)
    assert Path(answer.stdout.strip()) == folder


def test_home_of_a_dead_run_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead = tmp_path / f"{ended.pid}-x"
    mine = tmp_path / f"{os.getpid()}-x"
    for home in (dead, mine):
        home.mkdir()
        (home / "server.pid").write_text(str(os.getpid()))  # alive, but not a server of that home
    module._remove_orphaned_homes(tmp_path)
    assert not dead.exists()
    assert mine.exists()


TRACE = """INFO  Starting...
2026-11-22 ERROR Failed to start Neo4j on dbms.
java.lang.RuntimeException: Error starting Neo4j
\tat org.neo4j.server.NeoBootstrapper.start(NeoBootstrapper.java:129)
Caused by: org.neo4j.kernel.lifecycle.LifecycleException: failed to start
\tat org.neo4j.kernel.lifecycle.LifeSupport.start(LifeSupport.java:356)
Caused by: java.io.IOException: No space left on device
\tat org.neo4j.kernel.database.AbstractDatabase.handleStartupFailure(AbstractDatabase.java:218)
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (TRACE, "Caused by: java.io.IOException: No space left on device"),
        ("one\ntwo\n\n", "two"),
        ("", "it said nothing"),
    ],
)
def test_a_dead_server_says_why(tmp_path: Path, said: str, expected: str) -> None:
    jars, home = tmp_path / "jars", tmp_path / "home"
    home.mkdir()
    log = tmp_path / "server.log"
    # No such folder of jars: the script ends at once, and its own line goes to the log first.
    process = module._JarsProcess(
        dict(os.environ), jars=jars, home=home, port=0, password="abcdefgh", log=log
    )
    process.start()
    process._process.wait(timeout=30)  # type: ignore[union-attr]
    assert "no such folder" in log.read_text()
    log.write_text(said)
    cause = process.cause_of_death()
    assert cause is not None
    assert f"status 2; {expected} (whole log: {log}; " in cause
    assert "MB of disk are free" in cause
