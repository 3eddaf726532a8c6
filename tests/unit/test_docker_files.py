"""The compose file and the Dockerfile say what the project declares.

Whether they build and run needs a Docker engine and is not tried here.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from services.neo4j_server import IMAGES
from test_documents import check

from kg.store.connect import SCHEMES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker" / "compose.yaml").read_text("utf-8")
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SETTINGS = {"PERSONAREC_GRAPH", "PERSONAREC_GRAPH_PASSWORD", "PERSONAREC_HOME"}
REQUIRED_PASSWORD = re.compile(r"(neo4j/)?\$\{NEO4J_PASSWORD:\?[^}]+\}")

Document = dict[str, Any]


def document() -> Document:
    found: Document = yaml.safe_load(COMPOSE)
    return found


def interpolated(text: str) -> str:
    """The text with every variable at its default."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", text)


def problems(compose: Document) -> list[str]:
    """What is wrong with a compose document."""
    found = []
    services = compose["services"]
    for name, service in services.items():
        for setting, value in service.get("environment", {}).items():
            secret = re.search("PASSWORD|AUTH|SECRET|TOKEN", setting)
            if secret and not REQUIRED_PASSWORD.fullmatch(str(value)):
                found.append(f"{name}: {setting} is not taken from the environment")
        for port in service.get("ports", ()):
            if not str(port).startswith("127.0.0.1:"):
                found.append(f"{name}: {port} is open to the network")
        for waited, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy" and "healthcheck" not in services[waited]:
                found.append(f"{name}: {waited} has no health check")
        for volume in service.get("volumes", ()):
            if volume.split(":")[0] not in compose["volumes"]:
                found.append(f"{name}: volume {volume} is not declared")
    return found


def test_nothing_is_wrong() -> None:
    assert problems(document()) == []


@pytest.mark.parametrize(
    ("service", "key", "value", "message"),
    [
        ("neo4j", "environment", {"NEO4J_AUTH": "neo4j/secret"}, "NEO4J_AUTH is not taken"),
        ("neo4j", "environment", {"NEO4J_AUTH": "neo4j/${NEO4J_PASSWORD:-secret}"}, "NEO4J_AUTH"),
        ("loader", "environment", {"PERSONAREC_GRAPH_PASSWORD": "x"}, "GRAPH_PASSWORD is not"),
        ("neo4j", "ports", ["7687:7687"], "open to the network"),
        ("neo4j", "volumes", ["elsewhere:/data"], "not declared"),
        ("loader", "depends_on", {"personarec": {"condition": "service_healthy"}}, "no health"),
    ],
)
def test_a_planted_fault_is_seen(service: str, key: str, value: object, message: str) -> None:
    spoilt = deepcopy(document())
    spoilt["services"][service][key] = value
    assert [p for p in problems(spoilt) if message in p]


def test_services() -> None:
    services = document()["services"]
    assert set(services) == {"neo4j", "loader", "personarec"}
    for name in ("loader", "personarec"):
        assert services[name]["depends_on"] == {"neo4j": {"condition": "service_healthy"}}
        assert services[name]["image"] == PROJECT["name"]
        settings = services[name]["environment"]
        assert set(settings) == SETTINGS
        assert settings["PERSONAREC_GRAPH"] == "bolt://neo4j:7687"
        assert settings["PERSONAREC_GRAPH"].split("://")[0] in SCHEMES
    assert services["loader"]["restart"] == "no", "it ends when it is done"
    assert "profiles" not in services["loader"]
    assert services["personarec"]["profiles"] == ["cli"]


def test_the_settings_are_ones_the_code_reads() -> None:
    read = "".join(
        f.read_text("utf-8") for f in (ROOT / "cli.py", ROOT / "kg" / "store" / "connect.py")
    )
    assert [s for s in SETTINGS if s not in read] == []


def test_the_loader_runs_a_command_that_exists() -> None:
    words = [interpolated(w) for w in document()["services"]["loader"]["command"]]
    assert words == ["kg", "ingest", "--dataset", "demo", "--graph", "bolt://neo4j:7687"]
    check(shlex.join(["personarec", *words]))


def test_neo4j_is_what_the_tests_run_on() -> None:
    neo4j = document()["services"]["neo4j"]
    assert interpolated(neo4j["image"]) in IMAGES
    settings = neo4j["environment"]
    assert interpolated(settings["NEO4J_server_memory_heap_max__size"]) == "1g"
    assert interpolated(settings["NEO4J_server_memory_pagecache_size"]) == "512m"
    assert neo4j["volumes"] == ["neo4j-data:/data"]


def test_the_health_check_asks_both_ports_inside_the_container() -> None:
    neo4j = document()["services"]["neo4j"]
    kind, shell, option, script = neo4j["healthcheck"]["test"]
    assert (kind, shell, option) == ("CMD", "bash", "-c")
    asked = set(re.findall(r"/dev/tcp/127\.0\.0\.1/(\d+)", script))
    assert asked == {"7687", "7474"} == {p.rpartition(":")[2] for p in neo4j["ports"]}
    # Both images have it: the official one is made from Debian, ours copies what it names.
    tools = re.search(r"^tools=\((.*)\)$", (ROOT / "docker/neo4j/build-image.sh").read_text(), re.M)
    assert tools
    assert shell in tools.group(1).split()


def test_the_image_is_made_of_what_the_package_is() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    packages = {"kg/", "personarec/"}
    assert copied == {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "cli.py"} | (
        packages
    )
    allowed = {
        line.removeprefix("!").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert {c.rstrip("/") for c in copied} <= allowed
    version = re.search(r"^FROM python:([\d.]+)-slim$", DOCKERFILE, re.MULTILINE)
    assert version
    assert PROJECT["requires-python"] == f">={version.group(1)}"
    (extras,) = re.findall(r"^ARG EXTRAS=(\w+)$", DOCKERFILE, re.MULTILINE)
    assert extras in PROJECT["optional-dependencies"]
    assert document()["services"]["loader"]["build"]["args"] == {
        "EXTRAS": f"${{PERSONAREC_EXTRAS-{extras}}}"
    }
    assert 'ENTRYPOINT ["personarec"]' in DOCKERFILE
    assert "personarec" in PROJECT["scripts"]


def test_the_image_runs_as_nobody_in_particular() -> None:
    user = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)
    assert user[-1:] == ["personarec"]
    home = document()["services"]["loader"]["environment"]["PERSONAREC_HOME"]
    assert f"PERSONAREC_HOME={home}" in DOCKERFILE
    assert f"VOLUME {home}" in DOCKERFILE
    assert document()["services"]["loader"]["volumes"] == [f"personarec-home:{home}"]
