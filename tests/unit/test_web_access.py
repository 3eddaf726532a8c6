"""Who may ask: loopback, token, and the names of this machine."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from web_small import client_of, small_app

from kg.errors import ChangeSomethingError
from personarec.web.access import Access, is_loopback

TOKEN = "s3ntinel-token-of-some-length"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    assert Access.to(host, {}) == Access(None, local=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_beyond_loopback_needs_a_token(host: str) -> None:
    assert not is_loopback(host)
    for environment in ({}, {"PERSONAREC_TOKEN": ""}):
        with pytest.raises(ChangeSomethingError, match="set PERSONAREC_TOKEN") as refusal:
            Access.to(host, environment)
        assert "\n" not in str(refusal.value)
    assert Access.to(host, {"PERSONAREC_TOKEN": TOKEN}) == Access(TOKEN, local=False)


@pytest.mark.parametrize("token", ["short", "with a line end\n and more"])
def test_a_poor_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ChangeSomethingError, match="at least 16 characters") as refusal:
        Access.to("0.0.0.0", {"PERSONAREC_TOKEN": token})
    assert token not in str(refusal.value)


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(ChangeSomethingError, match="has no address"):
        is_loopback("no such name.invalid")


def test_the_token_opens_and_nothing_else_does(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = small_app(token=TOKEN)
    client = client_of(app)
    paths = ("/items/i0", "/search?q=d", "/metrics", "/openapi.json", "/nowhere")
    wrong: list[dict[str, Any]] = [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \xff".encode("latin-1")},
    ]
    with caplog.at_level(logging.DEBUG):
        for headers in wrong:
            for path in paths:
                refused = client.get(path, headers=headers)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
                assert TOKEN not in refused.text
        for scheme in ("Bearer", "bearer"):
            for path, status in zip(paths, (200, 200, 200, 200, 404), strict=True):
                answer = client.get(path, headers={"Authorization": f"{scheme} {TOKEN}"})
                assert answer.status_code == status
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
    assert client.post("/-/reload").status_code == 401
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(app.user_middleware)
    described = client.get("/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    assert described["paths"]["/search"]["get"]["security"] == [{"token": []}]
    assert "security" not in described["paths"]["/health"]["get"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost", 200), ("LOCALHOST", 200), ("[::1]", 200),
        ("attacker.example", 421), ("127.0.0.1.attacker.example", 421), ("10.0.0.1", 421),
    ],
)  # fmt: skip
def test_a_foreign_name_for_this_machine_is_refused(host: str, status: int) -> None:
    client = client_of(small_app()[0])
    for name in (host, f"{host}:8000"):
        assert client.get("/health", headers={"Host": name}).status_code == status
    with_token = client_of(small_app(token=TOKEN)[0])
    assert with_token.get("/health", headers={"Host": host}).status_code == 200


def test_reload_is_for_this_machine_alone() -> None:
    from fastapi.testclient import TestClient

    app, _ = small_app()
    stranger = TestClient(app, base_url="http://127.0.0.1", client=("192.0.2.7", 1))
    assert stranger.post("/-/reload").status_code == 403
    forged = stranger.post("/-/reload", headers={"X-Forwarded-For": "127.0.0.1"})
    assert forged.status_code == 403
    assert client_of(app).post("/-/reload").status_code == 200
