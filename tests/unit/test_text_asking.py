"""Many questions: nothing is asked twice, budgets hold, useless answers are told apart."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from services.chat_server import Script, Sent, chat_server, said

from kg.errors import ChangeSomethingError, TryAgainError
from personarec.text import answers
from personarec.text.asking import FIRST_FEW, Asked, AskOptions, ask_all
from personarec.text.chat import Reply
from personarec.text.endpoint import Endpoint
from personarec.text.prompt import Prompt, PromptFile


def prompts(n: int, version: int = 1) -> list[Prompt]:
    return [Prompt(f"description {version}", "You describe.", f"Describe {i}.") for i in range(n)]


def ask(url: str, asked: list[Prompt], folder: Path, model: str = "m", **options: int) -> Asked:
    chat = Endpoint(url, model, seconds=5, first_wait=0.001, environment={})
    return ask_all(chat, asked, answers.description, folder, AskOptions(**options))


def echo(text: str, _number: int) -> Sent:
    return said(f"It is {text}")


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    with chat_server(echo) as server:
        first = ask(server.url, [*prompts(9), *prompts(3)], tmp_path)
        assert first.texts[:2] == ["It is Describe 0.", "It is Describe 1."]
        assert first.texts[9:] == first.texts[:3]
        assert (first.asked, first.kept, first.tokens) == (9, 0, 9 * 12)
        again = ask(server.url, prompts(10), tmp_path)
        assert (again.asked, again.kept, again.tokens) == (1, 9, 12)
        assert again.texts[:9] == first.texts[:9]
    assert len(server.asked) == 10


def test_another_model_or_version_is_another_question(tmp_path: Path) -> None:
    with chat_server(echo) as server:
        ask(server.url, prompts(2), tmp_path)
        assert ask(server.url, prompts(2), tmp_path, "other").asked == 2
        assert ask(server.url, prompts(2, version=2), tmp_path).asked == 2


def test_progress_and_cost_are_told(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    with chat_server(echo) as server:
        chat = Endpoint(server.url, "m", environment={})
        options = AskOptions(concurrency=1, total_tokens=9_000)
        ask_all(
            chat, prompts(2), answers.description, tmp_path, options,
            lambda what, done, total: steps.append((what, done, total)),
        )  # fmt: skip
    assert steps == [
        ("questions", 1, 2), ("tokens", 12, 9_000), ("questions", 2, 2), ("tokens", 24, 9_000),
    ]  # fmt: skip


def test_few_at_a_time(tmp_path: Path) -> None:
    def slow(text: str, number: int) -> Sent:
        return Sent(said(text).body, before=0.03)

    with chat_server(slow) as server:
        ask(server.url, prompts(12), tmp_path, concurrency=3)
    assert server.most_at_once == 3


def test_what_was_answered_before_a_failure_is_kept(tmp_path: Path) -> None:
    def gone(text: str, number: int) -> Sent:
        return Sent(b"", 500) if text == "Describe 5." else said(text)

    with chat_server(gone) as server, pytest.raises(TryAgainError, match="status 500"):
        ask(server.url, prompts(20), tmp_path, concurrency=2)
    answered = set(server.questions) - {"Describe 5."}
    with chat_server(echo) as server:
        ask(server.url, prompts(20), tmp_path)
    assert set(server.questions) & answered == set()
    assert set(server.questions) | answered == {p.user for p in prompts(20)}


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_text_asking import ask, prompts
ask(sys.argv[1], prompts(40), Path(sys.argv[2]), concurrency=2)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    def some(text: str, number: int) -> Sent:
        return Sent(said(text).body, before=0.01)

    with chat_server(some) as server:
        tests = Path(__file__).resolve().parents[1]
        command = [sys.executable, "-c", KILLED, server.url, str(tmp_path)]
        run = subprocess.Popen([*command, str(tests / "unit"), str(tests)], cwd=tests.parent)
        until = time.monotonic() + 60
        while len(server.asked) < 12 and run.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        before = len(server.asked)
        assert 12 <= before < 40
        found = ask(server.url, prompts(40), tmp_path)
    # Answers under way when it was killed, two at most, and one on its way to the disk, are lost.
    assert found.kept >= before - 3
    assert found.kept + found.asked == 40
    assert len(server.asked) <= 43


def test_the_budget_stops_in_one_line_and_goes_on_later(tmp_path: Path) -> None:
    def dear(text: str, number: int) -> Sent:
        return said(text, usage=(50, 50))

    with chat_server(dear) as server:
        with pytest.raises(ChangeSomethingError, match=r"700 of 800 tokens.*7 of 30.*larger --max"):
            ask(server.url, prompts(30), tmp_path, total_tokens=800, max_tokens=150)
        assert len(server.asked) == 7  # an eighth might have needed 164
        rest = ask(server.url, prompts(30), tmp_path, total_tokens=10_000)
        assert (rest.kept, rest.asked) == (7, 23)


def test_tokens_nobody_tells_are_estimated(tmp_path: Path) -> None:
    def untold(text: str, number: int) -> Sent:
        return said("four " * 8, usage=None)

    with chat_server(untold) as server:
        found = ask(server.url, prompts(2), tmp_path)
    assert found.estimated
    assert found.answer_tokens == 20


USELESS: dict[str, tuple[Sent, str]] = {
    "empty": (said("  \n"), "empty"),
    "no choice": (Sent(b'{"choices": []}'), "empty"),
    "refused in words": (said("I'm sorry, but I cannot help with that."), "refused"),
    "refused": (said(None, refusal="no"), "refused"),
    "cut off": (said("The sea is", finish="length"), "cut off"),
    "only thoughts": (said("<think>The sea … and so on"), "empty"),
    "overlong": (said("sea " * 500), "longer than 1500 characters"),
    "markup": (said("<html><body>The sea</body></html>"), "markup"),
    "unreadable": (said("The \ufffd sea"), "unreadable"),
    "half a character": (said("The \ud83d sea"), "unreadable"),
    "control": (said("The \x00 sea"), "unreadable"),
}


@pytest.mark.parametrize("what", USELESS)
def test_a_useless_answer_is_known_as_such(what: str, tmp_path: Path) -> None:
    fault, why = USELESS[what]
    with chat_server(lambda text, _: fault if text == "Describe 1." else said(text)) as server:
        for asked in (3, 0):
            found = ask(server.url, prompts(3), tmp_path)
            assert found.texts == ["Describe 0.", None, "Describe 2."]
            assert found.useless == {why: 1}
            assert found.asked == asked
        assert ask(server.url, prompts(3), tmp_path, again=True).asked == 1


def test_a_model_that_is_of_no_use_is_not_asked_on(tmp_path: Path) -> None:
    script: Script = lambda _text, _number: said("")  # noqa: E731
    with chat_server(script) as server:
        for most in (FIRST_FEW + 4, 4):  # what was in vain before counts
            before = len(server.asked)
            with pytest.raises(ChangeSomethingError, match=r"of no use \(empty"):
                ask(server.url, prompts(200), tmp_path)
            assert len(server.asked) - before <= most


def test_a_damaged_answer_is_asked_again_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    with chat_server(echo) as server:
        ask(server.url, prompts(3), tmp_path)
        with sqlite3.connect(tmp_path / "answers.sqlite") as connection:
            connection.execute("UPDATE kept SET content = 'x' WHERE rowid = 1")
        assert ask(server.url, prompts(3), tmp_path).asked == 1
        (tmp_path / "answers.sqlite").write_bytes(b"no database" * 200)
        with pytest.raises(ChangeSomethingError, match="remove it"):
            ask(server.url, prompts(3), tmp_path)


# -- answers ---------------------------------------------------------------------------------------


def test_descriptions_are_one_paragraph() -> None:
    text = "<think>\nhm\n</think>\n\nDescription: A film\nabout the sea."
    assert answers.description(Reply(text)) == "A film about the sea."


@pytest.mark.parametrize(
    ("said_", "found"),
    [
        ("sea, Drama., sea", "sea, Drama"),
        ("Keywords: sea; 'quiet drama'", "sea, quiet drama"),
        ("1. sea\n2. drama\n- islands\n", "sea, drama, islands"),
    ],
)
def test_keywords_are_cleaned(said_: str, found: str) -> None:
    assert answers.keywords(Reply(said_)) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("This person seems to like films about the sea and everything that floats", "prose"),
        (", ".join(str(i) for i in range(40)), "more than 30"),
        (" , ;", "empty"),
        ("As an AI language model, I have no access", "refused"),
    ],
)
def test_what_is_no_list_of_keywords(text: str, why: str) -> None:
    with pytest.raises(answers.UselessAnswerError, match=why):
        answers.keywords(Reply(text))


# -- prompts ---------------------------------------------------------------------------------------


def test_prompts_are_packaged_and_filled() -> None:
    filled = PromptFile.read("description").filled(kind="film", title="$5 & up", facts="none")
    assert "Item: $5 & up\n" in filled.user
    assert filled.name == "description 1"
    assert "$" not in PromptFile.read("keywords").filled(history="- The sea").user
    with pytest.raises(KeyError):
        PromptFile.read("keywords").filled(histories="- The sea")


@pytest.mark.parametrize("text", ["", "[system]\na\n[user]\nb", "version: 1\n[user]\nb"])
def test_what_is_no_prompt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants 'version:'"):
        PromptFile.parsed("x", text)
