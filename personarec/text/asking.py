"""Many questions to a language model: kept on disk, few at a time, within a budget of tokens.

Each answer is on disk before the next is waited for, so what was answered is never asked twice,
whatever ends the run. A useless answer (refused, empty, cut off) is kept as such too.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kg.errors import ChangeSomethingError
from personarec.text.answers import UselessAnswerError
from personarec.text.cache import Cache, digest
from personarec.text.chat import Chat, Reply, estimated_tokens
from personarec.text.embedders import Progress
from personarec.text.prompt import Prompt

Check = Callable[[Reply], str]
"""The answer cleaned; raises UselessAnswerError."""
FIRST_FEW = 20
"""After so many answers of which most are useless, the model is not asked on."""


@dataclass(frozen=True)
class AskOptions:
    """How to ask.

    Attributes:
        concurrency: questions under way at a time.
        max_tokens: most tokens of one answer.
        total_tokens: most tokens of this run, questions and answers; none: no end.
        again: ask again what got a useless answer.
    """

    concurrency: int = 4
    max_tokens: int = 400
    total_tokens: int | None = None
    again: bool = False


@dataclass
class Asked:
    """What came of it.

    Attributes:
        texts: one a prompt; None where the answer was of no use.
        kept: prompts whose answer was on disk already.
        asked: questions asked now.
        prompt_tokens: of those questions.
        answer_tokens: of their answers.
        estimated: whether some of these tokens are estimates.
        useless: why answers were of no use, and how many.
    """

    texts: list[str | None] = field(default_factory=list)
    kept: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    estimated: bool = False
    useless: Counter[str] = field(default_factory=Counter)

    @property
    def tokens(self) -> int:
        """Of this run."""
        return self.prompt_tokens + self.answer_tokens


def ask_all(
    chat: Chat,
    prompts: Sequence[Prompt],
    check: Check,
    folder: Path,
    options: AskOptions | None = None,
    progress: Progress | None = None,
) -> Asked:
    """Ask every prompt once, or read what was answered before.

    Answers are kept by the model's name, the prompt's version and its filled-in text; not by the
    endpoint's address, which changes while the model stays.

    Args:
        chat: the language model.
        prompts: what to ask; equal ones are asked once.
        check: of the answers.
        folder: where answers are kept.
        options: how to ask.
        progress: called with what is done and the tokens used.

    Raises:
        ChangeSomethingError: the budget is used up, the answers are of no use, or the endpoint
            needs another URL, model or key.
        TryAgainError: the endpoint does not answer now.
    """
    return _Asking(chat, check, Cache(folder / "answers.sqlite"), options or AskOptions()).run(
        prompts, progress or (lambda _what, _done, _total: None)
    )


@dataclass
class _Asking:
    chat: Chat
    check: Check
    cache: Cache
    options: AskOptions
    done: Asked = field(default_factory=Asked)
    found: dict[str, str | None] = field(default_factory=dict)
    reserved: dict[Future[Reply], tuple[str, int]] = field(default_factory=dict)

    def run(self, prompts: Sequence[Prompt], progress: Progress) -> Asked:
        keys = [self._key(p) for p in prompts]
        wanted = dict(zip(keys, prompts, strict=True))
        self._read(list(wanted))
        todo = [(key, prompt) for key, prompt in wanted.items() if key not in self.found]
        self.done.kept = sum(key in self.found for key in keys)
        if todo:
            self._ask(todo, progress)
        self.done.texts = [self.found[key] for key in keys]
        return self.done

    def _key(self, prompt: Prompt) -> str:
        return digest(self.chat.model, prompt.name, prompt.system, prompt.user)

    def _read(self, keys: list[str]) -> None:
        for key, raw in self.cache.get(keys).items():
            try:
                kept: dict[str, Any] = json.loads(raw)
                text, why = kept["text"], kept["useless"]
            except (ValueError, KeyError, TypeError):
                continue  # damaged: asked again
            if why and self.options.again:
                continue
            self.found[key] = None if why else str(text)
            if why:
                self.done.useless[why] += 1

    def _ask(self, todo: list[tuple[str, Prompt]], progress: Progress) -> None:
        waiting = deque(todo)
        pool = ThreadPoolExecutor(self.options.concurrency)
        try:
            while waiting or self.reserved:
                while (
                    waiting
                    and len(self.reserved) < self.options.concurrency
                    and self._affordable(waiting[0][1], len(todo))
                ):
                    key, prompt = waiting.popleft()
                    future = pool.submit(self.chat.ask, prompt, self.options.max_tokens)
                    self.reserved[future] = (key, self._most(prompt))
                finished, _ = wait(self.reserved, return_when=FIRST_COMPLETED)
                self._keep(finished)
                self._refuse_many_useless()
                progress("questions", self.done.asked, len(todo))
                progress("tokens", self.done.tokens, self.options.total_tokens)
        except BaseException as error:
            self.chat.stop()
            # What is under way was paid for: it is waited for and kept, if nobody is in a hurry.
            if isinstance(error, Exception):
                self._keep([f for f in self.reserved if not f.exception()])
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _most(self, prompt: Prompt) -> int:
        """Tokens that a question may need; set aside, so that those under way keep the budget."""
        return 2 * estimated_tokens(prompt) + self.options.max_tokens

    def _affordable(self, prompt: Prompt, total: int) -> bool:
        budget, needed = self.options.total_tokens, self._most(prompt)
        under_way = sum(tokens for _, tokens in self.reserved.values())
        if budget is None or self.done.tokens + under_way + needed <= budget:
            return True
        if self.reserved:
            return False  # they may need less than was set aside
        raise ChangeSomethingError(
            f"{self.done.tokens:,} of {budget:,} tokens are used and the next question may need "
            f"{needed:,}; {self.done.asked} of {total} questions are answered and kept, run it "
            "again with a larger --max-tokens-total"
        )

    def _keep(self, finished: Iterable[Future[Reply]]) -> None:
        """Keep answers; then raise what went wrong with a question, if anything did."""
        rows, failed = [], None
        for future in finished:
            key, _ = self.reserved.pop(future)
            if error := future.exception():
                failed = error
            else:
                rows.append((key, self._checked(key, future.result())))
        self.cache.put(rows)
        if failed:
            raise failed

    def _checked(self, key: str, reply: Reply) -> bytes:
        text, why = None, ""
        try:
            text = self.check(reply)
        except UselessAnswerError as error:
            why = str(error)
            self.done.useless[why] += 1
        self.found[key] = text
        self.done.asked += 1
        self.done.prompt_tokens += reply.prompt_tokens
        self.done.answer_tokens += reply.answer_tokens
        self.done.estimated |= reply.estimated
        return json.dumps({"text": text, "useless": why}).encode()

    def _refuse_many_useless(self) -> None:
        useless = sum(self.done.useless.values())
        if self.done.asked and len(self.found) >= FIRST_FEW and 2 * useless > len(self.found):
            why, count = self.done.useless.most_common(1)[0]
            raise ChangeSomethingError(
                f"{useless} of {len(self.found)} answers of {self.chat.model} are of no use "
                f"({why}: {count}); use another model, or a larger --max-tokens with --again"
            )
