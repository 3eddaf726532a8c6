"""A language model's endpoint and its failures, each seen to be met."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from services.chat_server import ChatServer, Script, Sent, chat_server, said

from kg.errors import ChangeSomethingError, TryAgainError
from personarec.text import endpoint as module
from personarec.text.chat import Reply
from personarec.text.endpoint import ATTEMPTS, KEY, Endpoint
from personarec.text.prompt import Prompt

PROMPT = Prompt("description 1", "You describe.", "Describe the sea.")


def ask(server: ChatServer, seconds: float = 5.0, **environment: str) -> Reply:
    chat = Endpoint(server.url, "small", seconds=seconds, first_wait=0.001, environment=environment)
    return chat.ask(PROMPT, 50)


def first(fault: Sent) -> Script:
    """The fault once, then an answer."""
    return lambda _, number: fault if number == 1 else said("Water.")


def always(fault: Sent) -> Script:
    return lambda _text, _number: fault


def test_an_answer_and_what_was_asked() -> None:
    with chat_server(always(said("Water."))) as server:
        assert ask(server) == Reply("Water.", False, False, 7, 5, False)
    (asked,) = server.asked
    assert asked["model"] == "small"
    assert asked["max_tokens"] == 50
    assert [m["content"] for m in asked["messages"]] == ["You describe.", "Describe the sea."]
    assert server.keys == [None]


def test_the_key_comes_from_the_environment_and_stays_out_of_messages() -> None:
    told = b'{"error": {"message": "the key sk-secret is not known"}}'
    with chat_server(always(Sent(told, 401))) as server:
        with pytest.raises(ChangeSomethingError, match=f"401.*set {KEY}") as caught:
            ask(server, **{KEY: " sk-secret\n"})
        assert "sk-secret" not in str(caught.value)
    assert server.keys == ["Bearer sk-secret"]


PASSING = {
    "too many": Sent(b"{}", 429, {"Retry-After": "0"}),
    "too many, by date": Sent(
        b"{}", 429, {"Retry-After": formatdate(time.time() - 5, usegmt=True)}
    ),
    "too many, nonsense": Sent(b"{}", 429, {"Retry-After": "soon"}),
    "down": Sent(b"oh", 500),
    "not ready": Sent(b"", 503),
    "torn": Sent(said("Water.").body[:20]),
    "cut off on the wire": Sent(said("Water.").body[:20], length=500),
    "no UTF-8": Sent(b'{"choices": "\xff\xfe"}'),
    "nothing": Sent(b""),
}


@pytest.mark.parametrize("what", PASSING)
def test_what_passes_is_asked_again(what: str) -> None:
    with chat_server(first(PASSING[what])) as server:
        assert ask(server).text == "Water."
    assert len(server.asked) == 2


def test_what_does_not_pass_is_given_up_in_one_line() -> None:
    with (
        chat_server(always(Sent(b"", 500))) as server,
        pytest.raises(TryAgainError, match=r"answers with status 500, 6 times.*kept") as caught,
    ):
        ask(server)
    # An attempt on a connection that the server is just closing is none that it sees.
    assert ATTEMPTS - 1 <= len(server.asked) <= ATTEMPTS
    assert "\n" not in str(caught.value)


def test_the_wait_that_is_asked_for_is_kept() -> None:
    with chat_server(first(Sent(b"{}", 429, {"Retry-After": "0.3"}))) as server:
        began = time.monotonic()
        ask(server)
        assert time.monotonic() - began >= 0.3


def test_a_long_wait_is_the_users_to_decide() -> None:
    with (
        chat_server(always(Sent(b"{}", 429, {"Retry-After": "3600"}))) as server,
        pytest.raises(TryAgainError, match="wait 3600 seconds"),
    ):
        ask(server)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "slow",
    [Sent(said("Water.").body, before=1.0), Sent(said("Water.").body, drip=0.02)],
    ids=["silent", "dripping"],
)
def test_slow_answers_are_not_waited_for(slow: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    with chat_server(always(slow)) as server:
        began = time.monotonic()
        with pytest.raises(TryAgainError, match="2 times"):
            ask(server, seconds=0.1)
        assert time.monotonic() - began < 1.0


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    with chat_server(always(said("x"))) as server:
        pass
    with pytest.raises(TryAgainError, match="does not answer"):
        ask(server)


WRONG = {
    "a web page": (Sent(b"<!doctype html><p>hello"), "web page.*/v1"),
    "another schema": (Sent(b'{"result": "Water."}'), "no chat completion"),
    "a list": (Sent(b"[]"), "no chat completion"),
    "parts": (Sent(b'{"choices": [{"message": {"content": [1]}}]}'), "no chat completion"),
    "no such model": (Sent(b'{"error": "no model small"}', 404), "no model small.*small"),
    "bad request": (Sent(b"\xff<p>", 400), "status 400"),
    "elsewhere": (Sent(b"", 302, {"Location": "http://127.0.0.1:9/"}), "redirects are not"),
    "too large": (Sent(b" " * (module.MOST_BYTES + 1)), "more than 1 MiB"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_user_must_change_is_not_asked_again(what: str) -> None:
    fault, message = WRONG[what]
    with chat_server(always(fault)) as server, pytest.raises(ChangeSomethingError, match=message):
        ask(server)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (said(None), Reply("", False, False, 7, 5)),
        (Sent(b'{"choices": []}'), Reply("", False, False, 7, 0, True)),
        (said("Wat", finish="length"), Reply("Wat", True, False, 7, 5)),
        (said(None, refusal="no"), Reply("", False, True, 7, 5)),
        (said("", finish="content_filter"), Reply("", False, True, 7, 5)),
        (Sent(b'{"error": {"code": "content_filter"}}', 400), Reply("", False, True, 0, 0, True)),
        (said("Water.", usage=None), Reply("Water.", False, False, 7, 1, True)),
        (said("Water.", usage=(-1, "x")), Reply("Water.", False, False, 7, 1, True)),
    ],
    ids=["null", "no choice", "length", "refusal", "filter", "filter 400", "no usage", "odd usage"],
)
def test_answers_that_say_little(sent: Sent, expected: Reply) -> None:
    with chat_server(always(sent)) as server:
        assert ask(server) == expected


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://a/v1", "http://", "file:///etc"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ChangeSomethingError, match="http://"):
        Endpoint(url, "small")


@pytest.mark.parametrize("url", ["http://me:pw@host/v1", "https://host/v1?key=pw"])
def test_credentials_in_the_url_are_refused(url: str) -> None:
    with pytest.raises(ChangeSomethingError, match="no credentials") as caught:
        Endpoint(url, "small")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-se\ncret", "“sk-secret”", "sk-secret…"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ChangeSomethingError, match=f"{KEY} holds a character") as caught:
        Endpoint("http://127.0.0.1:1/v1", "small", environment={KEY: key})
    assert "sk-" not in str(caught.value)


def test_an_answer_too_deep_to_read_is_asked_again() -> None:
    with chat_server(first(Sent(b"[" * 200_000))) as server:
        assert ask(server).text == "Water."
