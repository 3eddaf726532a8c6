"""The embedded engine's life cycle: one owner, others beside it, nothing lost between them."""

from __future__ import annotations

import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import quiet
from small import write_small

from kg.errors import TryAgainError
from kg.ingest import dump_hash, ingest
from kg.store import connect, embedded
from kg.views import read_users
from kg.views.personas import PersonaModel, write_personas


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with connect(None, tmp_path) as store:
        ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
        before = dump_hash(store)
    with connect(None, tmp_path) as store:
        assert dump_hash(store) == before


def test_a_second_connection_finds_the_first_ones_engine(tmp_path: Path) -> None:
    with connect(None, tmp_path) as owner, connect(None, tmp_path) as guest:
        ingest(guest, write_small(tmp_path / "data"), tmp_path, quiet)
        assert dump_hash(owner) == dump_hash(guest)
        users = read_users(guest, "small")
        model = PersonaModel("small-test-aaaa0000", "small", "test", 4, "all", len(users))
        vectors = np.ones((len(users), 4), np.float32)
        with pytest.raises(TryAgainError, match="another process runs the embedded engine"):
            write_personas(guest, model, users, vectors, [], quiet)
        write_personas(owner, model, users, vectors, [], quiet)


def test_an_owner_that_is_still_starting_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "START_SECONDS", 0.2)
    with connect(None, tmp_path):
        (tmp_path / "graph" / "bolt.json").write_text("")
        with pytest.raises(TryAgainError, match="try again in a moment"):
            connect(None, tmp_path)


def test_who_comes_while_the_engine_starts_waits_for_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, connect(None, tmp_path):
        address = tmp_path / "graph" / "bolt.json"
        known = address.read_text()
        address.unlink()
        guest = pool.submit(connect, None, tmp_path)
        time.sleep(0.2)
        assert not guest.done()
        address.write_text(known)
        guest.result(timeout=10).close()


def test_a_guest_whose_owner_ended_is_told_so_soon(tmp_path: Path) -> None:
    owner = connect(None, tmp_path)
    with connect(None, tmp_path) as guest:
        owner.close()
        began = time.monotonic()
        with pytest.raises(TryAgainError, match="the process that ran the embedded engine in"):
            read_users(guest, "small")
        assert time.monotonic() - began < 15
    with connect(None, tmp_path) as store:
        assert read_users(store, "small") == ()


def test_the_password_is_the_owners_alone(tmp_path: Path) -> None:
    with connect(None, tmp_path) as store:
        file = tmp_path / "graph" / "password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        password = file.read_text()
        assert len(password) >= 24
        assert password not in repr(store)
        assert set(json.loads((tmp_path / "graph" / "bolt.json").read_text())) == {"port", "pid"}
        for log in (tmp_path / "graph" / "log").iterdir():
            assert password not in log.read_text(errors="replace")
