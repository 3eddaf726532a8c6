"""R14: a password is only where it must be: in no log, file, message or text of an object.

The embedded engine keeps its own password in one file of mode 0600; that is the exception.
"""

from __future__ import annotations

import base64
import stat
import traceback
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from conftest import GraphAddress
from integration.small import write_small
from reliability.trial import Forks, ingest_words

from kg.errors import PersonarecError
from kg.store import connect

WRONG = "s3ntinel-wrong-Passw0rd"
# Everything that any library says, the driver's own messages to the server too.
LOG_ALL = """
import logging
logging.basicConfig(level=logging.DEBUG, filename={log!r}, format="%(name)s %(message)s %(args)s")
"""


def forms(password: str) -> list[bytes]:
    """A password as it might lie in a file."""
    encoded = base64.b64encode(password.encode()).rstrip(b"=")
    wide = password.encode("utf-16-le")
    return [password.encode(), quote(password, safe="").encode(), encoded, wide]


def found_in(password: str, folder: Path) -> list[Path]:
    """Files below a folder that hold a password."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert files
    return [p for p in files if any(form in p.read_bytes() for form in forms(password))]


@pytest.mark.parametrize("given", ["environment", "URI"])
@pytest.mark.slow
def test_the_whole_road_leaves_no_password_behind(
    graph: GraphAddress, tmp_path: Path, given: str
) -> None:
    """Load, train, recommend and fail, with every logger at DEBUG."""
    write_small(tmp_path / "data", "data", users=40, items=12)
    log = tmp_path / "outputs" / "everything.log"
    if graph.server is None:
        if given == "URI":
            pytest.skip("the embedded engine has no URI")
        passwords = [WRONG]
        graph = GraphAddress("embedded", None, graph.home, {"PERSONAREC_GRAPH_PASSWORD": WRONG})
    else:
        password = graph.server.password
        assert len(password) >= 8, "too short to be looked for"
        passwords = [password, WRONG]
        if given == "URI":
            parts = urlsplit(graph.server.uri)
            uri = f"{parts.scheme}://neo4j:{quote(password, safe='')}@{parts.netloc}"
            graph = GraphAddress("neo4j", uri, graph.home, {"PERSONAREC_GRAPH_PASSWORD": WRONG})
    said = ""
    with Forks(tmp_path / "outputs") as forks:
        for words in (
            ("doctor",),
            ingest_words(tmp_path / "data"),
            ("train", "--dataset", "data", "--rows", "none", "--epochs", "1", "--debug"),
            ("recommend", "u1", "--dataset", "data", "--explain"),
            ("kg", "neighbours", "u1", "--dataset", "data"),
            ("kg", "dump", "--derived"),
        ):
            code = forks.run(graph, *words, fault=LOG_ALL.format(log=str(log)))
            assert code == 0, (words, forks.error_text())
            said += forks.out_text() + forks.error_text()
        failing = {
            "PERSONAREC_GRAPH_DATABASE": "nowhere",
            "PERSONAREC_GRAPH_PASSWORD": WRONG,
        }
        for name, value in failing.items() if graph.server or graph.uri else ():
            broken = GraphAddress("neo4j", graph.uri, graph.home, graph.environment | {name: value})
            if given == "URI" and name.endswith("PASSWORD"):
                assert broken.uri is not None
                before, _, rest = broken.uri.rpartition("@")
                broken = GraphAddress("neo4j", f"{before}x@{rest}", graph.home, broken.environment)
            for debug in ((), ("--debug",)):
                fault = LOG_ALL.format(log=str(log))
                assert forks.run(broken, "kg", "stats", *debug, fault=fault) != 0
                said += forks.out_text() + forks.error_text()
                assert ("Traceback" in forks.error_text()) == bool(debug)
    if graph.engine == "neo4j":
        assert "neo4j" in log.read_text(), "nothing was logged, so nothing was tested"
        assert "LOGON" in log.read_text() or "HELLO" in log.read_text()
    own = graph.home / "graph" / "password"
    if graph.engine == "embedded":
        passwords.append(own.read_text())
        assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert list(graph.home.glob("**/environment.json")), "no run directory to look at"
    for password in passwords:
        assert password not in said
        assert found_in(password, tmp_path / "outputs") == []
        assert [p for p in found_in(password, graph.home) if p != own] == []


def test_no_text_of_an_object_holds_it(
    graph: GraphAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with graph.connect() as store:
        password = graph.server.password if graph.server else store._dialect.password  # type: ignore[attr-defined]
        shown = "".join(
            f"{x!r} {x}"
            for x in (store, store.server, store._driver, store._dialect, store._driver._pool)
        )
        assert password not in shown
        try:
            store._driver.session(database="nowhere").run("RETURN $x y", x=1).consume()
        except Exception as error:
            shown = "".join(traceback.format_exception(error)) + repr(error)
            assert password not in shown
    if graph.server:
        monkeypatch.setenv("PERSONAREC_GRAPH_PASSWORD", WRONG)
        with pytest.raises(PersonarecError) as caught:
            connect(graph.uri, graph.home)
        shown = "".join(traceback.format_exception(caught.value))
        assert "refused the user name or password" in shown
        assert WRONG not in shown


def test_a_password_that_is_there_would_be_seen(tmp_path: Path) -> None:
    for number, form in enumerate(forms(WRONG)):
        (tmp_path / f"{number}").write_bytes(b"some \0 bytes " + form + b" more")
    (tmp_path / "clean").write_bytes(b"nothing")
    assert len(found_in(WRONG, tmp_path)) == len(forms(WRONG))
